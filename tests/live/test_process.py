"""Real programs that do what they should not: nothing of them is left, and nobody waits for ever."""

import asyncio
import errno
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import structlog

from surgetank.core.errors import (
    DependencyError,
    DependencyRejectedError,
    DependencyTimeoutError,
)
from surgetank.core.process import Command, Ended, ProcessLimits
from surgetank.runtime.live.clock import SystemClock
from surgetank.runtime.live.process import LiveProcesses

PATIENT = ProcessLimits(timeout_s=60.0, grace_s=60.0)
HASTY = ProcessLimits(timeout_s=0.5, grace_s=0.5)
NOTES = "NOTES"
SHELL = "/bin/sh"

IsGone = Callable[[int], bool]


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture(autouse=True)
def nothing_open_is_left() -> Generator[None]:
    """Every descriptor that a program needed is closed when it has ended."""
    before = descriptors()
    yield
    assert descriptors() == before


def shell(script: str, **changes: Any) -> Command:
    return Command((SHELL, "-c", script), inherited=("PATH",))._replace(**changes)


def python(code: str, **changes: Any) -> Command:
    return Command((sys.executable, "-I", "-S", "-c", code))._replace(**changes)


def ended(command: Command, limits: ProcessLimits = PATIENT) -> Ended:
    return asyncio.run(LiveProcesses().run(command, limits=limits))


async def cancelled(command: Command, limits: ProcessLimits, *, times: int) -> bytes:
    """Run a program until it writes a note, then cancel so often; gives the note."""
    told = asyncio.get_running_loop().create_future()

    async def noted(note: bytes) -> None:
        told.set_result(note)

    running = asyncio.ensure_future(LiveProcesses().run(command, limits=limits, noted=noted))
    note: bytes = await told
    for _ in range(times):
        running.cancel()
        await asyncio.wait([running], timeout=0.3)
    with pytest.raises(asyncio.CancelledError):
        await running
    return note


def test_who_ignores_sigterm_is_killed() -> None:
    found = ended(shell("trap '' TERM; while :; do sleep 1; done"), HASTY)
    assert (found.exit_code, found.is_timed_out) == (-signal.SIGKILL, True)


def test_who_ends_at_sigterm_may_say_its_last_words() -> None:
    found = ended(
        shell("trap 'echo bye; exit 3' TERM; sleep 600 & wait"), HASTY._replace(grace_s=60)
    )
    assert (found.exit_code, found.stdout, found.is_timed_out) == (3, b"bye\n", True)


def test_a_grandchild_that_ignores_sigterm_does_not_outlive_a_time_out(is_gone: IsGone) -> None:
    script = "(trap '' TERM; sleep 600; sleep 600) & echo $!; wait"
    found = ended(shell(script), HASTY)
    assert found.is_timed_out
    assert is_gone(int(found.stdout))


def test_a_grandchild_does_not_outlive_a_program_that_ended_well(is_gone: IsGone) -> None:
    found = ended(shell("sleep 600 >/dev/null 2>&1 & echo $!"))
    assert (found.exit_code, found.is_timed_out) == (0, False)
    assert is_gone(int(found.stdout))


def test_who_holds_the_output_of_a_program_that_ended_is_waited_for_no_longer_than_the_grace(
    is_gone: IsGone,
) -> None:
    found = ended(shell("sleep 600 & echo $!"), PATIENT._replace(grace_s=0.3))
    assert (found.exit_code, found.is_timed_out) == (0, False)
    assert is_gone(int(found.stdout))


def test_what_a_program_leaves_to_be_said_is_heard() -> None:
    found = ended(shell("(sleep 0.3; echo late) & exit 5"))
    assert (found.exit_code, found.stdout) == (5, b"late\n")


def test_one_hundred_megabytes_are_read_and_only_the_end_is_kept() -> None:
    code = "import os; [os.write(1, b'x' * 1_000_000) for _ in range(100)]; os.write(1, b'end')"
    found = ended(python(code), PATIENT._replace(output_bytes_max=1000))
    assert (found.exit_code, len(found.stdout)) == (0, 1000)
    assert found.stdout.endswith(b"xend")


