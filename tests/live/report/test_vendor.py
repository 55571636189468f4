"""The build brings a package by name, version and hash, or says why not and goes on."""

import base64
import hashlib
import io
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A package of two files, as npm packs it."""
    file = tmp_path / "one-1.0.0.tgz"
    with tarfile.open(file, "w:gz") as members:
        for name, text in {"package/dist/one.js": "one()", "package/LICENSE": "free"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            members.addfile(info, io.BytesIO(text.encode()))
    return file


@pytest.fixture
def make_package(vendoring: ModuleType, archive: Path) -> Callable[..., Any]:
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    files = ("dist/one.js", "LICENSE")
    wanted = {"name": "one", "version": "1.0.0", "sha512": digest, "files": files}

    def make(**changes: object) -> Any:
        return vendoring.Package(**{**wanted, **changes})

    return make


@pytest.fixture
def npm(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An npm that has this one package, and answers `pack` alone."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "npm"
    program.write_text(
        f"#!{sys.executable}\n"
        "import shutil, sys\n"
        "assert sys.argv[1:3] == ['pack', 'one@1.0.0'], sys.argv\n"
        f"shutil.copy({str(archive)!r}, sys.argv[sys.argv.index('--pack-destination') + 1])\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []


@pytest.mark.usefixtures("npm")
def test_files_come_with_their_licence(
    vendoring: ModuleType, make_package: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "vendor"
    assert vendoring.bring(make_package(), folder) == ""
    assert names(folder) == ["LICENSE", "brought.txt", "one.js"]


@pytest.mark.usefixtures("npm")
def test_what_is_there_is_not_asked_for_again(
    vendoring: ModuleType,
    make_package: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "vendor"
    vendoring.bring(make_package(), folder)
    monkeypatch.setenv("PATH", "")
    assert vendoring.bring(make_package(), folder) == ""


@pytest.mark.usefixtures("npm")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sha512": "another"}, "one@1.0.0 is not what it was"),
        ({"files": ("dist/two.js",)}, "dist/two.js"),
        ({"version": "2.0.0"}, "returned non-zero exit status"),
    ],
)
def test_what_is_not_as_written_is_left_out(
    vendoring: ModuleType,
    make_package: Callable[..., Any],
    tmp_path: Path,
    changes: dict[str, Any],
    said: str,
) -> None:
    folder = tmp_path / "vendor"
    vendoring.bring(make_package(), folder)
    assert said in vendoring.bring(make_package(**changes), folder)
    assert names(folder) == []


@pytest.mark.usefixtures("npm")
def test_a_file_beyond_the_limit_is_left_out(
    vendoring: ModuleType,
    make_package: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vendoring, "FILE_BYTES_MAX", 4)
    assert "has more than 4 bytes" in vendoring.bring(make_package(), tmp_path / "vendor")


def test_without_npm_nothing_comes(
    vendoring: ModuleType,
    make_package: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    assert vendoring.bring(make_package(), tmp_path / "vendor") == "there is no npm"
