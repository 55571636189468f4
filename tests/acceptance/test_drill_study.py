"""`surgetank drill --sweep` and `--sensitivity` play many drills, and say what they show together."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from ruamel.yaml import YAML

from surgetank.rehearsal.drill.output.result_schema import read_result
from surgetank.rehearsal.drill.play import play
from surgetank.rehearsal.scenario.reader import Source, read

Run = Callable[..., subprocess.CompletedProcess[str]]

UNTRACED = {"COVERAGE_PROCESS_CONFIG": ""}
"""For what is traced in this process too, coverage would only be slow."""


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    """A file of five minutes with two assumed figures; twice the creates of now flip it."""
    data: Any = read("azure-2026-02").data
    for name, figure in data["figures"].items():
        if name not in ("boot_s", "machines_per_s"):
            figure.pop("assumed", None)
            figure["source"] = "as good as known"
    machines = data["figures"]["machines_per_s"]
    machines["range"] = [machines["value"] * 0.9, machines["value"] * 8]
    data["end"] = "2026-02-02T18:05:00Z"
    data["expect"] = []
    metric = "operations_submitted"
    usual = play(Source("short.yaml", data).scenario(), "nobody", seed=1).metrics[metric]
    bound = 2 * float(str(usual))
    data["expect"] = [
        {"variant": "nobody", "metric": metric, "over": "max", "at_most": bound},
    ]
    with (tmp_path / "short.yaml").open("w") as file:
        cast("Any", YAML()).dump(data, file)
    return "short.yaml"


def test_a_sweep_shows_a_row_for_each_value_and_writes_them(
    run: Run, scenario: str, tmp_path: Path
) -> None:
    ended = run(
        "drill", scenario, "--sweep", "share=1,0.1", "--variant", "everybody-governor",
        "--seed", "3", "--jobs", "1", "--json", "out.json", "--report", "page.html",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "everybody: governor; creates in time" in ended.stdout
    assert "There is no second outage at any of these values." in ended.stdout
    result = json.loads((tmp_path / "out.json").read_text())
    assert [one["value"] for one in result["sweep"]["points"]] == [0.1, 1.0]
    assert list(result["variants"]) == [one["variant"] for one in result["sweep"]["points"]]
    assert "everybody-governor@share=" in (tmp_path / "page.html").read_text()
    assert read_result(tmp_path / "out.json").sweep is not None


def test_a_sensitivity_run_names_what_flips(run: Run, scenario: str, tmp_path: Path) -> None:
    ended = run("drill", scenario, "--sensitivity", "--jobs", "1", "--json", "out.json")
    assert ended.returncode == 0, ended.stderr
    assert "THESE FLIP THE VERDICT, the nearest first\nmachines_per_s  " in ended.stdout
    assert "these do not, alone, within their ranges: boot_s" in ended.stdout
    result = json.loads((tmp_path / "out.json").read_text())
    assert [row["figure"] for row in result["sensitivity"]] == ["machines_per_s", "boot_s"]
    assert result["sensitivity_source"] == "measured"
    assert result["seeds"] == [1]
    assert list(result["variants"]) == ["nobody"]
    assert read_result(tmp_path / "out.json").sensitivity


def test_the_command_for_the_file_that_ships_writes_one(scenario: str, tmp_path: Path) -> None:
    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "surgetank.app.cli.sensitivity_file", scenario],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env=os.environ | UNTRACED,
        text=True,
        timeout=60,
    )
    found = json.loads(ended.stdout)
    assert (found["schema"], found["seeds"], found["variants"]) == (
        "surgetank/sensitivity/v1", [1], ["nobody"],
    )  # fmt: skip
    assert [row["figure"] for row in found["sensitivity"]] == ["machines_per_s", "boot_s"]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--sweep", "foo"), "write NAME=VALUE,VALUE"),
        (("--sweep", "shares=1"), "did you mean share?"),
        (("--sweep", "share=1.5"), "from 0 to 1 would do"),
        (("--sweep", "identity_headroom=99"), "it may lie from"),
        (("--sweep", f"share={','.join(map(str, range(21)))}"), "at most 20"),
        (("--sweep", "share=1", "--sensitivity"), "one of them"),
        (("--sweep", "share=1", "--refine", "5"), "--refine"),
        (("--refine", "1"), "--refine goes with --sweep"),
        (("--sweep", "share=1", "--variant", "anybody"), "it has: nobody"),
        (("--sensitivity", "--variant", "anybody"), "it has: nobody"),
        (("--sensitivity", "--trace", "run.jsonl"), "goes without --trace"),
    ],
)
def test_bad_input_is_two_and_says_what_would_do(
    run: Run, words: tuple[str, ...], wanted: str, tmp_path: Path
) -> None:
    ended = run("drill", "azure-2026-02", *words)
    assert ended.returncode == 2
    assert wanted in ended.stderr
    assert ended.stdout == ""
    assert list(tmp_path.iterdir()) == []
