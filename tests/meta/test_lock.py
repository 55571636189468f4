import re
import tomllib
from pathlib import Path

import pytest

LOCKS = ["bootstrap.lock", "dev.lock", "run.lock"]


def _pinned(file: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", file.read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_address(root: Path, lock: str) -> None:
    assert not re.search(r"://|^-|@ ", (root / "requirements" / lock).read_text(), re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_of_a_lock_has_a_hash(root: Path, lock: str) -> None:
    text = (root / "requirements" / lock).read_text()
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)
    assert [entry for entry in entries if "==" in entry and "--hash=sha256:" not in entry] == []


def test_every_dependency_is_locked(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=\[ ]", entry)[0] for entry in project["dependencies"]}
    pinned = _pinned(root / "requirements" / "run.lock")
    assert {name.replace(".", "-") for name in names} <= pinned.keys()


def test_tests_run_on_the_versions_that_users_get(root: Path) -> None:
    run = _pinned(root / "requirements" / "run.lock")
    dev = _pinned(root / "requirements" / "dev.lock")
    assert run.items() <= dev.items()


def test_tests_run_with_every_extra_by_the_same_bounds(root: Path) -> None:
    document = tomllib.loads((root / "pyproject.toml").read_text())
    extras = document["project"]["optional-dependencies"].values()
    asked = {entry for entries in extras for entry in entries}
    assert asked <= set(document["dependency-groups"]["test"])


def test_every_extra_is_locked(root: Path) -> None:
    document = tomllib.loads((root / "pyproject.toml").read_text())
    extras = document["project"]["optional-dependencies"].values()
    names = {re.split(r"[<>=\[ ]", entry)[0] for entries in extras for entry in entries}
    assert names <= _pinned(root / "requirements" / "dev.lock").keys()
