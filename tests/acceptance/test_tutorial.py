"""The commands of the tutorials, in order in an empty folder, print what the pages show."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "tutorial").glob("*.md"))
UNTRACED = {"COVERAGE_PROCESS_CONFIG": ""}


def check(page: Path) -> subprocess.CompletedProcess[str]:
    """Run all that a page shows, and say where it prints something else."""
    return subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-m", "docs.figures", "--check", "tutorial", "--page", page],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env=os.environ | UNTRACED,
        text=True,
        timeout=600,
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_tutorial_print_what_it_shows(page: Path) -> None:
    ended = check(page)
    assert ended.returncode == 0, f"make figures ARGS=tutorial\n{ended.stdout}{ended.stderr}"


def test_a_page_that_shows_something_else_is_told(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("\n```console\n$ surgetank --version\nsurgetank none\n```\n")
    ended = check(page)
    assert ended.returncode == 1, ended.stderr
    assert "-surgetank none\n+surgetank " in ended.stdout
