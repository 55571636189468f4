"""Where answers go besides the terminal: files that are written whole or not at all.

Places that cannot be written are refused before minutes are spent on what would stand there.
"""

import os
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from json import dumps
from pathlib import Path
from typing import Any, TextIO

import typer

from surgetank.core.errors import ConfigError

__all__ = ["STDOUT", "check_writable", "json_path", "put_json", "whole_file", "write"]

STDOUT = "-"
"""Stands for standard output where a path may."""


def json_path(where: str | None) -> Path | None:
    """Give the file that JSON goes to; None when there is none, or standard output."""
    return None if where is None or where == STDOUT else Path(where)


def put_json(where: str | None, document: Mapping[str, Any]) -> None:
    """Write a document to a file or to standard output; nowhere when `where` is None."""
    path = json_path(where)
    if path is not None:
        write(path, dumps(document, indent=2) + "\n")
    elif where == STDOUT:
        typer.echo(dumps(document, indent=2))


def check_writable(path: Path | None) -> None:
    """Raise `ConfigError` unless a file can be written there; None always can.

    A device would be replaced by a file, and so is refused.
    """
    if path is None:
        return
    folder = path.resolve().parent
    is_other = path.exists() and not path.is_file()
    if is_other or not folder.is_dir() or not os.access(folder, os.W_OK):
        wanted = "a file in a folder that exists and can be written"
        raise ConfigError(file=str(path), key="(output)", value=str(folder), wanted=wanted)


def write(path: Path, text: str) -> None:
    """Write a text whole, or leave what stood there."""
    with whole_file(path) as file:
        file.write(text)


@contextmanager
def whole_file(path: Path) -> Generator[TextIO]:
    """Write the whole file or nothing: a reader never sees half of one."""
    path = path.resolve()  # What a link points to is written, not the link.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yield file
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
