"""The reference pages of the command line and of the files it reads, made from the code.

`python -m surgetank.app.cli.reference PAGE > docs/reference/PAGE.md` writes one, where PAGE is
`command-line`, `configuration`, `scenario` or `world`; a test holds all of them current.
"""

import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from types import MappingProxyType
from typing import Any

from surgetank.app.cli.entry import main
from surgetank.app.cli.status import STATUS_OF_CODE, ExitStatus
from surgetank.core.errors import SurgetankError
from surgetank.rehearsal.drain.reader import FILE_BYTES_MAX, OPTIMUM_S_MAX, WORLDS_MAX, parse
from surgetank.rehearsal.drain.world import World, optimum_s
from surgetank.rehearsal.drill.output.markdown import code, table
from surgetank.rehearsal.drill.output.schema_table import cell, lines, parts_of, section
from surgetank.rehearsal.scenario import reader
from surgetank.rehearsal.scenario.file_schema import FILE, file_schema
from surgetank.rehearsal.scenario.metric import METRICS, Key
from surgetank.rehearsal.scenario.schema import Scenario
from surgetank.runtime.config import Key as ConfigKey
from surgetank.runtime.config import keys

__all__ = ["COMMANDS", "PAGES", "reference"]

COMMANDS = (
    "", "drill", "up", "serve", "run", "op", "op submit", "op show", "op list", "op cancel", "op redrive",
    "op hold", "op release", "op holds", "op counts", "config", "config check", "config explain",
    "config schema", "bench", "bench drain",
)  # fmt: skip
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
        Key.MODE: "`of`: what a governor does, as `ramp`",
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
        "minLength": "at least {}",
        "minProperties": "at least {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "below {}",
        "maxItems": "at most {}",
        "maxLength": "at most {} characters",
        "maxProperties": "at most {}",
    }
)
_UNITS: Mapping[str, str] = MappingProxyType(
    {"_per_s": "calls a second", "_s": "seconds", "_ratio": "ratio", "_factor": "ratio"}
)
"""Of a world's numbers, by the end of the key; a longer end before a shorter one."""

_COMMAND_LINE = """# The command line

Every command exits with the same five statuses, so that scripts and CI can tell an answer from an accident.
Answers go to standard output; errors and progress go to standard error.
With `--json` (for `drill` and `bench`: `--json -`) an error is one JSON object on standard output, `{"error": {"code", "message", ...}}`.
`SURGETANK_TRACEBACK=1` adds where an error was raised.

This page is made from the commands themselves.
"""
_CONFIGURATION = """# The configuration file

One TOML file, which `surgetank serve` reads: what it names is run, in one process.
So far that is operations with their HTTP API; `mirror` and `broker` are checked, and not served yet.
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
_NIGHT = """# Half of the capacity is there at first, and nodes crash when too much is asked of it.
title = "A service that comes back by halves"
capacity_per_s = 200
fresh_ratio = 0.3
backlog = 20_000
timeout_s = 2
latency_s = 0.05
queue_max = 600
collapse = 1.0
is_crashing = true

[[schedule]]
at_s = 0
capacity_ratio = 0.5

[[schedule]]
at_s = 300
"""
_WORLD = """# The world file

TOML: one dependency with finite capacity, its callers, and a backlog that waited for it.
`surgetank bench drain` drains that by each release law, and holds the time it takes against the least that it could take.
The worlds that ship are more examples: `src/surgetank/rehearsal/drain/worlds`.

This page is made from the model that reads the file; what tables cannot say stands first.

## An example

`my-worlds/night.toml`:

```toml
{example}```

For 300 s it serves 100 calls a second, of which 60 are fresh, so that 12,000 calls of the backlog can be done; the other 8,000 can be done at 140 a second.
Its optimum is {optimum_s:.0f} s.

```sh
surgetank bench drain --worlds my-worlds --laws surgetank,aimd
```

[Bench a release law](../how-to/bench-a-law.md) goes on from there.

## Rules

- A file is one world, and its name is the world's: at most 60 small letters, digits and hyphens, the first of them no hyphen, and `.toml`.
  A directory holds from 1 to {worlds_max:,} of them; folders in it are not looked into.
- `latency_s` is below `timeout_s`; `lag_s` is 0 where `is_shared` is false.
- Entries of the schedule stand in order of time.
  Each holds until the next, and what it leaves out is as the world says, not as the entry before.
- The backlog can be drained, within {optimum_s_max:,.0f} s at best.
- Unknown keys are errors.
- A file has at most {file_kib} KiB.

