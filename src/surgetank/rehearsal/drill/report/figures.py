"""What the drill rests on: every figure with its source, and how far the assumed ones can move."""

from collections.abc import Mapping
from typing import Any

from surgetank.rehearsal.drill.output.assumption import assumptions
from surgetank.rehearsal.drill.report.markup import Markup, joined, tag
from surgetank.rehearsal.drill.report.table import table
from surgetank.rehearsal.drill.study.sensitivity import was_tried
from surgetank.rehearsal.drill.wording import NOTHING, count, plain
from surgetank.rehearsal.scenario.schema import Figure, Scenario

_WIDTH, _HEIGHT, _EDGE = 120.0, 14.0, 3.0
"""Of the small drawing of a figure's range, and its margin."""
_SIDES = ("below", "above")


def rests(scenario: Scenario, result: Mapping[str, Any]) -> Markup:
    """Show how far assumed figures can move; every figure where that was not tried."""
    flips = result["sensitivity"]
    if not flips:
        return every(scenario)
    rows = [
        [
            tag("code", _breakable(flip["figure"])),
            plain(flip["assumed"]),
            joined([_drawn(flip), tag("small", _span(flip["low"], flip["high"]))]),
            _flips(flip),
        ]
        for flip in flips
    ]
    flipping = sum(any(flip[f"flips_{side}"] is not None for side in _SIDES) for flip in flips)
    tried = sum(map(was_tried, flips))
    caption = f"{flipping} of {count(tried, 'assumed figure')}, moved alone, flip the verdict"
    if tried < len(flips):
        caption += f"; {len(flips) - tried} not tried, as no variant of this verdict plays them"
    head = ["figure", "assumed", "range", "verdict flips"]
    said = tag("p", assumptions(scenario, result))
    return joined([said, table("flips", caption, head, rows, class_="tall")])


def every(scenario: Scenario) -> Markup:
    """List every figure, the assumed ones first."""
    assumed, total = scenario.figure_counts()
    ordered = sorted(scenario.figures.items(), key=lambda item: item[1].assumed is None)
    rows = [
        [tag("code", _breakable(name)), plain(one.value), _range(one), _origin(one)]
        for name, one in ordered
    ]
    caption = f"{assumed} of {total} figures are assumed; the others have a source"
    head = ["figure", "value", "range", "where from"]
    return table("figures", caption, head, rows, class_="tall")


def _breakable(name: str) -> Markup:
    """Let a long name break after an underscore, and nowhere else."""
    first, *others = name.split("_")
    return joined([first, *(joined(["_", tag("wbr"), word]) for word in others)])


def _range(figure: Figure) -> str:
    return NOTHING if figure.range is None else _span(*figure.range)


def _span(low: float, high: float) -> str:
    return f"{plain(low)} to {plain(high)}"


def _origin(figure: Figure) -> Markup:
    if figure.assumed is not None:
        return joined([tag("b", "assumed: "), figure.assumed])
    return joined([tag("span", "source: ", class_="muted"), figure.source])


def _flips(flip: Mapping[str, Any]) -> Markup:
    """Say where the verdict flips, and what breaks."""
    if not was_tried(flip):
        return tag("span", "not tried", class_="muted")
    found = [side for side in _SIDES if flip[f"flips_{side}"] is not None]
    if not found:
        return tag("span", "not within its range", class_="muted")
    values = [f"{side} {plain(flip[f'flips_{side}'])}" for side in found]
    because = flip.get("because")
    return joined([" or ".join(values), tag("small", because) if because else None])


def _drawn(flip: Mapping[str, Any]) -> Markup:
    """Draw the range with the assumed value and where the verdict flips; the words say the same."""
    low, high = flip["low"], flip["high"]

    def x(value: float) -> float:
        return _EDGE + float((value - low) / ((high - low) or 1.0)) * (_WIDTH - 2 * _EDGE)

    below, above = (flip[f"flips_{side}"] for side in _SIDES)
    spans = [
        *([] if below is None else [(x(low), x(below))]),
        *([] if above is None else [(x(above), x(high))]),
    ]
    flipped = [
        tag("rect", class_="flipped", x=start, y=3, width=max(1.5, end - start), height=8)
        for start, end in spans
    ]
    middle = _HEIGHT / 2
    return tag(
        "svg",
        tag("line", class_="base", x1=x(low), x2=x(high), y1=middle, y2=middle),
        *flipped,
        tag("circle", class_="assumed", cx=x(flip["assumed"]), cy=middle, r=3.5),
        aria_hidden="true",
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        width=_WIDTH,
        height=_HEIGHT,
        class_="range",
    )
