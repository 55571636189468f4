# ruff: noqa: INP001 - run from the root of the repository; part of no package
"""Small static SVG drawings: lines over time, points, bars; readable in light and in dark.

A drawing brings its own ground and follows the reader's preference, so that it can be read on any
page. Lines differ in dash as well as in colour. Numbers are rounded to a tenth of a pixel.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from surgetank.rehearsal.drill.report.markup import Markup, tag
from surgetank.rehearsal.drill.report.style import DARK, LIGHT

WIDTH = 760.0
_LEFT, _RIGHT, _PAD = 52.0, 16.0, 10.0
_LINE = 18.0
"""Height of a line of text."""
_DOT = 3.5
_LETTER = 6.6
"""Width of a letter at 12 px, about."""

TONES = {"orange": "", "blue": "6 3", "good": "2 3", "muted": "9 3 2 3"}
"""Colours for lines, each with a dash of its own."""


class Line(NamedTuple):
    """One quantity."""

    name: str
    tone: str
    """One of `TONES`."""
    points: Sequence[tuple[float, float]]
    """(x, y), in order of x."""


class Mark(NamedTuple):
    """A value that is drawn across, and what it is."""

    value: float
    words: str


class Panel(NamedTuple):
    """Lines on one scale."""

    title: str
    top: float
    """The highest value; the lowest is 0."""
    step: float
    """Between the values that are written."""
    lines: Sequence[Line]
    across: Sequence[Mark] = ()


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where values lie on a drawing."""

    x_low: float
    x_high: float
    top: float
    y: float
    """Of the upper edge."""
    height: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Give the place of a value; one outside lies on the edge."""
        share = (x - self.x_low) / (self.x_high - self.x_low)
        room = WIDTH - _LEFT - _RIGHT
        height = self.height * min(1.0, max(0.0, y / self.top))
        return _LEFT + room * min(1.0, max(0.0, share)), self.y + self.height - height


def over_time(
    title: str,
    description: str,
    panels: Sequence[Panel],
    *,
    span: tuple[float, float],
    events: Sequence[Mark] = (),
    height: float = 130.0,
) -> str:
    """Draw panels below one another, over the hours of `span`, with `events` in order across."""
    tones = {line.name: line.tone for panel in panels for line in panel.lines}
    legend, y = _legend(tones), _PAD + _LINE
    y += 4 + _LINE * len(events)
    begin, parts = y, list[Markup]()
    for panel in panels:
        y += _LINE
        frame = _Frame(*span, panel.top, y, height)
        parts += _panel(frame, panel)
        y += height + _PAD
    frame = _Frame(*span, 1.0, begin, y - begin - _PAD)
    parts += _hours(frame)
    # The last event is written lowest, so that no line of one meets the words of another.
    parts += [
        part for tier, one in enumerate(reversed(events)) for part in _event(frame, one, tier)
    ]
    return svg(title, description, y + _LINE + 4, [*legend, *parts])


def scatter(
    title: str,
    description: str,
    clouds: Sequence[Line],
    *,
    x: Mark,
    y: Mark,
    step: float,
    across: Sequence[Mark] = (),
) -> str:
    """Draw points; `x` and `y` say how far each axis goes, and what it is."""
    tones = {one.name: one.tone for one in clouds}
    legend = _legend(tones, are_dots=True)
    top = _PAD + 2 * _LINE + 4
    frame = _Frame(0.0, x.value, y.value, top, 250.0)
    foot = frame.y + frame.height
    parts = [*legend, text(y.words, _LEFT, top - 6), *_scale(frame, step)]
    ticks = [number * step for number in range(int(x.value / step) + 1)]
    parts += [text(f"{tick:g}", frame.at(tick, 0)[0], foot + 15, anchor="middle") for tick in ticks]
    parts.append(text(x.words, WIDTH - _RIGHT, foot + 32, anchor="end"))
    parts += _across(frame, across)
    parts += [
        tag("circle", class_=f"dot {one.tone}", cx=round(cx, 1), cy=round(cy, 1), r=_DOT)
        for one in clouds
        for cx, cy in (frame.at(*point) for point in one.points)
    ]
    return svg(title, description, foot + 42, parts)


def bars(
    title: str,
    description: str,
    groups: Sequence[tuple[str, Sequence[tuple[str, str, float]]]],
    *,
    y: Mark,
    step: float,
) -> str:
    """Draw groups of bars: (what the group is, (what the bar is, its words, its value)...)."""
    names = list(dict.fromkeys(name for _, some in groups for name, _, _ in some))
    tones = dict(zip(names, TONES, strict=False))
    top = _PAD + 2 * _LINE + 4
    frame = _Frame(0.0, float(len(groups)), y.value, top + _LINE, 170.0)
    foot = frame.y + frame.height
    parts = [*_legend(tones, are_dots=True), text(y.words, _LEFT, top - 6)]
    parts += _scale(frame, step)
    width = 0.7 / max(1, len(names))
    for index, (words, some) in enumerate(groups):
        for place, (name, said, value) in enumerate(some):
            left = frame.at(index + 0.15 + width * place, 0)[0]
            right, head = frame.at(index + 0.15 + width * (place + 0.92), value)
            size = {"width": round(right - left, 1), "height": round(max(1.0, foot - head), 1)}
            parts.append(
                tag("rect", class_=f"bar {tones[name]}", x=left, y=min(head, foot - 1), **size)
            )
            parts.append(text(said, (left + right) / 2, head - 4, anchor="middle"))
        parts.append(text(words, frame.at(index + 0.5, 0)[0], foot + 15, anchor="middle"))
    return svg(title, description, foot + 26, parts)


def _panel(frame: _Frame, panel: Panel) -> list[Markup]:
    parts = [text(panel.title, _LEFT, frame.y - 5, kind="strong"), *_scale(frame, panel.step)]
    parts += _across(frame, panel.across)
    return [*parts, *(_line(frame, one) for one in panel.lines)]


def _scale(frame: _Frame, step: float) -> Iterable[Markup]:
    for number in range(int(frame.top / step) + 1):
        left, y = frame.at(frame.x_low, number * step)
        yield tag("line", class_="grid", x1=left, x2=WIDTH - _RIGHT, y1=y, y2=y)
        yield text(f"{number * step:g}", left - 6, y + 4, anchor="end")


def _across(frame: _Frame, marks: Iterable[Mark]) -> Iterable[Markup]:
    for mark in marks:
        left, y = frame.at(frame.x_low, mark.value)
        yield tag("line", class_="across", x1=left, x2=WIDTH - _RIGHT, y1=y, y2=y)
        yield text(mark.words, WIDTH - _RIGHT - 4, y - 4, anchor="end", kind="over")


def _line(frame: _Frame, line: Line) -> Markup:
    """Draw steps: each value holds until the next."""
    places = [frame.at(*point) for point in line.points]
    path = [f"M{places[0][0]:.1f} {places[0][1]:.1f}"]
    for x, y in places[1:]:
        path.append(f"H{x:.1f}V{y:.1f}")
    dash = TONES[line.tone] or None
    return tag("path", class_=f"line {line.tone}", d="".join(path), stroke_dasharray=dash)


def _hours(frame: _Frame) -> Iterable[Markup]:
    foot = frame.y + frame.height
    hour = -int(-frame.x_low // 3600)
    every = 1 if frame.x_high - frame.x_low <= 9 * 3600 else 2
    while hour * 3600 <= frame.x_high:
        if hour % every == 0:
            x, _ = frame.at(hour * 3600, 0)
            yield tag("line", class_="grid", x1=x, x2=x, y1=frame.y, y2=foot)
            yield text(f"{hour % 24:02d}:00", x, foot + 15, anchor="middle")
        hour += 1


def _event(frame: _Frame, event: Mark, tier: int) -> Iterable[Markup]:
    x, _ = frame.at(event.value, 0)
    y = frame.y - 4 - _LINE * tier
    foot = frame.y + frame.height
    is_right = x + _LETTER * len(event.words) > WIDTH - _RIGHT
    yield tag("line", class_="across", x1=x, x2=x, y1=y - 10, y2=foot)
    yield text(event.words, x - 4 if is_right else x + 4, y, anchor="end" if is_right else "start")


def _legend(tones: dict[str, str], *, are_dots: bool = False) -> list[Markup]:
    parts: list[Markup] = []
    x, y = _LEFT, _PAD + 8
    for name, tone in tones.items():
        end = x + (2 * _DOT if are_dots else 30)
        if are_dots:
            parts.append(tag("circle", class_=f"dot {tone}", cx=x + _DOT, cy=y, r=_DOT))
        else:
            look = {"class_": f"line {tone}", "stroke_dasharray": TONES[tone] or None}
            parts.append(tag("line", x1=x, x2=end, y1=y, y2=y, **look))
        parts.append(text(name, end + 6, y + 4))
        x = end + 6 + _LETTER * len(name) + 16
    return parts


def text(
    words: str, x: float, y: float, *, anchor: str | None = None, kind: str | None = None
) -> Markup:
    """Write words; `anchor` and `kind` are attributes of SVG and classes of `_style`."""
    return tag("text", words, x=round(x, 1), y=round(y, 1), text_anchor=anchor, class_=kind)


def svg(title: str, description: str, height: float, parts: Iterable[Markup]) -> str:
    """Make a drawing `WIDTH` wide of its parts."""
    drawn = tag(
        "svg",
        tag("title", title),
        tag("desc", description),
        tag("style", _style()),
        tag("rect", class_="ground", width=WIDTH, height=height),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        width=WIDTH,
        height=height,
    )
    return drawn.replace("><", ">\n<") + "\n"


def _style() -> Markup:
    def variables(colours: dict[str, str]) -> str:
        names = ("ground", "line", "text", "muted", *TONES)
        return "".join(f"--{name}:{colours[name]};" for name in dict.fromkeys(names))

    tones = "".join(f".{tone}{{stroke:var(--{tone});fill:var(--{tone})}}" for tone in TONES)
    return Markup(
        f":root{{{variables(LIGHT)}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{variables(DARK)}}}}}"
        f"{tones}.ground{{fill:var(--ground)}}"
        "text{font:12px Arial,Liberation Sans,Helvetica,sans-serif;fill:var(--text)}"
        ".strong{font-weight:600}"
        ".strong,.over{paint-order:stroke;stroke:var(--ground);stroke-width:4px}"
        ".grid{stroke:var(--line);stroke-width:1;opacity:.5}"
        ".across{stroke:var(--muted);stroke-width:1;stroke-dasharray:2 3}"
        ".line{fill:none;stroke-width:1.8}.dot{fill-opacity:.45}.bar{fill-opacity:.35}"
    )
