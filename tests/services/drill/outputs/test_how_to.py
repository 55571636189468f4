"""The page on CI names options that exist, and every option that CI has a use for."""

import re
from pathlib import Path

import pytest

from surgetank.app.cli import main

PAGE = Path(__file__).parents[4] / "docs" / "how-to" / "run-it-in-ci.md"
FOR_CI = {
    "--json", "--junit", "--review", "--report", "--compare", "--tolerance", "--trace", "--replay",
}  # fmt: skip


def test_the_page_names_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drill", "--help"]) == 0
    known = set(re.findall(r"--[a-z]+", capsys.readouterr().out))
    named = set(re.findall(r"(?<![\w-])--[a-z]+", PAGE.read_text(encoding="utf-8")))
    assert FOR_CI <= named <= known