def test_one_hundred_megabytes_of_notes_without_an_end_are_read_too() -> None:
    code = "import os; f = os.open(os.environ['NOTES'], 1); [os.write(f, b'x' * 1_000_000) for _ in range(100)]"
    found = ended(python(code, note_variable=NOTES), PATIENT._replace(note_bytes_max=1000))
    assert (found.exit_code, found.note) == (0, b"x" * 1000)


def test_a_program_that_closes_its_outputs_early_is_waited_for() -> None:
    found = ended(python("import os, time; os.close(1); os.close(2); time.sleep(0.3); os._exit(4)"))
    assert (found.exit_code, found.stdout, found.stderr) == (4, b"", b"")


def test_a_program_that_does_not_read_its_input_is_not_waited_for() -> None:
    assert ended(shell("exit 6", stdin=b"x" * 1_000_000)).exit_code == 6


def test_a_program_that_closes_its_input_and_goes_on_is_no_error() -> None:
    found = ended(shell("exec <&-; sleep 0.3; echo done", stdin=b"x" * 1_000_000))
    assert (found.exit_code, found.stdout) == (0, b"done\n")


def test_more_input_than_a_pipe_holds_arrives() -> None:
    assert ended(shell("wc -c", stdin=b"x" * 3_000_000)).stdout.split() == [b"3000000"]


def test_a_signal_that_ended_it_is_told() -> None:
    assert ended(shell("kill -SEGV $$")).exit_code == -signal.SIGSEGV


def test_a_program_in_a_shell_pipe_that_reads_no_more_ends_its_writer() -> None:
    """Python ignores SIGPIPE; its children must not."""
    assert ended(shell("yes | head -n 1"), PATIENT).stdout == b"y\n"


def test_a_program_that_stopped_itself_is_killed() -> None:
    assert ended(shell("kill -STOP $$"), HASTY).exit_code == -signal.SIGKILL


def test_notes_may_be_written_by_a_grandchild_and_lack_their_end() -> None:
    found = ended(shell('(printf half > "$NOTES")', note_variable=NOTES))
    assert found.note == b"half"


def test_notes_that_nobody_listens_to_block_nobody() -> None:
    script = 'i=0; while [ $i -lt 20000 ]; do echo "note $i"; i=$((i+1)); done > "$NOTES"'
    assert ended(shell(script, note_variable=NOTES)).note == b"note 19999"


def test_a_note_that_takes_long_is_not_broken_off_by_the_time_out() -> None:
    finished = list[bytes]()

    async def noted(note: bytes) -> None:
        clock = SystemClock()
        await clock.sleep_until(clock.now() + 0.4)
        finished.append(note)

    async def main() -> Ended:
        command = shell('echo begun > "$NOTES"; sleep 600', note_variable=NOTES)
        limits = ProcessLimits(timeout_s=0.2, grace_s=60.0)
        return await LiveProcesses().run(command, limits=limits, noted=noted)

    assert asyncio.run(main()).is_timed_out
    assert finished == [b"begun"]


def told(script: str, limits: ProcessLimits) -> tuple[Ended, list[bytes]]:
    """How a program ended, and what it told on its way."""
    notes = list[bytes]()

    async def noted(note: bytes) -> None:
        notes.append(note)

    async def main() -> Ended:
        command = shell(script, note_variable=NOTES)
        return await LiveProcesses().run(command, limits=limits, noted=noted)

    return asyncio.run(main()), notes


def test_notes_are_told_no_faster_than_the_limit() -> None:
    script = 'for i in 1 2 3; do echo $i > "$NOTES"; sleep 0.2; done'
    found, notes = told(script, PATIENT._replace(note_s=60.0))
    assert (found.note, notes) == (b"3", [b"1"])


def test_a_note_that_came_too_early_is_told_later() -> None:
    script = 'echo 1 > "$NOTES"; sleep 0.2; echo 2 > "$NOTES"; sleep 600'
    found, notes = told(script, ProcessLimits(timeout_s=3.0, note_s=1.0))
    assert (found.is_timed_out, notes) == (True, [b"1", b"2"])


def test_who_writes_notes_without_end_is_timed_out_all_the_same() -> None:
    found, _ = told('while :; do echo on > "$NOTES"; done', HASTY._replace(note_s=0.0))
    assert found.is_timed_out


