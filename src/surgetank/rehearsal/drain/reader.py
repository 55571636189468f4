"""Reads worlds: one TOML file is one world, named after the file.

Those that ship are package data in `worlds/`; others come from a directory. Whatever cannot be
used is refused before anything is played, with file, key, value and what would do.
"""

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from surgetank.core.errors import ConfigError
from surgetank.rehearsal.drain.world import Change, World, optimum_s

FILE_BYTES_MAX = 32 << 10
"""Largest file: a schedule of `PHASES_MAX` entries, with a comment each."""
WORLDS_MAX = 1_000
"""Files in a directory; at a second a run, one law takes a quarter of an hour."""
OPTIMUM_S_MAX = 21_600.0
"""Longest drain: six hours, as the second outage of February 2026 took."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
_VALUE_CHARACTERS_MAX = 80
_SUFFIX = ".toml"
_IN_TOML: Mapping[str, str] = MappingProxyType(
    {
        "bool_type": "should be true or false",
        "model_type": "should be a table",
        "tuple_type": "should be tables, each under [[schedule]]",
    }
)
"""Words for those errors that speak of Python otherwise."""


def shipped() -> dict[str, World]:
    """Give the worlds that come with Surgetank, by name, in order."""
    folder = resources.files("surgetank.rehearsal.drain") / "worlds"
    files = sorted(one.name for one in folder.iterdir() if one.name.endswith(_SUFFIX))
    return {
        name.removesuffix(_SUFFIX): parse((folder / name).read_bytes(), file=name) for name in files
    }


def read(directory: Path) -> dict[str, World]:
    """Read every `*.toml` of a directory, not of those below it; by name, in order.

    Raises:
        ConfigError: There is no such directory, it holds no world or more than `WORLDS_MAX`, or a
            file of it cannot be used.
    """
    where = str(directory)
    try:
        files = sorted(one for one in directory.iterdir() if one.name.endswith(_SUFFIX))
    except OSError as error:
        wanted = "a directory that can be read"
        raise ConfigError(
            file=where, key="(directory)", value=error.strerror, wanted=wanted
        ) from None
    if not 1 <= len(files) <= WORLDS_MAX:
        wanted = f"from 1 to {WORLDS_MAX} files *.toml, each of them a world"
        raise ConfigError(file=where, key="(files)", value=len(files), wanted=wanted)
    return {_name(file): parse(_content(file), file=str(file)) for file in files}


def parse(content: bytes, *, file: str) -> World:
    """Check what a file says.

    Args:
        content: TOML.
        file: Its name for messages.

    Raises:
        ConfigError: With file, key, value and what would do; other errors follow as notes.
    """
    if len(content) > FILE_BYTES_MAX:
        wanted = f"at most {FILE_BYTES_MAX} bytes"
        raise ConfigError(file=file, key="(size)", value=len(content), wanted=wanted)
    try:
        data = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        problem = str(error)[:_VALUE_CHARACTERS_MAX]
        raise ConfigError(file=file, key="(toml)", value=problem, wanted="valid TOML") from None
    try:
        world = World.model_validate(data)
    except ValidationError as error:
        raise _first_with_notes(file, error.errors(include_url=False)) from None
    seconds = optimum_s(world)
    if seconds > OPTIMUM_S_MAX:
        least = "never" if math.isinf(seconds) else f"in {seconds:.0f} s at best"
        wanted = f"less, or more capacity: it is drained {least}, and {OPTIMUM_S_MAX:.0f} s may be"
        raise ConfigError(file=file, key="backlog", value=world.backlog, wanted=wanted)
    return world


def _name(file: Path) -> str:
    name = file.name.removesuffix(_SUFFIX)
    if not _NAME.fullmatch(name):
        wanted = "at most 60 small letters, digits and hyphens: it is the name of the world"
        raise ConfigError(file=str(file), key="(name)", value=name[:60], wanted=wanted)
    return name


def _content(file: Path) -> bytes:
    """Up to one byte more than may be, of a regular file: others have no end, or never begin."""
    wanted = "a file that can be read"
    try:
        if not file.is_file():
            raise ConfigError(file=str(file), key="(file)", value="no file", wanted=wanted)
        with file.open("rb") as opened:
            return opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        value = error.strerror
        raise ConfigError(file=str(file), key="(file)", value=value, wanted=wanted) from None


def _first_with_notes(file: str, errors: Sequence[ErrorDetails]) -> ConfigError:
    first, *others = [_error(file, one) for one in errors]
    for one in others:
        first.add_note(str(one))
    return first


def _error(file: str, error: ErrorDetails) -> ConfigError:
    place = error["loc"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    key = key.removeprefix(".")[:_VALUE_CHARACTERS_MAX]
    return ConfigError(
        file=file,
        key=key if key.isprintable() else repr(key),
        value=_shown("(nothing)" if error["type"] == "missing" else error["input"]),
        wanted=_wanted(error),
    )


def _wanted(error: ErrorDetails) -> str:
    name = str(error["loc"][-1])
    fields = (World if len(error["loc"]) == 1 else Change).model_fields
    if error["type"] == "extra_forbidden":
        near = get_close_matches(name, fields, n=1)
        return f"no such key; did you mean {near[0]!r}?" if near else "no such key"
    told = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    reason = _IN_TOML.get(error["type"], told)
    meaning = " ".join((fields[name].description or "").split()) if name in fields else ""
    return f"{reason}. {meaning}".removesuffix(". ")


def _shown(value: Any) -> object:
    try:
        text = repr(value)
    except ValueError:  # thousands of digits, which Python refuses to write
        return "(a very large number)"
    return value if len(text) <= _VALUE_CHARACTERS_MAX else text[:_VALUE_CHARACTERS_MAX] + "..."
