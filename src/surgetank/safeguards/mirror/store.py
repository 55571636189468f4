"""The mirror's directory: bodies named by digest, and one small file per URL.

```text
lock                    held by the one mirror that uses the directory
incoming/N              bodies on their way; swept at start
objects/ab/cdef...      bodies, named by SHA-256; written once, never changed
entries/<sha256>.json   one `Entry` each, named by the SHA-256 of its URL
```

A file appears under its name by rename, after its bytes are on disk, and the directory is synced
after that: a crash leaves either all of it or nothing. A body is in place before the record that
names it, so a record never promises what was not written. One file per URL, because it is the
least that survives a crash without a log to replay; a mirror holds thousands of URLs, not millions.

Everything here blocks: call it through the `Blocking` port. `OSError` crosses to the caller, who
knows what to do about a full disk.
"""

import fcntl
import os
from hashlib import sha256
from io import FileIO
from itertools import count
from pathlib import Path
from typing import NamedTuple

from surgetank.core.errors import ConflictError, IntegrityError
from surgetank.safeguards.mirror.entry import Entry, decode, encode


class Loaded(NamedTuple):
    """What a directory held at start."""

    entries: tuple[Entry, ...]
    """In order of URL."""
    damaged: int
    """Records dropped: unreadable, or without a body of the right size."""


class Signature(NamedTuple):
    """Tells whether a file is the one that was checked."""

    size: int
    modified_ns: int
    inode: int


class Incoming:
    """A body on its way to disk, hashed as it comes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._sha256 = sha256()
        self._file = FileIO(path, "xb")

    def write(self, pieces: list[bytes]) -> None:
        """Append `pieces`."""
        for piece in pieces:
            _write_all(self._file, piece)
            self._sha256.update(piece)
            self.size += len(piece)

    def finish(self) -> str:
        """Make the bytes durable and return their digest."""
        os.fsync(self._file.fileno())
        self._file.close()
        return self._sha256.hexdigest()

    def abandon(self) -> None:
        """Leave nothing behind; safe to repeat, also after the file was moved."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class Store:
    """Files of one mirror."""

    def __init__(self, directory: Path) -> None:
        self._root = directory
        self._incoming = directory / "incoming"
        self._objects = directory / "objects"
        self._entries = directory / "entries"
        self._numbers = count()
        self._lock: FileIO | None = None

    def open(self) -> Loaded:
        """Take the directory, sweep what a crash left, and read the records.

        Raises:
            ConflictError: Another mirror uses the directory.
        """
        for directory in (self._incoming, self._objects, self._entries):
            directory.mkdir(parents=True, exist_ok=True)
        self._take()
        for path in (*self._incoming.iterdir(), *self._entries.glob("*.part")):
            path.unlink()
        paths = sorted(self._entries.iterdir())
        entries = [entry for entry in map(self._load, paths) if entry is not None]
        self._sweep_objects({entry.digest for entry in entries})
        entries.sort(key=lambda entry: entry.url)
        return Loaded(tuple(entries), len(paths) - len(entries))

    def close(self) -> None:
        """Let another mirror use the directory; safe to repeat."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def receive(self) -> Incoming:
        """Begin to write a body."""
        return Incoming(self._incoming / str(next(self._numbers)))

    def keep(self, body: bytes | Incoming, entry: Entry) -> Signature:
        """Put a body and its record in place, durably; return the body's signature.

        On an `OSError` the older record and body, if any, stand as they were.
        """
        if isinstance(body, bytes):
            incoming = self.receive()
            try:
                incoming.write([body])
                incoming.finish()
                self._place(incoming, entry.digest)
            except OSError:
                incoming.abandon()
                raise
        else:
            self._place(body, entry.digest)
        self.write_entry(entry)
        with self.open_object(entry.digest) as file:
            return sign(file)

    def write_entry(self, entry: Entry) -> None:
        """Replace the record of a URL, durably."""
        path = self._entry_path(entry.url)
        part = path.with_suffix(".part")
        try:
            with FileIO(part, "wb") as file:
                _write_all(file, encode(entry))
                os.fsync(file.fileno())
            part.rename(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        _sync(self._entries)

    def remove_entry(self, url: str) -> None:
        """Forget a URL; safe to repeat."""
        self._entry_path(url).unlink(missing_ok=True)

    def remove_object(self, digest: str) -> None:
        """Delete a body; safe to repeat."""
        self._object_path(digest).unlink(missing_ok=True)

    def read(self, digest: str) -> bytes:
        """Read a whole body and check it.

        Raises:
            IntegrityError: It is not there, or not what it was.
        """
        try:
            body = self._object_path(digest).read_bytes()
        except OSError as error:
            raise IntegrityError(f"body {digest} does not read: {error}") from error
        if sha256(body).hexdigest() != digest:
            raise IntegrityError(f"body {digest} has changed on disk")
        return body

    def open_object(self, digest: str) -> FileIO:
        """Open a body for reading."""
        return FileIO(self._object_path(digest), "rb")

    def _take(self) -> None:
        lock = FileIO(self._root / "lock", "ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise ConflictError(f"another mirror uses {self._root}; give each its own") from error
        self._lock = lock

    def _load(self, path: Path) -> Entry | None:
        """Read one record, or delete it when it is of no use."""
        try:
            entry = decode(path.read_bytes())
            named = self._entry_path(entry.url) == path
            if named and self._object_path(entry.digest).stat().st_size == entry.size:
                return entry
        except (IntegrityError, OSError):
            pass
        path.unlink()
        return None

    def _sweep_objects(self, wanted: set[str]) -> None:
        for path in self._objects.glob("*/*"):
            if path.parent.name + path.name not in wanted:
                path.unlink()

    def _place(self, incoming: Incoming, digest: str) -> None:
        path = self._object_path(digest)
        if not path.parent.is_dir():
            path.parent.mkdir()
            _sync(self._objects)
        incoming.path.rename(path)
        _sync(path.parent)

    def _object_path(self, digest: str) -> Path:
        return self._objects / digest[:2] / digest[2:]

    def _entry_path(self, url: str) -> Path:
        return self._entries / f"{sha256(url.encode()).hexdigest()}.json"


def sign(file: FileIO) -> Signature:
    """The signature of an open file."""
    status = os.fstat(file.fileno())
    return Signature(status.st_size, status.st_mtime_ns, status.st_ino)


def _write_all(file: FileIO, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[file.write(left) :]


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
