"""Any operation can be picked, by mouse or keyboard, with its steps, its waits and their reasons."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.scenario.schema import Scenario

Visit = Callable[..., Page]
OPTION = "[role=option]"


@pytest.fixture
def page(visit: Visit, plain_file: Path) -> Page:
    page = visit(plain_file)
    page.locator("section.operations").scroll_into_view_if_needed()
    return page


def title(page: Page) -> str:
    return page.locator(".detail h3").inner_text()


def test_every_operation_is_listed(page: Page, drilled: tuple[Scenario, list[Run]]) -> None:
    _, (nobody, _) = drilled
    expect(page.locator(OPTION)).to_have_count(len(nobody.wanted))


def test_the_keyboard_picks_an_operation_and_shows_its_steps(
    page: Page, drilled: tuple[Scenario, list[Run]]
) -> None:
    _, (nobody, _) = drilled
    listbox = page.get_by_role("listbox", name="Operations")
    listbox.press("Home")
    assert title(page) == nobody.wanted[0].key
    listbox.press("ArrowDown")
    assert title(page) == nobody.wanted[1].key
    listbox.press("End")
    last = nobody.wanted[-1]
    assert title(page) == last.key
    story = page.locator(".story li")
    expect(story.first).to_contain_text("asked for: ")
    assert story.count() >= 1 + sum(moment.what == "called" for moment in last.moments)


def test_the_picked_one_is_told_to_assistive_technology(page: Page) -> None:
    listbox = page.get_by_role("listbox", name="Operations")
    listbox.press("Home")
    name = listbox.get_attribute("aria-activedescendant")
    expect(page.locator(f"{OPTION}[aria-selected=true]")).to_have_attribute("id", name or "")


def test_a_click_picks_an_operation(page: Page, drilled: tuple[Scenario, list[Run]]) -> None:
    _, (nobody, _) = drilled
    listbox = page.get_by_role("listbox", name="Operations")
    listbox.press("Home")
    page.locator(OPTION).nth(3).click()
    assert title(page) == nobody.wanted[3].key


def test_steps_and_waits_have_their_reasons_in_words(
    page: Page, drilled: tuple[Scenario, list[Run]]
) -> None:
    _, (nobody, _) = drilled
    waiting = next(one for one in nobody.wanted if any(m.what == "waits" for m in one.moments))
    page.get_by_label("Search").fill(waiting.key)
    story = page.locator(".story")
    expect(story).to_contain_text("install called: failed after ")
    expect(story).to_contain_text("PublicAccessNotPermitted")
    expect(story).to_contain_text("waits ")
    expect(page.locator(".gantt .span.waits").first).to_be_attached()


def test_an_operation_that_the_page_tells_of_can_be_shown(page: Page) -> None:
    told = page.locator("code[data-operation]").first.inner_text()
    page.get_by_label("Search").fill("no such operation")
    page.get_by_role("button", name=f"show {told}").first.click()
    expect(page.locator(".detail h3")).to_have_text(told)
    expect(page.get_by_role("listbox", name="Operations")).to_be_focused()


def test_a_governed_wait_says_which_governor_held_it(page: Page) -> None:
    filters = page.get_by_role("group", name="Filters")
    filters.get_by_label("Variant").select_option(index=1)
    filters.get_by_label("Region").select_option("East US")
    filters.get_by_label("Came to").select_option("open")
    expect(page.locator(".detail")).to_contain_text("Its governor, artifacts@eastus, then: held ")


def test_the_picked_operation_stays_when_the_variant_changes(page: Page) -> None:
    before = title(page)
    facts = page.locator(".detail p").inner_text()
    page.get_by_role("group", name="Filters").get_by_label("Variant").select_option(index=1)
    expect(page.locator(".detail p")).not_to_have_text(facts)
    assert title(page) == before


def test_filters_and_search_narrow_the_list(page: Page) -> None:
    filters = page.get_by_role("group", name="Filters")
    filters.get_by_label("Region").select_option("West US")
    shown = page.locator(f"{OPTION}:visible .name")
    assert all("-westus-" in name for name in shown.all_inner_texts())
    filters.get_by_label("Search").fill("WESTUS-1")
    assert all("-westus-1" in name for name in shown.all_inner_texts())
    count = shown.count()
    assert count > 0
    expect(page.locator(".found")).to_contain_text(f"{count} of ")


def test_a_search_for_nothing_that_exists_finds_none(page: Page) -> None:
    page.get_by_label("Search").fill("no such operation")
    expect(page.locator(f"{OPTION}:visible")).to_have_count(0)
    expect(page.locator(".found")).to_contain_text("0 of ")
    page.get_by_role("listbox", name="Operations").press("ArrowDown")


def test_whose_operations_they_are_can_be_chosen(
    page: Page, drilled: tuple[Scenario, list[Run]]
) -> None:
    _, (nobody, _) = drilled
    page.get_by_label("Whose").select_option("yours")
    own = sum(one.is_own for one in nobody.wanted)
    expect(page.locator(f"{OPTION}:visible")).to_have_count(own)
