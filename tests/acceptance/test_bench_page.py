"""What the page on benching a law shows: its commands print that, and its law can be played."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from surgetank.control.evidence import Interval
from surgetank.rehearsal.drain.compiled import compile_law

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "bench-a-law.md"
HOME = "surgetank.control.peer.halving"


@pytest.fixture
def law(tmp_path: Path) -> Iterator[ModuleType]:
    """The law that the page adds, as a module where the page puts it."""
    (source,) = re.findall(r'```python\n(""".*?)```', PAGE.read_text(), re.DOTALL)
    file = tmp_path / "halving.py"
    file.write_text(source)
    spec = importlib.util.spec_from_file_location(HOME, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[HOME] = module  # a dataclass looks its module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[HOME]


def interval(*, bad: int) -> Interval:
    numbers: dict[str, Any] = dict.fromkeys(Interval._fields, 0)
    numbers |= {"span_s": 1.0, "ok": 20, "bad": bad}
    return Interval(**numbers)


def test_the_law_of_the_page_halves_its_window_when_calls_fail(law: ModuleType) -> None:
    p = law.Halving().parameters()
    grown = law.start(p, now=0.0)._replace(in_flight_max=8.0)
    assert law.step(grown, interval(bad=0), p).in_flight_max == 9.0
    assert law.step(grown, interval(bad=1), p).in_flight_max == 4.0


def test_the_law_of_the_page_begins_with_what_the_page_says_a_law_decides(law: ModuleType) -> None:
    rows = PAGE.read_text().partition("### What a law decides")[2].partition("###")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE)) == law.State._fields[:5]


def test_the_law_of_the_page_compiles(law: ModuleType) -> None:
    p = law.Halving().parameters()
    first = law.start(p, now=0.0)
    assert compile_law(first, p, step=law.step, opened=law.opened, closed=law.closed).address


@pytest.mark.slow
def test_the_commands_of_the_page_print_what_it_shows() -> None:
    again = f"python -m docs.figures tutorial --page {PAGE.relative_to(ROOT)}"
    ended = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-m", "docs.figures", "--check", "tutorial", "--page", PAGE],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"COVERAGE_PROCESS_CONFIG": ""},
        text=True,
        timeout=600,
    )
    assert ended.returncode == 0, f"{again}\n{ended.stdout}{ended.stderr}"
