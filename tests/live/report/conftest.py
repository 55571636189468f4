"""The page of a short drill, in a real browser; without one these tests say so and are skipped."""

import importlib.util
import re
import shutil
from collections.abc import Callable, Generator, Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from surgetank.app.wiring import quiet_logs
from surgetank.rehearsal.drill.play import Run, play
from surgetank.rehearsal.drill.report import render
from surgetank.rehearsal.drill.result import build_result
from surgetank.rehearsal.scenario.reader import load
from surgetank.rehearsal.scenario.schema import Scenario, Seat

ROOT = Path(__file__).parents[3]
MINUTES = 45
LIBRARY = re.compile(r"<script>/\*!.*?</script>", re.DOTALL)
"""The element of uPlot: the only script that begins with a licence."""


@pytest.fixture(scope="session")
def vendoring() -> ModuleType:
    """What brings packages of npm by name, version and hash."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def drilled() -> tuple[Scenario, list[Run]]:
    """The first minutes of the outage with nobody acting, and with governors everywhere."""
    quiet_logs()
    whole = load("azure-2026-02")
    scenario = whole.model_copy(
        update={"end": whole.start + timedelta(minutes=MINUTES), "expect": ()}
    )
    seats = scenario.variants.items()
    nobody = next(name for name, one in seats if one.seat is Seat.NOBODY)
    governed = next(
        name for name, one in seats if one.seat is Seat.EVERYBODY and one.release == "adaptive"
    )
    return scenario, [play(scenario, name, seed=1) for name in (nobody, governed)]


@pytest.fixture(scope="session")
def document(drilled: tuple[Scenario, list[Run]]) -> str:
    """The page, as `surgetank drill --report` writes it."""
    scenario, runs = drilled
    return render(scenario, runs, build_result(scenario, runs), command="surgetank drill")


@pytest.fixture(scope="session")
def page_file(document: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole page: the wheel under test has uPlot."""
    if not LIBRARY.search(document):
        pytest.skip("the wheel was built without uPlot, for want of npm or of a network")
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(document, encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def plain_file(document: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as a wheel without uPlot makes it."""
    file = tmp_path_factory.mktemp("plain") / "page.html"
    file.write_text(LIBRARY.sub("", document), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def browser(document: str) -> Iterator[Browser]:  # noqa: ARG001 - played before the browser starts
    """A browser for one file of tests: while it runs, its loop is in the way of every other one."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no Chromium: `make browser` installs Debian's as root")
    with sync_playwright() as playwright:
        # In a container, Chromium's own sandbox would need rights that it does not get.
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def complaints() -> list[str]:
    """What pages wrote to the console, threw, or asked for beyond themselves."""
    return []


@pytest.fixture
def visit(browser: Browser, complaints: list[str]) -> Generator[Callable[..., Page]]:
    """Open a file as somebody would: with a size of window, a colour scheme, with scripts or not."""
    contexts: list[BrowserContext] = []

    def visit(
        file: Path, *, width: int = 1440, height: int = 900, scheme: Any = "light", **options: Any
    ) -> Page:
        size: Any = {"width": width, "height": height}
        context = browser.new_context(viewport=size, color_scheme=scheme, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(f"asked for {request.url}"))
        page.goto(file.as_uri())
        complaints.remove(f"asked for {file.as_uri()}")
        if options.get("java_script_enabled", True):
            page.locator(".detail h3").wait_for()
        return page

    yield visit
    for context in contexts:
        context.close()
