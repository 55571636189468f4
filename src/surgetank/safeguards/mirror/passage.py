"""Passes a body on from its origin to one client, without keeping it.

For what the mirror cannot or must not hold: bodies over a limit, bodies while the disk is full,
and requests that carry a credential, whose answers are nobody else's. A pump of its own reads the
origin, at most a few pieces ahead of the client, and ends within `fetch_s` even if the client
never reads: so a place among the fetches is always given back.
"""

import asyncio
from collections.abc import AsyncGenerator

from surgetank.control import outcome
from surgetank.core.errors import DependencyError, DependencyTimeoutError
from surgetank.core.http import Request, Response, Timeouts
from surgetank.core.ports import HttpClient
from surgetank.core.value import Outcome, Permit
from surgetank.safeguards.mirror.origin import Origin, body_of, relayable
from surgetank.safeguards.mirror.policy import MirrorPolicy

PIECES_AHEAD = 4
"""Pieces read before the client takes them."""


class Passage:
    """One body passed on."""

    def __init__(
        self, policy: MirrorPolicy, *, http: HttpClient, origin: Origin, places: asyncio.Semaphore
    ) -> None:
        self._policy = policy
        self._http = http
        self._origin = origin
        self._places = places
        self._head: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._pieces: asyncio.Queue[bytes | DependencyError | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(PIECES_AHEAD)
        self._is_called = False

    async def run(self, request: Request, permit: Permit) -> None:
        """Read the origin; to be run as a task, which never fails."""
        reason: str | None = "passage abandoned"
        report: Outcome | None = None
        fetch_s = self._policy.fetch_s
        try:
            async with asyncio.timeout(fetch_s), self._places:
                await self._pump(request)
            reason = None
        except TimeoutError:
            reason = f"no whole answer in {fetch_s:g} s"
            if self._is_called and not self._head.done():
                report = outcome.timed_out(waited_s=fetch_s)
        except DependencyTimeoutError as error:
            reason, report = str(error), outcome.timed_out(waited_s=self._policy.read_s)
        except DependencyError as error:
            reason, report = str(error), outcome.cut_off(reason=str(error))
        finally:
            if report is None and self._head.done():
                # The origin did answer; whose fault it is that the body did not end is unknown.
                report = self._origin.judge(self._head.result())
            self._origin.report(permit, report)
            self._end(reason)

    async def response(self, pump: "asyncio.Task[None]") -> Response:
        """The response to give the client, as soon as its head is known.

        Raises:
            DependencyError: The origin did not answer.
        """
        head = await asyncio.shield(self._head)
        return head._replace(chunks=self._chunks(pump))

    async def _pump(self, request: Request) -> None:
        policy = self._policy
        timeouts = Timeouts(connect_s=policy.connect_s, read_s=policy.read_s)
        self._is_called = True
        async with self._http.stream(request, timeouts=timeouts) as response:
            self._head.set_result(Response(response.status, relayable(response.headers)))
            async for piece in body_of(response):
                await self._room.acquire()
                self._pieces.put_nowait(piece)

    def _end(self, reason: str | None) -> None:
        error = None if reason is None else DependencyError(reason, may_have_acted=False)
        if error is not None and not self._head.done():
            self._head.set_exception(error)
            self._head.exception()  # Looked at here, because the client may have gone.
        self._pieces.put_nowait(error)

    async def _chunks(self, pump: "asyncio.Task[None]") -> AsyncGenerator[bytes, None]:
        try:
            while (piece := await self._pieces.get()) is not None:
                if isinstance(piece, DependencyError):
                    raise piece
                self._room.release()
                yield piece
        finally:
            pump.cancel()
