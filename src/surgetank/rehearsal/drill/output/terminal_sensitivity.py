"""A sensitivity run on the terminal: which assumed figures flip the verdict, and where."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from surgetank.rehearsal.drill.output.assumption import assumptions
from surgetank.rehearsal.drill.study.sensitivity import was_tried
from surgetank.rehearsal.drill.wording import count, listing, plain, printable
from surgetank.rehearsal.scenario.schema import Scenario

WIDTH = 80
_SIDES = ("below", "above")


def render_sensitivity(scenario: Scenario, result: Mapping[str, Any]) -> Text:
    """Say what a sensitivity run found; lines with styles, ending without a line break.

    Args:
        scenario: What was played, its figures as assumed.
        result: With `sensitivity`, as `sensitivity.sensitivity` gives it.
    """
    seeds = count(len(result["seeds"]), "seed")
    facts = f" · virtual clock · {seeds} · scale {result['scale']}"
    rows = result["sensitivity"]
    return Text("\n").join(
        [
            Text.assemble((printable(scenario.title), "bold"), facts),
            *_wrapped(f"verdict of {listing(list(result['variants']))}"),
            Text(""),
            *_flipping([row for row in rows if _flips(row)]),
            *_steady([row for row in rows if not _flips(row) and was_tried(row)]),
            *_untried([row for row in rows if not was_tried(row)]),
            *_refused(rows),
            Text(""),
            *_wrapped(assumptions(scenario, result)),
            *_unmet(result),
        ]
    )


def _flips(row: Mapping[str, Any]) -> bool:
    return any(row[f"flips_{side}"] is not None for side in _SIDES)


def _flipping(rows: list[Mapping[str, Any]]) -> Iterator[Text]:
    if not rows:
        yield Text(
            "no assumed figure that was tried, moved alone over its range, flips the verdict",
            "green",
        )
        return
    names = max(len(printable(row["figure"])) for row in rows)
    yield Text("THESE FLIP THE VERDICT, the nearest first", "bold")
    for row in rows:
        flips = [
            f"{side} {plain(row[f'flips_{side}'])}"
            for side in _SIDES
            if row[f"flips_{side}"] is not None
        ]
        tried = f"{plain(row['low'])} to {plain(row['high'])}"
        said = f"{plain(row['assumed'])} (tried {tried}) flips {' or '.join(flips)}"
        yield from _wrapped(f"{printable(row['figure']).ljust(names)}  {said}", "yellow")
        for because in dict.fromkeys(row[f"because_{side}"] for side in _SIDES):
            if because is not None:
                yield from _wrapped(f"  {because}", "dim")


def _steady(rows: list[Mapping[str, Any]]) -> Iterator[Text]:
    if rows:
        names = ", ".join(row["figure"] for row in rows)
        yield from _wrapped(f"these do not, alone, within their ranges: {names}")


def _untried(rows: list[Mapping[str, Any]]) -> Iterator[Text]:
    if rows:
        names = ", ".join(row["figure"] for row in rows)
        yield from _wrapped(f"not played by these variants, so not tried: {names}")


def _refused(rows: list[Mapping[str, Any]]) -> Iterator[Text]:
    for row in rows:
        for side, end in (("below", "low"), ("above", "high")):
            why = row[f"refused_{side}"]
            if why is not None:
                what = f"{row['figure']} = {plain(row[end])} cannot be played"
                yield from _wrapped(f"{what}, so nothing {side} was tried: {why}", "yellow")


def _unmet(result: Mapping[str, Any]) -> Iterator[Text]:
    found = result["expectations"]
    met = sum(one["met"] for one in found)
    yield Text(f"expectations {met}/{len(found)} met with the figures as assumed")
    for one in found:
        if not one["met"]:
            yield from _wrapped(f"  not met, so it cannot break: {one['text']}", "red")


def _wrapped(text: str, style: str = "") -> Iterator[Text]:
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    for line in textwrap.wrap(printable(text), WIDTH, subsequent_indent=indent):
        yield Text(line, style)
