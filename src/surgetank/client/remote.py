"""Permits and operations of a server, for code without asyncio.

Rules:
- Nothing waits longer than it was told to: `wait_s` for leave, `timeout_s` for each wait on a
  socket. Only the look-up of a name has the system's own time-out.
- When the server is away, work goes on without a permit and says so in the log (`surgetank.client`),
  or is refused: as the caller chose. After one failure the server is left alone for `AWAY_S`.
- An outcome that cannot be told is logged and forgotten; the server counts its permit as lost.
"""

import logging
import math
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial, wraps
from types import MappingProxyType, TracebackType
from typing import Any, NamedTuple, NoReturn, ParamSpec, Self, TypeVar
from urllib.parse import quote

from surgetank.client.blocking_clock import BlockingClock, SystemBlockingClock
from surgetank.client.held import HeldPermit, check_wait_s, holding
from surgetank.client.outcome import Classify, outcome_of
from surgetank.client.wire import Answer, Wire
from surgetank.control.outcome import bounded_s
from surgetank.core.errors import (
    BreakerOpenError,
    ConflictError,
    DependencyError,
    InvalidInputError,
    QueueFullError,
    RefusedError,
    ReleaseHeldError,
)
from surgetank.core.refusal import REFUSED_S_MIN
from surgetank.core.value import Dependency, Lane, Outcome

TIMEOUT_S = 5.0
"""For each wait on a socket: a server in the same region answers in milliseconds, and a caller who
would go on without it should not be held much longer."""
HELD_S_MAX = 30.0
"""Seconds that one request asks the server to wait; longer waits ask again."""
AWAY_S = 5.0
"""Seconds for which a server that did not answer is not asked for permits."""
_SERVER_FAULT = 500
_REFUSALS: Mapping[str, type[RefusedError]] = MappingProxyType(
    {kind.code: kind for kind in (BreakerOpenError, ReleaseHeldError, QueueFullError, RefusedError)}
)
"""By the code of a problem document."""

P = ParamSpec("P")
T = TypeVar("T")


class Submitted(NamedTuple):
    """An operation that the server has taken in."""

    id: str
    is_new: bool
    """False when its key was known, with the same body."""


