"""What rests on assumptions, in one line: for the terminal, the page and the README."""

from collections.abc import Mapping
from typing import Any

from surgetank.rehearsal.drill.headline import strongest
from surgetank.rehearsal.drill.study.sensitivity import distance, was_tried
from surgetank.rehearsal.drill.verdict import describe
from surgetank.rehearsal.drill.wording import plain, span
from surgetank.rehearsal.scenario.schema import Scenario, Seat

NAMED_MAX = 3
"""Flips that the line names, the nearest ones; the result has all."""
_SIDES = {"below": "<", "above": ">"}


def assumptions(scenario: Scenario, result: Mapping[str, Any]) -> str:
    """Count what is assumed, and say what would be otherwise if some of it were."""
    assumed, figures = scenario.figure_counts()
    played = [
        entry for entry in scenario.timeline if any(entry.is_of(one) for one in result["variants"])
    ]
    hours = sum(entry.assumed is not None for entry in played)
    counts = f"{assumed} of {figures} figures and {hours} of {len(played)} hours ASSUMED"
    rows = result["sensitivity"]
    if not rows:
        return counts
    untried = sum(not was_tried(row) for row in rows)
    if untried:
        counts += f", {untried} of these figures not tried"
    flips = [(row, side) for row in rows for side in _SIDES if row[f"flips_{side}"] is not None]
    if not flips:
        which = "the other figures" if untried else "these figures"
        return f"{counts}; none of {which}, moved alone over its range, flips the verdict"
    flips.sort(key=lambda flip: distance(*flip))
    conditions: dict[str, list[str]] = {}
    for row, side in flips[:NAMED_MAX]:
        otherwise = _otherwise(scenario, row[f"because_{side}"])
        condition = f"{row['figure']} {_SIDES[side]} {plain(row[f'flips_{side}'])}"
        conditions.setdefault(otherwise, []).append(condition)
    clauses = [f"{otherwise} if {' or '.join(some)}" for otherwise, some in conditions.items()]
    more = len(flips) - NAMED_MAX
    return "; ".join([counts, *clauses, *([f"and {more} more"] if more > 0 else [])])


def _otherwise(scenario: Scenario, because: str) -> str:
    """Say what it means that an expectation breaks, given as results write it."""
    broken = next((one for one in scenario.expect if describe(one) == because), None)
    if broken is None:
        return "another verdict"
    variant = scenario.variants[broken.variant]
    if variant.seat is not Seat.NOBODY:
        is_all = broken.variant == strongest(scenario.variants)
        return f"no longer saved by {'everything' if is_all else variant.title}"
    if broken.metric != "identity_outage_s":
        return "another outage"
    if broken.at_least is not None:
        return f"no second outage of {span(broken.at_least)}"
    region = scenario.cloud.regions.get(broken.region or "")
    return "tokens fail elsewhere too" if region is None else f"tokens fail in {region.title} too"
