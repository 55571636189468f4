"""Timelines zoom, follow the mouse and the keyboard, and show one variant beside another."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

Visit = Callable[..., Page]


@pytest.fixture
def page(visit: Visit, page_file: Path) -> Page:
    page = visit(page_file)
    expect(page.locator(".plot").first).to_be_visible()
    page.locator("section.timelines").scroll_into_view_if_needed()
    return page


def edges(page: Page, index: int = 0) -> tuple[float, float, float]:
    """Where a plot begins and ends, from left to right, and its middle from top to bottom."""
    box = page.locator(".plot .u-over").nth(index).bounding_box()
    assert box is not None
    return box["x"], box["x"] + box["width"], box["y"] + box["height"] / 2


def moment(page: Page) -> str:
    return page.locator(".moment output").inner_text()


def drag(page: Page) -> None:
    """Drag over the middle third of the first plot."""
    left, right, y = edges(page)
    page.mouse.move(left + (right - left) / 3, y)
    page.mouse.down()
    page.mouse.move(right - (right - left) / 3, y, steps=4)
    page.mouse.up()


def test_a_drag_zooms_all_plots_to_what_was_dragged_over(page: Page) -> None:
    expect(page.locator(".seen")).to_have_text("18:00-18:45")
    drag(page)
    expect(page.locator(".seen")).to_have_text("18:15-18:30")


def test_a_double_click_shows_all_again(page: Page) -> None:
    drag(page)
    left, right, y = edges(page)
    page.mouse.dblclick((left + right) / 2, y)
    expect(page.locator(".seen")).to_have_text("18:00-18:45")


def test_the_mouse_points_at_a_moment_in_all_plots(page: Page) -> None:
    left, right, y = edges(page)
    page.mouse.move(left + (right - left) / 3, y)
    expect(page.locator(".moment output")).to_have_text("18:15 UTC")
    lines = page.locator(".u-cursor-x").all()
    places = [one.bounding_box() for one in lines]
    assert len(places) >= 10
    assert len({round(place["x"]) for place in places if place is not None}) == 2


def test_the_moment_stays_when_the_mouse_leaves(page: Page) -> None:
    left, right, y = edges(page)
    page.mouse.move(left + (right - left) / 3, y)
    page.mouse.move(left, 5)
    assert moment(page) == "18:15 UTC"


def test_values_at_the_moment_stand_beside_their_names(page: Page) -> None:
    values = page.locator(".plot").first.locator(".value b")
    page.get_by_role("slider", name="Moment").press("Home")
    before = values.all_inner_texts()
    page.get_by_role("slider", name="Moment").press("End")
    assert len(before) == 4
    assert values.all_inner_texts() != before


def test_the_keyboard_moves_the_moment_by_a_minute(page: Page) -> None:
    slider = page.get_by_role("slider", name="Moment")
    slider.press("Home")
    slider.press("ArrowRight")
    expect(page.locator(".moment output")).to_have_text("18:02 UTC")
    expect(slider).to_have_attribute("aria-valuetext", "18:02 UTC")


def test_the_keyboard_zooms(page: Page) -> None:
    page.get_by_role("slider", name="Moment").press("Home")
    page.get_by_role("button", name="Zoom in").press("Enter")
    expect(page.locator(".seen")).to_have_text("18:01-18:23")
    page.get_by_role("button", name="Zoom out").press("Enter")
    expect(page.locator(".seen")).to_have_text("18:01-18:45")
    page.get_by_role("button", name="All").press("Enter")
    expect(page.locator(".seen")).to_have_text("18:00-18:45")


def test_another_variant_can_be_chosen(page: Page) -> None:
    timelines = page.get_by_role("group", name="Timelines")
    title = timelines.get_by_label("Beside").locator("option:checked").inner_text()
    timelines.get_by_label("Variant").select_option(title)
    timelines.get_by_label("Beside").select_option("none")
    expect(page.locator(".column h3")).to_have_count(1)
    expect(page.locator(".column h3")).to_contain_text(title)


def test_both_columns_have_one_scale(page: Page) -> None:
    left, right = (page.locator(".column").nth(index) for index in (0, 1))
    titles = left.locator(".plot-head > b").all_inner_texts()
    assert titles == ["Backlog", "Reads refused", "Offered load", "Goodput", "Token errors"]
    assert right.locator(".plot-head > b").all_inner_texts() == titles


@pytest.mark.parametrize(
    ("dependency", "titles"),
    [
        ("identity@eastus", ["Calls", "Queue", "Live capacity", "Token errors"]),
        ("artifacts@westus", ["Reads"]),
    ],
)
def test_one_dependency_can_be_looked_at(page: Page, dependency: str, titles: list[str]) -> None:
    page.get_by_label("Look at").select_option(dependency)
    heads = page.locator(".column").first.locator(".plot-head > b")
    expect(heads).to_have_text(titles)


def test_a_dependency_without_a_governor_says_that_nothing_is_known(page: Page) -> None:
    page.get_by_label("Look at").select_option("compute@eastus")
    first, second = (page.locator(".column").nth(index) for index in (0, 1))
    expect(first).to_contain_text("it has no governor")
    expect(second.locator(".strip")).to_have_count(1)


def test_a_governor_says_why_it_holds_and_what_it_waits_for(page: Page) -> None:
    page.get_by_role("slider", name="Moment").press("End")
    said = page.locator(".strip-head", has_text="artifacts@eastus")
    expect(said).to_contain_text("held")
    expect(said).to_contain_text("the breaker is open: no call but a probe; waits for ")
    expect(said).to_contain_text(re.compile(r", at \d\d:\d\d: [\d.]+ s"))
    expect(page.locator(".strip .held").first).to_be_visible()


def test_an_event_points_at_its_moment(page: Page) -> None:
    page.get_by_role("button", name="18:03 policy blocks reads").first.click()
    expect(page.locator(".moment output")).to_have_text("18:03 UTC")


def test_plots_are_named_with_what_they_show(page: Page) -> None:
    name = page.locator(".plot [role=img]").first.get_attribute("aria-label") or ""
    assert name.startswith("Backlog, operations that wait: East US at most ")


def test_plots_take_the_colours_of_the_scheme(page: Page) -> None:
    def pixels() -> str:
        script = "() => document.querySelector('.plot canvas').toDataURL()"
        return str(page.evaluate(script))

    light = pixels()
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "light => document.querySelector('.plot canvas')?.toDataURL() !== light", arg=light
    )
    assert pixels() != light


def test_the_first_drawing_says_what_lies_under_the_mouse(page: Page) -> None:
    drawing = page.locator("section.outage svg:visible")
    drawing.hover(position={"x": 400, "y": 200})
    expect(page.locator(".tip")).to_contain_text("reads refused:")
    page.mouse.move(2, 2)
    expect(page.locator(".tip")).to_be_hidden()