class Client:
    """Asks one server. Safe to share among threads, and to use after a fork."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        is_fail_open: bool = True,
        classify: Classify = outcome_of,
        clock: BlockingClock | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: Of the server, http or https.
            token: Bearer token.
            timeout_s: For each wait on a socket, above 0.
            is_fail_open: Whether work goes on without a permit when the server is away; else
                `DependencyError` is raised.
            classify: Tells from a result or an exception what became of the call.
            clock: The time; None for the system's.

        Raises:
            InvalidInputError: An argument is out of range.
        """
        self._clock = clock or SystemBlockingClock()
        self._wire = Wire(url, token, timeout_s=timeout_s, clock=self._clock)
        self._is_fail_open = is_fail_open
        self._classify = classify
        self._away_until = -math.inf
        self._away_why = ""
        self._log = logging.getLogger("surgetank.client")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close idle connections; the client may be used again."""
        self._wire.close()

    def ask(
        self, dependency: str, *, lane: Lane = Lane.FRESH, retry: bool = False, wait_s: float = 0.0
    ) -> HeldPermit:
        """Take leave to make one call; arguments and errors as in `permit`.

        The caller must end it, by `HeldPermit.report` or `HeldPermit.give_back`.
        """
        check_wait_s(wait_s)
        until = self._clock.now() + wait_s
        wanted = {"dependency": dependency, "lane": lane, "retry": retry}
        while True:
            held_s = min(max(0.0, until - self._clock.now()), HELD_S_MAX)
            try:
                answer = self._permit({**wanted, "wait_s": held_s}, held_s=held_s)
            except DependencyError as error:
                return self._go_on(Dependency(dependency), lane, error)
            if answer.status == 200:  # noqa: PLR2004 - HTTP's
                end = partial(self._end, str(answer.document["id"]))
                return HeldPermit(Dependency(dependency), lane, end)
            detail = str(answer.document.get("detail", f"{dependency}: refused"))
            refusal = _refusal(answer, detail, now=self._clock.now())
            if refusal.retry_at is None or refusal.retry_at > until:
                raise refusal
            self._clock.sleep_until(max(refusal.retry_at, self._clock.now() + REFUSED_S_MIN))

    @contextmanager
    def permit(
        self, dependency: str, *, lane: Lane = Lane.FRESH, retry: bool = False, wait_s: float = 0.0
    ) -> Generator[HeldPermit]:
        """Take leave to make one call, and end it by how the body ends.

        Args:
            dependency: Whom the body calls, as `identity@eastus`.
            lane: Who waits; fresh goes first.
            retry: Whether this call was made before and failed: it takes of the retry budget.
            wait_s: Seconds to wait for leave, up to a day; 0 asks once. What cannot come in time
                is not waited for.

        Raises:
            RefusedError: No leave; `BreakerOpenError` and `ReleaseHeldError` say why, `retry_at`
                when to ask again. The body does not run.
            QueueFullError: A limit of the server was reached.
            InvalidInputError: The server does not know the token, or cannot use what was asked.
            DependencyError: The server is away, and the client fails closed.
        """
        held = self.ask(dependency, lane=lane, retry=retry, wait_s=wait_s)
        with holding(held, classify=self._classify, now=self._clock.now):
            yield held

    def governed(
        self, dependency: str, *, lane: Lane = Lane.FRESH, wait_s: float = 0.0
    ) -> Callable[[Callable[P, T]], Callable[P, T]]:
        """Let each call of a function take a permit; arguments as in `permit`.

        What the function returns is classified too: an answer of status 429 is `throttled`.
        """

        def decorate(function: Callable[P, T]) -> Callable[P, T]:
            @wraps(function)
            def call(*args: P.args, **kwargs: P.kwargs) -> T:
                with self.permit(dependency, lane=lane, wait_s=wait_s) as held:
                    result = function(*args, **kwargs)
                    held.settle(self.classify(result))
                    return result

            return call

        return decorate

    def now(self) -> float:
        """The present instant on the client's clock, which `retry_at` is on."""
        return self._clock.now()

    def classify(self, end: object) -> Outcome | None:
        """Tell what became of a call by what it gave or raised."""
        return self._classify(end, self._clock.now())

    def submit(self, operation: Mapping[str, object]) -> Submitted:
        """Hand in an operation; safe to repeat, as its `key` says that it is the same.

        Args:
            operation: `key`, `kind`, `region` and `steps`, and what may be left out, as the API of
                operations has them.

        Raises:
            ConflictError: The key is known, with another body.
            QueueFullError: The server takes in no more now.
            InvalidInputError: The server does not know the token, or cannot use `operation`.
            DependencyError: The server is away; whether it took the operation in is not known.
        """
        answer = self._wire.ask("POST", "/v1/operations", operation)
        if answer.status not in (200, 201):
            self._complain(answer)
        return Submitted(str(answer.document["id"]), bool(answer.document["is_new"]))

    def operation(self, operation_id: str) -> dict[str, Any] | None:
        """Read how an operation stands, or None when the server does not know it.

        Raises:
            InvalidInputError: The server does not know the token.
            DependencyError: The server is away.
        """
        answer = self._wire.ask("GET", f"/v1/operations/{quote(operation_id, safe='')}")
        if answer.status == 404:  # noqa: PLR2004 - HTTP's
            return None
        if answer.status != 200:  # noqa: PLR2004 - HTTP's
            self._complain(answer)
        return answer.document

    def _permit(self, wanted: Mapping[str, object], *, held_s: float) -> Answer:
        """Ask for a permit once; gives 200 or 429."""
        if self._clock.now() < self._away_until:
            raise DependencyError(self._away_why, may_have_acted=False)
        try:
            answer = self._wire.ask("POST", "/v1/permits", wanted, held_s=held_s)
        except DependencyError as error:
            self._note_away(str(error))
            raise
        if answer.status >= _SERVER_FAULT:  # at fault, or about to stop
            self._note_away(f"{self._wire.url}: {answer.status}")
            raise DependencyError(self._away_why, may_have_acted=False)
        if answer.status not in (200, 429):
            self._complain(answer)
        return answer

    def _note_away(self, why: str) -> None:
        self._away_why, self._away_until = why, self._clock.now() + AWAY_S

    def _go_on(self, dependency: Dependency, lane: Lane, error: DependencyError) -> HeldPermit:
        """Do without the server, if that was chosen."""
        if not self._is_fail_open:
            raise error
        self._log.warning("%s is called without a permit: %s", dependency, error)
        return HeldPermit(dependency, lane, lambda _: None, is_governed=False)

    def _end(self, permit_id: str, outcome: Outcome | None) -> None:
        path = f"/v1/permits/{quote(permit_id, safe='')}"
        try:
            if outcome is None:
                answer = self._wire.ask("DELETE", path)
            else:
                told = _told(outcome, now=self._clock.now())
                answer = self._wire.ask("POST", f"{path}/outcome", told)
            if answer.status != 204:  # noqa: PLR2004 - HTTP's
                self._complain(answer)
        except (DependencyError, InvalidInputError, RefusedError, ConflictError) as error:
            self._log.warning("the end of a permit was not told: %s", error)

    def _complain(self, answer: Answer) -> NoReturn:
        """Raise what an answer says that is not the one hoped for."""
        detail = f"{self._wire.url}: {answer.status} {answer.document.get('detail', '')}".rstrip()
        if answer.document.get("code") in _REFUSALS:
            raise _refusal(answer, detail, now=self._clock.now())
        if answer.status >= _SERVER_FAULT:
            raise DependencyError(detail, may_have_acted=True)
        if answer.status == 409:  # noqa: PLR2004 - HTTP's
            raise ConflictError(detail)
        raise InvalidInputError(detail)


def _told(outcome: Outcome, *, now: float) -> dict[str, object]:
    """An outcome for the wire: instants of our clock mean nothing there."""
    retry_at = outcome.retry_at
    told: dict[str, object] = {"kind": outcome.kind, "detail": outcome.detail}
    return told if retry_at is None else {**told, "retry_after_s": bounded_s(retry_at - now)}


def _refusal(answer: Answer, detail: str, *, now: float) -> RefusedError:
    """The error that a 429 says, with `retry_at` on our clock."""
    after_s = answer.document.get("retry_after_s")
    retry_at = now + bounded_s(float(after_s)) if isinstance(after_s, int | float) else None
    kind = _REFUSALS.get(str(answer.document.get("code")), RefusedError)
    return kind(detail, retry_at=retry_at)
