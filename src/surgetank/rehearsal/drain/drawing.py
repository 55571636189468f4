"""SVG drawings that stand by themselves: scales, lines, steps and dots; light and dark.

A drawing brings its own ground and follows the reader's preference, so that it can be read on any
page. Lines differ in dash as well as in colour. Text is escaped by the writer of the markup.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple
from xml.etree import ElementTree as ET

WIDTH = 900.0
LINE = 18.0
"""Height of a line of text."""
LETTER = 6.6
"""Width of a letter at 12 px, about."""

LIGHT: Mapping[str, str] = MappingProxyType(
    {
        "ground": "#ffffff",
        "line": "#c9ced6",
        "text": "#1b1f24",
        "muted": "#525a66",
        "blue": "#0a58a6",
        "orange": "#9a4500",
        "good": "#176b37",
        "bad": "#b3261e",
    }
)
DARK: Mapping[str, str] = MappingProxyType(
    {
        "ground": "#14171c",
        "line": "#49515d",
        "text": "#e8eaed",
        "muted": "#adb5c0",
        "blue": "#8cc2ff",
        "orange": "#ffb073",
        "good": "#7ddc9c",
        "bad": "#ff9d94",
    }
)
"""Colours of text stand at least 4.5:1 out from the ground; a test measures it."""
DASHES: Mapping[str, str] = MappingProxyType(
    {"blue": "", "good": "2 3", "orange": "6 3", "muted": "9 3 2 3", "bad": ""}
)
"""Tones for lines, each with a dash of its own."""

Point = tuple[float, float]


class Line(NamedTuple):
    """One quantity over time."""

    name: str
    tone: str
    """One of `DASHES`."""
    values: Sequence[float]
    """One for each bin of time."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where values lie on a drawing; what lies outside is drawn on the edge."""

    left: float
    right: float
    y: float
    """Of the upper edge."""
    height: float
    low: float
    high: float
    """Of the values from left to right."""
    top: float = 1.0
    """The highest value; the lowest is 0."""
    is_log: bool = False
    """Whether equal ratios are equally far apart from left to right."""

    def x(self, value: float) -> float:
        """Give the place of a value from left to right."""
        low, high = self.low, self.high
        inside = min(high, max(low, value))
        if self.is_log:
            share = math.log(inside / low) / math.log(high / low)
        else:
            share = (inside - low) / (high - low)
        return self.left + (self.right - self.left) * share

    def over(self, value: float) -> float:
        """Give the place of a value from bottom to top."""
        return self.foot - self.height * min(1.0, max(0.0, value / self.top))

    @property
    def foot(self) -> float:
        """The lower edge."""
        return self.y + self.height


def tag(name: str, text: str = "", /, **attributes: str | float | None) -> ET.Element:
    """Make an element; `class_` is written `class`, `_` becomes a hyphen, None is left out."""
    pairs = {
        key.rstrip("_").replace("_", "-"): value if isinstance(value, str) else number(value)
        for key, value in attributes.items()
        if value is not None
    }
    made = ET.Element(name, pairs)
    made.text = text or None
    return made


def words(
    text: str, x: float, y: float, *, anchor: str | None = None, kind: str | None = None
) -> ET.Element:
    """Write text."""
    return tag("text", text, x=x, y=y, text_anchor=anchor, class_=kind)


def number(value: float) -> str:
    """Write a coordinate: to a tenth of a pixel, without idle zeros."""
    return f"{value:.1f}".removesuffix(".0")


def rule(x1: float, y1: float, x2: float, y2: float, *, kind: str) -> ET.Element:
    """Draw one straight line."""
    return tag("line", class_=kind, x1=x1, y1=y1, x2=x2, y2=y2)


def dots(points: Iterable[Point], *, tone: str) -> ET.Element:
    """Draw dots as one path of lines without length: a third of the bytes of circles."""
    path = "".join(f"M{number(x)} {number(y)}h0" for x, y in points)
    return tag("path", class_=f"dots {tone}", d=path or "M0 0")  # a path must say something


def steps(frame: Frame, line: Line) -> ET.Element:
    """Draw values each of which holds until the next."""
    width = (frame.high - frame.low) / max(1, len(line.values))
    heights = [number(frame.over(value)) for value in line.values]
    path = [f"M{number(frame.left)} {heights[0]}"] if heights else []
    for index, (before, height) in enumerate(pairwise(heights), start=1):
        if height != before:
            path.append(f"H{number(frame.x(frame.low + width * index))}V{height}")
    path.append(f"H{number(frame.right)}" if heights else "M0 0")
    dash = DASHES[line.tone] or None
    return tag("path", class_=f"line {line.tone}", d="".join(path), stroke_dasharray=dash)


def legend(tones: Mapping[str, str], x: float, y: float) -> list[ET.Element]:
    """Say which line is which."""
    parts: list[ET.Element] = []
    for name, tone in tones.items():
        sample = tag(
            "line", class_=f"line {tone}", x1=x, y1=y - 4, x2=x + 24, y2=y - 4,
            stroke_dasharray=DASHES[tone] or None,
        )  # fmt: skip
        parts += [sample, words(name, x + 30, y)]
        x += 30 + LETTER * len(name) + 16
    return parts


def scale_step(top: float, *, ticks_max: int = 4) -> float:
    """Give a round step, of 1, 2 or 5 times a power of ten, that cuts `top` into few parts."""
    least = top / ticks_max
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * 0.999)


def svg(title: str, description: str, height: float, parts: Iterable[ET.Element]) -> str:
    """Put a drawing together; `description` says in words what it shows."""
    drawn = tag(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        viewBox=f"0 0 {number(WIDTH)} {number(height)}",
        width=WIDTH,
        height=height,
    )
    drawn.extend([tag("title", title), tag("desc", description), tag("style", _style())])
    drawn.append(tag("rect", class_="ground", width=WIDTH, height=height))
    drawn.extend(parts)
    ET.indent(drawn, "")
    return ET.tostring(drawn, encoding="unicode") + "\n"


def _style() -> str:
    tones = "".join(f".{tone}{{stroke:var(--{tone});fill:var(--{tone})}}" for tone in DASHES)
    return (
        f":root{{{_variables(LIGHT)}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}"
        f"{tones}.ground{{fill:var(--ground)}}"
        "text{font:12px Arial,Liberation Sans,Helvetica,sans-serif;fill:var(--text)}"
        ".strong{font-weight:600}.quiet{fill:var(--muted)}"
        ".grid{stroke:var(--line);stroke-width:1;opacity:.5}"
        ".line{fill:none;stroke-width:1.6}.mark{stroke-width:3}"
        ".dots{fill:none;stroke-width:5;stroke-linecap:round;stroke-opacity:.35}"
    )


def _variables(colours: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())
