"""Whether the process lives, and whether it is ready for work: for those who watch over it."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from http import HTTPStatus
from json import dumps

from surgetank.core.errors import SurgetankError
from surgetank.core.http import Response
from surgetank.core.route import JSON, Call, Route

_SCHEMA = {
    "title": "Health",
    "type": "object",
    "properties": {"status": {"type": "string"}, "reason": {"type": "string"}},
    "required": ["status", "reason"],
}


class Phase(StrEnum):
    """Where a server is in its life."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Health:
    """What a server says of itself."""

    def __init__(
        self,
        *,
        ask_store: Callable[[], Awaitable[object]],
        store_s: float,
        is_failed: Callable[[], bool],
    ) -> None:
        """Begin as starting.

        Args:
            ask_store: Something small that only a store which works can answer.
            store_s: Seconds that it may take.
            is_failed: Whether work that goes on in the background has ended by a defect.
        """
        self.phase = Phase.STARTING
        self._is_failed = is_failed
        self._ask_store = ask_store
        self._store_s = store_s

    @property
    def is_draining(self) -> bool:
        """Whether nothing new is taken in."""
        return self.phase is Phase.DRAINING

    def routes(self) -> tuple[Route, ...]:
        """Give the routes, which need no token."""
        answers = {HTTPStatus.OK: _SCHEMA}
        unready = {**answers, HTTPStatus.SERVICE_UNAVAILABLE: _SCHEMA}
        return (
            Route("GET", "/healthz", _live, "Say that the process lives", None, answers=answers),
            Route(
                "GET", "/readyz", self._ready, "Say whether it takes work", None, answers=unready
            ),
        )

    async def _ready(self, _: Call) -> Response:
        reason = await self._reason()
        status = HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK
        return _answer(status, "not ready" if reason else "ready", reason)

    async def _reason(self) -> str:
        """Say why it is not ready; nothing when it is."""
        if self.phase is not Phase.READY:
            return self.phase.value
        if self._is_failed():
            return "operations are not run any more: a defect, which the log tells of"
        try:
            async with asyncio.timeout(self._store_s):
                await self._ask_store()
        except TimeoutError:
            return f"the store has not answered for {self._store_s:g} s"
        except SurgetankError as error:
            return f"the store: {error}"
        return ""


async def _live(_: Call) -> Response:
    return _answer(HTTPStatus.OK, "alive", "")


def _answer(status: HTTPStatus, word: str, reason: str) -> Response:
    body = dumps({"status": word, "reason": reason}).encode()
    return Response(int(status), {"content-type": JSON, "cache-control": "no-store"}, body)
