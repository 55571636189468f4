import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import surgetank

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_version_is_the_packages(run_installed: Run) -> None:
    assert run_installed("--version").stdout == f"surgetank {surgetank.__version__}\n"


def test_version_as_json(run: Run) -> None:
    assert json.loads(run("--version", "--json").stdout) == {"version": surgetank.__version__}


def test_alone_it_teaches_the_first_commands(run: Run) -> None:
    answer = run()
    assert "First commands:\n    surgetank " in answer.stdout
    assert answer.returncode == 0


def test_help_gives_every_exit_status(run: Run) -> None:
    assert (
        "0 done or met, 1 not met, 2 bad input, 3 our own fault, 130 interrupted"
        in run("--help").stdout
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("confg",), "No such command 'confg'. Did you mean 'config'? See surgetank --help"),
        (("--bogus",), "No such option: --bogus See surgetank --help"),
        (("config",), "Missing command. See surgetank config --help"),
        (("config", "explain", "--bogus"), "--bogus See surgetank config explain --help"),
    ],
)
def test_words_it_does_not_know_are_bad_input(run: Run, words: tuple[str, ...], said: str) -> None:
    answer = run(*words)
    assert said in answer.stderr
    assert (answer.returncode, answer.stdout) == (2, "")


def test_words_it_does_not_know_as_json(run_installed: Run) -> None:
    answer = run_installed("confg", "--json")
    assert json.loads(answer.stdout)["error"]["code"] == "invalid_input"
    assert (answer.returncode, answer.stderr) == (2, "")


def test_a_traceback_is_shown_on_request(run: Run) -> None:
    answer = run("config", "check", "absent.toml", SURGETANK_TRACEBACK="1")
    assert "Traceback (most recent call last)" in answer.stderr
    assert answer.returncode == 2


def test_an_answer_that_cannot_be_written_is_our_fault(command: Path) -> None:
    with Path("/dev/full").open("w") as full:
        answer = subprocess.run(  # noqa: S603 - our own command
            [command, "config", "schema"],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert answer.stderr == (
        "surgetank: internal error: OSError: [Errno 28] No space left on device\n"
        "Not your mistake; SURGETANK_TRACEBACK=1 shows where.\n"
    )
    assert answer.returncode == 3


def test_a_reader_that_leaves_is_no_defect(command: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        answer = subprocess.run(  # noqa: S603 - our own command
            [command, "--version"],
            check=False,
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert (answer.returncode, answer.stderr) == (1, "")


@pytest.mark.parametrize("as_json", [False, True])
def test_the_keyboard_stops_it(command: Path, tmp_path: Path, *, as_json: bool) -> None:
    pipe = tmp_path / "configuration.toml"
    os.mkfifo(pipe)
    words = ["config", "check", str(pipe), *(["--json"] if as_json else [])]
    process = subprocess.Popen(  # noqa: S603 - our own command
        [command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process, pipe.open("w"):  # opens once the command reads
        process.send_signal(signal.SIGINT)
        answer, complaint = process.communicate(timeout=60)
    if as_json:
        assert json.loads(answer)["error"]["code"] == "interrupted"
    else:
        assert complaint == "surgetank: interrupted\n"
    assert process.returncode == 130
