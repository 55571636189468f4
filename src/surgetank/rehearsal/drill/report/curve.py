"""Outage over a setting that was swept, as a curve with the spread over seeds and where it turns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from surgetank.rehearsal.drill.comparison import Spread, spread, tokens_s
from surgetank.rehearsal.drill.report.bars import spread_said
from surgetank.rehearsal.drill.report.drawing import CHARACTER, svg
from surgetank.rehearsal.drill.report.markup import Markup, coordinate, tag
from surgetank.rehearsal.drill.study.turning import sentence
from surgetank.rehearsal.drill.wording import percent, plain, span

_LEFT, _TOP, _FOOT, _HEIGHT = 44.0, 14.0, 132.0, 154.0
"""Of the plot, and of the whole drawing."""
_NAMES = 100.0
"""Room at the right for the names of the curves."""
_WIDTHS = {"wide": 580.0, "narrow": 356.0}
"""Of the drawings, for wide and for narrow screens; the style sheet shows one of the two."""
_HOUR_S = 3600.0
_LINE = 14.0
"""Least distance between two lines of text."""


class _Step(NamedTuple):
    """One step of a sweep."""

    value: float
    blocked_s: Spread
    tokens_s: Spread


@dataclass(frozen=True, slots=True)
class _Plot:
    """Where values and durations lie."""

    least: float
    most: float
    longest_s: float
    right: float
    said: Callable[[float], str]
    """How a value is written."""

    def x(self, value: float) -> float:
        share = (value - self.least) / ((self.most - self.least) or 1.0)
        return _LEFT + share * (self.right - _LEFT)

    def y(self, seconds: float | None) -> float:
        """Where a duration lies; never is as long as any."""
        share = 1.0 if seconds is None else seconds / self.longest_s
        return _FOOT - share * (_FOOT - _TOP)


def curves(result: Mapping[str, Any]) -> list[Markup]:
    """Draw a curve for each variant in which the setting was swept; none where nothing was."""
    sweep = result.get("sweep")
    if sweep is None:
        return []
    names = dict.fromkeys(point["of"] for point in sweep["points"])
    return [_curve(result, name, index) for index, name in enumerate(names)]


def _curve(result: Mapping[str, Any], of: str, index: int) -> Markup:
    sweep = result["sweep"]
    steps = [_step(result, point) for point in sweep["points"] if point["of"] == of]
    write = _writer(steps)
    title = f"Hours of outage by {str(sweep['name']).replace('_', ' ')}, {of}"
    description = ". ".join(
        f"{write(one.value)}: VMs blocked {spread_said(one.blocked_s)}, "
        f"tokens down {spread_said(one.tokens_s)}"
        for one in steps
    )
    turns = [turn for turn in sweep.get("turning_points", ()) if turn["of"] == of]

    def drawn(form: str) -> Markup:
        width = _WIDTHS[form]
        plot = _plot(steps, right=width - _NAMES)
        parts = [*_turns(plot, turns), *_axes(plot, steps), *_lines(plot, steps)]
        size = (width, _HEIGHT)
        drawing = svg(f"curve-{index}-{form}", title, description, size=size, parts=parts)
        return tag("div", drawing, class_=f"chart {form}")

    caption = f"{title}: medians, bands p5 to p95 over seeds. {sentence(result, of)}"
    return tag("figure", *map(drawn, _WIDTHS), tag("figcaption", caption), class_="curve")


def _step(result: Mapping[str, Any], point: Mapping[str, Any]) -> _Step:
    variant = result["variants"][point["variant"]]
    blocked = spread(variant, lambda metrics: metrics["provisioning_outage_s"])
    return _Step(point["value"], blocked, spread(variant, tokens_s))


def _plot(steps: Sequence[_Step], *, right: float) -> _Plot:
    found = [seconds for step in steps for seconds in (*step.blocked_s, *step.tokens_s)]
    return _Plot(
        least=steps[0].value,
        most=steps[-1].value,
        longest_s=max([_HOUR_S, *(seconds or 0.0 for seconds in found)]),
        right=right,
        said=_writer(steps),
    )


def _writer(steps: Sequence[_Step]) -> Callable[[float], str]:
    """How values are written: as shares where all may be one."""
    return percent if all(0 <= step.value <= 1 for step in steps) else plain


def _axes(plot: _Plot, steps: Sequence[_Step]) -> list[Markup]:
    parts = [tag("line", class_="base", x1=_LEFT, x2=plot.right, y1=_FOOT, y2=_FOOT)]
    parts += [
        tag("text", span(seconds), class_="muted end", x=_LEFT - 6, y=plot.y(seconds) + 4)
        for seconds in (plot.longest_s, 0.0)
    ]
    edge = 0.0
    for step in steps:
        x, words = plot.x(step.value), plot.said(step.value)
        half = CHARACTER * len(words) / 2
        # A value whose words would touch the last one's goes unlabelled.
        if x - half > edge:
            label = tag("text", words, class_="muted", x=x, y=_FOOT + 16, text_anchor="middle")
            parts.append(label)
            edge = x + half + CHARACTER
    return parts


def _turns(plot: _Plot, turns: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Shade where the second outage goes: between the last value with one and the first without."""
    spans = [sorted(plot.x(turn[key]) for key in ("last_with", "first_without")) for turn in turns]
    return [
        tag("rect", class_="published", x=start, y=_TOP, width=end - start, height=_FOOT - _TOP)
        for start, end in spans
    ]


def _lines(plot: _Plot, steps: Sequence[_Step]) -> list[Markup]:
    vms = [(plot.x(step.value), step.blocked_s) for step in steps]
    tokens = [(plot.x(step.value), step.tokens_s) for step in steps]
    ends = [plot.y(line[-1][1].median) for line in (vms, tokens)]
    shift = _LINE / 2 if abs(ends[0] - ends[1]) < _LINE else 0.0
    return [
        *_line(plot, vms, "creates", "VMs blocked", label_y=ends[0] - shift),
        *_line(plot, tokens, "tokens", "tokens down", label_y=ends[1] + shift),
    ]


def _line(
    plot: _Plot, line: Sequence[tuple[float, Spread]], tone: str, name: str, *, label_y: float
) -> list[Markup]:
    def path(points: Sequence[tuple[float, float | None]]) -> str:
        return "L".join(f"{coordinate(x)} {coordinate(plot.y(value))}" for x, value in points)

    upper = path([(x, one.p95) for x, one in line])
    lower = path([(x, one.p5) for x, one in reversed(line)])
    middle = path([(x, one.median) for x, one in line])
    return [
        tag("path", class_=f"spread {tone}", d=f"M{upper}L{lower}Z"),
        tag("path", class_=f"curve {tone}", d=f"M{middle}"),
        *(
            tag("circle", class_=f"dot {tone}", cx=x, cy=plot.y(one.median), r=2.5)
            for x, one in line
        ),
        tag("text", name, class_=f"row {tone}", x=plot.right + 10, y=label_y + 4),
    ]
