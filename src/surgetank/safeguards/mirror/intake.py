"""Takes a body in while it comes: small ones stay in memory, larger ones go to disk in pieces."""

from contextlib import suppress
from functools import partial
from hashlib import sha256

from surgetank.core.ports import Blocking
from surgetank.safeguards.mirror.store import Incoming, Store

MEMORY_BYTES_MAX = 1 << 20
"""Bytes gathered before they are written, and the largest body that never needs a file of its own
to be served."""
_HEAD_BYTES = 4


class Intake:
    """One body. Call `abandon` when it is not kept."""

    def __init__(self, store: Store, blocking: Blocking) -> None:
        self._store = store
        self._blocking = blocking
        self._pieces: list[bytes] = []
        self._gathered = 0
        self.incoming: Incoming | None = None
        self.size = 0
        self.head = b""

    @property
    def whole(self) -> bytes | None:
        """The body, when all of it is in memory."""
        return b"".join(self._pieces) if self.incoming is None else None

    async def add(self, piece: bytes) -> None:
        """Take the next piece; `OSError` when the disk does not."""
        if len(self.head) < _HEAD_BYTES:
            self.head += piece[: _HEAD_BYTES - len(self.head)]
        self._pieces.append(piece)
        self._gathered += len(piece)
        self.size += len(piece)
        if self._gathered > MEMORY_BYTES_MAX:
            await self._flush()

    async def finish(self) -> str:
        """Make what went to disk durable and return the digest; `OSError` as in `add`."""
        if self.incoming is None:
            return await self._blocking.run(lambda: _digest(self._pieces))
        await self._flush()
        return await self._blocking.run(self.incoming.finish)

    async def abandon(self) -> None:
        """Leave nothing on disk; safe to repeat. What cannot be deleted is swept at the next start."""
        if self.incoming is not None:
            with suppress(OSError):
                await self._blocking.run(self.incoming.abandon)

    async def _flush(self) -> None:
        if self.incoming is None:
            self.incoming = await self._blocking.run(self._store.receive)
        pieces, self._pieces, self._gathered = self._pieces, [], 0
        await self._blocking.run(partial(self.incoming.write, pieces))


def _digest(pieces: list[bytes]) -> str:
    digest = sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
