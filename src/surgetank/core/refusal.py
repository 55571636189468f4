"""A refusal as the error that a caller meets, in this process and beyond it."""

from surgetank.core.errors import BreakerOpenError, RefusedError, ReleaseHeldError
from surgetank.core.value import Refusal

REFUSED_S_MIN = 0.05
"""Least seconds between two questions of one who waits for leave: a refusal that ends at once must
not make anybody spin."""
EXACT_S_MIN = 0.005
"""The same where leave comes and goes: a leased instant is good for 10 ms, half of them for being
late."""


def ask_again_at(refusal: Refusal, *, now: float) -> float:
    """When one who waits for leave asks again, after a refusal at `now`."""
    least_s = EXACT_S_MIN if refusal.is_exact else REFUSED_S_MIN
    return max(refusal.retry_at, now + least_s)


def refusal_error(refusal: Refusal) -> RefusedError:
    """Make the error that says the same; its `retry_at` is the refusal's."""
    match refusal.reason:
        case "breaker_open":
            kind: type[RefusedError] = BreakerOpenError
        case "release_held" | "in_flight":
            kind = ReleaseHeldError
        case _:
            kind = RefusedError
    return kind(f"{refusal.dependency}: {refusal.reason}", retry_at=refusal.retry_at)
