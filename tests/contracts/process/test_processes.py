"""What every `Processes` does, with real programs and with scripted ones."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import pytest

from surgetank.core.errors import ConflictError, DependencyRejectedError
from surgetank.core.ports import Clock, Processes
from surgetank.core.process import Command, Ended, ProcessLimits
from surgetank.runtime.live.clock import SystemClock
from surgetank.runtime.live.process import LiveProcesses
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.process import Program, ScriptedProcesses

T = TypeVar("T")
OURS = {"HOME": "/root", "SECRET": "s", "LANG": "C.UTF-8"}
PATIENT = ProcessLimits(timeout_s=60.0, grace_s=60.0)
HASTY = ProcessLimits(timeout_s=0.1, grace_s=60.0)
LONG_S = 600.0
NOTES = "NOTES"
NOTE = "import os, sys; notes = open(os.environ['NOTES'], 'w', buffering=1);"
ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)), end='')"
MANY = bytes(range(97, 107)) * 1000
SAYS_MUCH = (
    "import sys; many = bytes(range(97, 107)) * 1000;"
    "sys.stdout.buffer.write(many); sys.stderr.buffer.write(many)"
)
DEAF = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('deaf', flush=True); time.sleep(600)"
)

PROGRAMS: dict[str, tuple[str, Program | Callable[[Command], Program]]] = {
    "nothing": ("", Program()),
    "seven": ("raise SystemExit(7)", Program(exit_code=7)),
    "killed": ("import os; os.kill(os.getpid(), 9)", Program(exit_code=-9)),
    "says": (
        "import os; os.write(1, b'out\\xff'); os.write(2, b'error\\xff')",
        Program(stdout=b"out\xff", stderr=b"error\xff"),
    ),
    "says much": (
        SAYS_MUCH,
        Program(stdout=MANY, stderr=MANY),
    ),
    "echoes": (
        "import sys; sys.stdout.write(sys.stdin.read())",
        lambda command: Program(stdout=command.stdin),
    ),
    "its arguments": (
        "import sys; print('|'.join(sys.argv[1:]), end='')",
        lambda command: Program(stdout="|".join(command.argv[1:]).encode()),
    ),
    "its environment": (
        ENVIRONMENT,
        lambda command: Program(stdout=json.dumps(dict(command.environment)).encode()),
    ),
    "its place": (
        "import os; print(os.getcwd(), end='')",
        lambda command: Program(stdout=(command.cwd or "").encode()),
    ),
    "sleeps": ("import time; time.sleep(600)", Program(LONG_S)),
    "deaf": (DEAF, Program(LONG_S, is_deaf=True)),
    "notes": (NOTE + "notes.write('one\\ntwo\\n')", Program(notes=(b"one", b"two"))),
    "notes and sleeps": (
        NOTE + "notes.write('begun\\n'); import time; time.sleep(600)",
        Program(LONG_S, notes=(b"begun",)),
    ),
    "notes much": (
        NOTE + "notes.write('a' * 9 + 'b' * 100_000)",
        Program(notes=(b"a" * 9 + b"b",)),
    ),
}
"""What a program does: the code of the real one, and the script of the other."""


class Site(NamedTuple):
    """Where a test takes place."""

    processes: Processes
    clock: Clock
    argv: Callable[..., tuple[str, ...]]

    async def run(
        self,
        program: str,
        *arguments: str,
        limits: ProcessLimits = PATIENT,
        noted: Callable[[bytes], Awaitable[None]] | None = None,
        **others: Any,
    ) -> Ended:
        command = Command(self.argv(program, *arguments))._replace(**others)
        return await self.processes.run(command, limits=limits, noted=noted)


Story = Callable[[Site], Awaitable[T]]


class Play(Protocol):
    def __call__(self, story: Story[T]) -> T: ...


def play_live(story: Story[T]) -> T:
    def argv(program: str, *arguments: str) -> tuple[str, ...]:
        if program not in PROGRAMS:
            return (program,)
        return (sys.executable, "-I", "-S", "-c", PROGRAMS[program][0], *arguments)

    async def main() -> T:
        return await story(Site(LiveProcesses(OURS), SystemClock(), argv))

    return asyncio.run(main())


def play_virtual(story: Story[T]) -> T:
    def argv(program: str, *arguments: str) -> tuple[str, ...]:
        return (program, *arguments)

    async def main(loop: VirtualLoop) -> T:
        clock = VirtualClock(loop)
        table = {name: program for name, (_, program) in PROGRAMS.items()}
        processes = ScriptedProcesses(table, clock=clock, environment=OURS)
        ended = await story(Site(processes, clock, argv))
        assert processes.running == 0, "nothing is left behind"
        return ended

    return run(main)


@pytest.fixture(params=["real", "scripted"])
def play(request: pytest.FixtureRequest) -> Play:
    return play_live if request.param == "real" else play_virtual


@pytest.mark.parametrize(
    ("program", "exit_code"), [("nothing", 0), ("seven", 7), ("killed", -9), ("sleeps", -15)]
)
def test_says_what_ended_it(play: Play, program: str, exit_code: int) -> None:
    limits = HASTY if program == "sleeps" else PATIENT
    ended = play(lambda site: site.run(program, limits=limits))
    assert (ended.exit_code, ended.is_timed_out) == (exit_code, program == "sleeps")


def test_gives_both_outputs_as_they_are(play: Play) -> None:
    ended = play(lambda site: site.run("says"))
    assert (ended.stdout, ended.stderr) == (b"out\xff", b"error\xff")


def test_keeps_the_last_bytes_of_each_output(play: Play) -> None:
    ended = play(lambda site: site.run("says much", limits=PATIENT._replace(output_bytes_max=7)))
    assert (ended.stdout, ended.stderr) == (b"defghij", b"defghij")


def test_hands_over_its_input(play: Play) -> None:
    assert play(lambda site: site.run("echoes", stdin=b"in")).stdout == b"in"


def test_input_ends_where_none_is_given(play: Play) -> None:
    assert play(lambda site: site.run("echoes")).stdout == b""


def test_arguments_are_not_read_by_a_shell(play: Play) -> None:
    assert play(lambda site: site.run("its arguments", "$HOME", "a b;c")).stdout == b"$HOME|a b;c"


def test_it_sees_what_is_set_and_what_it_may_inherit_and_nothing_else(play: Play) -> None:
    ended = play(
        lambda site: site.run(
            "its environment",
            environment={"LANG": "C", "MINE": "1"},
            inherited=("HOME", "LANG", "ABSENT"),
        )
    )
    seen = json.loads(ended.stdout)
    seen.pop("LC_CTYPE", None)  # the interpreter's own, where LANG is C
    assert seen == {"HOME": "/root", "LANG": "C", "MINE": "1"}


def test_it_starts_where_it_is_told(play: Play, tmp_path: Path) -> None:
    assert play(lambda site: site.run("its place", cwd=str(tmp_path))).stdout == bytes(tmp_path)


def test_who_does_not_end_when_told_is_killed_after_the_grace(play: Play) -> None:
    limits = ProcessLimits(timeout_s=1.0, grace_s=0.2)
    ended = play(lambda site: site.run("deaf", limits=limits))
    assert (ended.exit_code, ended.is_timed_out) == (-9, True)


def test_what_does_not_exist_is_rejected_and_has_done_nothing(play: Play) -> None:
    with pytest.raises(DependencyRejectedError, match="cannot start no-such-program") as caught:
        play(lambda site: site.run("no-such-program"))
    assert not caught.value.may_have_acted


def test_gives_the_last_note(play: Play) -> None:
    assert play(lambda site: site.run("notes", note_variable=NOTES)).note == b"two"


def test_a_note_that_cannot_be_taken_ends_the_program(play: Play) -> None:
    async def noted(_: bytes) -> None:
        raise ConflictError("the lease is lost")

    with pytest.raises(ConflictError):
        play(lambda site: site.run("notes and sleeps", noted=noted, note_variable=NOTES))


def test_a_note_is_kept_to_a_limit(play: Play) -> None:
    limits = PATIENT._replace(note_bytes_max=9)
    ended = play(lambda site: site.run("notes much", note_variable=NOTES, limits=limits))
    assert ended.note == b"a" * 9


def test_who_writes_no_note_has_none(play: Play) -> None:
    assert play(lambda site: site.run("says", note_variable=NOTES)).note is None


def test_cancelled_while_it_goes_on_and_tells_it_ends_the_program_first(play: Play) -> None:
    async def story(site: Site) -> bool:
        told = asyncio.Event()

        async def noted(note: bytes) -> None:
            assert note == b"begun"
            told.set()

        running = asyncio.ensure_future(
            site.run("notes and sleeps", noted=noted, note_variable=NOTES)
        )
        await told.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return running.cancelled()

    assert play(story)
