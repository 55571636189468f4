"""`surgetank drill` shows, writes and judges; its exit status says how it went."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from surgetank.rehearsal.scenario import reader

Run = Callable[..., subprocess.CompletedProcess[str]]

FULL = (Path(reader.__file__).parents[1] / "library" / "azure-2026-02.yaml").read_text()
SHORT = FULL.replace("2026-02-03T07:00:00Z", "2026-02-02T18:40:00Z")
"""Forty minutes: reads are blocked, and no token fails."""


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    """A scenario file of some seconds, whose expectations hold where nobody is expected to fail."""
    text = SHORT.replace("over: min, at_least: 14400", "over: max, at_most: 0")
    (tmp_path / "short.yaml").write_text(text)
    return "short.yaml"


def test_met_is_zero_and_files_are_whole(run_installed: Run, scenario: str, tmp_path: Path) -> None:
    ended = run_installed(
        "drill", scenario, "--seeds", "2", "--jobs", "1", "--variant", "nobody",
        "--variant", "everybody-all", "--json", "out.json", "--report", "page.html",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "WHO ACTS" in ended.stdout
    assert "verdict met" in ended.stdout
    result = json.loads((tmp_path / "out.json").read_text())
    assert (result["verdict"], result["seeds"]) == ("met", [1, 2])
    assert list(result["variants"]) == ["nobody", "everybody-all"]
    page = (tmp_path / "page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "out.json", "page.html", "short.yaml",
    ]  # fmt: skip


def test_not_met_is_one(run: Run, tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text(SHORT)
    ended = run("drill", "short.yaml", "--seed", "1", "--variant", "nobody")
    assert ended.returncode == 1, ended.stderr
    assert "verdict NOT MET" in ended.stdout
    assert "replay: surgetank drill short.yaml --variant nobody --seed 1" in ended.stdout


def test_json_on_standard_output_is_json_alone(run: Run, scenario: str) -> None:
    ended = run("drill", scenario, "--seed", "3", "--variant", "nobody", "--json", "-")
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    assert result["schema"] == "surgetank/drill-result/v1"
    assert list(result["variants"]["nobody"]["seeds"]) == ["3"]


def test_a_seed_replays(run: Run, scenario: str) -> None:
    words = ("drill", scenario, "--variant", "nobody", "--json", "-")
    alone = json.loads(run(*words, "--seed", "2").stdout)
    among = json.loads(run(*words, "--seeds", "2").stdout)
    assert alone["variants"]["nobody"]["seeds"]["2"] == among["variants"]["nobody"]["seeds"]["2"]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("drill", "nowhere"), "azure-2026-02"),
        (("drill", "azure-2026-02", "--variant", "anybody"), "it has: nobody"),
        (("drill", "azure-2026-02", "--seed", "1", "--seeds", "2"), "one of them"),
        (("drill", "azure-2026-02", "--seeds", "0"), "--seeds"),
        (("drill", "azure-2026-02", "--seeds", "1001"), "--seeds"),
        (("drill", "azure-2026-02", "--jobs", "0"), "--jobs"),
        (("drill", "azure-2026-02", "--report", "/nowhere/page.html"), "folder that exists"),
        (("drill", "azure-2026-02", "--json", "."), "folder that exists"),
        (("drill",), "NAME|FILE"),
    ],
)
def test_bad_input_is_two_and_says_what_would_do(
    run: Run, words: tuple[str, ...], wanted: str, tmp_path: Path
) -> None:
    ended = run(*words)
    assert ended.returncode == 2
    assert wanted in ended.stderr
    assert ended.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_bad_input_with_json_on_standard_output_is_json(run: Run) -> None:
    ended = run("drill", "nowhere", "--json", "-")
    assert ended.returncode == 2
    assert json.loads(ended.stdout)["error"]["code"] == "config"
