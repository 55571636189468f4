"""Routes of holds: what is not begun until somebody releases it, all at once or in steps."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from surgetank.core.errors import InvalidInputError
from surgetank.core.http import Response
from surgetank.core.ports import Clock
from surgetank.core.problem import problem
from surgetank.core.route import Call, Role, Route
from surgetank.safeguards.operations.api.body import HoldBody, ReleaseBody, read, schema
from surgetank.safeguards.operations.api.document import (
    HoldDocument,
    HoldList,
    ReleaseDocument,
    answer,
    hold_document,
)
from surgetank.safeguards.operations.api.path import HOLD, HOLD_ALL, HOLDS
from surgetank.safeguards.operations.hold import Hold, HoldScope
from surgetank.safeguards.operations.service import Operations

Named = Callable[[Call, HoldScope, str], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class HoldRoutes:
    """What may be done with holds."""

    operations: Operations
    clock: Clock

    def routes(self) -> tuple[Route, ...]:
        """Every route."""
        every = Route(
            "GET", HOLDS, self._list, "List every hold", Role.READ,
            answers={HTTPStatus.OK: schema(HoldList)},
        )  # fmt: skip
        return every, *self._of(HOLD_ALL, "everything"), *self._of(HOLD, "what is named")

    def _of(self, path: str, what: str) -> tuple[Route, ...]:
        """Give the routes of one hold."""
        shown = {HTTPStatus.OK: schema(HoldDocument)}
        released = {HTTPStatus.OK: schema(ReleaseDocument)}
        return (
            Route(
                "GET", path, _named(self._show), f"Show the hold on {what}", Role.READ,
                answers=shown,
            ),
            Route(
                "PUT", path, _named(self._hold), f"Hold {what}", Role.ADMIN,
                body=schema(HoldBody), answers=shown,
            ),
            Route(
                "DELETE", path, _named(self._remove), f"Release {what} at once", Role.ADMIN,
                answers=released,
            ),
            Route(
                "POST", f"{path}/release", _named(self._release),
                f"Let some of {what} go, in the backlog lane", Role.ADMIN,
                body=schema(ReleaseBody), answers=released,
            ),
        )  # fmt: skip

    async def _list(self, _: Call) -> Response:
        return answer(
            HoldList(holds=[hold_document(hold) for hold in await self.operations.holds()])
        )

    async def _show(self, _: Call, scope: HoldScope, name: str) -> Response:
        hold = await self._find(scope, name)
        return _absent(scope, name) if hold is None else answer(hold_document(hold))

    async def _hold(self, call: Call, scope: HoldScope, name: str) -> Response:
        reason = read(HoldBody, call.request).reason
        hold = Hold(scope, name, self.clock.now(), call.who, reason)
        return answer(hold_document(await self.operations.hold(hold)))

    async def _remove(self, _: Call, scope: HoldScope, name: str) -> Response:
        return await self._let_go(scope, name, limit=None)

    async def _release(self, call: Call, scope: HoldScope, name: str) -> Response:
        return await self._let_go(scope, name, limit=read(ReleaseBody, call.request).limit)

    async def _let_go(self, scope: HoldScope, name: str, *, limit: int | None) -> Response:
        if await self._find(scope, name) is None:
            return _absent(scope, name)
        released = await self.operations.release(scope, name, limit=limit)
        document = ReleaseDocument(released=released.operations, is_lifted=released.is_lifted)
        return answer(document)

    async def _find(self, scope: HoldScope, name: str) -> Hold | None:
        holds = await self.operations.holds()
        return next((hold for hold in holds if (hold.scope, hold.name) == (scope, name)), None)


def _named(act: Named) -> Callable[[Call], Awaitable[Response]]:
    """Read from the path which hold is meant."""

    async def act_on(call: Call) -> Response:
        name = call.names.get("name", "")
        scopes = [scope for scope in HoldScope if (scope is HoldScope.ALL) is not bool(name)]
        scope = call.names.get("scope", HoldScope.ALL)
        if scope not in scopes:
            raise InvalidInputError(f"a hold is on all, or one {', '.join(scopes)}: {scope[:80]!r}")
        return await act(call, HoldScope(scope), name)

    return act_on


def _absent(scope: HoldScope, name: str) -> Response:
    return problem("not_found", f"nothing holds {scope.value} {name}".rstrip())
