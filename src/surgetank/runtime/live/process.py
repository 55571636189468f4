"""Real programs, each at the head of a process group of its own that ends with it.

The head of a group is reaped last, after the group was killed: until then its number is nobody
else's, and one SIGKILL reaches all that is left. A program that starts a session of its own
(`setsid`) leaves the group; a container or a service manager ends that one.

No threads, and no child watcher of asyncio, which is a thread for each child in Python 3.11: a
descriptor tells that a program has ended (`pidfd_open`, Linux 5.3).
Sources: pidfd_open(2), kill(2), setsid(2), pipe(7).
"""

import asyncio
import errno
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, NamedTuple

import structlog

from surgetank.core.errors import (
    DependencyError,
    DependencyRejectedError,
    DependencyTimeoutError,
)
from surgetank.core.process import Command, Ended, ProcessLimits

READ_BYTES = 64 * 1024
"""What a pipe of Linux holds: one read empties it."""
_FOR_NOW = (errno.EAGAIN, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETXTBSY)
"""Why a program may not start now and start later; after all other errors it never will."""


class LiveProcesses:
    """The `Processes` port of a running service."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Run programs that may inherit from `environment`."""
        self._environment = environment

    async def run(
        self,
        command: Command,
        *,
        limits: ProcessLimits,
        noted: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> Ended:
        """Run a program to its end, and leave nothing of it behind; see `Processes.run`."""
        child = _Child(command, self._environment, limits)
        try:
            is_timed_out = not await child.watch(noted or _ignore)
        finally:
            await child.end()
        return child.ended(is_timed_out=is_timed_out)


class _Child:
    """One program and its pipes, from its start until nothing is left of it."""

    def __init__(
        self, command: Command, environment: Mapping[str, str], limits: ProcessLimits
    ) -> None:
        self._name = command.argv[0]
        self._limits = limits
        self._stirred = asyncio.Event()
        """Set when there is something to look at: a note, an end."""
        self._has_ended = False
        self._is_killed = False
        self._is_reaped = asyncio.Event()
        self._stdout = _Tail(limits.output_bytes_max)
        self._stderr = _Tail(limits.output_bytes_max)
        self._notes = _Notes(limits.note_bytes_max)
        inherited = {name: environment[name] for name in command.inherited if name in environment}
        command = command._replace(environment={**inherited, **command.environment})
        self._popen, self._end_file, note_file = _start(command)
        asyncio.get_running_loop().add_reader(self._end_file, self._take_end)
        self._inlet = _Inlet(self._popen.stdin, command.stdin)
        self._outlets = (
            _Outlet(self._popen.stdout, self._stdout.take, self._stirred.set),
            _Outlet(self._popen.stderr, self._stderr.take, self._stirred.set),
        )
        self._note_outlet = _Outlet(note_file, self._take_note, self._stirred.set)

    async def watch(self, noted: Callable[[bytes], Awaitable[None]]) -> bool:
        """Hand on its notes until it ends; False when it does not before its time-out.

        The time-out never breaks off `noted`: half a write would leave its maker in doubt.
        """
        time = asyncio.get_running_loop().time
        note_at = time()
        until = note_at + self._limits.timeout_s
        while not self._has_ended and time() < until:
            look_at = min(note_at, until) if self._notes.is_new else until
            with suppress(TimeoutError):
                async with asyncio.timeout_at(look_at):
                    await self._stir()
            if self._notes.is_new and note_at <= time():
                await noted(self._notes.take_new())
                note_at = time() + self._limits.note_s
        return self._has_ended

    async def end(self) -> None:
        """Tell it to end, wait for it and for its outputs, then kill all that is left.

        Cancelled, it waits no longer.
        """
        try:
            if not self._has_ended:
                self._signal(signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.grace_s):
                    while not (self._has_ended and all(each.is_closed for each in self._outlets)):
                        await self._stir()
        finally:
            if self._kill():
                # Only what is stuck within the kernel takes long: then its place is rightly taken.
                await self._is_reaped.wait()

    def ended(self, *, is_timed_out: bool) -> Ended:
        """Say how it ended.

        Raises:
            DependencyTimeoutError: It has not, and is not ours to kill.
        """
        if self._popen.returncode is None:
            raise DependencyTimeoutError(
                f"{self._name}: runs on as another user and cannot be ended", may_have_acted=True
            )
        return Ended(
            self._popen.returncode,
            self._stdout.kept(),
            self._stderr.kept(),
            self._notes.last(),
            is_timed_out,
        )

    async def _stir(self) -> None:
        await self._stirred.wait()
        self._stirred.clear()

    def _kill(self) -> bool:
        """Kill the group and close the pipes; False when it goes on all the same."""
        is_killed = self._signal(signal.SIGKILL) or self._has_ended
        for each in (*self._outlets, self._note_outlet):
            each.take_rest()
        self._inlet.close()
        self._is_killed = True
        if self._has_ended:
            self._reap()
        if not is_killed:
            structlog.get_logger().warning("process.left", program=self._name, pid=self._popen.pid)
        return is_killed

    def _signal(self, number: signal.Signals) -> bool:
        try:
            os.killpg(self._popen.pid, number)
        except PermissionError:  # sudo and its like: none of the group is ours any more
            return False
        return True

    def _take_note(self, data: bytes) -> None:
        if self._notes.take(data):
            self._stirred.set()

    def _take_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._end_file)
        os.close(self._end_file)
        self._has_ended = True
        self._stirred.set()
        if self._is_killed:
            self._reap()

    def _reap(self) -> None:
        self._popen.wait()  # at once: it has ended
        self._is_reaped.set()


