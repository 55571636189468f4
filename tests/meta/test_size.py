import ast
from pathlib import Path

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70


def test_files_are_short(code_file: Path) -> None:
    assert len(code_file.read_text().splitlines()) <= FILE_LINES_MAX


def test_functions_are_short(code_file: Path) -> None:
    long = [
        f"{node.name}: {length} lines"
        for node in ast.walk(ast.parse(code_file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert not long
