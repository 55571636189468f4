"""Reads a scenario file: YAML to a checked `Scenario`, with errors that name the line.

A number of the cloud, the fleet or the timeline is written `$name` and stands under `figures`.
A bare number there is refused: nobody could see whether it is sourced or assumed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import resources
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from surgetank.core.errors import ConfigError
from surgetank.rehearsal.scenario.schema import Scenario

FILE_BYTES_MAX = 128 << 10
"""Ten times the incident that ships; a larger one would be slow to read."""
NODES_MAX = 50_000
"""Values in a file, aliases written out: a few lines of YAML can mean billions of them."""
DEPTH_MAX = 20
KEYS_SHOWN_MAX = 12
"""Known keys that an error about an unknown one lists."""
_SOURCED = ("own_share", "cloud", "fleet", "timeline")
_NAMING = (*_SOURCED, "variants")
"""Where `$name` is a figure; in `variants` a bare number is a choice, and may stand."""
_LIBRARY = "surgetank.rehearsal.library"
_AS_WRITTEN: Mapping[str, float] = MappingProxyType({})


class Source(NamedTuple):
    """What a scenario file says, read once, so that it can be played with other figures."""

    file: str
    """Its name for messages."""
    data: Mapping[str, Any]
    """As YAML gave it, unchecked."""

    def scenario(self, figures: Mapping[str, float] = _AS_WRITTEN) -> Scenario:
        """Check it, with other values for some figures; see `parse`."""
        document = _Document(self.file, self.data, self.data)
        document.replace(figures)
        resolved = document.resolve()
        try:
            return Scenario.model_validate(resolved)
        except ValidationError as error:
            first = error.errors()[0]
            value = "(a mapping)" if isinstance(first["input"], dict) else first["input"]
            is_unknown = first["type"] == "extra_forbidden"
            wanted = _known_keys(first["loc"]) if is_unknown else first["msg"]
            raise document.error(first["loc"], value=value, wanted=wanted) from None


def library() -> list[str]:
    """Names of the incidents that ship with Surgetank, in order."""
    files = resources.files(_LIBRARY).iterdir()
    return sorted(one.name.removesuffix(".yaml") for one in files if one.name.endswith(".yaml"))


def load(name_or_path: str, *, figures: Mapping[str, float] = _AS_WRITTEN) -> Scenario:
    """Read a scenario of the library by name, or any file by path.

    Args:
        name_or_path: Of the library, or where the file is.
        figures: Values that stand in for those of the file, by name; see `parse`.

    Raises:
        ConfigError: There is no such file, or it says something that cannot be used.
    """
    return read(name_or_path).scenario(figures)


def read(name_or_path: str) -> Source:
    """Find a scenario as `load` does, unchecked.

    Raises:
        ConfigError: There is no such file, it is too large, or it is no YAML.
    """
    if name_or_path in library():
        file = resources.files(_LIBRARY) / f"{name_or_path}.yaml"
        text = file.read_text(encoding="utf-8")
        return Source(file.name, _yaml(text, file=file.name))
    path = Path(name_or_path)
    try:
        size = path.stat().st_size
        if size > FILE_BYTES_MAX:
            wanted = f"at most {FILE_BYTES_MAX} bytes"
            raise ConfigError(file=name_or_path, key="(size)", value=size, wanted=wanted)
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        wanted = f"a readable file, or one of the library: {', '.join(library())}"
        raise ConfigError(
            file=name_or_path, key="(file)", value=str(error), wanted=wanted
        ) from None
    return Source(name_or_path, _yaml(text, file=name_or_path))


def parse(text: str, *, file: str, figures: Mapping[str, float] = _AS_WRITTEN) -> Scenario:
    """Check the text of a scenario.

    Args:
        text: YAML.
        file: Its name for messages.
        figures: Values that stand in for those of the text, by the figure's name. Each is put
            wherever the figure is used, and is held to all that the written one is held to.

    Raises:
        ConfigError: With file and line, key, value and what would do.
    """
    return Source(file, _yaml(text, file=file)).scenario(figures)


@dataclass(slots=True)
class _Document:
    """One file's content, and where it stands."""

    file: str
    written: Mapping[str, Any]
    """As YAML gave it, with lines."""
    data: Mapping[str, Any]
    """The same, with some figures replaced."""
    nodes: int = 0
    used: set[str] = field(default_factory=set[str])

    def replace(self, values: Mapping[str, float]) -> None:
        """Give figures other values than the file does."""
        figures = dict(self._figures())
        for name, value in values.items():
            where = ("figures", name)
            figure = figures.get(name)
            if not isinstance(figure, dict):
                known = ", ".join(figures)
                raise self.error(where, value=value, wanted=f"no such figure; there are: {known}")
            if not isfinite(value):
                raise self.error(where, value=value, wanted="a finite number")
            figures[name] = {**cast("dict[str, Any]", figure), "value": value}
        self.data = {**self.data, "figures": figures}

    def resolve(self) -> dict[str, Any]:
        """Put the figures in place of their `$name`s, and check that each is used."""
        figures = self._figures()
        plain = {key: self._put(value, (key,), figures) for key, value in self.data.items()}
        for name in figures:
            if name not in self.used:
                where = ("figures", name)
                raise self.error(where, value="(unused)", wanted="use it, or remove it")
        return plain

    def error(self, where: Sequence[int | str], *, value: object, wanted: str) -> ConfigError:
        """Name the file, the nearest line, the key, the value and what would do."""
        line = self._line(where)
        return ConfigError(
            file=f"{self.file}:{line}" if line else self.file,
            key=".".join(str(part) for part in where) or "(file)",
            value=value,
            wanted=wanted,
        )

    def _figures(self) -> dict[str, Any]:
        figures = self.data.get("figures")
        if not isinstance(figures, dict):
            raise self.error(("figures",), value=figures, wanted="a mapping of figures")
        return cast("dict[str, Any]", figures)

    def _put(self, value: object, where: tuple[int | str, ...], figures: dict[str, Any]) -> Any:
        self.nodes += 1
        if self.nodes > NODES_MAX or len(where) > DEPTH_MAX:
            wanted = f"at most {NODES_MAX} values, {DEPTH_MAX} deep, aliases written out"
            raise self.error(where[:1], value="(too much)", wanted=wanted)
        match value:
            case dict():
                parts = cast("dict[str, object]", value)
                return {key: self._put(one, (*where, key), figures) for key, one in parts.items()}
            case list():
                items = cast("list[object]", value)
                return [self._put(one, (*where, i), figures) for i, one in enumerate(items)]
            case _ if where[0] in _NAMING:
                return self._figure(value, where, figures)
            case _:
                return value

    def _figure(self, value: object, where: tuple[int | str, ...], figures: dict[str, Any]) -> Any:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number and where[0] in _SOURCED:
            wanted = "write the number under figures, with its source, and `$name` here"
            raise self.error(where, value=value, wanted=wanted)
        if not isinstance(value, str) or not value.startswith("$"):
            return value
        name = value[1:]
        figure = figures.get(name)
        if not isinstance(figure, dict) or "value" not in figure:
            near = get_close_matches(name, figures, n=1)
            hint = f"; did you mean ${near[0]}?" if near else ""
            wanted = f"a figure named {name} with a value{hint}"
            raise self.error(where, value=value, wanted=wanted)
        self.used.add(name)
        return cast("dict[str, Any]", figure)["value"]

    def _line(self, where: Sequence[int | str]) -> int | None:
        """The line on which the nearest part of `where` stands, from 1."""
        line: int | None = None
        data: Any = self.written
        for part in where:
            marks = getattr(getattr(data, "lc", None), "data", None)
            if not marks or part not in marks:
                break
            line = int(marks[part][0]) + 1
            data = data[part]
        return line


