"""The last measured sensitivity of a scenario of the library: `surgetank/sensitivity/v1`.

A sensitivity run takes minutes, so that its outcome ships beside the scenario, as JSON, and a drill
of the same scenario shows it. An edited copy does not borrow it: the digest would differ.
`python -m surgetank.app.cli.sensitivity_file NAME > FILE` measures and writes one anew.
"""

import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from surgetank.rehearsal.drill.digest import digest
from surgetank.rehearsal.scenario.schema import Scenario

SCHEMA = "surgetank/sensitivity/v1"
SHIPPED, MEASURED = "shipped", "measured"
"""Whether a result's sensitivity was read from such a file, or comes of its own runs."""
_LIBRARY = "surgetank.rehearsal.library"


def document(
    scenario: Scenario,
    rows: Sequence[dict[str, Any]],
    *,
    variants: Sequence[str],
    seeds: Sequence[int],
) -> dict[str, Any]:
    """Put together what such a file says."""
    return {
        "schema": SCHEMA,
        "scenario": scenario.name,
        "digest": digest(scenario),
        "seeds": list(seeds),
        "variants": list(variants),
        "sensitivity": list(rows),
    }


def shipped(scenario: Scenario) -> list[dict[str, Any]]:
    """Give what ships for just this scenario; nothing where it was never measured, or was edited."""
    file = resources.files(_LIBRARY) / f"{scenario.name}.sensitivity.json"
    if not file.is_file():
        return []
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    rows: list[dict[str, Any]] = found["sensitivity"]
    return rows if found["digest"] == digest(scenario) else []


def add_shipped(result: dict[str, Any], scenario: Scenario) -> None:
    """Fill in what ships for the scenario of a result; leave it as it is where nothing does."""
    rows = shipped(scenario)
    if rows:
        result["sensitivity"] = rows
        result["sensitivity_source"] = SHIPPED
