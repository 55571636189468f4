"""The bench of durable operations measures our side without the peers; figures are not judged."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="the package psycopg is not installed")

ROOT = Path(__file__).parents[2]


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "bench/operations.py", *words],
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
        timeout=100,
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What a quick bench prints, and where it wrote what it measured."""
    path = tmp_path_factory.mktemp("bench") / "found.json"
    ended = bench("--quick", "--only", "surgetank-sqlite", "--json", str(path))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, path


def test_every_measurement_stands_in_the_table_with_its_rate(found: tuple[str, Path]) -> None:
    rows = [line.split("│") for line in found[0].splitlines() if "│ surgetank-sqlite " in line]
    assert [row[1].strip() for row in rows] == ["drain", "submit"]
    assert all(int(row[5].replace(",", "")) > 0 for row in rows)


def test_every_aim_stands_in_the_table_and_says_so_where_it_was_not_measured(
    found: tuple[str, Path],
) -> None:
    said = [line.split("│")[4].strip() for line in found[0].splitlines() if "│ drain by " in line]
    assert said == ["not measured"] * 6
    judged = [line for line in found[0].splitlines() if "│ submit: surgetank-sqlite" in line]
    assert {line.split("│")[4].strip() for line in judged} <= {"met", "missed"}
    assert len(judged) == 2


def test_a_drain_ends_with_every_operation_done(found: tuple[str, Path]) -> None:
    document: dict[str, Any] = json.loads(found[1].read_text())
    drained = [run for run in document["runs"] if run["what"] == "drain"]
    assert [run["operations"] for run in drained] == [4_000]
    assert document["fsync_p50_ms"] > 0


def test_what_was_measured_is_written_for_the_documentation(found: tuple[str, Path]) -> None:
    ended = bench("--read", str(found[1]), "--markdown")
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("fsync p50 ")
    assert sum(line.startswith(("| drain |", "| submit |")) for line in lines) == 2


@pytest.mark.parametrize("words", [("--rounds", "0"), ("--only", "nobody")])
def test_no_round_or_no_side_is_bad_input(words: tuple[str, str]) -> None:
    ended = bench(*words)
    assert (ended.returncode, ended.stdout) == (2, "")
