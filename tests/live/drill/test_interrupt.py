"""A drill that is stopped, or loses a worker, leaves no process and no file behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

IsGone = Callable[[int], bool]
COMMAND = Path(sys.executable).with_name("surgetank")
PATIENCE_S = 60.0


@contextmanager
def drill(scratch: Path, *words: str) -> Generator["subprocess.Popen[str]"]:
    """A long drill in two workers, in a session of its own as at a terminal."""
    process = subprocess.Popen(  # noqa: S603 - our own command
        [COMMAND, "drill", "azure-2026-02", *(words or ("--seeds", "20")), "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "COVERAGE_PROCESS_CONFIG": "", "TMPDIR": str(scratch)},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def playing_workers(process: "subprocess.Popen[str]", scratch: Path) -> list[int]:
    """Workers that have begun a run: each has a folder for it."""
    until = time.monotonic() + PATIENCE_S  # noqa: TID251 - a bound on a real process
    while time.monotonic() < until:  # noqa: TID251 - a bound on a real process
        if len(folders(scratch)) >= 2:
            return children(process.pid)
        time.sleep(0.05)  # noqa: TID251 - a real process
    raise AssertionError("no worker began a run")


def children(pid: int) -> list[int]:
    file = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in file.read_text().split()]


def folders(scratch: Path) -> set[Path]:
    """Folders of runs, inside those of their drills."""
    return set(scratch.glob("surgetank-*/surgetank-*"))


@pytest.mark.parametrize("words", [(), ("--sweep", "share=0.1,0.5"), ("--sensitivity",)])
def test_the_keyboard_ends_it_at_once_with_all_it_started(
    words: tuple[str, ...], tmp_path: Path, is_gone: IsGone
) -> None:
    with drill(tmp_path, *words) as process:
        workers = playing_workers(process, tmp_path)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 130
        assert said == "surgetank: interrupted\n"
        assert all(is_gone(pid) for pid in workers)
        assert list(tmp_path.iterdir()) == []


def test_an_end_that_is_asked_for_ends_all_it_started(tmp_path: Path, is_gone: IsGone) -> None:
    with drill(tmp_path) as process:
        workers = playing_workers(process, tmp_path)
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 128 + signal.SIGTERM
        assert all(is_gone(pid) for pid in workers)
        assert list(tmp_path.iterdir()) == []


def test_a_worker_that_is_killed_is_our_fault_and_said_so(tmp_path: Path, is_gone: IsGone) -> None:
    with drill(tmp_path) as process:
        workers = playing_workers(process, tmp_path)
        os.kill(workers[-1], signal.SIGKILL)
        _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 3
        assert "process" in said
        assert all(is_gone(pid) for pid in workers)
        assert list(tmp_path.iterdir()) == []
