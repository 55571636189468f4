"""The JSON Schema of scenario files, for editors; published beside this module as package data.

It describes a file as written: where the reader puts figures in place, numbers are `$name`s.
`python -m surgetank.rehearsal.scenario.file_schema > FILE` writes it; a test holds it current.
"""

import json
import sys
from importlib import resources
from typing import Any

from surgetank.rehearsal.scenario.schema import Scenario

FILE = "scenario-v1.schema.json"
_NUMBERS = ("integer", "number")
_SOURCED = {
    "Autoscale", "Cloud", "Creates", "Demand", "Gate", "IdentityStation", "NodePools",
    "PolicyFault", "Readers", "Reads", "Region", "RunnerPools", "ScaleOut", "TrafficOff",
}  # fmt: skip
"""Parts whose numbers stand under `figures`."""


def file_schema() -> dict[str, Any]:
    """Make the schema."""
    schema = Scenario.model_json_schema(by_alias=True)
    for name, part in schema["$defs"].items():
        if name in _SOURCED:
            _put_names(part["properties"])
    _put_names(schema["properties"], only="own_share")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema


def published() -> dict[str, Any]:
    """Read the schema that ships."""
    file = resources.files("surgetank.rehearsal.scenario") / FILE
    return dict(json.loads(file.read_text(encoding="utf-8")))


def _put_names(properties: dict[str, Any], *, only: str | None = None) -> None:
    for name, field in properties.items():
        if only not in (None, name):
            continue
        kept = {key: field[key] for key in ("description", "title", "default") if key in field}
        named = {"type": "string", "pattern": r"^\$[a-z0-9_]+$"}
        choices = field.get("anyOf", [])
        if field.get("type") in _NUMBERS:
            properties[name] = {**kept, **named}
        elif any(one.get("type") in _NUMBERS for one in choices):
            others = [one for one in choices if one.get("type") not in _NUMBERS]
            properties[name] = {**kept, "anyOf": [named, *others]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(file_schema(), indent=2) + "\n")