class _Outlet:
    """Reads a pipe to its end, so that nobody who writes there ever waits for us."""

    def __init__(
        self, file: IO[bytes] | None, take: Callable[[bytes], None], closed: Callable[[], None]
    ) -> None:
        self._file = file
        self._take = take
        self._closed = closed
        if file is not None:
            os.set_blocking(file.fileno(), False)
            asyncio.get_running_loop().add_reader(file, self._read)

    @property
    def is_closed(self) -> bool:
        """Whether nobody can write there any more."""
        return self._file is None

    def take_rest(self) -> None:
        """Take what was written and not read yet, then close it. Safe to repeat."""
        self._read()
        self._close()

    def _read(self) -> None:
        if self._file is None:
            return
        try:
            data = os.read(self._file.fileno(), READ_BYTES)
        except BlockingIOError:  # nothing is there, and somebody may still write
            return
        if data:
            self._take(data)
        else:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            asyncio.get_running_loop().remove_reader(self._file)
            self._file.close()
            self._file = None
            self._closed()


class _Inlet:
    """Writes a pipe as fast as it is read, if it is."""

    def __init__(self, file: IO[bytes] | None, left: bytes) -> None:
        self._file = file
        self._left = left
        if file is not None:
            os.set_blocking(file.fileno(), False)
            asyncio.get_running_loop().add_writer(file, self._write)

    def close(self) -> None:
        """Write no more. Safe to repeat."""
        if self._file is not None:
            asyncio.get_running_loop().remove_writer(self._file)
            self._file.close()
            self._file = None

    def _write(self) -> None:
        assert self._file is not None, "asked only while open"
        try:
            written = os.write(self._file.fileno(), self._left)
        except BrokenPipeError:  # it does not want the rest
            self.close()
            return
        self._left = self._left[written:]
        if not self._left:
            self.close()


class _Tail:
    """The last bytes of an output."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._kept = bytearray()

    def take(self, data: bytes) -> None:
        """Keep this, and drop what it pushes out."""
        self._kept += data
        if len(self._kept) > 2 * self._bytes_max:  # not each time: to move bytes costs
            del self._kept[: -self._bytes_max]

    def kept(self) -> bytes:
        """What is kept."""
        return bytes(self._kept[-self._bytes_max :])


class _Notes:
    """The last line of the notes."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._last: bytes | None = None
        self._begun = b""
        self.is_new = False
        """Whether there is a whole line that was not taken."""

    def take(self, data: bytes) -> bool:
        """Take in more; True when it ends a line."""
        *lines, begun = (self._begun + data).split(b"\n")
        if lines:
            self._last = lines[-1][: self._bytes_max]
            self.is_new = True
        self._begun = begun[: self._bytes_max]
        return bool(lines)

    def take_new(self) -> bytes:
        """Give the last whole line, once."""
        assert self._last is not None, "there is one"
        self.is_new = False
        return self._last

    def last(self) -> bytes | None:
        """The last line when all is written: it may lack its end."""
        return self._begun or self._last


async def _ignore(_: bytes) -> None:
    """Tell nobody of a note."""


class _Started(NamedTuple):
    """A program that runs."""

    popen: "subprocess.Popen[bytes]"
    end_file: int
    """Becomes readable when it ends."""
    note_file: IO[bytes] | None
    """Where its notes are read."""


def _start(command: Command) -> _Started:
    """Start a program.

    Raises:
        DependencyRejectedError: It can never be started.
        DependencyError: It cannot be started now, or not be watched.
    """
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:  # then 0 would be told for every one
        message = "whoever started us ignores SIGCHLD: the kernel throws exit codes away"
        raise DependencyRejectedError(message, may_have_acted=False)
    files = list[int]()
    environment = dict(command.environment)
    try:
        if command.note_variable is not None:
            files.extend(os.pipe())
            environment[command.note_variable] = f"/dev/fd/{files[1]}"
        popen = subprocess.Popen(  # noqa: S603 - no shell; what may be run is the caller's policy
            command.argv,
            bufsize=0,
            cwd=command.cwd,
            env=environment,
            pass_fds=files[1:],
            start_new_session=True,
            stderr=subprocess.PIPE,
            stdin=subprocess.PIPE if command.stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
    except (OSError, ValueError) as error:
        _close(files)
        raise _cannot_start(command, error) from error
    _close(files[1:])
    try:
        end_file = os.pidfd_open(popen.pid)
    except OSError as error:
        _close(files[:1])
        with popen:  # closes its pipes, and reaps it
            os.killpg(popen.pid, signal.SIGKILL)
        message = f"{command.argv[0]} cannot be watched, and was killed: {error}"
        raise DependencyError(message, may_have_acted=True) from error
    return _Started(popen, end_file, os.fdopen(files[0], "rb", buffering=0) if files else None)


def _cannot_start(command: Command, error: OSError | ValueError) -> DependencyError:
    place = f" in {command.cwd}" if command.cwd is not None else ""
    message = f"cannot start {command.argv[0]}{place}: {error}"
    if isinstance(error, OSError) and error.errno in _FOR_NOW:
        return DependencyError(message, may_have_acted=False)
    return DependencyRejectedError(message, may_have_acted=False)


def _close(files: Sequence[int]) -> None:
    for file in files:
        os.close(file)
