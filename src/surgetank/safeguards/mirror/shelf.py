"""Reads bodies back, checked: small ones whole and from memory when they can be, large in pieces.

A small body is checked each time it comes from disk. A large one is checked once after each start
and again whenever its file has another size, time or inode; damage under an unchanged time is
therefore found at the next start, not before.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator
from functools import partial
from hashlib import sha256
from io import FileIO
from os import pread

from surgetank.core.errors import IntegrityError
from surgetank.core.ports import Blocking
from surgetank.safeguards.mirror.entry import Entry
from surgetank.safeguards.mirror.store import Signature, Store, sign

WHOLE_BYTES_MAX = 64 << 10
"""Up to this size a body is read and answered whole."""
PIECE_BYTES = 256 << 10
"""Large enough that a piece costs more to copy than to ask for."""
_CHECK_BYTES = 4 << 20


class Shelf:
    """Bodies of one store."""

    def __init__(self, store: Store, blocking: Blocking, *, memory_bytes_max: int) -> None:
        self._store = store
        self._blocking = blocking
        self._memory_bytes_max = memory_bytes_max
        self._memory: OrderedDict[str, bytes] = OrderedDict()
        self._memory_bytes = 0
        self._checked: dict[str, Signature] = {}

    async def whole(self, digest: str) -> bytes:
        """A small body.

        Raises:
            IntegrityError: It is gone or damaged.
        """
        body = self._memory.get(digest)
        if body is not None:
            self._memory.move_to_end(digest)
            return body
        body = await self._blocking.run(partial(self._store.read, digest))
        self.remember(digest, body)
        return body

    async def check(self, entry: Entry) -> None:
        """Make sure that a large body may be served.

        Raises:
            IntegrityError: It is gone or damaged.
        """
        file = await self._open(entry.digest)
        try:
            signature = await self._blocking.run(partial(sign, file))
            if self._checked.get(entry.digest) != signature:
                await self._hash(file, entry)
                self.trust(entry.digest, signature)
        finally:
            file.close()

    async def pieces(self, digest: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `stop` of a checked body.

        Raises:
            IntegrityError: It was deleted or cut short meanwhile; the client sees a cut body.
        """
        file = await self._open(digest)
        try:
            while start < stop:
                want = min(PIECE_BYTES, stop - start)
                piece = await self._blocking.run(partial(pread, file.fileno(), want, start))
                if not piece:
                    raise IntegrityError(f"body {digest} ends at {start}, before {stop}")
                yield piece
                start += len(piece)
        finally:
            file.close()

    def remember(self, digest: str, body: bytes) -> None:
        """Hold a small body in memory, in place of those longest unread."""
        if len(body) > min(WHOLE_BYTES_MAX, self._memory_bytes_max) or digest in self._memory:
            return
        self._memory[digest] = body
        self._memory_bytes += len(body)
        while self._memory_bytes > self._memory_bytes_max:
            _, oldest = self._memory.popitem(last=False)
            self._memory_bytes -= len(oldest)

    def trust(self, digest: str, signature: Signature) -> None:
        """Take a file for checked: its bytes were hashed as they were written or read."""
        self._checked[digest] = signature

    def forget(self, digest: str) -> None:
        """Hold nothing of a body any more."""
        self._checked.pop(digest, None)
        body = self._memory.pop(digest, None)
        if body is not None:
            self._memory_bytes -= len(body)

    async def _open(self, digest: str) -> FileIO:
        try:
            return await self._blocking.run(partial(self._store.open_object, digest))
        except OSError as error:
            raise IntegrityError(f"body {digest} does not open: {error}") from error

    async def _hash(self, file: FileIO, entry: Entry) -> None:
        digest = sha256()
        while piece := await self._blocking.run(partial(file.read, _CHECK_BYTES)):
            await self._blocking.run(partial(digest.update, piece))
        if digest.hexdigest() != entry.digest:
            raise IntegrityError(f"body {entry.digest} has changed on disk")
