"""Options of `surgetank drill` that make or read files: what goes together, and what comes of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from surgetank.app.cli import main
from surgetank.rehearsal.drill.output.recording import record
from surgetank.rehearsal.scenario.schema import Scenario

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def after(result: dict[str, Any], folder: Path) -> Callable[[Change], None]:
    """Write a result to `before.json`, and a changed one to `after.json`."""

    def write(change: Change) -> None:
        (folder / "before.json").write_text(json.dumps(result))
        change(result)
        (folder / "after.json").write_text(json.dumps(result))

    return write


def wait_longer(result: dict[str, Any]) -> None:
    peak = result["variants"]["nobody"]["summary"]["backlog_peak"]
    for name in peak:
        peak[name] *= 2


def misspell(result: dict[str, Any]) -> None:
    result["verdikt"] = result.pop("verdict")


def stand_alone(result: dict[str, Any]) -> None:
    result["variants"] = {"theirs": result["variants"]["nobody"]}


def compared(*options: str) -> int:
    return main(["drill", "--compare", "before.json", "after.json", *options])


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ((), 1, "WORSE\n  nobody backlog_peak: "),
        (("--tolerance", "1.5"), 0, "nothing is worse"),
        (("--variant", "nobody"), 1, "1 worse"),
        (("--variant", "everybody-all"), 0, "0 worse"),
    ],
)
def test_what_is_worse_is_one(
    after: Callable[[Change], None],
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    status: int,
    said: str,
) -> None:
    after(wait_longer)
    assert compared(*options) == status
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("is_file", [False, True])
def test_a_program_reads_what_changed(
    after: Callable[[Change], None],
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    *,
    is_file: bool,
) -> None:
    after(wait_longer)
    assert compared("--json", "change.json" if is_file else "-") == 1
    said = capsys.readouterr().out
    found = json.loads((folder / "change.json").read_text() if is_file else said)
    assert (found["schema"], found["verdict"]) == ("surgetank/drill-change/v1", "worse")
    assert found["variants"]["nobody"]["backlog_peak"]["word"] == "worse"


@pytest.mark.parametrize(
    ("change", "wanted"),
    [(misspell, "verdict"), (stand_alone, "no variant in common")],
)
def test_what_cannot_be_compared_is_bad_input(
    after: Callable[[Change], None],
    capsys: pytest.CaptureFixture[str],
    change: Change,
    wanted: str,
) -> None:
    after(change)
    assert compared() == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert wanted in said.err


def test_a_trace_of_a_file_is_not_replayed_with_the_library(
    ten_minutes: Scenario, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (folder / "run.jsonl").open("w") as file:
        record(ten_minutes, "nobody", seed=1, write=file.write)
    assert main(["drill", "--replay", "run.jsonl"]) == 2
    assert "give the scenario file as it was then" in capsys.readouterr().err


SEED = ("--seed", "1")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("azure-2026-02", "--junit", "/nowhere/drill.xml"), "folder that exists"),
        (("azure-2026-02", "--review", "."), "folder that exists"),
        (("azure-2026-02", "--trace", "/nowhere/run.jsonl", *SEED), "folder that exists"),
        (("azure-2026-02", "--trace", "r", "--variant", "nobody"), "one --variant V and --seed S"),
        (("azure-2026-02", "--trace", "r", *SEED), "one --variant V and --seed S"),
        (("azure-2026-02", "--trace", "r", *SEED, "--variant", "x"), "it has: nobody"),
        (("azure-2026-02", "--tolerance", "0.1"), "--tolerance goes with --compare"),
        (("--compare", "a"), "--compare"),
        (("--compare", "a", "b"), "a: (file)"),
        (("--compare", "a", "b", "azure-2026-02"), "--compare goes without NAME|FILE"),
        (("--compare", "a", "b", "--report", "x"), "--compare goes without --report"),
        (("--compare", "a", "b", "--tolerance", "-1"), "--tolerance"),
        (("--compare", "a", "b", "--tolerance", "11"), "--tolerance"),
        (("--compare", "a", "b", "--json", "/nowhere/x"), "folder that exists"),
        (("--replay", "a"), "a: (file)"),
        (("--replay", "a", *SEED), "--replay goes without --seed"),
        (("--replay", "a", "--junit", "x"), "--replay goes without --junit"),
        (("--schema", "azure-2026-02"), "--schema goes without NAME|FILE"),
        ((), "NAME|FILE"),
    ],
)
def test_words_that_do_not_go_together_are_bad_input(
    words: tuple[str, ...], wanted: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drill", *words]) == 2
    said = capsys.readouterr()
    assert wanted in said.err
    assert said.out == ""
    assert list(folder.iterdir()) == []
