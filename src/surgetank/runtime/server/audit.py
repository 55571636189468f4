"""The audit trail: who did what to operations, and what came of it; append-only JSON lines.

An act leaves two entries: that it begins, before it does anything, and how it ended, before it is
answered. Each is on disk (fsync) when its method returns; an act whose beginning cannot be written
is not begun. The trail is a folder of files, each named after its first entry's number; the oldest
go when the trail is too large or too old. After a crash half a line at the end is cut off.
"""

import json
import os
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple, Self

from surgetank.core.errors import DependencyError, IntegrityError
from surgetank.core.ports import Blocking, Clock
from surgetank.runtime.policy import AuditPolicy

FILES = 8
"""Of a full trail: an eighth goes at a time."""
BODY_CHARACTERS_MAX = 1_000
"""What is kept of what an act was asked with."""
_NUMBER_DIGITS = 16

Entry = Mapping[str, Any]


class Act(NamedTuple):
    """What somebody asks for."""

    who: str
    method: str
    path: str
    body: str
    """At most `BODY_CHARACTERS_MAX` are kept."""


class AuditTrail:
    """Appends to the trail, and reads it."""

    def __init__(
        self, folder: Path, *, policy: AuditPolicy, blocking: Blocking, clock: Clock
    ) -> None:
        self._folder = folder
        self._policy = policy
        self._blocking = blocking
        self._clock = clock
        self._number = 0  # Of the newest entry.

    @classmethod
    async def open(
        cls, folder: Path, *, policy: AuditPolicy, blocking: Blocking, clock: Clock
    ) -> Self:
        """Open the trail in `folder`, which is made.

        Raises:
            DependencyError: It cannot be made or read.
            IntegrityError: A line is no entry of ours.
        """
        trail = cls(folder, policy=policy, blocking=blocking, clock=clock)
        await blocking.run(trail._open)
        return trail

    async def begin(self, act: Act) -> int:
        """Write down that an act begins, and give the number of the entry.

        Raises:
            DependencyError: It could not be written: the act must not begin.
        """
        return await self._append(
            {**act._asdict(), "body": act.body[:BODY_CHARACTERS_MAX]}, may_have_acted=False
        )

    async def end(self, number: int, act: Act, *, status: int) -> None:
        """Write down how the act of entry `number` ended.

        Raises:
            DependencyError: It could not be written, and the act was done.
        """
        entry = {"who": act.who, "method": act.method, "path": act.path, "ends": number}
        await self._append({**entry, "status": status}, may_have_acted=True)

    async def read(self, *, after: int, limit: int) -> tuple[Entry, ...]:
        """Read at most `limit` entries whose number is above `after`, oldest first.

        Raises:
            DependencyError: The trail cannot be read.
        """
        return await self._blocking.run(lambda: self._read(after, limit))

    async def _append(self, facts: Mapping[str, object], *, may_have_acted: bool) -> int:
        at = self._clock.now()

        def append() -> int:
            try:
                return self._write(facts, at)
            except OSError as error:
                reason = f"the audit trail cannot be written: {error.strerror}"
                raise DependencyError(reason, may_have_acted=may_have_acted) from error

        return await self._blocking.run(append)

    def _write(self, facts: Mapping[str, object], at: float) -> int:
        number = self._number + 1
        line = json.dumps({"number": number, "at": at, **facts}).encode() + b"\n"
        files = self._files()
        if not files or self._is_full(files[-1], len(line), at):
            self._forget(files, at)
            files = [self._folder / f"{number:0{_NUMBER_DIGITS}d}.jsonl"]
        _append_line(files[-1], line)
        self._number = number
        return number

    def _is_full(self, file: Path, more: int, at: float) -> bool:
        is_large = file.stat().st_size + more > self._policy.bytes_max // FILES
        return is_large or _first_at(file) < at - self._policy.keep_s / FILES

    def _forget(self, files: list[Path], at: float) -> None:
        """Make room for one more file."""
        allowed = self._policy.bytes_max - self._policy.bytes_max // FILES
        size = sum(file.stat().st_size for file in files)
        for file, following in zip_longest(files, files[1:]):
            is_old = following is not None and _first_at(following) < at - self._policy.keep_s
            if not is_old and size <= allowed:
                return
            size -= file.stat().st_size
            file.unlink()

    def _read(self, after: int, limit: int) -> tuple[Entry, ...]:
        found = list[Entry]()
        try:
            files = self._files()
            for file, following in zip_longest(files, files[1:]):
                if following is None or int(following.stem) > after + 1:
                    found += _entries(file, after, limit - len(found))
                if len(found) >= limit:
                    break
        except OSError as error:
            reason = f"the audit trail cannot be read: {error.strerror}"
            raise DependencyError(reason, may_have_acted=False) from error
        return tuple(found)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"{'[0-9]' * _NUMBER_DIGITS}.jsonl"))

    def _open(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            files = self._files()
            if files:
                self._number = int(files[-1].stem) - 1 + _mended(files[-1])
        except OSError as error:
            reason = f"{self._folder}: cannot be used: {error.strerror}"
            raise DependencyError(reason, may_have_acted=False) from error


def _append_line(file: Path, line: bytes) -> None:
    """Append and sync; what was written of a line that failed is taken back."""
    is_new = not file.exists()
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(handle).st_size
        try:
            _write_all(handle, line)
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)
    if is_new:
        _sync_folder(file.parent)


def _write_all(handle: int, line: bytes) -> None:
    while line:
        line = line[os.write(handle, line) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _mended(file: Path) -> int:
    """Cut off half a line at the end; returns how many whole ones there are."""
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with file.open("r+b") as opened:
            opened.truncate(len(whole))
            os.fsync(opened.fileno())
    return whole.count(b"\n")


def _entries(file: Path, after: int, limit: int) -> list[Entry]:
    """Entries of one file: they are numbered in order from its name on."""
    skipped = max(0, after + 1 - int(file.stem))
    found = list[Entry]()
    with file.open("rb") as lines:
        for index, line in enumerate(lines):
            if index >= skipped and len(found) < limit and line.endswith(b"\n"):
                found.append(_entry(file, line))
    return found


def _first_at(file: Path) -> float:
    with file.open("rb") as lines:
        line = lines.readline()
    at: float = _entry(file, line)["at"] if line else 0.0
    return at


def _entry(file: Path, line: bytes) -> Entry:
    try:
        entry: Entry = json.loads(line)
    except ValueError as error:
        raise IntegrityError(f"{file}: a line is no entry of an audit trail") from error
    return entry
