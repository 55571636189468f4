"""Permits over HTTP, for orchestrators and runners that are not in this process.

| request                       | body                                      | answer             |
|-------------------------------|-------------------------------------------|--------------------|
| POST /v1/permits              | {"dependency", "lane", "retry", "wait_s"} | 200 {"id", ...}    |
| POST /v1/permits/{id}/outcome | {"kind", "detail", "retry_after_s"}       | 204                |
| DELETE /v1/permits/{id}       |                                           | 204, given back    |

Rules:
- No leave is 429, a problem document whose `code` is that of the error of `core.errors`, with when
  to ask again.
- A permit ends once. The same end again is 204, so that a lost answer may be asked for again;
  another end is 409; a permit that nobody knows (any more) is 404.
- A permit whose client left before it was told of it is given back. One whose client never comes
  back is counted as lost after `open_s`; its slot, the governor frees by itself (`lost_s`).
- A server that drains gives none, and takes the ends of those that it gave until it stops.
- Waits are told in seconds from now: no client needs our clock.
- Who may ask at all is decided before, by whoever serves the routes.

Source: RFC 9457 (problem documents), RFC 9110 (Retry-After).
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from json import dumps
from math import ceil
from typing import Annotated, Any, NamedTuple

import structlog
from pydantic import Field

from surgetank.control.outcome import DETAIL_LIMIT, RETRY_AFTER_S_MAX
from surgetank.core.errors import InvalidInputError, QueueFullError, RefusedError
from surgetank.core.http import Response
from surgetank.core.ports import Clock, Permits
from surgetank.core.problem import problem
from surgetank.core.refusal import ask_again_at, refusal_error
from surgetank.core.route import NOTHING, Call, Role, Route, Schema
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit, Refusal
from surgetank.safeguards.operations.api.body import Body, read, schema

PATH = "/v1/permits"
BODY_BYTES_MAX = 4_096
"""Of a request: the longest outcome is a quarter of it."""
NAME_CHARACTERS_MAX = 200
"""Of a dependency's name."""
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*@[A-Za-z0-9][A-Za-z0-9._-]*$"
"""`service@region`, in characters that need no escape in an address or a metric."""
WAIT_S_MAX = 30.0
"""Of one request, in seconds: half of the minute after which proxies cut a silent connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitsApiPolicy:
    """Limits of the API; raises `InvalidInputError` if out of range."""

    open_max: int = 20_000
    """Permits given and not yet ended; at least 1. More are refused as `queue_full`. The default
    is some 10 MB."""
    open_s: float = 21_600.0
    """Seconds after which a permit that was not ended counts as lost; above 0. Six hours are the
    longest job of the hosted runners that we know of."""
    ended_max: int = 20_000
    """Ends that are remembered, to tell the same end from another; at least 1."""
    waiting_max: int = 1_000
    """Requests that wait for leave; at least 0. More are answered at once."""

    def __post_init__(self) -> None:
        if min(self.open_max, self.ended_max) < 1 or self.waiting_max < 0 or not self.open_s > 0:
            raise InvalidInputError(f"out of range: {self}")


class PermitWanted(Body):
    """Asks for leave to make one call."""

    dependency: Annotated[str, Field(max_length=NAME_CHARACTERS_MAX, pattern=NAME_PATTERN)]
    lane: Lane = Lane.FRESH
    retry: bool = False
    """Whether this call was made before and failed."""
    wait_s: Annotated[float, Field(ge=0, le=WAIT_S_MAX)] = 0.0
    """Seconds to wait for leave; 0 asks once."""


class OutcomeTold(Body):
    """Says how the call ended."""

    kind: OutcomeKind
    detail: Annotated[str, Field(max_length=DETAIL_LIMIT)] = ""
    retry_after_s: Annotated[float, Field(ge=0, le=RETRY_AFTER_S_MAX)] | None = None
    """Seconds from now until the dependency allows another try, when it said so."""


class PermitGiven(Body):
    """Leave to make one call."""

    id: str
    dependency: str
    lane: Lane


class _Open(NamedTuple):
    permit: Permit
    lost_at: float


class PermitsApi:
    """Answers requests for permits. Holds what it gave in memory: a restart forgets it."""

    def __init__(
        self,
        permits: Permits,
        *,
        clock: Clock,
        new_id: Callable[[], str],
        policy: PermitsApiPolicy | None = None,
    ) -> None:
        """Serve `permits`.

        Args:
            permits: Who decides.
            clock: The time.
            new_id: Makes names of permits that cannot be guessed, of characters that an address
                may hold.
            policy: Limits.
        """
        self.lost = 0
        """Permits that were never ended."""
        self._permits = permits
        self._clock = clock
        self._new_id = new_id
        self._policy = policy or PermitsApiPolicy()
        self._open: dict[str, _Open] = {}  # oldest first
        self._ended: OrderedDict[str, OutcomeTold | None] = OrderedDict()  # None: given back
        self._waiting = 0
        self._log = structlog.get_logger("surgetank.operations")

    @property
    def open(self) -> int:
        """Permits given and not yet ended or lost."""
        return len(self._open)

    def routes(self) -> tuple[Route, ...]:
        """Every route."""
        ended: Mapping[HTTPStatus, Schema] = {HTTPStatus.NO_CONTENT: NOTHING}
        return (
            Route(
                "POST", PATH, self._give, "Ask for leave to make one call, and wait for it",
                Role.WORK,
                body=schema(PermitWanted), answers={HTTPStatus.OK: schema(PermitGiven)},
            ),
            Route(
                "POST", f"{PATH}/{{id}}/outcome", self._report, "Say how the call ended", Role.WORK,
                body=schema(OutcomeTold), answers=ended, is_end=True,
            ),
            Route(
                "DELETE", f"{PATH}/{{id}}", self._give_back,
                "Give a permit back whose call was never made", Role.WORK,
                answers=ended, is_end=True,
            ),
        )  # fmt: skip

    async def _give(self, call: Call) -> Response:
        """Ask for leave, wait for it, and say what came of it."""
        wanted = read(PermitWanted, call.request, bytes_max=BODY_BYTES_MAX)
        self._forget_lost()
        try:
            answer = await self._ask(wanted)
        except QueueFullError as error:
            return _refused(error, now=self._clock.now())
        now = self._clock.now()
        if isinstance(answer, Refusal):
            return _refused(refusal_error(answer), now=now)
        permit_id = self._new_id()
        self._open[permit_id] = _Open(answer, now + self._policy.open_s)
        given = {"id": permit_id, "dependency": answer.dependency, "lane": answer.lane}
        return _told(dumps(given).encode(), self._clock, lambda: self._take_back(permit_id))

    async def _ask(self, wanted: PermitWanted) -> Permit | Refusal:
        """Ask until there is leave, or none can come in time.

        Raises:
            QueueFullError: Too many permits are out, or too many dependencies were named.
        """
        until = self._clock.now() + wanted.wait_s
        while True:
            if len(self._open) >= self._policy.open_max:
                raise QueueFullError(f"{len(self._open)} permits are out")
            answer = self._permits.ask(
                [Dependency(wanted.dependency)], lane=wanted.lane, retry=wanted.retry
            )
            if not isinstance(answer, Refusal):
                return answer[0]
            if answer.retry_at > until or self._waiting >= self._policy.waiting_max:
                return answer
            self._waiting += 1
            try:
                again_at = ask_again_at(answer, now=self._clock.now())
                await self._clock.sleep_until(again_at)
            finally:
                self._waiting -= 1

    async def _report(self, call: Call) -> Response:
        return self._end(
            call.names["id"], read(OutcomeTold, call.request, bytes_max=BODY_BYTES_MAX)
        )

    async def _give_back(self, call: Call) -> Response:
        return self._end(call.names["id"], None)

    def _end(self, permit_id: str, told: OutcomeTold | None) -> Response:
        """End a permit once: with an outcome, or given back."""
        self._forget_lost()
        if permit_id in self._ended:
            if self._ended[permit_id] == told:
                return Response(204)
            return problem("conflict", "the permit was ended in another way")
        found = self._open.pop(permit_id, None)
        if found is None:
            return problem("not_found", "no such permit, or it counts as lost")
        self._ended[permit_id] = told
        if len(self._ended) > self._policy.ended_max:
            self._ended.popitem(last=False)
        if told is None:
            self._permits.give_back(found.permit)
        else:
            after_s = told.retry_after_s
            retry_at = None if after_s is None else self._clock.now() + after_s
            self._permits.report(found.permit, Outcome(told.kind, told.detail, retry_at))
        return Response(204)

    def _take_back(self, permit_id: str) -> None:
        """Undo a permit that nobody was told of."""
        found = self._open.pop(permit_id, None)
        if found is not None:
            self._permits.give_back(found.permit)

    def _forget_lost(self) -> None:
        now = self._clock.now()
        while self._open:
            permit_id, (permit, lost_at) = next(iter(self._open.items()))
            if now < lost_at:
                return
            del self._open[permit_id]
            self.lost += 1
            self._log.warning("permit.lost", permit_id=permit_id, dependency=permit.dependency)


class _Telling(AsyncGenerator[bytes, None]):
    """A body of one piece, which knows whether somebody took it.

    A server breaks a stream off when its client has left. So a permit is told as a stream, and
    what is broken off is undone.
    """

    def __init__(self, body: bytes, clock: Clock, undo: Callable[[], None]) -> None:
        self._body = body
        self._clock = clock
        self._undo: Callable[[], None] | None = undo
        self._is_begun = False

    async def asend(self, value: None, /) -> bytes:  # noqa: ARG002 - the protocol's
        if self._is_begun:
            self._undo = None
            raise StopAsyncIteration
        self._is_begun = True
        # One turn of the others: the server hears whether its client is still there.
        await self._clock.sleep_until(self._clock.now())
        return self._body

    async def athrow(self, *thrown: Any) -> bytes:
        raise thrown[0]

    async def aclose(self) -> None:
        if self._undo is not None:
            undo, self._undo = self._undo, None
            undo()


def _told(body: bytes, clock: Clock, undo: Callable[[], None]) -> Response:
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
    }
    return Response(200, headers, chunks=_Telling(body, clock, undo))


def _refused(error: RefusedError, *, now: float) -> Response:
    """Say 429: not now. Without `retry_at` nobody knows when."""
    status, facts = HTTPStatus.TOO_MANY_REQUESTS, dict[str, object]()
    headers = {"cache-control": "no-store"}
    if error.retry_at is not None:
        wait_s = max(0.0, error.retry_at - now)
        headers["retry-after"] = str(max(1, ceil(wait_s)))
        facts = {"retry_at": error.retry_at, "retry_after_s": wait_s}
    facts |= {"title": status.phrase, "status": int(status)}
    said = problem(error.code, str(error), headers=headers, facts=facts)
    return said._replace(status=int(status))
