import ast
import importlib
import re
from pathlib import Path


def test_every_module_says_what_it_is_for(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text()))


def test_every_exported_name_exists(module: Path, root: Path) -> None:
    parts = module.relative_to(root / "src").with_suffix("").parts
    loaded = importlib.import_module(".".join(parts).removesuffix(".__init__"))
    missing = [name for name in getattr(loaded, "__all__", ()) if not hasattr(loaded, name)]
    assert not missing


def test_no_file_speaks_of_how_it_was_made(code_file: Path) -> None:
    words = r"/wor[k]/|prototyp[e]|helpe[r]"
    assert not re.search(words, code_file.read_text(), re.IGNORECASE)
