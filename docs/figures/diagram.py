# ruff: noqa: INP001 - run from the root of the repository; part of no package
"""Draws a state machine: boxes at places chosen by hand, and arrows with a number each."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from docs.figures.drawing import svg, text

from surgetank.rehearsal.drill.report.markup import Markup, tag

_HALF_WIDTH, _HALF_HEIGHT = 50.0, 15.0
_BOTH_WAYS = 16.0
"""How far an arrow bends where another leads back, in px."""
_HEAD = 8.0
_LOOP = 26.0
"""How far an arrow leaves a state that it leads back to, in px."""


class Box(NamedTuple):
    """A state."""

    x: float
    """Of its middle."""
    y: float
    tone: str
    """One of `drawing.TONES`; arrows that lead here have it too."""
    loop: float = 90.0
    """Where an arrow to itself leaves, in degrees: 0 is to the right, 90 up."""


class Arrow(NamedTuple):
    """A change of state."""

    before: str
    after: str
    number: int


class Way(NamedTuple):
    """How an arrow is led where a straight line would not do."""

    bend: float = 0.0
    """How far its middle stands off to the right of who goes along it, in px."""
    at: float = 0.5
    """Where on it its number stands, from 0 to 1."""


class Machine(NamedTuple):
    """A state machine, and where it is drawn."""

    title: str
    x: float
    y: float
    """Of the title."""
    boxes: Mapping[str, Box]
    arrows: Iterable[Arrow]
    ways: Mapping[tuple[str, str], Way]


def draw(title: str, description: str, machines: Iterable[Machine], *, height: float) -> str:
    """Draw state machines.

    Raises:
        KeyError: An arrow leads from or to a state that has no place.
    """
    parts = list[Markup]()
    for machine in machines:
        parts.append(text(machine.title, machine.x, machine.y, kind="strong"))
        arrows = list(machine.arrows)
        pairs = {(arrow.before, arrow.after) for arrow in arrows}
        led = [(arrow, _way(machine, arrow, pairs)) for arrow in arrows]
        parts += [part for arrow, way in led for part in _arrow(machine, arrow, way)]
        parts += [part for name, box in machine.boxes.items() for part in _box(name, box)]
        parts += [_number(machine, arrow, way) for arrow, way in led]
    return svg(title, description, height, parts)


def _way(machine: Machine, arrow: Arrow, pairs: set[tuple[str, str]]) -> Way:
    is_both_ways = (arrow.after, arrow.before) in pairs
    usual = Way(_BOTH_WAYS if is_both_ways else 0.0)
    return machine.ways.get((arrow.before, arrow.after), usual)


def _box(name: str, box: Box) -> Iterable[Markup]:
    yield tag(
        "rect",
        class_=f"bar {box.tone}",
        x=box.x - _HALF_WIDTH,
        y=box.y - _HALF_HEIGHT,
        width=2 * _HALF_WIDTH,
        height=2 * _HALF_HEIGHT,
        rx=6,
    )
    yield text(name, box.x, box.y + 4, anchor="middle")


class _Curve(NamedTuple):
    """A cubic curve by its four points, x and y as one complex number each."""

    begin: complex
    first: complex
    second: complex
    end: complex

    def at(self, share: float) -> complex:
        """Give the point at a share of the way."""
        left = 1 - share
        return (
            left**3 * self.begin
            + 3 * left**2 * share * self.first
            + 3 * left * share**2 * self.second
            + share**3 * self.end
        )


def _curve(machine: Machine, arrow: Arrow, way: Way) -> _Curve:
    box, other = machine.boxes[arrow.before], machine.boxes[arrow.after]
    middle, last = complex(box.x, box.y), complex(other.x, other.y)
    if arrow.before == arrow.after:
        first, second = (middle + _out(box.loop + turn) for turn in (18, -18))
        return _Curve(_edge(middle, first), first, second, _edge(middle, second))
    aside = (last - middle) / abs(last - middle) * 1j * way.bend * 4 / 3
    first, second = middle + (last - middle) / 3 + aside, middle + (last - middle) * 2 / 3 + aside
    begin, end = _edge(middle, first), _edge(last, second)
    return _Curve(begin, begin + (end - begin) / 3 + aside, end + (begin - end) / 3 + aside, end)


def _out(degrees: float) -> complex:
    """Give a point some way off a box, from its middle."""
    width, height = _HALF_WIDTH + _LOOP, _HALF_HEIGHT + _LOOP
    angle = math.radians(degrees)
    return complex(math.cos(angle) * width, -math.sin(angle) * height)


def _edge(middle: complex, towards: complex) -> complex:
    """Give the point where a box's edge is left towards another point."""
    away = towards - middle
    scale = max(abs(away.real) / _HALF_WIDTH, abs(away.imag) / _HALF_HEIGHT)
    return middle + away / scale


def _arrow(machine: Machine, arrow: Arrow, way: Way) -> Iterable[Markup]:
    curve = _curve(machine, arrow, way)
    tone = machine.boxes[arrow.after].tone
    points = " ".join(_point(each) for each in curve[1:])
    yield tag("path", class_=f"line {tone}", d=f"M{_point(curve.begin)}C{points}")
    back = curve.at(0.94) - curve.end
    back *= _HEAD / abs(back)
    corners = (curve.end, curve.end + back * (1 + 0.4j), curve.end + back * (1 - 0.4j))
    outline = "L".join(_point(each) for each in corners)
    yield tag("path", class_=tone, d=f"M{outline}Z")


def _number(machine: Machine, arrow: Arrow, way: Way) -> Markup:
    at = _curve(machine, arrow, way).at(way.at)
    return text(str(arrow.number), at.real, at.imag + 4, anchor="middle", kind="over")


def _point(at: complex) -> str:
    return f"{at.real:.1f} {at.imag:.1f}"
