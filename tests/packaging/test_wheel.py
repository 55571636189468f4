import sys
from importlib import metadata, resources
from pathlib import Path

import surgetank

TREE = Path(__file__).parents[2] / "src" / "surgetank"


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }


def test_what_is_tested_is_the_installed_wheel() -> None:
    location = Path(surgetank.__file__).resolve()
    assert location.is_relative_to(Path(sys.prefix).resolve())
    assert "site-packages" in location.parts


def test_the_wheel_holds_the_tree_data_files_too() -> None:
    installed = _contents(Path(surgetank.__file__).parent)
    assert installed == _contents(TREE)


def test_the_wheel_says_that_it_is_typed() -> None:
    assert resources.files(surgetank).joinpath("py.typed").is_file()


def test_the_wheel_carries_its_licence() -> None:
    distribution = metadata.distribution("surgetank")
    assert any(str(file).endswith("licenses/LICENSE") for file in distribution.files or ())


def test_the_wheel_has_the_version_of_the_package() -> None:
    assert metadata.version("surgetank") == surgetank.__version__
