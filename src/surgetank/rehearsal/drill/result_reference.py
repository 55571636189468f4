"""The reference page of results, made from their schema and from the table of metrics.

`python -m surgetank.rehearsal.drill.result_reference > docs/reference/result.md` writes it; a test
holds it current.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from surgetank.rehearsal.drill.direction import DIRECTIONS
from surgetank.rehearsal.drill.markdown import code, table
from surgetank.rehearsal.drill.result_schema import FILE, result_schema
from surgetank.rehearsal.scenario.metric import METRICS, Key

_HEAD = f"""# The result of a drill

`surgetank drill NAME --json PATH` writes it, and `surgetank drill --schema` prints its JSON Schema.
The schema also ships in the package, as `surgetank/rehearsal/drill/{FILE}`.
Keys that are not listed here are errors, but for those of a sweep; names of metrics are open.
Quantiles are nearest-rank over seeds: each is a value that was seen, and null sorts last.
Instants are UTC, to the second.

This page is made from the schema."""
_BETTER = {"less": "less", "more": "more", "neither": "not judged"}


def reference() -> str:
    """Make the page."""
    schema = result_schema()
    parts = {"Result": schema, **schema["$defs"]}
    ordered = dict.fromkeys(_reached("Result", parts))
    sections = [line for name in ordered for line in _section(name, parts[name])]
    return "\n".join([_HEAD, *sections, *_metrics()]) + "\n"


def _reached(name: str, parts: Mapping[str, Any]) -> Iterator[str]:
    """Names of parts, each before those that it holds."""
    yield name
    for field in parts[name].get("properties", {}).values():
        for other in _refs(field):
            yield from _reached(other, parts)


def _refs(field: Mapping[str, Any]) -> Iterator[str]:
    if "$ref" in field:
        yield field["$ref"].rpartition("/")[2]
    for one in _inner(field):
        yield from _refs(one)


def _inner(field: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from field.get("anyOf", ())
    if "items" in field:
        yield field["items"]
    yield from field.get("patternProperties", {}).values()
    if isinstance(field.get("additionalProperties"), dict):
        yield field["additionalProperties"]


def _section(name: str, part: Mapping[str, Any]) -> list[str]:
    lines = ["", f"## {name}", "", part["description"].replace("\n", " ")]
    if "enum" in part:
        return [*lines, "", f"One of {_listed(part['enum'])}."]
    required = part.get("required", ())
    rows = [
        [
            code(key),
            _type(field),
            "yes" if key in required else "no",
            field.get("description", "").replace("\n", " "),
        ]
        for key, field in part["properties"].items()
    ]
    return [*lines, "", *table(("key", "type", "always", "meaning"), rows)]


def _type(field: Mapping[str, Any]) -> str:
    match field:
        case {"$ref": ref}:
            name = ref.rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"anyOf": options}:
            return " or ".join(map(_type, options))
        case {"const": _} | {"enum": _}:
            return _listed(field.get("enum") or [field["const"]])
        case {"type": "array"}:
            return f"list of {_one_of(field)}"
        case {"type": "object"}:
            return f"mapping to {_one_of(field)}"
        case _:
            return str(field["type"])


def _one_of(field: Mapping[str, Any]) -> str:
    """What a list or a mapping holds."""
    (inner,) = _inner(field)
    return f"({_type(inner)})" if "anyOf" in inner else _type(inner)


def _listed(values: list[str]) -> str:
    return " or ".join(map(code, values))


def _metrics() -> list[str]:
    rows = [
        [
            code(name),
            "" if METRICS[name] is Key.NONE else METRICS[name].value,
            _BETTER[one.better.value],
            one.meaning,
        ]
        for name, one in DIRECTIONS.items()
    ]
    return [
        "",
        "## Metrics",
        "",
        "Seconds where the name ends in `_s`, ratios from 0 to 1 where it ends in `_ratio`, else counts.",
        "`surgetank drill --compare` judges by what is better, and shows what is not judged.",
        "",
        *table(("metric", "mapping by", "better", "meaning"), rows),
    ]


if __name__ == "__main__":
    sys.stdout.write(reference())
