"""Drawing time from left to right: lanes above one another, events across them, one axis.

Everything is static SVG with words beside the marks, so that no colour carries a meaning alone.
Lengths are in units of the drawing, which are pixels at its natural size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from surgetank.rehearsal.drill.outage import Outage
from surgetank.rehearsal.drill.report.markup import Attribute, Markup, coordinate, tag
from surgetank.rehearsal.drill.wording import day, printable

CHARACTER = 6.4
"""Width of a letter of Arial, bold, at the drawings' 12 px, about; texts must not meet."""
_TICKS_S = (300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
_TICK_ROOM = 58.0
_DAY_S = 86_400.0
_STRIP = 22.0
"""Height above a lane's plot for its outages and what is said of them."""
_HEAD = 18.0
_GAP = 12.0
_TIER = 17.0
_SCALE_ROOM = 70.0
_TWO_LINES = 30.0
"""Height of a lane that has room for its title and its subtitle beside it."""


class Level(NamedTuple):
    """A value that held from one instant to another; None where there was none."""

    start_at: float
    end_at: float
    share: float | None
    """Of the lane's height, from 0 to 1."""


class Lane(NamedTuple):
    """One quantity over time."""

    title: str
    subtitle: str
    tone: str
    """A class of the style sheet: reads, creates, or a region's."""
    height: float
    levels: Sequence[Level]
    top: str
    """What the top of the lane stands for."""
    outages: Sequence[Outage] = ()
    published: tuple[float | None, float | None] = (None, None)
    note: str = ""
    """Said beside the outages."""


class Event(NamedTuple):
    """Something that happened, with what to write beside it."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Frame:
    """Where time lies on a drawing."""

    width: float
    left: float
    """Room for the lanes' titles; 0 puts them above the lanes."""
    right: float
    start_at: float
    end_at: float

    def x(self, at: float) -> float:
        """Where an instant lies; one outside lies on the edge."""
        share = (at - self.start_at) / (self.end_at - self.start_at)
        return self.left + max(0.0, min(1.0, share)) * (self.width - self.left - self.right)

    def place(self, x: float, words: str) -> float:
        """Where words must start so as to begin at `x` and yet end on the drawing."""
        return max(0.0, min(x, self.width - CHARACTER * len(words)))


def timeline(
    frame: Frame, lanes: Sequence[Lane], events: Sequence[Event]
) -> tuple[float, list[Markup]]:
    """Draw lanes below one another, with events across and the time below.

    Returns:
        The height of the drawing, and its parts.
    """
    flags, y = _flags(frame, events)
    top = y
    parts: list[Markup] = []
    for lane in lanes:
        drawn, y = _lane(frame, lane, y)
        parts.append(drawn)
    bottom = y - _GAP
    lines = [
        tag("line", class_="event", x1=frame.x(at), x2=frame.x(at), y1=flag_y - 10, y2=bottom)
        for at, flag_y in ((event.at, flag_y) for event, flag_y, _ in flags)
    ]
    labels = [
        tag("text", event.label, class_="flag", x=x + 4, y=flag_y) for event, flag_y, x in flags
    ]
    return bottom + 34, [*_axis(frame, top, bottom), *lines, *parts, *labels]


def svg(
    name: str,
    title: str,
    description: str,
    *,
    size: tuple[float, float],
    parts: Sequence[Markup],
    **attributes: Attribute,
) -> Markup:
    """Wrap a drawing, with a title and a description for those who do not see it.

    Args:
        name: Unique on the page.
        title: What it is.
        description: What it shows, with its figures.
        size: Width and height.
        parts: In order of drawing.
        attributes: Further ones, as `tag` takes them.
    """
    width, height = size
    return tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", description, id=f"{name}-desc"),
        *parts,
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        viewBox=f"0 0 {coordinate(width)} {coordinate(height)}",
        width=width,
        height=height,
        **attributes,
    )


def cut(words: str, room: float) -> str:
    """Cut words to the room that they have."""
    letters = max(4, int(room / CHARACTER))
    words = printable(words)
    return words if len(words) <= letters else words[: letters - 1] + "…"


def _flags(frame: Frame, events: Sequence[Event]) -> tuple[list[tuple[Event, float, float]], float]:
    """Place the events' labels in tiers, the last event lowest, so that no line meets a label.

    Returns:
        Events with the y of their label's foot and its x, and the y below all.
    """
    edges: list[float] = []
    tiers: list[tuple[Event, int, float]] = []
    for event in sorted(events, key=lambda one: -one.at):
        x = frame.place(frame.x(event.at), event.label + "  ")
        end = x + CHARACTER * (len(event.label) + 2)
        tier = next((index for index, edge in enumerate(edges) if end <= edge), len(edges))
        # The line down from this label passes all lower tiers: nothing may be written across it.
        edges = [x] * (tier + 1) + edges[tier + 1 :]
        tiers.append((event, tier, x))
    foot = _TIER * len(edges)
    return [(event, foot - _TIER * tier, x) for event, tier, x in tiers], foot + _GAP


