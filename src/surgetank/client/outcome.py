"""How the end of a body, or an answer, says what became of the call."""

from collections.abc import Callable
from typing import Any

from surgetank.control.outcome import DETAIL_LIMIT, classify, parse_retry_after
from surgetank.core.errors import (
    DependencyError,
    DependencyRejectedError,
    DependencyThrottledError,
    DependencyTimeoutError,
    SurgetankError,
)
from surgetank.core.value import Outcome, OutcomeKind

Classify = Callable[[object, float], Outcome | None]
"""From what a call gave or raised, and the present instant, to its outcome.

None says that nothing was learnt: the permit is given back.
"""
_STATUSES = range(100, 600)


def outcome_of(end: object, now: float) -> Outcome | None:
    """Tell what became of a call, as most callers would have it; the default `Classify`.

    An answer with a status, or an exception that carries one (those of requests, httpx, aiohttp
    and urllib do), is read by status and Retry-After. Otherwise a time-out is a time-out, errors
    of `core.errors` are what they say, and any other exception is a fault of the moment: we do not
    know the classes of your libraries, and a breaker that is blind to them would be worse than one
    that sometimes counts a defect of your own.

    What is no `Exception` (cancellation, the keyboard) gives the permit back. A cancelled call is
    no sign of a slow dependency: a task group cancels many healthy calls when one fails, and eight
    of those would open a breaker. So let time-outs be *inside* the body, where they count.
    """
    status, headers = _answer(end)
    if status is not None:
        text: str | None = None if headers is None else headers.get("Retry-After")
        return classify(status=status, retry_after_s=parse_retry_after(text), now=now)
    if isinstance(end, SurgetankError):
        return _ours(end)
    if isinstance(end, TimeoutError):
        return Outcome(OutcomeKind.TIMEOUT, _words(end))
    if isinstance(end, Exception):
        return Outcome(OutcomeKind.TRANSIENT, _words(end))
    return None if isinstance(end, BaseException) else Outcome(OutcomeKind.OK)


def _ours(error: SurgetankError) -> Outcome | None:
    match error:
        case DependencyThrottledError():
            kind = OutcomeKind.THROTTLED
        case DependencyTimeoutError():
            kind = OutcomeKind.TIMEOUT
        case DependencyRejectedError():
            kind = OutcomeKind.PERMANENT
        case DependencyError():
            kind = OutcomeKind.TRANSIENT
        case _:  # a refusal inside the body, or a mistake: no call was made
            return None
    return Outcome(kind, _words(error), error.retry_at)


def _answer(end: object) -> tuple[int | None, Any]:
    """Status and headers of an answer, or of the answer that an exception carries."""
    for one in (end, getattr(end, "response", None)):
        for name in ("status_code", "status"):
            status = getattr(one, name, None)
            if isinstance(status, int) and status in _STATUSES:
                return status, getattr(one, "headers", None)
    return None, None


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:DETAIL_LIMIT]
