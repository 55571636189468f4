"""The reference pages of the command line, the configuration and scenario files, made from the code.

`python -m surgetank.app.cli.reference PAGE > docs/reference/PAGE.md` writes one, where PAGE is
`command-line`, `configuration` or `scenario`; a test holds all of them current.
"""

import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from types import MappingProxyType
from typing import Any

from surgetank.app.cli.entry import main
from surgetank.app.cli.status import STATUS_OF_CODE, ExitStatus
from surgetank.core.errors import SurgetankError
from surgetank.rehearsal.drill.markdown import code, table
from surgetank.rehearsal.scenario import reader
from surgetank.rehearsal.scenario.file_schema import FILE, file_schema
from surgetank.rehearsal.scenario.metric import METRICS, Key
from surgetank.rehearsal.scenario.schema import Scenario
from surgetank.runtime.config import Key as ConfigKey
from surgetank.runtime.config import keys

__all__ = ["COMMANDS", "PAGES", "reference"]

COMMANDS = ("", "drill", "up", "config", "config check", "config explain", "config schema")
"""Commands whose help is shown, without their first word; a test holds them complete."""
_STATUSES: Mapping[ExitStatus, str] = MappingProxyType(
    {
        ExitStatus.DONE: "done, or met",
        ExitStatus.NOT_MET: "the answer is no: an expectation missed, a refusal, a failed outside",
        ExitStatus.BAD_INPUT: "an argument or a file cannot be used; trying again cannot help",
        ExitStatus.OUR_FAULT: "a defect of Surgetank",
        ExitStatus.INTERRUPTED: "stopped by the keyboard (SIGINT)",
    }
)
_KEYS: Mapping[Key, str] = MappingProxyType(
    {
        Key.NONE: "nothing",
        Key.REGION: "`region`: a region",
        Key.POOL: "`of`: a fleet of node pools or runner pools",
        Key.READERS: "`of`: a fleet of token readers",
        Key.WAY: "`of`: a way of reading, as `anonymous` or a key of [Reads](#reads)",
        Key.MILESTONE: "`of`: the name of a published milestone",
    }
)
"""What an expectation writes beside a metric, by what the metric is a mapping of."""
_FIGURE = r"^\$[a-z0-9_]+$"
_BOUNDS: Mapping[str, str] = MappingProxyType(
    {
        "minimum": "at least {}",
        "exclusiveMinimum": "above {}",
        "minItems": "at least {}",
        "minProperties": "at least {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "below {}",
        "maxItems": "at most {}",
        "maxProperties": "at most {}",
    }
)

_COMMAND_LINE = """# The command line

Every command exits with the same five statuses, so that scripts and CI can tell an answer from an accident.
Answers go to standard output; errors and progress go to standard error.
With `--json` (for `drill`: `--json -`) an error is one JSON object on standard output, `{"error": {"code", "message", ...}}`.
`SURGETANK_TRACEBACK=1` adds where an error was raised.

This page is made from the commands themselves.
"""
_CONFIGURATION = """# The configuration file

One TOML file, which no command but `surgetank config` reads yet: it is for the services, which do not run on their own so far.
`surgetank config check FILE` says all that is wrong with one, `surgetank config explain KEY` what a key does, and `surgetank config schema` prints its JSON Schema.
Where a value is `inf`, there is no bound.

This page is made from the schema.
"""
_SCENARIO = f"""# The scenario file

YAML: a cloud, a fleet, what happens to them, who acts, and what is expected.
`surgetank drill FILE` plays it; [your first drill](../tutorial/first-drill.md) changes one step by step.
The incident that ships is the longest example: `src/surgetank/rehearsal/library/azure-2026-02.yaml`.
The JSON Schema, for editors, ships as `surgetank/rehearsal/scenario/{FILE}`.

This page is made from the schema; what a schema cannot say stands first.

## Rules

- Every number of `own_share`, `cloud`, `fleet` and `timeline` is written `$name` and stands under `figures`, with its source or with why it was assumed and how far it may lie; a bare number there is refused.
  Numbers of `variants` may be either; bounds of `expect` are bare.
- Every figure is used.
- Instants are UTC.
  Names of keys end in their unit: `_s` seconds, `_h` hours, `_ratio` from 0 to 1, `_per_s` per second.
- Unknown keys are errors, and so are regions, variants, metrics, fleets and milestones that are named and not there.
- The share of a variant with the seat `you` is `own_share`: your work is the same in every variant.
- Anchors and aliases of YAML work.
- A file has at most {reader.FILE_BYTES_MAX // 1024} KiB, {reader.NODES_MAX:,} values with aliases written out, and {reader.DEPTH_MAX} levels.

An error names file, line, key, value and what would do, and the exit status is 2.
"""


def _command_line() -> str:
    parts = [_COMMAND_LINE]
    for name in COMMANDS:
        words = f"surgetank {name}".strip()
        parts += [f"## {words}\n", f"```text\n{_help(name.split())}\n```\n"]
    statuses = [[str(int(status)), _STATUSES[status]] for status in ExitStatus]
    parts += ["## Exit statuses\n", _lines(table(("status", "meaning"), statuses))]
    rows = [
        [code(cls.code), str(int(STATUS_OF_CODE[cls.code])), _cell(cls.__doc__ or "")]
        for cls in _errors(SurgetankError)
    ]
    parts += ["## Error codes\n", "Codes are stable and may be matched on; messages may change.\n"]
    return "\n".join([*parts, _lines(table(("code", "status", "meaning"), rows))])


