"""Programs in virtual time: a table says what each does, and nothing is started."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from surgetank.core.errors import DependencyRejectedError
from surgetank.core.ports import Clock
from surgetank.core.process import Command, Ended, ProcessLimits

SIGKILL, SIGTERM = 9, 15


class Program(NamedTuple):
    """What a program does."""

    duration_s: float = 0.0
    exit_code: int = 0
    """From 0 to 255; a signal that ends it, negative."""
    stdout: bytes = b""
    stderr: bytes = b""
    notes: tuple[bytes, ...] = ()
    """Written as it starts, in order."""
    is_deaf: bool = False
    """It does not end at SIGTERM."""


Table = Mapping[str, Program | Callable[[Command], Program]]
"""Programs by `argv[0]`, or what tells one from how it is called."""


class ScriptedProcesses:
    """The `Processes` port of a drill."""

    def __init__(
        self,
        table: Table,
        *,
        clock: Clock,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Run the programs of `table`, which may inherit from `environment`."""
        self._table = table
        self._clock = clock
        self._environment = environment
        self.started: list[Command] = []
        """Commands in the order of their starts, with all variables that they saw."""
        self.running = 0
        """How many run now."""

    async def run(
        self,
        command: Command,
        *,
        limits: ProcessLimits,
        noted: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> Ended:
        """Let the program's time pass and say how it ended; see `Processes.run`."""
        own = self._environment
        inherited = {name: own[name] for name in command.inherited if name in own}
        command = command._replace(environment={**inherited, **command.environment})
        program = self._find(command)
        self.started.append(command)
        self.running += 1
        try:
            return await self._play(program, limits, noted)
        finally:
            self.running -= 1

    async def _play(
        self,
        program: Program,
        limits: ProcessLimits,
        noted: Callable[[bytes], Awaitable[None]] | None,
    ) -> Ended:
        ends_at = self._clock.now() + program.duration_s
        until = self._clock.now() + limits.timeout_s
        exit_code = program.exit_code
        notes = [note[: limits.note_bytes_max] for note in program.notes]
        try:
            if noted is not None and notes:
                await noted(notes[-1])
            await self._clock.sleep_until(min(ends_at, until))
        finally:
            if self._clock.now() < ends_at:
                exit_code = await self._end(program, ends_at, limits)
        return Ended(
            exit_code,
            program.stdout[-limits.output_bytes_max :],
            program.stderr[-limits.output_bytes_max :],
            notes[-1] if notes else None,
            is_timed_out=until < ends_at,
        )

    async def _end(self, program: Program, ends_at: float, limits: ProcessLimits) -> int:
        """Tell it to end, and kill it when it does not; gives what ended it."""
        if not program.is_deaf:
            return -SIGTERM
        killed_at = self._clock.now() + limits.grace_s
        await self._clock.sleep_until(min(ends_at, killed_at))
        return program.exit_code if ends_at <= killed_at else -SIGKILL

    def _find(self, command: Command) -> Program:
        found = self._table.get(command.argv[0])
        if found is None:
            raise DependencyRejectedError(
                f"cannot start {command.argv[0]}: no such program", may_have_acted=False
            )
        return found if isinstance(found, Program) else found(command)
