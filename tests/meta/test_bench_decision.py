"""The bench of decisions measures every law, and finds that no state grows; times are not judged."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from surgetank.control.signal import Mode
from surgetank.rehearsal.drain.law import NAMES

ROOT = Path(__file__).parents[2]
GOVERNOR = "governor"


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "bench/decision.py", *words],
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
        timeout=100,
    )


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What a short bench measures."""
    ended = bench("--rounds", "2", "--decisions", "2000", "--json")
    assert ended.returncode == 0, ended.stderr
    document: dict[str, Any] = json.loads(ended.stdout)
    return document


def test_every_mode_of_ours_every_peer_and_a_governed_call_are_timed(found: dict[str, Any]) -> None:
    ours = [("surgetank", mode.name.lower()) for mode in Mode]
    peers = [(name, "any") for name in NAMES if name != "surgetank"]
    timed = [(one["law"], one["mode"]) for one in found["costs"]]
    assert timed == [*ours, *peers, (GOVERNOR, "a call")]


def test_a_median_lies_between_its_quartiles_and_is_held_against_the_aim(
    found: dict[str, Any],
) -> None:
    for one in found["costs"]:
        assert 0 < one["q1_us"] <= one["median_us"] <= one["q3_us"]
        assert one["is_within_aim"] == (one["median_us"] <= found["aim_us"])


def test_no_state_grows_with_the_decisions_that_it_has_seen(found: dict[str, Any]) -> None:
    assert [one["law"] for one in found["sizes"]] == [*NAMES, GOVERNOR]
    assert [one for one in found["sizes"] if one["early_bytes"] != one["late_bytes"]] == []


def test_the_table_says_of_every_law_whether_it_holds_the_aim_and_its_size() -> None:
    costs, _, sizes = bench("--rounds", "2", "--decisions", "2000").stdout.partition("\n\n")
    assert costs.splitlines()[0].split() == ["law", "mode", "us", "quartiles", "within", "20", "us"]
    said = {row.split()[-1] for row in costs.splitlines()[1:]}
    assert said <= {"yes", "no"}
    assert [row.split()[0] for row in sizes.splitlines()[1:]] == [*NAMES, GOVERNOR]
    assert {row.split()[-1] for row in sizes.splitlines()[1:]} == {"yes"}


@pytest.mark.parametrize("words", [("--rounds", "1"), ("--decisions", "1000")])
def test_what_gives_no_quartiles_or_no_late_state_is_bad_input(words: tuple[str, str]) -> None:
    ended = bench(*words)
    assert (ended.returncode, ended.stdout) == (2, "")
