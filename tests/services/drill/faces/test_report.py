"""The page is whole, stands alone, quotes safely, and shows everything that was measured."""

import base64
import hashlib
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from math import isfinite
from typing import Any

import pytest

from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.report import render
from surgetank.rehearsal.drill.report.style import DARK, LIGHT
from surgetank.rehearsal.drill.result import build_result
from surgetank.rehearsal.scenario.schema import Scenario

VOID = {"meta", "link", "br", "wbr"}
HOSTILE = "<script>alert(1)</script>\"'&<svg onload=x>"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
GEOMETRY = ("x", "y", "x1", "x2", "y1", "y2", "width", "height", "d", "viewbox")
CONTRAST_MIN = 4.5
FLIPS: list[dict[str, Any]] = [
    {
        "figure": "guessed",
        "assumed": 0.5,
        "low": 0.25,
        "high": 1,
        "flips_below": 0.3,
        "flips_above": None,
        "because": "nobody: no outage",
        "because_below": "nobody: no outage",
        "because_above": None,
    },
    {
        "figure": "other",
        "assumed": 2,
        "low": -1,
        "high": 3,
        "flips_below": None,
        "flips_above": None,
    },
]


@dataclass(slots=True)
class Element:
    name: str
    attributes: dict[str, str]
    parts: list["Element | str"] = field(default_factory=list["Element | str"])

    @property
    def children(self) -> list["Element"]:
        return [part for part in self.parts if isinstance(part, Element)]

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    def all(self, *names: str) -> Iterator["Element"]:
        for child in self.children:
            if child.name in names or not names:
                yield child
            yield from child.all(*names)


