"""The door of one service: knows who is inside, and sees the last ones out when all is closed."""

import asyncio

from surgetank.core.http import Handler, Request, Response

CLOSE_S = 3.0
"""Seconds for requests under way when the stand-in stops; then they are answered 503. Less than
the server's own grace, after which it breaks connections off."""


class Door:
    """Wraps a service's handler."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._inside: set[asyncio.Timeout] = set()
        self._ends_at: float | None = None

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return len(self._inside)

    def close(self) -> None:
        """End what is under way within `CLOSE_S`, and what still comes in as well."""
        self._ends_at = asyncio.get_running_loop().time() + CLOSE_S
        for limit in self._inside:
            limit.reschedule(self._ends_at)

    async def handle(self, request: Request) -> Response:
        """Answer one request; the door's `Handler`."""
        limit = asyncio.timeout_at(self._ends_at)
        try:
            async with limit:
                self._inside.add(limit)
                return await self._handler(request)
        except TimeoutError:
            if not limit.expired():
                raise
            return Response(503, {"connection": "close", "retry-after": "1"})
        finally:
            self._inside.discard(limit)
