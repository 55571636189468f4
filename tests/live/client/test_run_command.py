"""`surgetank run` as a process: whose status it keeps, what it tells, and when it does not run."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COMMAND = Path(sys.executable).with_name("surgetank")
PATIENCE_S = 60.0
VM = "vm@eastus"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start the installed command, with no server but the one that is named."""

    def start(*words: str, **variables: str) -> "subprocess.Popen[str]":
        kept = {name: value for name, value in os.environ.items() if "SURGETANK" not in name}
        return subprocess.Popen(  # noqa: S603 - our own command
            [COMMAND, "run", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**kept, **variables},
        )

    return start


def end(process: "subprocess.Popen[str]", said: str | None = None) -> tuple[int, str, str]:
    """Wait for a command's end; gives its status and what it said on both."""
    try:
        out, complained = process.communicate(said, timeout=PATIENCE_S)
    finally:
        process.kill()
    return process.returncode, out, complained


def asking(office: Any) -> dict[str, str]:
    return {"SURGETANK_URL": office.url, "SURGETANK_TOKEN": office.token}


@pytest.mark.parametrize(
    ("words", "script", "status", "kind"),
    [
        ((), "exit 0", 0, "ok"),
        ((), "exit 7", 7, "transient"),
        ((), "exit 130", 130, "transient"),
        (("--throttled-exit", "7"), "exit 7", 7, "throttled"),
        (("--throttled-exit", "7", "--throttled-exit", "8"), "exit 8", 8, "throttled"),
        (("--blocked-exit", "7"), "exit 7", 7, "blocked"),
        (("--permanent-exit", "7"), "exit 7", 7, "permanent"),
    ],
)
def test_the_status_of_the_command_is_kept_and_told(
    start: Start, office: Any, words: tuple[str, ...], script: str, status: int, kind: str
) -> None:
    process = start("--on", VM, *words, "--", "sh", "-c", script, **asking(office))
    assert end(process) == (status, "", "")
    assert office.kinds() == [kind]


def test_what_the_command_reads_and_says_is_untouched(start: Start, office: Any) -> None:
    process = start("--on", VM, "--", "sh", "-c", "cat; echo no >&2", **asking(office))
    assert end(process, "some words") == (0, "some words", "no\n")


def test_options_of_the_command_are_its_own(start: Start, office: Any) -> None:
    process = start("--on", VM, "--", "echo", "--json", "--help", "--", "-x", **asking(office))
    assert end(process) == (0, "--json --help -- -x\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_sent_on_and_says_nothing_of_the_dependency(
    start: Start, office: Any, number: signal.Signals
) -> None:
    script = f"trap 'echo told; exit 5' {int(number)}; echo ready; while :; do sleep 0.05; done"
    process = start("--on", VM, "--", "sh", "-c", script, **asking(office))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert end(process)[:2] == (5, "told\n")
    assert office.requests[-1].method == "DELETE"


def test_a_command_that_a_signal_ended_has_its_number_in_the_status(
    start: Start, office: Any
) -> None:
    process = start("--on", VM, "--", "sh", "-c", "kill -9 $$", **asking(office))
    assert end(process)[0] == 137
    assert office.requests[-1].method == "DELETE"


@pytest.mark.parametrize(("command", "status"), [("./no-such", 127), ("/", 126)])
def test_a_command_that_cannot_be_run_is_named(
    start: Start, office: Any, command: str, status: int
) -> None:
    told, said, complained = end(start("--on", VM, "--", command, **asking(office)))
    assert (told, said) == (status, "")
    assert complained.startswith(f"surgetank: {command}: ")
    assert office.in_flight(VM) == 0


def test_a_command_that_is_refused_is_not_run(start: Start, office: Any) -> None:
    office.break_down(VM)
    process = start("--on", VM, "--wait", "0", "--", "echo", "ran", **asking(office))
    status, said, complained = end(process)
    assert (status, said) == (1, "")
    assert complained == f"surgetank: {VM}: breaker_open\n  the command was not run\n"


def test_leave_that_comes_in_time_is_waited_for(start: Start, short_office: Any) -> None:
    short_office.break_down(VM)
    assert end(start("--on", VM, "--", "echo", "ran", **asking(short_office)))[:2] == (0, "ran\n")


def test_without_a_server_the_command_runs_and_that_is_said(start: Start) -> None:
    process = start("--on", VM, "--server", "http://127.0.0.1:1", "--", "sh", "-c", "exit 7")
    status, said, complained = end(process)
    assert (status, said) == (7, "")
    assert complained.startswith(f"surgetank: {VM} is called without a permit: ")


def test_a_command_that_fails_closed_is_not_run_without_a_server(start: Start) -> None:
    words = ("--on", VM, "--server", "http://127.0.0.1:1", "--fail-closed", "--", "echo", "ran")
    status, said, complained = end(start(*words))
    assert (status, said) == (1, "")
    assert "Connection refused" in complained


def test_a_token_may_stand_in_a_file(start: Start, office: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{office.token}\n")
    words = ("--on", VM, "--server", office.url, "--token-file", "token", "--", "true")
    assert end(start(*words)) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("--on", VM, "--", "true"), "SURGETANK_URL"),
        (("--on", VM, "--server", "here", "--", "true"), "here"),
        (("--on", VM, "--server", "http://x", "--token-file", "none", "--", "true"), "none"),
        (("--on", VM, "--server", "http://x", "--token-file", "/dev/null", "--", "true"), "token"),
        (("--on", VM, "--server", "http://x", "--token-file", "/dev/zero", "--", "true"), "4096"),
        (("--on", VM, "--wait", "86401", "--", "true"), "--wait"),
        (("--on", VM), "COMMAND"),
        (("--", "true"), "--on"),
        (
            ("--on", VM, "--blocked-exit", "7", "--throttled-exit", "7", "--", "true"),
            "exit status 7",
        ),
    ],
)
def test_what_cannot_be_used_is_named(start: Start, words: tuple[str, ...], names: str) -> None:
    status, said, complained = end(start(*words))
    assert (status, said) == (2, "")
    assert names in complained


def test_ten_jobs_on_a_dependency_that_fails_open_its_breaker_and_the_rest_are_held(
    start: Start, office: Any, tmp_path: Path
) -> None:
    script = "echo ran >> ran; exit 7"
    words = ("--on", VM, "--lane", "backlog", "--wait", "20", "--", "sh", "-c", script)
    endings = [end(job) for job in [start(*words, **asking(office)) for _ in range(10)]]
    ran = len((tmp_path / "ran").read_text().splitlines())
    assert office.state(VM) == "open"
    assert sorted(status for status, *_ in endings) == [1] * (10 - ran) + [7] * ran
    assert 3 <= ran <= 6  # three open it, and some were out by then
    assert all("breaker_open" in said for status, _, said in endings if status == 1)
