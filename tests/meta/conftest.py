import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import a module of what makes the figures, which is in no package that is installed."""
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    return lambda name: importlib.import_module(f"docs.figures.{name}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give one row to every file that a test's argument asks for."""
    folders = {"module": ["src"], "code_file": ["src", "tests", "bench"]}
    for argument, names in folders.items():
        if argument in metafunc.fixturenames:
            files = sorted(file for name in names for file in (ROOT / name).rglob("*.py"))
            identifiers = [str(file.relative_to(ROOT)) for file in files]
            metafunc.parametrize(argument, files, ids=identifiers)
