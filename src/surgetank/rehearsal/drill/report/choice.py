"""Which variants the page puts first: what would be, what helps most, and which make a curve."""

from collections.abc import Mapping
from math import inf
from typing import Any

from surgetank.rehearsal.drill.comparison import Standing, seated, standings
from surgetank.rehearsal.drill.headline import strongest
from surgetank.rehearsal.scenario.schema import Scenario, Seat


def shown_variant(result: Mapping[str, Any]) -> str:
    """Name the variant that stands for the outage as it would be."""
    return seated(result, Seat.NOBODY) or next(iter(result["variants"]))


def beside_variant(scenario: Scenario, result: Mapping[str, Any]) -> str | None:
    """Name the variant to stand beside it: with the most safeguards, else with the least outage.

    None where only one was played.
    """
    others = [row for row in rows(result) if not row.is_own and row.name != shown_variant(result)]
    best = min(others, key=_outage, default=None)
    full = strongest({row.name: scenario.variants[row.name] for row in others})
    return full if full is not None or best is None else best.name


def rows(result: Mapping[str, Any]) -> list[Standing]:
    """Give the variants that are a row of their own.

    Steps of a sweep are points of its curve instead, where anything else was played.
    """
    swept = {point["variant"] for point in result.get("sweep", {"points": []})["points"]}
    found = standings(result)
    return [row for row in found if row.name not in swept] or found


def _outage(row: Standing) -> tuple[float, float]:
    """The less the better: seconds of outage, then creates that were not in time."""
    spans = (inf if one.median is None else one.median for one in (row.blocked_s, row.tokens_s))
    return sum(spans), -(row.fresh_ratio.median or 0.0)
