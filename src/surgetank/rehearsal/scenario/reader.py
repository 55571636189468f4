"""Reads a scenario file: YAML to a checked `Scenario`, with errors that name the line.

A number of the cloud, the fleet or the timeline is written `$name` and stands under `figures`.
A bare number there is refused: nobody could see whether it is sourced or assumed.
"""

from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from surgetank.core.errors import ConfigError
from surgetank.rehearsal.scenario.schema import Scenario

FILE_BYTES_MAX = 1 << 20
_SOURCED = ("own_share", "cloud", "fleet", "timeline")


def library() -> list[str]:
    """Names of the incidents that ship with Surgetank, in order."""
    files = resources.files("surgetank.rehearsal.library").iterdir()
    return sorted(one.name.removesuffix(".yaml") for one in files if one.name.endswith(".yaml"))


def load(name_or_path: str) -> Scenario:
    """Read a scenario of the library by name, or any file by path.

    Raises:
        ConfigError: There is no such file, or it says something that cannot be used.
    """
    if name_or_path in library():
        file = resources.files("surgetank.rehearsal.library") / f"{name_or_path}.yaml"
        return parse(file.read_text(encoding="utf-8"), file=f"{name_or_path}.yaml")
    path = Path(name_or_path)
    try:
        size = path.stat().st_size
        if size > FILE_BYTES_MAX:
            raise ConfigError(
                file=name_or_path, key="(file)", value=size, wanted=f"at most {FILE_BYTES_MAX} bytes"
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        wanted = f"a readable file, or one of: {', '.join(library())}"
        raise ConfigError(file=name_or_path, key="(file)", value=str(error), wanted=wanted) from None
    return parse(text, file=name_or_path)


def parse(text: str, *, file: str) -> Scenario:
    """Check the text of a scenario; `file` is its name for messages.

    Raises:
        ConfigError: With file and line, key, value and what would do.
    """
    data = _yaml(text, file=file)
    figures = data.get("figures")
    if not isinstance(figures, dict):
        raise ConfigError(file=file, key="figures", value=figures, wanted="a mapping of figures")
    used: set[str] = set()
    resolved = {
        key: _resolve(value, figures, used, file=file, key=key) if key in _SOURCED else value
        for key, value in data.items()
    }
    idle = sorted(set(figures) - used)
    if idle:
        raise ConfigError(
            file=file, key=f"figures.{idle[0]}", value="unused", wanted="use it or remove it"
        )
    try:
        return Scenario.model_validate(resolved)
    except ValidationError as error:
        first = error.errors()[0]
        line = _line(data, first["loc"])
        raise ConfigError(
            file=f"{file}:{line}" if line else file,
            key=".".join(str(part) for part in first["loc"]) or "(file)",
            value=first["input"] if not isinstance(first["input"], dict) else "...",
            wanted=first["msg"],
        ) from None


def _yaml(text: str, *, file: str) -> dict[str, Any]:
    try:
        data = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigError(
            file=f"{file}:{line}", key="(yaml)", value=error.problem, wanted="valid YAML"
        ) from None
    except (YAMLError, ValueError) as error:
        raise ConfigError(file=file, key="(yaml)", value=str(error), wanted="valid YAML") from None
    if not isinstance(data, dict):
        raise ConfigError(file=file, key="(file)", value=type(data).__name__, wanted="a mapping")
    return data


def _resolve(value: Any, figures: dict[str, Any], used: set[str], *, file: str, key: str) -> Any:
    """Put the figures in place of their `$name`s."""
    if isinstance(value, dict):
        return {
            name: _resolve(part, figures, used, file=file, key=f"{key}.{name}")
            for name, part in value.items()
        }
    if isinstance(value, list):
        return [
            _resolve(part, figures, used, file=file, key=f"{key}.{index}")
            for index, part in enumerate(value)
        ]
    if isinstance(value, str) and value.startswith("$"):
        name = value[1:]
        figure = figures.get(name)
        if not isinstance(figure, dict) or "value" not in figure:
            raise ConfigError(file=file, key=key, value=value, wanted=f"write figures.{name}")
        used.add(name)
        return figure["value"]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        wanted = "write the number under figures, with its source, and `$name` here"
        raise ConfigError(file=file, key=key, value=value, wanted=wanted)
    return value


def _line(data: Any, location: tuple[int | str, ...]) -> int | None:
    """The line on which the nearest part of `location` stands, from 1."""
    line: int | None = None
    for part in location:
        marks = getattr(getattr(data, "lc", None), "data", None)
        if not marks or part not in marks:
            break
        line = marks[part][0] + 1
        data = data[part]
    return line