def _help(words: Sequence[str]) -> str:
    said = io.StringIO()
    with redirect_stdout(said):
        main([*words, "--help"])
    return said.getvalue().strip()


def _errors(cls: type[SurgetankError]) -> Iterator[type[SurgetankError]]:
    """The tree of `core.errors`, which others may have added to."""
    if cls.__module__ == SurgetankError.__module__:
        yield cls
        for below in cls.__subclasses__():
            yield from _errors(below)


def _configuration() -> str:
    rows = [
        [
            code(key.name),
            key.kind + (f", {key.unit}" if key.unit else ""),
            _default(key),
            _cell(key.description),
        ]
        for key in keys()
    ]
    return f"{_CONFIGURATION}\n{_lines(table(('key', 'type', 'default', 'meaning'), rows))}"


def _default(key: ConfigKey) -> str:
    if key.is_required:
        return "required"
    if "table" in key.kind:
        return ""
    return code("inf" if key.default is None else json.dumps(key.default))


def _scenario() -> str:
    named, plain = file_schema(), Scenario.model_json_schema(by_alias=True)
    parts = {"Scenario": named, **named["$defs"]}
    numbers = {"Scenario": plain, **plain["$defs"]}
    ordered = dict.fromkeys(_reached("Scenario", parts))
    sections = [_section(name, parts[name], numbers[name]) for name in ordered]
    return "\n".join([_SCENARIO, *sections, _metrics()])


def _reached(name: str, parts: Mapping[str, Any]) -> Iterator[str]:
    """Names of parts, each before those that it holds."""
    yield name
    for ref in re.findall(r'"#/\$defs/(\w+)"', json.dumps(parts[name].get("properties", {}))):
        yield from _reached(ref, parts)


def _section(name: str, part: Mapping[str, Any], numbers: Mapping[str, Any]) -> str:
    head = f"## {name}\n\n{_cell(part['description'])}\n"
    if "enum" in part:
        return f"{head}\nOne of {_listed(part['enum'])}.\n"
    rows = [
        [
            code(key),
            _type(field, numbers["properties"][key]),
            "required" if key in part["required"] else code(json.dumps(field["default"])),
            _cell(field.get("description", "")),
        ]
        for key, field in part["properties"].items()
    ]
    return f"{head}\n{_lines(table(('key', 'type', 'default', 'meaning'), rows))}"


def _type(field: Mapping[str, Any], number: Mapping[str, Any]) -> str:
    """Say what a value is; `number` is the same field before figures got their names."""
    match field:
        case {"$ref": ref}:
            name = ref.rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"anyOf": options} | {"oneOf": options}:
            same = number.get("anyOf") or number.get("oneOf") or [number]
            return " or ".join(_type(*pair) for pair in zip(options, same, strict=True))
        case {"const": _} | {"enum": _}:
            return _listed(field.get("enum") or [field["const"]])
        case {"type": "array" | "object" as kind}:
            return _collection(kind, field, number)
        case {"pattern": pattern} if pattern == _FIGURE:
            return f"figure: {_bounded(str(number['type']), number)}"
        case _:
            kind = "instant" if field.get("format") == "date-time" else str(field["type"])
            return _bounded(kind, field)


def _collection(kind: str, field: Mapping[str, Any], number: Mapping[str, Any]) -> str:
    if "prefixItems" in field:
        return f"list of {len(field['prefixItems'])} numbers"
    key, words = ("items", "list of") if kind == "array" else ("additionalProperties", "mapping to")
    return _bounded(f"{words} {_type(field[key], number[key])}", field)


def _bounded(text: str, field: Mapping[str, Any]) -> str:
    bounds = [said.format(field[key]) for key, said in _BOUNDS.items() if key in field]
    return ", ".join([text, *bounds])


def _metrics() -> str:
    rows = [
        [words, ", ".join(code(name) for name, kind in METRICS.items() if kind is key)]
        for key, words in _KEYS.items()
    ]
    head = (
        "## What an expectation writes beside its metric\n\n"
        "What each metric means stands with [the result](result.md#metrics).\n"
        "A metric that is null in a seed, because it never came about, is never within a bound.\n"
    )
    return f"{head}\n{_lines(table(('write', 'metrics'), rows))}"


def _listed(values: Sequence[str]) -> str:
    return " or ".join(map(code, values))


def _cell(text: str) -> str:
    """Say a description on one line; a bar would end its cell."""
    return " ".join(text.split()).replace("|", r"\|")


def _lines(rows: Sequence[str]) -> str:
    return "\n".join(rows) + "\n"


PAGES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {"command-line": _command_line, "configuration": _configuration, "scenario": _scenario}
)


def reference(page: str) -> str:
    """Make one of `PAGES`."""
    return PAGES[page]()


if __name__ == "__main__":
    sys.stdout.write(reference(sys.argv[1]))
