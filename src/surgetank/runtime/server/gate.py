"""The gate before all that a server answers: who calls, may they, and is it written down.

Requests go to the first handler whose prefix fits, with the caller's name in a header that none
from outside can set.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import structlog

from surgetank.core.errors import SurgetankError
from surgetank.core.http import Handler, Request, Response
from surgetank.core.ports import Clock
from surgetank.core.problem import problem, problem_of
from surgetank.core.route import CALLER, Role, Routes
from surgetank.runtime.server.audit import Act, AuditTrail
from surgetank.runtime.server.health import Health
from surgetank.runtime.server.token import Caller, Tokens

DRAIN_RETRY_S = 1
"""Seconds after which who is refused by a server that drains may ask again, or another."""
_READS = frozenset({"GET", "HEAD"})


class Mount(NamedTuple):
    """A handler for all paths of a prefix."""

    prefix: str
    handler: Handler
    role: Callable[[Request], Role | None]
    """What the caller of a request must be; None: anybody, always."""
    is_end: Callable[[Request], bool] = lambda _: False
    """Whether a request ends what was begun here, and so is taken while the server drains."""


def mount(prefix: str, routes: Routes) -> Mount:
    """Put routes below a prefix; what none of them takes needs a reader, and gets their refusal."""

    def role(request: Request) -> Role | None:
        route = routes.find(request)
        return Role.READ if route is None else route.role

    def is_end(request: Request) -> bool:
        route = routes.find(request)
        return route is not None and route.is_end

    return Mount(prefix, routes.handle, role, is_end)


class Gate:
    """A `Handler` that lets through who may."""

    def __init__(
        self,
        mounts: Sequence[Mount],
        *,
        tokens: Tokens,
        is_open: bool,
        audit: AuditTrail,
        health: Health,
        clock: Clock,
    ) -> None:
        """Stand ready.

        Args:
            mounts: The first whose prefix fits answers; one of them must have the prefix `/`.
            tokens: Whom to know; may be replaced at any time.
            is_open: Whether everybody may read.
            audit: Where acts of admins are written down.
            health: Whether the server drains: then nothing is begun any more.
            clock: The time, for Retry-After.
        """
        self.tokens = tokens
        self._mounts = tuple(mounts)
        self._is_open = is_open
        self._audit = audit
        self._health = health
        self._clock = clock
        self._log = structlog.get_logger("surgetank.server")

    async def handle(self, request: Request) -> Response:
        """Answer one request, or turn it away."""
        found = next(one for one in self._mounts if request.path.startswith(one.prefix))
        role = found.role(request)
        caller = self.tokens.caller(request.headers)
        refusal = self._refuse(request, role, caller) or self._turn_away(found, request)
        if refusal is not None:
            return refusal
        named = _named(request, caller)
        if role is Role.ADMIN and request.method not in _READS:
            assert caller is not None, "an admin has a token"
            return await self._audited(found.handler, named, caller)
        return await found.handler(named)

    def _refuse(
        self, request: Request, role: Role | None, caller: Caller | None
    ) -> Response | None:
        """Turn away who may not, ever; None lets through."""
        if role is None or (role is Role.READ and self._is_open):
            return None
        if caller is None:
            self._log.warning("caller.refused", method=request.method, path=request.path[:200])
            detail = f"send a token of role {role.name.lower()}: Authorization: Bearer TOKEN"
            return problem("unauthenticated", detail, headers={"www-authenticate": "Bearer"})
        if caller.role < role:
            self._log.warning(
                "caller.refused", who=caller.name, method=request.method, path=request.path[:200]
            )
            detail = f"{caller.name} is {caller.role.name.lower()}: this takes {role.name.lower()}"
            return problem("forbidden", detail)
        return None

    def _turn_away(self, found: Mount, request: Request) -> Response | None:
        """Turn away what would begin something while the server drains; None lets through."""
        if not self._health.is_draining or request.method in _READS or found.is_end(request):
            return None
        detail = "this server is draining: ask another, or this one once it is back"
        return problem("refused", detail, headers={"retry-after": str(DRAIN_RETRY_S)})

    async def _audited(
        self, handler: Callable[[Request], Awaitable[Response]], request: Request, caller: Caller
    ) -> Response:
        """Write an act down before it is begun, and how it ended before it is answered."""
        body = request.body.decode(errors="replace")
        act = Act(caller.name, request.method, request.path, body)
        try:
            number = await self._audit.begin(act)
            response = await handler(request)
            await self._audit.end(number, act, status=response.status)
        except SurgetankError as error:
            return problem_of(error, now=self._clock.now())
        return response


def _named(request: Request, caller: Caller | None) -> Request:
    """Say who calls, and keep the token to ourselves."""
    kept = {
        name: value
        for name, value in request.headers.items()
        if name not in (CALLER, "authorization")
    }
    return request._replace(headers=kept if caller is None else {**kept, CALLER: caller.name})
