"""One body on its way over a link: pieces that arrive when the link lets them."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from math import inf
from typing import NamedTuple

from surgetank.core.errors import DependencyError, DependencyTimeoutError
from surgetank.runtime.simulation.link import Link
from surgetank.runtime.simulation.loop import NumberedFuture, VirtualLoop, wake

BUFFER_BYTES = 256 * 1024
"""What a sender may be ahead of its reader before it waits: about what two sockets hold."""


class Piece(NamedTuple):
    """Part of a body, or its end."""

    arrives_at: float
    data: bytes | None
    """None for the end."""


class Pipe:
    """An asynchronous iterator for the client; `put` and `end` for the server; `close` for both.

    One reader and one writer. Whoever leaves first closes it; the other then stops.
    """

    def __init__(self, loop: VirtualLoop, url: str) -> None:
        self.read_s = 0.0  # Set by the client with the head.
        self.is_closed = False
        self.sent_bytes = 0
        self._loop = loop
        self._url = url
        self._pieces: deque[Piece] = deque()
        self._buffered_bytes = 0
        self._is_broken = False
        self._wire_free_at = 0.0
        self._last_at = 0.0
        self._reader: NumberedFuture[None] | None = None
        self._writer: NumberedFuture[None] | None = None

    async def put(self, data: bytes, link: Link) -> bool:
        """Send `data` as `link` lets it, waiting while the reader is far behind.

        Returns:
            Whether more may follow: not when the link is cut, the body was truncated (the end
            is then said), or the reader has gone.
        """
        if link.is_cut or self.is_closed:
            return False
        limit = link.truncate_after_bytes
        is_broken = limit is not None and self.sent_bytes + len(data) > limit
        if limit is not None and is_broken:
            data = data[: max(0, limit - self.sent_bytes)]
        free_at = max(self._loop.time(), self._wire_free_at)
        self._wire_free_at = free_at + len(data) / link.bytes_per_s
        self._buffered_bytes += len(data)
        self.sent_bytes += len(data)
        self._append(self._wire_free_at + link.latency_s, data)
        if is_broken:
            self.end(latency_s=link.latency_s, is_broken=True)
            return False
        while self._loop.time() < self._wire_free_at and not self.is_closed:
            await self._pause(until=self._wire_free_at)
        while self._buffered_bytes > BUFFER_BYTES and not self.is_closed:
            await self._pause(until=inf)
        return not self.is_closed

    async def _pause(self, *, until: float) -> None:
        """Let the writer wait for the wire or the reader."""
        self._writer = writer = self._loop.create_future()
        timer = self._loop.call_at(until, wake, writer)
        try:
            await writer
        finally:
            timer.cancel()

    def end(self, *, latency_s: float, is_broken: bool = False) -> None:
        """Say that no more comes: the whole body did, or the connection broke."""
        self._is_broken = is_broken
        self._append(max(self._loop.time(), self._wire_free_at) + latency_s, None)

    def close(self) -> None:
        """Let go of both ends; safe to repeat."""
        self.is_closed = True
        self._pieces.clear()
        self._wake_both()

    def __aiter__(self) -> "Pipe":
        return self

    async def __anext__(self) -> bytes:
        """The next piece that arrives.

        Raises:
            DependencyTimeoutError: Nothing came for `read_s`.
            DependencyError: The connection broke before the end.
        """
        loop = self._loop
        gives_up_at = loop.time() + self.read_s
        while not self.is_closed:
            wake_at = gives_up_at
            if self._pieces:
                piece = self._pieces[0]
                if piece.arrives_at <= loop.time():
                    return self._take()
                wake_at = min(wake_at, piece.arrives_at)
            if loop.time() >= gives_up_at:
                raise DependencyTimeoutError(
                    f"{self._url}: no more of the body for {self.read_s} s", may_have_acted=True
                )
            self._reader = reader = loop.create_future()
            timer = loop.call_at(wake_at, wake, reader)
            try:
                await reader
            finally:
                timer.cancel()
        raise DependencyError(f"{self._url}: read after it was closed", may_have_acted=True)

    def _take(self) -> bytes:
        data = self._pieces[0].data
        if data is None:
            if self._is_broken:
                raise DependencyError(f"{self._url}: the body ended early", may_have_acted=True)
            raise StopAsyncIteration
        self._pieces.popleft()
        self._buffered_bytes -= len(data)
        if self._writer is not None:
            wake(self._writer)
        return data

    def _append(self, arrives_at: float, data: bytes | None) -> None:
        if data == b"":
            return  # a wire carries nothing of it
        self._last_at = max(self._last_at, arrives_at)  # jitter never reorders a connection
        self._pieces.append(Piece(self._last_at, data))
        if self._reader is not None:
            wake(self._reader)

    def _wake_both(self) -> None:
        for waiter in (self._reader, self._writer):
            if waiter is not None:
                wake(waiter)


class WholeBody:
    """A body that came with its head, as an iterator of one piece."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __aiter__(self) -> "WholeBody":
        return self

    async def __anext__(self) -> bytes:
        body, self._body = self._body, b""
        if not body:
            raise StopAsyncIteration
        return body


async def collect(pieces: AsyncIterator[bytes], bytes_max: int) -> bytes:
    """The whole body, or somewhat more than `bytes_max` of one that is larger; closes it."""
    body: list[bytes] = []
    size = 0
    try:
        async for piece in pieces:
            body.append(piece)
            size += len(piece)
            if size > bytes_max:
                break
    finally:
        await close(pieces)
    return b"".join(body)


async def close(pieces: AsyncIterator[bytes] | None) -> None:
    """Let go of a body, read to its end or not."""
    if isinstance(pieces, Pipe):
        pieces.close()
    elif isinstance(pieces, AsyncGenerator):
        await pieces.aclose()
