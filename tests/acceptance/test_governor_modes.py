"""One drill reaches every mode of the release law, and its report says what each is and why."""

import json
import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from surgetank.control.signal import Mode
from surgetank.control.view import MEANINGS

COMMAND = Path(sys.executable).with_name("surgetank")
NEIGHBOURS = Path(__file__).with_name("neighbours.yaml")
EVERY = [mode.name.lower() for mode in Mode]
ROW = re.compile(r'<tr><th scope="row">([^<]+)</th>((?:<td>[^<]*</td>)+)</tr>')


class Played(NamedTuple):
    """What the drill left."""

    runs: list[dict[str, Any]]
    """One a seed."""
    legend: dict[str, list[str]]
    """The page's table of modes: what follows each name."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Three seeds of a region that waits for a wave of its neighbours to pass."""
    folder = tmp_path_factory.mktemp("neighbours")
    words = ("drill", NEIGHBOURS, "--seeds", "3", "--json", "out.json", "--report", "page.html")
    ended = subprocess.run(  # noqa: S603 - our own command
        [COMMAND, *words], capture_output=True, check=False, cwd=folder, text=True, timeout=110,
        env=os.environ | {"COVERAGE_PROCESS_CONFIG": ""},  # traced by coverage it would only be slow
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    result = json.loads((folder / "out.json").read_text())
    page = (folder / "page.html").read_text()
    table = page.partition('id="modes-caption"')[2].partition("</table>")[0]
    legend = {
        name: [unescape(cell) for cell in re.findall("<td>([^<]*)</td>", cells)]
        for name, cells in ROW.findall(table)
    }
    return Played(list(result["variants"]["most"]["seeds"].values()), legend)


def test_a_drill_reaches_every_mode_of_the_release_law(played: Played) -> None:
    reached = {
        turn["mode"] for run in played.runs for turns in run["governors"].values() for turn in turns
    }
    assert reached >= set(EVERY)


def test_time_in_each_mode_is_measured(played: Played) -> None:
    for run in played.runs:
        rows = len(run["governors"])
        assert run["metrics"]["governor_mode_s"].keys() == MEANINGS.keys()
        assert sum(run["metrics"]["governor_mode_s"].values()) <= rows * 165 * 60


@pytest.mark.parametrize("mode", EVERY)
def test_its_report_names_each_mode_and_says_why_it_holds_back(mode: str, played: Played) -> None:
    meaning, in_all, where = played.legend[mode]
    assert meaning == MEANINGS[mode]
    assert in_all != "-", "it was reached in the run that the page shows"
    assert "@eastus" in where


def test_what_it_drains_for_is_the_token_service(played: Played) -> None:
    assert "identity@eastus" in played.legend["drain"][2]


def test_each_turn_says_what_has_to_happen_next(played: Played) -> None:
    (draining, *_) = [
        turn
        for run in played.runs
        for turn in run["governors"]["identity@eastus"]
        if turn["mode"] == "drain"
    ]
    assert draining["waits_for"] == "the queue to empty"
    assert re.fullmatch(r"queueing delay .* s to fall below .* s", draining["takes"])