def test_cancelled_it_leaves_nothing_behind(is_gone: IsGone) -> None:
    command = shell('sleep 600 & echo $! > "$NOTES"; wait', note_variable=NOTES)
    note = asyncio.run(cancelled(command, PATIENT, times=1))
    assert is_gone(int(note))


def test_cancelled_again_it_waits_for_no_grace(is_gone: IsGone) -> None:
    command = shell('trap "" TERM; echo $$ > "$NOTES"; sleep 600; sleep 600', note_variable=NOTES)
    note = asyncio.run(cancelled(command, PATIENT, times=2))
    assert is_gone(int(note))


def test_it_needs_no_thread() -> None:
    async def main() -> int:
        await LiveProcesses().run(shell("exit 0"), limits=PATIENT)
        return threading.active_count()

    before = threading.active_count()
    assert asyncio.run(main()) == before


def test_many_at_once_are_told_apart() -> None:
    async def main() -> list[Ended]:
        processes = LiveProcesses()
        runs = (processes.run(shell(f"exit {code}"), limits=PATIENT) for code in range(40))
        return await asyncio.gather(*runs)

    assert [each.exit_code for each in asyncio.run(main())] == list(range(40))


def test_a_program_does_not_hear_the_signals_of_our_terminal() -> None:
    """It has a session of its own: Ctrl-C ends us, and we end it."""
    pid, session = ended(shell("echo $$; ps -o sid= -p $$")).stdout.split()
    assert pid == session


@pytest.mark.parametrize(
    "command",
    [
        Command(("/etc/hostname",)),  # is there, and is no program
        Command(("/",)),
        Command(("/bin/sh", "x" * 200_000)),
        shell("exit 0", cwd="/no/such/directory"),
        shell("exit 0", cwd="/etc/hostname"),
        Command(("/bin/sh\0",)),
        shell("exit 0", environment={"A": "\0"}),
    ],
)
def test_what_can_never_be_started_is_rejected(command: Command) -> None:
    with pytest.raises(DependencyRejectedError, match="cannot start") as caught:
        ended(command._replace(note_variable=NOTES))
    assert not caught.value.may_have_acted


def test_where_exit_codes_are_thrown_away_nothing_is_started() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(DependencyRejectedError, match="throws exit codes away"):
            ended(shell("exit 5"))
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_without_descriptors_it_cannot_start_now() -> None:
    async def main() -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            await LiveProcesses().run(shell("exit 0", note_variable=NOTES), limits=PATIENT)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    with pytest.raises(DependencyError, match="Too many open files") as caught:
        asyncio.run(main())
    assert not isinstance(caught.value, DependencyRejectedError)
    assert not caught.value.may_have_acted


def test_what_cannot_be_watched_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(_: int) -> int:
        raise OSError(errno.ENOSYS, "no such call")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    command = shell("echo $$ > pid; sleep 600", cwd=str(tmp_path), note_variable=NOTES)
    with pytest.raises(DependencyError, match="cannot be watched, and was killed") as caught:
        ended(command)
    assert caught.value.may_have_acted


def test_what_became_another_user_and_cannot_be_killed_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As `sudo` does; here the kernel is made to say so, which needs no other user."""
    killpg: Callable[[int, int], None] = os.killpg
    pids = list[int]()

    def refuse(pid: int, _: int) -> None:
        pids.append(pid)
        raise PermissionError(errno.EPERM, "not yours")

    async def main() -> None:
        monkeypatch.setattr(os, "killpg", refuse)
        try:
            await LiveProcesses().run(shell("sleep 600"), limits=HASTY)
        finally:
            killpg(pids[0], signal.SIGKILL)
            file, gone = os.pidfd_open(pids[0]), asyncio.Event()
            asyncio.get_running_loop().add_reader(file, gone.set)
            await gone.wait()  # the adapter hears of it too, and reaps it
            os.close(file)

    with (
        structlog.testing.capture_logs() as logs,
        pytest.raises(DependencyTimeoutError, match="cannot be ended") as caught,
    ):
        asyncio.run(main())
    assert caught.value.may_have_acted
    assert [(each["event"], each["pid"]) for each in logs] == [("process.left", pids[0])]
