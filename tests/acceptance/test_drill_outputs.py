"""`surgetank drill` leaves files for CI, plays its traces again, and says what changed.

What does not need the installed command is tested in `tests/services/drill/outputs`.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from surgetank.rehearsal.scenario import reader

Run = Callable[..., subprocess.CompletedProcess[str]]

COMMAND = Path(sys.executable).with_name("surgetank")
FULL = (Path(reader.__file__).parents[1] / "library" / "azure-2026-02.yaml").read_text()
SHORT = FULL.replace("2026-02-03T07:00:00Z", "2026-02-02T18:10:00Z")
"""Ten minutes: reads are blocked, and tokens do not fail."""
MET = SHORT.replace("over: min, at_least: 14400", "over: max, at_most: 0")
ONE = ("drill", "short.yaml", "--variant", "nobody", "--seed", "1")
OUTPUTS = (
    "--json", "now.json", "--junit", "drill.xml", "--review", "pir.md", "--trace", "run.jsonl",
)  # fmt: skip


@pytest.fixture(scope="module")
def drilled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which one run was played with every output."""
    folder = tmp_path_factory.mktemp("drilled")
    (folder / "short.yaml").write_text(MET)
    ended = subprocess.run(  # noqa: S603 - our own command
        [COMMAND, *ONE, *OUTPUTS], capture_output=True, check=False, cwd=folder, text=True,
        timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "verdict met" in ended.stdout
    return folder


@pytest.fixture(autouse=True)
def folder(drilled: Path, tmp_path: Path) -> Path:
    """The folder that commands run in, with what was played."""
    shutil.copytree(drilled, tmp_path, dirs_exist_ok=True)
    return tmp_path


def changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Write a changed result to `after.json`."""
    result = json.loads((folder / "now.json").read_text())
    change(result)
    (folder / "after.json").write_text(json.dumps(result))


def lose_one(result: dict[str, Any]) -> None:
    result["variants"]["nobody"]["seeds"]["1"]["metrics"]["operations_lost"] += 1


def test_a_drill_leaves_what_ci_reads(folder: Path) -> None:
    suite = ET.parse(folder / "drill.xml").getroot()[0]  # noqa: S314 - our own
    assert suite.get("failures") == "0"
    assert (folder / "pir.md").read_text().startswith("# Review of a drill: Azure")
    assert json.loads((folder / "run.jsonl").read_text().splitlines()[0])["variant"] == "nobody"
    assert sorted(path.name for path in folder.iterdir()) == [
        "drill.xml", "now.json", "pir.md", "run.jsonl", "short.yaml",
    ]  # fmt: skip


def test_a_drill_that_is_not_met_leaves_it_too(run: Run, folder: Path) -> None:
    (folder / "short.yaml").write_text(SHORT)
    ended = run(*ONE, "--junit", "failed.xml", "--review", "failed.md")
    assert ended.returncode == 1
    command = "surgetank drill short.yaml --variant nobody --seed 1"
    assert f"replay: {command}" in (folder / "failed.xml").read_text()
    assert "**NOT MET**" in (folder / "failed.md").read_text()


def test_results_fit_the_schema_that_is_printed(run: Run, folder: Path) -> None:
    ended = run("drill", "--schema")
    assert ended.returncode == 0
    validator: Any = Draft202012Validator(json.loads(ended.stdout))
    result = json.loads((folder / "now.json").read_text())
    assert [error.message for error in validator.iter_errors(result)] == []


def test_a_trace_is_played_again(run: Run, folder: Path) -> None:
    ended = run("drill", "--replay", "run.jsonl", "short.yaml")
    events = len((folder / "run.jsonl").read_text().splitlines()) - 2
    assert (ended.returncode, ended.stdout) == (0, f"equal, {events} events: nobody, seed 1\n")


def test_a_trace_with_another_event_shows_where_they_part(run: Run, folder: Path) -> None:
    lines = (folder / "run.jsonl").read_text().splitlines()
    lines[9] = json.dumps([*json.loads(lines[9])[:-1], "flipped"])
    (folder / "run.jsonl").write_text("".join(f"{line}\n" for line in lines))
    ended = run("drill", "--replay", "run.jsonl", "short.yaml")
    assert ended.returncode == 1, ended.stderr
    assert ended.stdout.startswith("parted at event 9 of ")
    assert "flipped" in ended.stdout


def test_a_trace_that_was_cut_short_is_bad_input(run: Run, folder: Path) -> None:
    (folder / "run.jsonl").write_bytes((folder / "run.jsonl").read_bytes()[:-10])
    ended = run("drill", "--replay", "run.jsonl", "short.yaml")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "it was cut short" in ended.stderr


def test_nothing_worse_is_zero(run: Run) -> None:
    ended = run("drill", "--compare", "now.json", "now.json")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith("nothing is worse\n")


def test_what_is_worse_is_one(run: Run, folder: Path) -> None:
    changed(folder, lose_one)
    ended = run("drill", "--compare", "now.json", "after.json")
    assert ended.returncode == 1, ended.stderr
    assert "nobody operations_lost: 0 -> 1" in ended.stdout
    assert ended.stdout.endswith("WORSE\n")


def test_what_cannot_be_compared_is_bad_input(run: Run, folder: Path) -> None:
    changed(folder, lambda result: result.update(scenario="other"))
    ended = run("drill", "--compare", "now.json", "after.json", "--json", "-")
    assert ended.returncode == 2
    assert json.loads(ended.stdout)["error"]["code"] == "invalid_input"
