"""The drawing shows a row for each law, a dot for each world, and one run second by second."""

import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest

from surgetank.rehearsal.drain.bench import Second, Task, Timeline
from surgetank.rehearsal.drain.document import Document
from surgetank.rehearsal.drain.plot import BINS_MAX, render
from surgetank.rehearsal.drain.summary import Case, Run, build
from surgetank.rehearsal.drain.world import World

SVG = "{http://www.w3.org/2000/svg}"
BYTES_MAX = 60_000
"""What a drawing of the documentation may have."""
NAMES = {0: "trickle", 2: "cruise"}

MakeRun = Callable[..., Run]


@pytest.fixture
def document(world: Callable[..., World], run: MakeRun) -> Document:
    cases = [Case(f"w-{index}", world(), [1], 10**6) for index in range(5)]
    runs = [
        run(law=law, world=f"w-{index}", drained_s=None if index == 4 else 110.0 + index)
        for law in ("pi", "aimd+breaker")
        for index in range(5)
    ]
    return build(cases, runs)


@pytest.fixture
def timeline(world: Callable[..., World], run: MakeRun) -> Timeline:
    one = world(title='Plain & "simple"', backlog=70 * 900)
    seconds = [second(index) for index in range(900)]
    return Timeline(Task("pi", "w-4", one, 1, 10**6), run(law="pi", world="w-4"), seconds, NAMES)


def second(at: int) -> Second:
    return Second(
        sent=101.0,
        ok=100.0,
        backlog_ok=70.0,
        wait_s=0.1,
        capacity_per_s=100.0,
        alive_ratio=1.0,
        fresh_failed=float(at % 2),
        mode=float(at // 300),
        in_flight_max=10.0,
        rate_per_s=1e9,
    )


def texts(drawn: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(drawn).iter(f"{SVG}text")]  # noqa: S314 - ours


def paths(drawn: str, kind: str) -> list[str]:
    root = ET.fromstring(drawn)  # noqa: S314 - ours
    return [one.attrib["d"] for one in root.iter(f"{SVG}path") if one.get("class") == kind]


def test_every_law_has_a_row_with_its_figures(document: Document) -> None:
    found = texts(render(document))
    assert found[found.index("pi") :][:3] == ["pi", "80%", "4.000"]
    assert "aimd+breaker" in found


def test_every_world_is_a_dot_and_what_was_not_drained_another(document: Document) -> None:
    drawn = render(document)
    assert [path.count("h0") for path in paths(drawn, "dots muted")] == [4, 4]
    assert [path.count("h0") for path in paths(drawn, "dots bad")] == [1, 1]


def test_it_says_in_words_what_it_shows(document: Document) -> None:
    root = ET.fromstring(render(document))  # noqa: S314 - ours
    assert [one.tag for one in root[:2]] == [f"{SVG}title", f"{SVG}desc"]
    assert root[1].text == (
        "5 worlds, each a dot for each law: pi drains 80%, median 1.120, p90 4.000; "
        "aimd+breaker drains 80%, median 1.120, p90 4.000."
    )


def test_it_needs_nothing_else_and_has_colours_for_light_and_dark(document: Document) -> None:
    drawn = render(document)
    assert ":root{--ground:" in drawn
    assert "@media (prefers-color-scheme:dark){:root{--ground:" in drawn
    assert re.findall(r"https?://[^\"]*", drawn) == ["http://www.w3.org/2000/svg"]


def test_equal_benches_give_equal_drawings(document: Document, timeline: Timeline) -> None:
    assert render(document, timeline) == render(document, timeline)


def test_a_timeline_shows_rates_backlog_wait_failures_and_modes(
    document: Document, timeline: Timeline
) -> None:
    drawn = render(document, timeline)
    found = texts(drawn)
    assert 'pi in w-4 (Plain & "simple"), seed 1; means of 5 s' in found
    for title in ("calls a second", "backlog left", "seconds of wait; callers give up after 2",
                  "fresh operations that fail, a second", "mode of the law"):  # fmt: skip
        assert title in found
    rows = found.index("mode of the law") + 1
    assert found[rows : rows + 3] == ["trickle", "mode 1", "cruise"]


def test_the_backlog_goes_down_to_nothing(document: Document, timeline: Timeline) -> None:
    drawn = render(document, timeline)
    lines = paths(drawn, "line blue")
    (backlog,) = (path for path in lines if path.count("V") > BINS_MAX / 2)
    heights = [float(y) for y in re.findall(r"V([0-9.]+)", backlog)]
    assert heights == sorted(heights)
    assert heights[-1] - heights[0] == pytest.approx(68 * 63 / 80, abs=1.5)


def test_a_run_of_many_seconds_is_drawn_in_few_bins(document: Document, timeline: Timeline) -> None:
    drawn = render(document, timeline._replace(seconds=[second(at) for at in range(20_000)]))
    assert max(path.count("V") for path in paths(drawn, "line blue")) <= BINS_MAX
    assert len(drawn) <= BYTES_MAX


def test_a_run_of_no_second_is_a_heading(document: Document, timeline: Timeline) -> None:
    found = texts(render(document, timeline._replace(seconds=[])))
    assert found[-1].startswith("pi in w-4")


def test_all_laws_in_all_worlds_make_a_small_drawing(
    world: Callable[..., World], run: MakeRun
) -> None:
    cases = [Case(f"w-{index}", world(), [1], 10**6) for index in range(100)]
    runs = [
        run(law=f"law-{law}", world=f"w-{index}", drained_s=101.1 + 2.7 * index)
        for law in range(26)
        for index in range(100)
    ]
    assert len(render(build(cases, runs))) <= BYTES_MAX
