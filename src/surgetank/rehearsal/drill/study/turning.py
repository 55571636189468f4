"""Where along a sweep the second outage goes or comes, and what those covered gain before it does.

All figures are medians over seeds, of everybody's work.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from surgetank.rehearsal.drill.comparison import done_ratio, spread, tokens_s
from surgetank.rehearsal.drill.wording import listing, percent, plain


class Row(NamedTuple):
    """One value of a sweep and what came of it; None where there was nothing to measure."""

    value: float
    variant: str
    """As the result has it."""
    blocked_s: float | None
    """Seconds in which creates were in outage."""
    tokens_s: float | None
    """Seconds in which tokens were in outage, in the region where that took longest."""
    covered_ratio: float | None
    """Creates done in time, of those under the safeguards."""
    others_ratio: float | None
    """Creates done in time, of all others."""
    fresh_ratio: float | None
    """Creates done in time, of all."""
    done_ratio: float | None
    """Operations done in the end, over submitted."""


def sweep_rows(result: Mapping[str, Any], of: str) -> list[Row]:
    """Give the points of a sweep in the variant `of`, by ascending value."""
    points = [one for one in result["sweep"]["points"] if one["of"] == of]
    return [_row(result, one["value"], one["variant"]) for one in points]


def change(is_out: Mapping[float, bool]) -> tuple[float, float] | None:
    """Where there ceases to be an outage: (the last value with one, the first without).

    Args:
        is_out: Whether there is one, by value, in any order.

    Returns:
        Neighbours in either order, or None unless it goes or comes just once along the values.
    """
    values = sorted(is_out)
    turns = [pair for pair in pairwise(values) if is_out[pair[0]] != is_out[pair[1]]]
    if len(turns) != 1:
        return None
    low, high = turns[0]
    return (low, high) if is_out[low] else (high, low)


def turning_point(result: Mapping[str, Any], of: str) -> dict[str, Any] | None:
    """Say where the second outage goes, and how creates fare just before; None when it does not."""
    rows = {row.value: row for row in sweep_rows(result, of)}
    turn = change({value: bool(row.tokens_s) for value, row in rows.items()})
    if turn is None:
        return None
    last, first = turn
    return {
        "of": of,
        "last_with": last,
        "first_without": first,
        "covered_fresh_success_ratio": rows[last].covered_ratio,
        "others_fresh_success_ratio": rows[last].others_ratio,
        "fresh_success_ratio": rows[last].fresh_ratio,
    }


def sentence(result: Mapping[str, Any], of: str) -> str:
    """Say what a sweep shows of one variant."""
    name = result["sweep"]["name"]
    rows = sweep_rows(result, of)
    turn = turning_point(result, of)
    if turn is not None:
        last, first = turn["last_with"], turn["first_without"]
        says = f"{plain(last)}, {_fared(turn)}"
        if last < first:
            return f"The second outage disappears {_at(name, first)}; below it, at {says}."
        return f"There is no second outage up to {name} = {plain(first)}; above it, at {says}."
    without = [plain(row.value) for row in rows if not row.tokens_s]
    if not without:
        return "There is a second outage at every one of these values."
    if len(without) == len(rows):
        return "There is no second outage at any of these values."
    return f"The second outage comes and goes: there is none at {name} = {listing(without)}."


def _fared(turn: Mapping[str, Any]) -> str:
    covered, others = turn["covered_fresh_success_ratio"], turn["others_fresh_success_ratio"]
    if covered is None or others is None:
        return f"{percent(turn['fresh_success_ratio'])} of creates are done in time"
    return (
        f"those covered get {percent(covered)} of their creates done in time and the others "
        f"{percent(others)}"
    )


def _at(name: str, value: float) -> str:
    match name:
        case "share":
            return f"at a share of {plain(value)}"
        case "warm_ratio":
            return f"with a mirror that is {percent(value)} warm"
        case _:
            return f"at {name} = {plain(value)}"


def _row(result: Mapping[str, Any], value: float, name: str) -> Row:
    variant = result["variants"][name]

    def median(measure: Callable[[Mapping[str, Any]], Any]) -> float | None:
        return spread(variant, measure).median

    return Row(
        value=value,
        variant=name,
        blocked_s=median(lambda metrics: metrics["provisioning_outage_s"]),
        tokens_s=median(tokens_s),
        covered_ratio=median(lambda metrics: metrics.get("covered_fresh_success_ratio")),
        others_ratio=median(lambda metrics: metrics.get("others_fresh_success_ratio")),
        fresh_ratio=median(lambda metrics: metrics["fresh_success_ratio"]),
        done_ratio=median(done_ratio),
    )
