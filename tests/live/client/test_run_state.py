"""`surgetank run --state`: jobs of one machine that share governors in a file, without a server."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("surgetank")
PATIENCE_S = 60.0
JOBS = 6
SLOW = "rate_per_s_unlearnt = 0.01"
ONE_AT_ONCE = "rate_per_s_unlearnt = 1.0\nwindow_start = 1.0\nclean_results = 1000"
WAITS = ("sh", "-c", "echo began; read line; echo ended")
"""Says that it is run, and ends when it is told to."""
TOLD = """
import os, signal

def told(*_):
    print("told", flush=True)
    os._exit(5)

signal.signal(signal.SIGTERM, told)
print("began", flush=True)
while True:
    signal.pause()
"""
"""Says that it is run, and says so again as it is stopped. A shell that waits for a child could
lose a signal that comes between the child's fork and its exec, and its child then holds the output.
"""

Process = subprocess.Popen[str]
Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Generator[Start]:
    """Start a job whose governors are in one file; the words after `--` are its command."""
    started = list[Process]()

    def start(*words: str, law: str = "", state: str = "governors.db") -> Process:
        file = tmp_path / "surgetank.toml"
        file.write_text(f"[governor.law]\n{law}\n")
        options = ["--on", "vm@eastus", "--state", state, "--config", str(file)]
        process = subprocess.Popen(  # noqa: S603 - our own command
            [COMMAND, "run", *options, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if "SURGETANK" not in name},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def end(process: Process, said: str | None = None) -> tuple[int, str, str]:
    """Wait for a job's end; gives its status and what it said on both."""
    out, complained = process.communicate(said, timeout=PATIENCE_S)
    return process.returncode, out, complained


def begun(process: Process) -> Process:
    """Wait until a job's command is run."""
    assert process.stdout is not None
    assert process.stdout.readline() == "began\n"
    return process


def workers(file: Path) -> int:
    """Count who is at the governor in a file."""
    with closing(sqlite3.connect(file)) as connection:
        row = connection.execute("select state from governor").fetchone()
    return len(json.loads(row[0])["members"])


@pytest.mark.parametrize("status", [0, 7])
def test_the_status_of_the_command_is_kept_and_nothing_is_said(start: Start, status: int) -> None:
    assert end(start("--", "sh", "-c", f"cat; exit {status}"), "some words") == (
        status,
        "some words",
        "",
    )


def test_a_breaker_that_failing_jobs_opened_refuses_the_next(start: Start) -> None:
    for _ in range(3):
        assert end(start("--blocked-exit", "7", "--", "sh", "-c", "exit 7"))[0] == 7
    status, out, complained = end(start("--wait", "0", "--", "echo", "run"))
    assert (status, out) == (1, "")
    assert "breaker_open" in complained


def test_jobs_that_come_at_once_obey_one_pace(start: Start) -> None:
    words = ("--lane", "backlog", "--wait", "2", "--", "echo", "run")
    jobs = [start(*words, law=SLOW) for _ in range(JOBS)]
    ends = sorted(end(job)[:2] for job in jobs)
    assert ends == [(0, "run\n"), *[(1, "")] * (JOBS - 1)]


def test_no_more_jobs_than_the_window_are_run_at_once(start: Start) -> None:
    backlog = ("--lane", "backlog", "--wait")
    first = begun(start(*backlog, "30", "--", *WAITS, law=ONE_AT_ONCE))
    status, _, complained = end(start(*backlog, "3", "--", "true", law=ONE_AT_ONCE))
    assert (status, "in_flight" in complained) == (1, True)
    second = start(*backlog, "30", "--", "true", law=ONE_AT_ONCE)
    assert end(first, "\n")[:2] == (0, "ended\n")
    assert end(second)[0] == 0


def test_the_permit_of_a_job_that_was_killed_is_free_again(start: Start) -> None:
    backlog = ("--lane", "backlog", "--wait", "30", "--")
    killed = begun(start(*backlog, *WAITS, law=ONE_AT_ONCE))
    killed.kill()
    assert end(start(*backlog, "echo", "run", law=ONE_AT_ONCE))[:2] == (0, "run\n")


def test_a_job_that_is_interrupted_while_it_waits_leaves_at_once(
    start: Start, tmp_path: Path
) -> None:
    backlog, file = ("--lane", "backlog", "--wait", "60", "--"), tmp_path / "governors.db"
    first = begun(start(*backlog, *WAITS, law=ONE_AT_ONCE))
    waiting = start(*backlog, "echo", "run", law=ONE_AT_ONCE)
    while workers(file) < 2:
        assert waiting.poll() is None, "it waits"
    waiting.send_signal(signal.SIGINT)
    assert end(waiting) == (130, "", "")
    assert (workers(file), first.poll()) == (1, None)


def test_what_stops_a_job_is_sent_on_to_its_command(start: Start) -> None:
    job = begun(start("--", sys.executable, "-c", TOLD))
    job.send_signal(signal.SIGTERM)
    assert end(job)[:2] == (5, "told\n")


def test_without_its_file_it_goes_on_and_says_so(start: Start) -> None:
    status, out, complained = end(start("--", "sh", "-c", "echo run; exit 3", state="no/such.db"))
    assert (status, out) == (3, "run\n")
    assert "vm@eastus is called without a permit: no/such.db" in complained


def test_without_its_file_it_can_fail_closed(start: Start) -> None:
    status, out, _ = end(start("--fail-closed", "--", "echo", "run", state="no/such.db"))
    assert (status, out) == (1, "")


def test_a_file_of_something_else_is_left_alone(start: Start, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Sir, " * 1_000)
    status, _, complained = end(start("--", "true", state="letter.txt"))
    assert (status, "without a permit" in complained) == (0, True)
    assert (tmp_path / "letter.txt").read_text() == "Dear Sir, " * 1_000


@pytest.mark.parametrize(
    "words",
    [("--server", "http://127.0.0.1:1"), ("--token-file", "token")],
    ids=lambda words: words[0],
)
def test_a_file_and_a_server_are_not_both_asked(start: Start, words: tuple[str, str]) -> None:
    status, _, complained = end(start(*words, "--", "true"))
    assert (status, "--state: one of them" in complained) == (2, True)
