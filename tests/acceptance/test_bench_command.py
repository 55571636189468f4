"""`surgetank bench drain` refuses what cannot be played before it plays, and says what would do."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from surgetank.rehearsal.drain.document import published

Run = Callable[..., subprocess.CompletedProcess[str]]

HIDE = """
import sys


class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "numba":
            raise ModuleNotFoundError("No module named 'numba'", name=name)


sys.meta_path.insert(0, Hidden())
"""
PLAIN = """
title = "plain"
capacity_per_s = 100
fresh_ratio = 0.3
backlog = 700
timeout_s = 2
latency_s = 0.04
queue_max = 300
"""


@pytest.fixture
def without_numba(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that does not find Numba."""
    folder = tmp_path / "hidden"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HIDE)
    return {"PYTHONPATH": str(folder)}


def test_without_the_extra_it_says_what_to_install(
    run_installed: Run, without_numba: dict[str, str]
) -> None:
    answer = run_installed("bench", "drain", "--laws", "aimd", **without_numba)
    assert answer.stderr == (
        "surgetank: bench drain needs numba, which is not installed: "
        "pip install 'surgetank[bench]'\n"
    )
    assert (answer.returncode, answer.stdout) == (2, "")


def test_without_the_extra_programs_are_told_as_well(
    run_installed: Run, without_numba: dict[str, str]
) -> None:
    answer = run_installed("bench", "drain", "--json", "-", **without_numba)
    error = json.loads(answer.stdout)["error"]
    assert error["code"] == "invalid_input"
    assert "surgetank[bench]" in error["message"]
    assert (answer.returncode, answer.stderr) == (2, "")


def test_without_the_extra_the_rest_of_the_command_works(
    run_installed: Run, without_numba: dict[str, str]
) -> None:
    assert run_installed("bench", "drain", "--schema", **without_numba).stdout == published()
    assert run_installed("--help", **without_numba).returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--random", "3", "--worlds", "."), "--random goes without --worlds"),
        (("--random", "3", "--seeds", "2"), "--random goes without --seeds"),
        (("--schema", "--seed", "0"), "--schema goes without --seed"),
        (("--schema", "--plot", "out.svg"), "--schema goes without --plot"),
        (("--random", "0"), "'--random': Input should be greater than or equal to 1 "),
        (("--random", "1001"), "'--random': Input should be less than or equal to 1000 "),
        (("--seeds", "101"), "'--seeds': Input should be less than or equal to 100 "),
        (("--jobs", "257"), "'--jobs': Input should be less than or equal to 256 "),
        (("--requests-max", "1000000001"), "should be less than or equal to 1000000000 "),
        (("--seed", "9223372036854775807", "--seeds", "2"), "seeds 9223372036854775807 to"),
        (("--worlds", "absent"), "absent: (directory) = 'No such file or directory'"),
        (("--worlds", "."), ".: (files) = 0: from 1 to 1000 files *.toml"),
        (("--json", "absent/out.json"), "absent/out.json: (output) ="),
        (("--plot", "absent/out.svg"), "absent/out.svg: (output) ="),
    ],
)
def test_what_cannot_be_played_is_bad_input(run: Run, words: tuple[str, ...], said: str) -> None:
    answer = run("bench", "drain", *words)
    assert said in answer.stderr
    assert (answer.returncode, answer.stdout) == (2, "")


def test_a_world_that_cannot_be_used_is_named_with_its_key(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(f"{PLAIN}nods = 3\n")
    answer = run("bench", "drain", "--worlds", ".")
    assert "mine.toml: nods = 3: no such key; did you mean 'nodes'?" in answer.stderr
    assert answer.returncode == 2


def test_an_error_is_json_where_the_answer_would_be(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(f"{PLAIN}nodes = 0\nlag_s = -1\n")
    answer = run("bench", "drain", "--worlds", ".", "--json", "-")
    error = json.loads(answer.stdout)["error"]
    assert (error["code"], error["file"], error["key"]) == ("config", "mine.toml", "nodes")
    assert len(error["notes"]) == 1
    assert (answer.returncode, answer.stderr) == (2, "")
