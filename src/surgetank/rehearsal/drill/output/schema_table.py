"""What a JSON Schema allows, as sections of a reference page in Markdown: one part, one table."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from surgetank.rehearsal.drill.output.markdown import code, table


def parts_of(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Give a schema's parts by name: itself as `name`, then each before those that it holds."""
    parts = {name: schema, **schema["$defs"]}
    return {one: parts[one] for one in dict.fromkeys(_reached(name, parts))}


def section(
    name: str,
    part: Mapping[str, Any],
    *,
    column: str,
    say: Callable[[str, Mapping[str, Any]], str],
    bounded: Callable[[str, Mapping[str, Any]], str] | None = None,
) -> str:
    """Make the section of one part.

    Args:
        name: Of the part.
        part: As in the schema, with a description.
        column: Head of the column between type and meaning.
        say: Makes a cell of that column, of a key and the part.
        bounded: Adds to a type's name the bounds that its schema has; None leaves them out.

    Returns:
        Lines, the last one with its break.
    """
    head = f"## {name}\n\n{cell(part['description'])}\n"
    if "enum" in part:
        return f"{head}\nOne of {_listed(part['enum'])}.\n"
    rows = [
        [
            code(key),
            _type(field, bounded or _unbounded),
            say(key, part),
            cell(field.get("description", "")),
        ]
        for key, field in part["properties"].items()
    ]
    return f"{head}\n{lines(table(('key', 'type', column, 'meaning'), rows))}"


def cell(text: str) -> str:
    """Say a description on one line; a bar would end its cell."""
    return " ".join(text.split()).replace("|", r"\|")


def lines(rows: Sequence[str]) -> str:
    """Join rows, the last one with its break."""
    return "\n".join(rows) + "\n"


def _reached(name: str, parts: Mapping[str, Any]) -> Iterator[str]:
    yield name
    for ref in re.findall(r'"#/\$defs/(\w+)"', json.dumps(parts[name].get("properties", {}))):
        yield from _reached(ref, parts)


def _type(field: Mapping[str, Any], bounded: Callable[[str, Mapping[str, Any]], str]) -> str:
    match field:
        case {"$ref": ref}:
            name = ref.rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"anyOf": options} | {"oneOf": options}:
            return " or ".join(_type(one, bounded) for one in options)
        case {"const": _} | {"enum": _}:
            return _listed(field.get("enum") or [field["const"]])
        case {"prefixItems": items}:
            return f"list of {len(items)} numbers"
        case {"type": "array", "items": inner}:
            said = f"list of {_one_of(inner, bounded)}"
        case {"type": "object"}:
            said = f"mapping to {_one_of(_held(field), bounded)}"
        case {"format": "date-time"}:
            said = "instant"
        case _:
            said = str(field["type"])
    return bounded(said, field)


def _held(field: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a mapping holds, whatever its keys."""
    held: Mapping[str, Any]
    (held,) = field.get("patternProperties", {}).values() or [field["additionalProperties"]]
    return held


def _one_of(inner: Mapping[str, Any], bounded: Callable[[str, Mapping[str, Any]], str]) -> str:
    said = _type(inner, bounded)
    return f"({said})" if "anyOf" in inner else said


def _listed(values: Sequence[str]) -> str:
    return " or ".join(map(code, values))


def _unbounded(said: str, _: Mapping[str, Any]) -> str:
    return said
