"""What the documentation shows of runs is what the code at hand plays."""

import os
import select
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]

Import = Callable[[str], ModuleType]


def check(*words: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Hold the pages against what is made anew."""
    return subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-m", "docs.figures", "--check", *words],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"COVERAGE_PROCESS_CONFIG": ""},
        text=True,
        timeout=timeout_s,
    )


def test_what_pages_say_of_the_scenario_is_current() -> None:
    ended = check("scenario", timeout_s=60)
    assert ended.returncode == 0, f"make figures\n{ended.stdout}{ended.stderr}"


def test_every_arrow_of_the_state_machine_is_drawn_and_explained() -> None:
    ended = check("states", timeout_s=60)
    assert ended.returncode == 0, f"make figures ARGS=states\n{ended.stdout}{ended.stderr}"


def test_an_arrow_that_nobody_explains_is_an_error(tool: Import) -> None:
    with pytest.raises(ValueError, match="ready to running: no explanation"):
        tool("states").check({("ready", "running"): {"leave given"}}, {})


def test_an_explanation_of_no_arrow_is_an_error(tool: Import) -> None:
    with pytest.raises(ValueError, match="done to pending: no arrow"):
        tool("states").check({}, {("done", "pending"): "never"})


def test_answers_of_one_sort_are_said_together(tool: Import) -> None:
    causes = ["answer `ok`", "answer `timeout`, perhaps made", "answer `blocked`", "held"]
    said = "answer `blocked`, `ok`; answer `timeout`, perhaps made; held"
    assert tool("states").when(causes) == said


@pytest.mark.slow
@pytest.mark.parametrize("group", ["night", "variants", "share", "replica", "drain"])
def test_what_pages_say_of_runs_is_current(group: str) -> None:
    ended = check(group, timeout_s=1100)
    assert ended.returncode == 0, f"make figures\n{ended.stdout}{ended.stderr}"


def test_a_group_that_is_not_there_is_bad_input() -> None:
    assert check("nights", timeout_s=60).returncode == 2


def test_a_fact_stands_in_its_mark(tool: Import) -> None:
    page = "down for <!--=night.down-->1h00<!--/-->, it says"
    filled = tool("page").fill(page, {"night": {"down": "5h15"}})
    assert filled == "down for <!--=night.down-->5h15<!--/-->, it says"


def test_marks_of_other_groups_stay(tool: Import) -> None:
    page = "<!--=share.gone-->70%<!--/-->"
    assert tool("page").fill(page, {"night": {}}) == page


def test_a_mark_without_a_fact_is_an_error(tool: Import) -> None:
    with pytest.raises(KeyError, match="lost"):
        tool("page").fill("<!--=night.lost--><!--/-->", {"night": {}})


def test_a_transcript_has_what_commands_print_in_order(tool: Import, tmp_path: Path) -> None:
    page = "\n```console\n$ echo one > mine.yaml\n$ cat mine.yaml\nwrong\n```\n"
    played = tool("transcript").play(page, root=ROOT, folder=tmp_path)
    assert played == page.replace("wrong", "one")


def test_a_command_goes_on_behind_its_sign(tool: Import, tmp_path: Path) -> None:
    page = "\n```console\n$ cat <<END\n> one\n>\n> two\n> END\nwrong\n```\n"
    played = tool("transcript").play(page, root=ROOT, folder=tmp_path)
    assert played == page.replace("wrong", "one\n\ntwo")


def test_a_command_has_what_an_earlier_one_exported(tool: Import, tmp_path: Path) -> None:
    page = "\n```console\n$ export NAME=blue\n$ echo $NAME\nwrong\n```\n"
    played = tool("transcript").play(page, root=ROOT, folder=tmp_path)
    assert played == page.replace("wrong", "blue")


def test_what_a_page_leaves_running_is_ended(tool: Import, tmp_path: Path) -> None:
    page = "\n```console\n$ sleep 1000 > /dev/null 2>&1 & echo $! > pid\n```\n"
    tool("transcript").play(page, root=ROOT, folder=tmp_path)
    with suppress(ProcessLookupError):  # It has gone already.
        process = os.pidfd_open(int((tmp_path / "pid").read_text()))
        ended, _, _ = select.select([process], [], [], 60)
        os.close(process)
        assert ended


def test_instants_are_shown_as_one_and_the_same(tool: Import, tmp_path: Path) -> None:
    page = "\n```console\n$ echo 2031-01-02T03:04:05.678Z\nwrong\n```\n"
    played = tool("transcript").play(page, root=ROOT, folder=tmp_path)
    assert played == page.replace("wrong", "2026-11-23T20:10:00.000Z")


def test_a_change_is_made_where_it_fits(tool: Import, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("a: 1\nb: 2\n")
    tool("transcript").play("\n```diff\n a: 1\n-b: 2\n+b: 3\n```\n", root=ROOT, folder=tmp_path)
    assert (tmp_path / "mine.yaml").read_text() == "a: 1\nb: 3\n"


def test_a_change_that_fits_nowhere_is_an_error(tool: Import, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("a: 1\n")
    with pytest.raises(ValueError, match="0 times, not once"):
        tool("transcript").play("\n```diff\n-b: 2\n+b: 3\n```\n", root=ROOT, folder=tmp_path)


def test_a_block_without_a_command_is_an_error(tool: Import, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without a command"):
        tool("transcript").play("\n```console\nhello\n```\n", root=ROOT, folder=tmp_path)
