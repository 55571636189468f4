"""Drawings put values where they belong, and can be read in light and in dark."""

from collections.abc import Mapping

import pytest

from surgetank.rehearsal.drain.drawing import (
    DARK,
    DASHES,
    LIGHT,
    Frame,
    Line,
    dots,
    number,
    scale_step,
    steps,
    svg,
    tag,
    words,
)

FRAME = Frame(left=100.0, right=200.0, y=10.0, height=50.0, low=0.0, high=10.0, top=5.0)


@pytest.mark.parametrize(("value", "x"), [(0, 100), (5, 150), (10, 200), (-1, 100), (11, 200)])
def test_a_value_lies_between_the_edges(value: float, x: float) -> None:
    assert FRAME.x(value) == x


@pytest.mark.parametrize(("value", "y"), [(0, 60), (2.5, 35), (5, 10), (-1, 60), (6, 10)])
def test_a_higher_value_lies_higher(value: float, y: float) -> None:
    assert FRAME.over(value) == y


def test_equal_ratios_are_equally_far_apart_where_asked() -> None:
    frame = Frame(0.0, 100.0, 0.0, 10.0, 1.0, 4.0, is_log=True)
    assert frame.x(2.0) == pytest.approx(50.0)


def test_a_value_holds_until_the_next_one() -> None:
    path = steps(FRAME, Line("one", "blue", [0, 0, 5, 2.5])).get("d")
    assert path == "M100 60H150V10H175V35H200"


def test_a_line_without_values_is_drawn_nowhere() -> None:
    assert steps(FRAME, Line("none", "blue", [])).get("d") == "M0 0"
    assert dots([], tone="blue").get("d") == "M0 0"


def test_dots_are_one_path() -> None:
    assert dots([(1.0, 2.0), (3.26, 4.0)], tone="blue").get("d") == "M1 2h0M3.3 4h0"


@pytest.mark.parametrize(
    ("top", "step"), [(1.0, 0.5), (4.0, 1.0), (1_000.0, 500.0), (0.7, 0.2), (2e6, 500_000.0)]
)
def test_a_scale_has_round_steps(top: float, step: float) -> None:
    assert scale_step(top) == pytest.approx(step)


def test_text_is_escaped() -> None:
    drawn = svg("a < b", "c & d", 10.0, [words("</text><script>", 1.0, 2.0)])
    assert "<script>" not in drawn
    assert "&lt;/text&gt;&lt;script&gt;" in drawn


def test_what_is_none_is_left_out() -> None:
    assert tag("line", x1=1.0, stroke_dasharray=None, class_="grid").attrib == {
        "x1": "1",
        "class": "grid",
    }


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1"), (1.26, "1.3"), (0.04, "0"), (100.0, "100")]
)
def test_coordinates_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_every_tone_has_a_dash_of_its_own_but_the_plain_ones() -> None:
    dashed = [dash for dash in DASHES.values() if dash]
    assert len(set(dashed)) == len(dashed)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["text", "muted", "blue", "orange", "good", "bad"])
def test_every_colour_stands_out_from_the_ground(colours: Mapping[str, str], name: str) -> None:
    lighter, darker = sorted((luminance(colours[name]), luminance(colours["ground"])))[::-1]
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.1."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