An error names file, key, value and what would do, and the exit status is 2.
"""


def _command_line() -> str:
    parts = [_COMMAND_LINE]
    for name in COMMANDS:
        words = f"surgetank {name}".strip()
        parts += [f"## {words}\n", f"```text\n{_help(name.split())}\n```\n"]
    statuses = [[str(int(status)), _STATUSES[status]] for status in ExitStatus]
    parts += ["## Exit statuses\n", lines(table(("status", "meaning"), statuses))]
    rows = [
        [code(cls.code), str(int(STATUS_OF_CODE[cls.code])), cell(cls.__doc__ or "")]
        for cls in _errors(SurgetankError)
    ]
    parts += ["## Error codes\n", "Codes are stable and may be matched on; messages may change.\n"]
    return "\n".join([*parts, lines(table(("code", "status", "meaning"), rows))])


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
            cell(key.description),
        ]
        for key in keys()
    ]
    return f"{_CONFIGURATION}\n{lines(table(('key', 'type', 'default', 'meaning'), rows))}"


def _default(key: ConfigKey) -> str:
    if key.is_required:
        return "required"
    if "table" in key.kind:
        return ""
    return code("inf" if key.default is None else json.dumps(key.default))


def _scenario() -> str:
    numbers = parts_of("Scenario", Scenario.model_json_schema(by_alias=True))
    sections = [
        section(
            name,
            _with_numbers(part, numbers[name]),
            column="default",
            say=_default_or_required,
            bounded=_bounded,
        )
        for name, part in parts_of("Scenario", file_schema()).items()
    ]
    return "\n".join([_SCENARIO, *sections, _metrics()])


def _with_numbers(field: Mapping[str, Any], number: Mapping[str, Any]) -> dict[str, Any]:
    """Give figures the types and bounds of the numbers that they stand for.

    `number` is the same part, or field of one, before figures got their names.
    """
    if field.get("pattern") == _FIGURE:
        return {**number, "type": f"figure: {number['type']}"}
    found = dict(field)
    if "properties" in field:
        pairs = field["properties"].items()
        found["properties"] = {
            key: _with_numbers(one, number["properties"][key]) for key, one in pairs
        }
    if "anyOf" in field:
        choices = zip(field["anyOf"], number["anyOf"], strict=True)
        found["anyOf"] = [_with_numbers(*pair) for pair in choices]
    return found


def _default_or_required(key: str, part: Mapping[str, Any]) -> str:
    if key in part["required"]:
        return "required"
    return code(json.dumps(part["properties"][key]["default"]))


def _bounded(text: str, field: Mapping[str, Any]) -> str:
    bounds = [said.format(field[key]) for key, said in _BOUNDS.items() if key in field]
    return ", ".join([text, *bounds])


def _world() -> str:
    head = _WORLD.format(
        example=_NIGHT,
        file_kib=FILE_BYTES_MAX // 1024,
        optimum_s=optimum_s(parse(_NIGHT.encode(), file="night.toml")),
        optimum_s_max=OPTIMUM_S_MAX,
        worlds_max=WORLDS_MAX,
    )
    sections = [
        section(name, _in_toml(part), column="default", say=_default_or_left_out, bounded=_bounded)
        for name, part in parts_of("World", World.model_json_schema()).items()
    ]
    return "\n".join([head, *sections])


def _in_toml(part: Mapping[str, Any]) -> dict[str, Any]:
    """Give the keys of a part the types of what is written, with units: TOML has no null."""
    fields = {key: _written(one) for key, one in part["properties"].items()}
    return {**part, "properties": {key: _with_unit(key, one) for key, one in fields.items()}}


def _written(field: Mapping[str, Any]) -> dict[str, Any]:
    """Give a field the type and the bounds that it has where it is not null."""
    choices = [one for one in field.get("anyOf", ()) if one["type"] != "null"]
    if not choices:
        return dict(field)
    (given,) = choices
    return {**{key: value for key, value in field.items() if key != "anyOf"}, **given}


def _with_unit(key: str, field: Mapping[str, Any]) -> dict[str, Any]:
    """Name the unit of a number beside its type, as far as its key has one."""
    units = (unit for end, unit in _UNITS.items() if key.endswith(end))
    unit = next(units, "count" if field["type"] == "integer" else "")
    return {**field, "type": ", ".join(filter(None, (field["type"], unit)))}


def _default_or_left_out(key: str, part: Mapping[str, Any]) -> str:
    is_null = part["properties"][key].get("default", 0) is None
    return "left out" if is_null else _default_or_required(key, part)


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
    return f"{head}\n{lines(table(('write', 'metrics'), rows))}"


PAGES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "command-line": _command_line,
        "configuration": _configuration,
        "scenario": _scenario,
        "world": _world,
    }
)


def reference(page: str) -> str:
    """Make one of `PAGES`."""
    return PAGES[page]()


if __name__ == "__main__":
    sys.stdout.write(reference(sys.argv[1]))