def _lane(frame: Frame, lane: Lane, y: float) -> tuple[Markup, float]:
    """Draw a lane from `y` on; also gives the y below it."""
    is_above = frame.left == 0
    begin = y + (_HEAD if is_above else 0.0)
    plot = begin + (_STRIP if lane.note else 0.0)
    foot = plot + lane.height
    parts = [
        *_published(frame, lane, begin, foot),
        _levels(frame, lane.levels, plot=plot, foot=foot),
        tag("line", class_="base", x1=frame.left, x2=frame.width - frame.right, y1=foot, y2=foot),
        *_outages(frame, lane, begin),
        *_titles(frame, lane, y=y, plot=plot, foot=foot),
    ]
    return tag("g", *parts, class_=lane.tone), foot + _GAP


def _titles(frame: Frame, lane: Lane, *, y: float, plot: float, foot: float) -> list[Markup]:
    if frame.left == 0:
        words = cut(f"{lane.title}, {lane.subtitle}", frame.width - _SCALE_ROOM)
        parts = [tag("text", words, class_="lane", x=0, y=y + 12)]
        if lane.top:
            scale = f"0 to {lane.top}"
            parts.append(tag("text", scale, class_="muted end", x=frame.width, y=y + 12))
        return parts
    room = frame.left - 8
    middle = (plot + foot) / 2
    if lane.height < _TWO_LINES:
        return [tag("text", cut(lane.title, room), class_="lane", x=0, y=foot - 3)]
    parts = [tag("text", cut(lane.title, room), class_="lane", x=0, y=middle - 1)]
    parts.append(tag("text", cut(lane.subtitle, room), class_="muted", x=0, y=middle + 14))
    if lane.top:
        x = frame.left - 6
        parts.append(tag("text", lane.top, class_="muted end", x=x, y=plot + 9))
        parts.append(tag("text", "0", class_="muted end", x=x, y=foot))
    return parts


def _published(frame: Frame, lane: Lane, begin: float, foot: float) -> list[Markup]:
    start, end = lane.published
    if start is None:
        return []
    x = frame.x(start)
    if end is None:
        return [tag("line", class_="published", x1=x, x2=x, y1=begin, y2=foot)]
    width = frame.x(end) - x
    return [tag("rect", class_="published", x=x, y=begin, width=width, height=foot - begin)]


def _outages(frame: Frame, lane: Lane, begin: float) -> list[Markup]:
    bars = [
        tag(
            "rect",
            class_="outage",
            x=frame.x(one.start_at),
            y=begin + 16,
            width=max(1.5, frame.x(one.end_at) - frame.x(one.start_at)),
            height=5,
        )
        for one in lane.outages
    ]
    if not lane.note:
        return bars
    known = [one.start_at for one in lane.outages] or [
        at for at in lane.published if at is not None
    ]
    x = frame.place(frame.x(min(known, default=frame.start_at)), lane.note)
    return [*bars, tag("text", lane.note, class_="note", x=x, y=begin + 11)]


def _levels(frame: Frame, levels: Sequence[Level], *, plot: float, foot: float) -> Markup:
    """Draw steps as one path: every stretch starts and ends on the base line."""
    path: list[str] = []
    held_until: float | None = None
    for level in levels:
        if level.share is None:
            if held_until is not None:
                path.append(f"V{coordinate(foot)}")
            held_until = None
            continue
        x, until = frame.x(level.start_at), frame.x(level.end_at)
        if held_until is None:
            path.append(f"M{coordinate(x)} {coordinate(foot)}")
        y = foot - max(0.0, min(1.0, level.share)) * (foot - plot)
        path.append(f"V{coordinate(y)}H{coordinate(until)}")
        held_until = until
    if held_until is not None:
        path.append(f"V{coordinate(foot)}")
    return tag("path", class_="levels", d="".join(path) or "M0 0")


def _axis(frame: Frame, top: float, bottom: float) -> list[Markup]:
    span_s = frame.end_at - frame.start_at
    ticks_max = max(2.0, (frame.width - frame.left - frame.right) / _TICK_ROOM)
    fitting = (step for step in _TICKS_S if span_s / step <= ticks_max)
    step_s = next(fitting, _DAY_S * ceil(span_s / _DAY_S / ticks_max))
    at = ceil(frame.start_at / step_s) * step_s
    parts: list[Markup] = []
    while at <= frame.end_at:
        parts += _tick(frame, at, top, bottom, is_first=not parts)
        at += step_s
    return parts


def _tick(frame: Frame, at: float, top: float, bottom: float, *, is_first: bool) -> list[Markup]:
    x = frame.x(at)
    hour = at % _DAY_S / 3600
    words = f"{int(hour):02d}:{round(hour % 1 * 60):02d}"
    anchor = "middle"
    if x < CHARACTER * 3:
        anchor = "start"
    elif x > frame.width - CHARACTER * 3:
        anchor = "end"
    parts = [
        tag("line", class_="grid", x1=x, x2=x, y1=top, y2=bottom),
        tag("text", words, class_="muted", x=x, y=bottom + 15, text_anchor=anchor),
    ]
    if is_first or hour == 0:
        words = f"{day(at)}, UTC" if is_first else day(at)
        parts.append(tag("text", words, class_="muted", x=x, y=bottom + 29, text_anchor=anchor))
    return parts