class Page(HTMLParser):
    """Reads a page, and insists that what is opened is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self._open = [self.root]
        self.feed(text)
        self.close()
        assert self._open == [self.root], "everything is closed at the end"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"{tag} repeats an attribute"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].parts.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().name == tag, f"{tag} is closed out of order"

    def handle_data(self, data: str) -> None:
        self._open[-1].parts.append(data)

    def all(self, *names: str) -> list[Element]:
        return list(self.root.all(*names))


def page_of(
    scenario: Scenario, runs: Sequence[Run], command: str = "surgetank drill small"
) -> Page:
    return Page(render(scenario, runs, build_result(scenario, runs), command=command))


def table_of(page: Page, name: str) -> Element:
    return next(
        table
        for table in page.all("table")
        if any(one.attributes.get("id") == f"{name}-caption" for one in table.children)
    )


@pytest.fixture
def page(scenario: Scenario, runs: list[Run]) -> Page:
    return page_of(scenario, runs)


def test_the_document_is_whole(scenario: Scenario, runs: list[Run], page: Page) -> None:
    text = render(scenario, runs, build_result(scenario, runs), command="c")
    assert text.startswith('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">')
    assert next(iter(page.all("title"))).text == "A small outage: Surgetank drill"
    assert [one.name for one in page.root.children] == ["html"]


def test_every_id_is_unique_and_every_reference_has_one(page: Page) -> None:
    ids = [one.attributes["id"] for one in page.all() if "id" in one.attributes]
    named = [one.attributes.get("aria-labelledby", "").split() for one in page.all()]
    linked = [one.attributes["href"][1:] for one in page.all("a")]
    assert len(ids) == len(set(ids))
    assert {name for names in named for name in names} | set(linked) <= set(ids)


def test_headings_go_down_one_level_at_a_time(page: Page) -> None:
    levels = [int(one.name[1]) for one in page.all("h1", "h2", "h3", "h4")]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))


def test_nothing_is_fetched(page: Page) -> None:
    assert page.all("iframe", "img", "object", "embed", "form", "base") == []
    for one in page.all():
        assert not any(name.startswith("on") for name in one.attributes)
        assert not {"src", "style"} & one.attributes.keys()
        assert one.attributes.get("href", "#").startswith(("#", "data:,"))
    styles = "".join(one.text for one in page.all("style"))
    assert not any(word in styles for word in ("url(", "@import", "<"))


def test_nothing_runs_but_what_the_policy_names_by_its_hash(page: Page) -> None:
    (policy,) = [
        one.attributes["content"] for one in page.all("meta") if "http-equiv" in one.attributes
    ]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    running = [one for one in page.all("script") if "type" not in one.attributes]
    for one in [*running, *page.all("style")]:
        digest = base64.b64encode(hashlib.sha256(one.text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_whatever_a_file_says_is_text(
    make_scenario: Callable[..., Scenario], runs: list[Run]
) -> None:
    plain = make_scenario()
    titled = {name: {**one.model_dump(), "title": HOSTILE} for name, one in plain.variants.items()}
    regions = {
        name: {**one.model_dump(), "title": HOSTILE} for name, one in plain.cloud.regions.items()
    }
    scenario = make_scenario(
        title=HOSTILE,
        variants=titled,
        cloud={**plain.cloud.model_dump(), "regions": regions},
        figures={HOSTILE: {"value": 1, "assumed": HOSTILE, "range": [0, 2]}},
        timeline=[{**one.model_dump(), "title": HOSTILE} for one in plain.timeline],
        published=[
            {**one.model_dump(), "name": HOSTILE, "source": HOSTILE} for one in plain.published
        ],
    )
    acted = [
        run._replace(acted=[(at, HOSTILE, where) for at, _, where in run.acted]) for run in runs
    ]
    page = page_of(scenario, acted, command=HOSTILE)
    ours = [one.text for one in page.all("script") if one.attributes.get("type") is None]
    assert ours == [one.text for one in page_of(plain, runs).all("script")[-len(ours) :]]
    assert not any("onload" in one.attributes for one in page.all())
    assert next(iter(page.all("h1"))).text.startswith(HOSTILE)
    assert HOSTILE in [one.text for one in page.all("code")]


def test_every_variant_and_every_metric_is_there(page: Page, runs: list[Run]) -> None:
    table = table_of(page, "metrics")
    heads = [one.text for one in table.all("th") if one.attributes["scope"] == "col"]
    assert heads == ["metric", "nobody", "you, 1%", "everybody: all"]
    codes = {one.text.partition("@")[0] for one in table.all("code")}
    assert codes == set(runs[0].metrics)
    assert {"nobody", "you, 1%", "everybody: all"} == {one.text for one in page.all("h3")}


def test_a_metric_that_some_variants_lack_is_never_there(page: Page) -> None:
    rows = [one.text for one in table_of(page, "metrics").all("tr")]
    row = next(one for one in rows if one.startswith("published_error_s@tokens fail"))
    assert row.endswith("-0h04-0h04never")


def test_tables_say_what_they_are_and_which_cells_head_others(page: Page) -> None:
    for table in page.all("table"):
        assert table.children[0].name == "caption"
        assert all(one.attributes["scope"] in {"row", "col"} for one in table.all("th"))
        widths = {len(list(row.all("th", "td"))) for row in table.all("tr")}
        assert len(widths) == 1


def test_boxes_that_scroll_can_be_reached_by_keyboard(page: Page) -> None:
    boxes = [one for one in page.all("div") if "box" in one.attributes.get("class", "").split()]
    assert len(boxes) == len(page.all("table"))
    for one in [*boxes, *page.all("pre")]:
        assert one.attributes["tabindex"] == "0"
    assert all(one.attributes["role"] == "region" for one in boxes)


def test_drawings_say_what_they_show(page: Page) -> None:
    for drawing in page.all("svg"):
        if "aria-hidden" in drawing.attributes:
            continue  # the words beside it say the same
        assert drawing.attributes["role"] == "img"
        assert [one.name for one in drawing.children[:2]] == ["title", "desc"]
        assert all(one.text for one in drawing.children[:2])


def test_drawings_keep_to_their_frame(page: Page) -> None:
    for drawing in page.all("svg"):
        width, height = (float(drawing.attributes[name]) for name in ("width", "height"))
        for one in drawing.all():
            geometry = {name: one.attributes[name] for name in GEOMETRY if name in one.attributes}
            assert not re.search(r"nan|inf|None|e[+-]", " ".join(geometry.values()))
            for text in geometry.values():
                assert all(isfinite(float(found)) for found in NUMBER.findall(text))
            assert 0 <= float(geometry.get("x", 0)) <= width
            assert 0 <= float(geometry.get("y", 0)) <= height


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_short_series_are_drawn(
    scenario: Scenario, make_run: Callable[..., Run], rows: int
) -> None:
    paths = list(page_of(scenario, [make_run(rows=rows)]).all("path"))
    assert all("nan" not in one.attributes["d"] for one in paths)


def test_minutes_without_calls_are_a_gap_and_not_a_success(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    run = make_run()
    run.series.regions["north"].tokens_tried[100:120] = [0] * 20
    drawing = page_of(scenario, [run]).all("svg")[0]
    stretches = [one.attributes["d"].count("M") for one in drawing.all("path")]
    assert stretches == [1, 1, 2, 1]


def test_published_and_emergent_outages_are_both_drawn(page: Page) -> None:
    drawing = next(
        one for one in page.all("svg") if "outage-wide" in one.attributes["aria-labelledby"]
    )
    classes = [one.attributes.get("class") for one in drawing.all("rect", "line")]
    assert classes.count("outage") == 2
    assert classes.count("published") == 2
    texts = [one.text for one in drawing.all("text")]
    assert "outage 21:06-23:36 · published 21:10-23:30" in texts
    assert "outage 18:06-23:00 · published from 18:29" in texts


def test_a_published_outage_that_did_not_emerge_is_said(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    texts = [one.text for one in page_of(scenario, [make_run(tokens=None)]).all("text")]
    assert "no outage here; published 21:10-23:30" in texts


def test_an_outage_that_outlasts_the_drill_ends_with_it(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    texts = [one.text for one in page_of(scenario, [make_run(is_over=False)]).all("text")]
    assert any(one.startswith("outage 21:06-the end") for one in texts)


def test_whiskers_need_several_seeds(scenario: Scenario, make_run: Callable[..., Run]) -> None:
    def whiskers(runs: Sequence[Run]) -> int:
        paths = page_of(scenario, runs).all("path")
        return sum(one.attributes["class"] == "whisker" for one in paths)

    assert whiskers([make_run()]) == 0
    assert whiskers([make_run(seed=1), make_run(seed=2, tokens=(3, 4))]) == 2


def test_your_row_stands_above_what_it_would_have_been(page: Page) -> None:
    drawing = next(
        one for one in page.all("svg") if "bars-wide" in one.attributes["aria-labelledby"]
    )
    texts = [one.text for one in drawing.all("text")]
    at = texts.index("you, 1%")
    assert texts[at + 2] == "2h24 *"
    assert texts[at + 4] == "- your work without it"


def test_assumed_figures_come_first(page: Page) -> None:
    table = table_of(page, "figures")
    names = [one.text for one in table.all("th") if one.attributes["scope"] == "row"]
    assert names == ["guessed", "read_elsewhere"]
    assert table.children[0].text.startswith("1 of 2 figures are assumed")


def test_flip_points_stand_beside_the_figures(scenario: Scenario, runs: list[Run]) -> None:
    page = Page(
        render(scenario, runs, {**build_result(scenario, runs), "sensitivity": FLIPS}, command="c")
    )
    assert [one.text for one in table_of(page, "flips").all("tr")][1:] == [
        "guessed0.50.25 to 1below 0.3nobody: no outage",
        "other2-1 to 3not within its range",
    ]
    assert "1 of 2 assumed figures, moved alone, flip the verdict" in page.root.text
    assert len(list(table_of(page, "figures").all("tr"))) == 3


def test_a_figure_that_was_not_tried_is_not_said_to_flip_nothing(
    scenario: Scenario, runs: list[Run]
) -> None:
    moved = [FLIPS[0], {**FLIPS[1], "is_played": False}]
    page = Page(
        render(scenario, runs, {**build_result(scenario, runs), "sensitivity": moved}, command="c")
    )
    table = table_of(page, "flips")
    assert [one.text for one in table.all("tr")][2] == "other2-1 to 3not tried"
    assert table.children[0].text == (
        "1 of 1 assumed figure, moved alone, flip the verdict; "
        "1 not tried, as no variant of this verdict plays them"
    )


def test_the_command_is_there_to_be_typed_again(page: Page) -> None:
    commands = [one.text for one in page.all("pre")]
    assert commands == [
        "surgetank drill small",
        "surgetank drill small --variant nobody --seed 1",
    ]


def test_expectations_show_what_was_seen(scenario: Scenario, make_run: Callable[..., Run]) -> None:
    page = page_of(scenario, [make_run(tokens=(3.0, 3.5))])
    rows = [one.text for one in table_of(page, "expectations").all("tr")]
    assert rows[1].endswith("at least 36001800 (0h30)NO")
    assert "verdict NOT MET: 0 of 1 expectations" in " ".join(one.text for one in page.all("b"))


def test_milestones_say_how_far_off_they_are(page: Page) -> None:
    rows = {
        row[0]: row[1:]
        for row in (
            [one.text for one in tr.children] for tr in table_of(page, "milestones").all("tr")
        )
    }
    assert rows["policy blocks reads"][-2] == "scripted"
    assert rows["tokens fail"][:2] == ["21:10", "21:06"]
    assert rows["tokens fail"][4:6] == ["0h04 earlier", "emerged"]
    assert rows["tokens back"][4] == "0h06 later"


def test_milestones_that_could_not_be_seen_say_why(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    never = table_of(page_of(scenario, [make_run(tokens=None)]), "milestones")
    assert "did not come about" in never.text
    assert "not played" in table_of(page_of(scenario, [make_run("all")]), "milestones").text


def test_what_happened_stands_side_by_side(page: Page) -> None:
    rows = [[one.text for one in row.children] for row in table_of(page, "deeds").all("tr")]
    assert rows[1] == ["policy blocks readsThe North, The South", "18:03", "18:03", "-"]
    assert rows[3] == ["scaled outThe North", "22:00", "22:00", "-"]


def test_equal_drills_give_equal_pages(scenario: Scenario, runs: list[Run]) -> None:
    result = build_result(scenario, runs)
    first, second = (render(scenario, runs, result, command="c") for _ in range(2))
    assert first == second


def test_regions_beyond_the_limit_are_counted(
    make_scenario: Callable[..., Scenario], make_run: Callable[..., Run]
) -> None:
    cloud = make_scenario().cloud.model_dump()
    region: dict[str, Any] = cloud["regions"]["south"]
    cloud["regions"] |= {f"far-{number}": region for number in range(8)}
    run = make_run()
    for name in cloud["regions"]:
        run.series.regions.setdefault(name, run.series.regions["south"])
    page = page_of(make_scenario(cloud=cloud), [run])
    assert "2 regions with less outage of tokens not drawn" in page.root.text


def test_labels_and_lines_of_events_do_not_meet(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    acted = [(0.4 * number, f"event {number}", "north") for number in range(9)]
    drawing = page_of(scenario, [make_run(acted=acted)]).all("svg")[0]
    flags = [one.attributes for one in drawing.all("text") if one.attributes["class"] == "flag"]
    spans = [(float(one["x"]), float(one["x"]) + 6.4 * 14, float(one["y"])) for one in flags]
    assert len(spans) == 9
    for start, end, y in spans:
        others = [one for one in spans if one != (start, end, y)]
        assert not any(y == other and start < last and first < end for first, last, other in others)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["ground", "raised", "band"])
def test_text_stands_out(colours: dict[str, str], ground: str) -> None:
    for name in colours.keys() - {"ground", "raised", "band", "line"}:
        assert contrast(colours[name], colours[ground]) >= CONTRAST_MIN, name


def contrast(one: str, other: str) -> float:
    """The ratio of two colours. Source: WCAG 2.2, relative luminance."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_what_other_reviews_say_stands_below_the_first(scenario: Scenario, runs: list[Run]) -> None:
    result = build_result(scenario, runs)
    also = [{"published": "2026-02-02T21:00:00Z", "source": "another"}]
    result["milestones"][2]["also"] = also
    table = table_of(Page(render(scenario, runs, result, command="c")), "milestones")
    row = next(one for one in table.all("tr") if one.text.startswith("tokens fail"))
    cells = [[one.parts[0], *(part.text for part in one.children)] for one in row.children]
    assert cells[1] == ["21:10", "21:00"]
    assert cells[5] == ["0h04 earlier", "0h06 later"]
    assert cells[7] == ["a review", "another"]


def test_what_is_for_plots_is_not_in_the_table(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    run = make_run(backlog_at={"2026-02-02T18:10:00Z": 3.0}, way_success_ratio={"sas": 0.9})
    table = table_of(page_of(scenario, [run]), "metrics")
    assert "backlog_at" not in table.text
    assert "way_success_ratio@sas" in table.text


def test_parts_with_nothing_to_show_are_left_out(page: Page) -> None:
    names = [one.attributes["id"] for one in page.all("h2")]
    assert not {"operations", "governed", "every-figure"} & set(names)


def test_what_needs_a_script_is_hidden_until_one_runs(page: Page) -> None:
    hidden = [one for one in page.all() if "hidden" in one.attributes]
    assert [one.name for one in hidden] == ["li", "section"]
    assert hidden[1].attributes["aria-labelledby"] == "timelines"
