"""The page says nothing to the console, asks for nothing, and serves everybody: also on paper."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from playwright.sync_api import Page, expect

Visit = Callable[..., Page]
PHONE = {"width": 390, "height": 844}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SEVERE = {"serious", "critical"}
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="session")
def axe(vendoring: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The rules of accessibility that can be tested by program, brought as uPlot is."""
    package = vendoring.Package(
        name="axe-core",
        version="4.14.1",
        sha512="FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
        files=("axe.min.js", "LICENSE"),
    )
    assert isinstance(package.version, str)
    folder = tmp_path_factory.mktemp("axe") / package.version
    reason = vendoring.bring(package, folder)
    if reason:
        pytest.skip(f"axe-core cannot be had: {reason}")
    return (folder / "axe.min.js").read_text(encoding="utf-8")


def severe(page: Page, axe: str) -> list[tuple[str, list[str]]]:
    """What shuts somebody out: the rule that is broken, and where."""
    # Rows of the list are alike: some of them say what hundreds would, in a tenth of the time.
    page.get_by_label("Search").fill("-eastus-1")
    page.add_script_tag(content=axe)
    found = page.evaluate("tags => axe.run(document, { runOnly: tags })", RULES)
    return [
        (one["id"], [node["html"] for node in one["nodes"]])
        for one in found["violations"]
        if one["impact"] in SEVERE
    ]


@pytest.fixture(params=["page_file", "plain_file"])
def file(request: pytest.FixtureRequest) -> Path:
    """The page with plots that zoom, and without."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Path)
    return found


@pytest.mark.parametrize("size", [{}, PHONE], ids=["wide", "phone"])
def test_nothing_is_said_to_the_console_and_nothing_is_asked_for(
    visit: Visit, complaints: list[str], file: Path, size: dict[str, int]
) -> None:
    visit(file, **size).get_by_role("button", name="show ").first.click()
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{}, PHONE], ids=["wide", "phone"])
def test_nobody_is_shut_out(
    visit: Visit, page_file: Path, axe: str, size: dict[str, int], scheme: str
) -> None:
    page = visit(page_file, scheme=scheme, **size, bypass_csp=True)
    expect(page.locator(".plot").first).to_be_visible()
    assert severe(page, axe) == []


def test_nobody_is_shut_out_without_plots(visit: Visit, plain_file: Path, axe: str) -> None:
    page = visit(plain_file, bypass_csp=True)
    assert severe(page, axe) == []


def test_without_plots_the_drawings_remain(
    visit: Visit, complaints: list[str], plain_file: Path
) -> None:
    page = visit(plain_file)
    expect(page.locator("section.timelines")).to_be_hidden()
    expect(page.get_by_role("link", name="Timelines")).to_be_hidden()
    expect(page.locator("section.outage svg:visible")).to_have_count(1)
    expect(page.locator("section.panels svg")).to_have_count(2)
    assert complaints == []


def test_without_scripts_the_page_says_all_that_it_knows(visit: Visit, page_file: Path) -> None:
    page = visit(page_file, java_script_enabled=False)
    expect(page.locator("section.outage svg:visible")).to_have_count(1)
    expect(page.get_by_role("table", name="A few operations that tell the story")).to_be_visible()
    expect(page.get_by_role("table", name="When governors held the backlog back")).to_be_visible()
    expect(page.locator("section.timelines")).to_be_hidden()
    expect(page.get_by_role("button")).to_have_count(0)
    expect(page.get_by_role("combobox")).to_have_count(0)


@pytest.mark.parametrize("width", [320, 390, 860, 1180, 1440])
def test_the_page_never_scrolls_sideways(visit: Visit, page_file: Path, width: int) -> None:
    page = visit(page_file, width=width)
    expect(page.locator(".plot").first).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_the_first_screen_has_the_sentence_the_chart_the_bars_and_the_command(
    visit: Visit, page_file: Path
) -> None:
    page = visit(page_file)
    for name in (".lead", "section.outage svg:visible", "section.who svg:visible", "pre >> nth=0"):
        box = page.locator(name).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 900, name


def test_the_keyboard_reaches_everything_and_is_seen_to(visit: Visit, page_file: Path) -> None:
    page = visit(page_file)
    expect(page.locator(".plot").first).to_be_visible()
    wanted = page.evaluate(
        "() => [...document.querySelectorAll('a,button,select,input,[tabindex=\"0\"]')]"
        ".filter(one => one.offsetParent).length"
    )
    seen: set[str] = set()
    for _ in range(wanted):
        page.keyboard.press("Tab")
        place, outline = page.evaluate(
            "() => { const one = document.activeElement; const all = [...document.querySelectorAll('*')];"
            " return [String(all.indexOf(one)), getComputedStyle(one).outlineStyle]; }"
        )
        assert outline != "none", place
        seen.add(place)
    assert len(seen) == wanted


def test_nothing_moves_by_itself(visit: Visit, page_file: Path) -> None:
    page = visit(page_file, reduced_motion="reduce")
    assert page.evaluate("() => document.getAnimations().length") == 0
    assert (
        page.evaluate("() => getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    )


def test_the_page_prints(visit: Visit, page_file: Path) -> None:
    page = visit(page_file, scheme="dark")
    page.emulate_media(media="print")
    expect(page.locator("section.timelines")).to_be_hidden()
    expect(page.locator("section.outage svg:visible")).to_have_count(1)
    colour = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert colour == "rgb(255, 255, 255)"
    assert page.pdf().startswith(b"%PDF-")


def test_names_of_a_file_are_text_to_the_script_too(
    visit: Visit, complaints: list[str], document: str, tmp_path: Path
) -> None:
    file = tmp_path / "page.html"
    escaped = HOSTILE.replace("<", "\\u003c")
    file.write_text(document.replace('"title":"East US"', f'"title":"{escaped}"'), encoding="utf-8")
    page = visit(file)
    expect(page.locator(".story")).to_be_visible()
    expect(page.locator("img")).to_have_count(0)
    assert HOSTILE in page.get_by_role("group", name="Filters").inner_text()
    assert complaints == []