def _known_keys(where: Sequence[int | str]) -> str:
    """Say which keys could stand in place of the last one of `where`."""
    schema = Scenario.model_json_schema(by_alias=True)
    parts: dict[str, Any] = schema["$defs"]
    part: Any = schema
    for step in where[:-1]:
        match part:
            case {"properties": properties}:
                part = properties[step]
            case {"discriminator": {"mapping": kinds}}:
                part = {"$ref": kinds[step]}
            case _:
                part = part.get("items") or part["additionalProperties"]
        part = next((one for one in part.get("anyOf", ()) if one != {"type": "null"}), part)
        part = parts[part["$ref"].rpartition("/")[2]] if "$ref" in part else part
    known = list(part["properties"])
    near = get_close_matches(str(where[-1]), known, n=1)
    hint = f"; did you mean `{near[0]}`?" if near else ";"
    more = len(known) - KEYS_SHOWN_MAX
    shown = ", ".join(known[:KEYS_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
    return f"unknown key{hint} keys here are: {shown}"


def _yaml(text: str, *, file: str) -> dict[str, Any]:
    try:
        data: Any = cast("Any", YAML(typ="rt")).load(text)
    except MarkedYAMLError as error:
        mark: Any = cast("Any", error).problem_mark
        place = f"{file}:{mark.line + 1}" if mark else file
        problem = str(cast("Any", error).problem)
        raise ConfigError(file=place, key="(yaml)", value=problem, wanted="valid YAML") from None
    except (YAMLError, ValueError) as error:
        raise ConfigError(file=file, key="(yaml)", value=str(error), wanted="valid YAML") from None
    if not isinstance(data, dict):
        raise ConfigError(file=file, key="(file)", value=type(data).__name__, wanted="a mapping")
    return cast("dict[str, Any]", data)
