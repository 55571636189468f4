"""What bounds calls in flight in a decision, and what stands for "no bound"."""

import math
from typing import Protocol, Self, TypeVar

UNPACED_PER_S = 1e9
"""A rate that holds nothing back, calls per second."""
UNLIMITED = 1e9
"""Calls at once that hold nothing back."""
ONLY_MODE = 1
"""The mode of a law that has but one: the number of our own RAMP, as all of them are on their way
up until something stops them."""


class _Bounded(Protocol):
    """What `limited` needs of a law's state."""

    def _replace(self, *, in_flight_max: float, fresh_in_flight_max: float) -> Self: ...


_State = TypeVar("_State", bound=_Bounded)


def limited(state: _State, limit: float, *, is_fresh_limited: int) -> _State:
    """Bound calls in flight, for a law whose original refuses whatever exceeds its limit.

    Backlog waits while the limit is full; fresh is refused only when it fills it alone.

    Args:
        state: A law's; the rest of it stays.
        limit: Calls of both lanes that may be out, at least 1; a fraction is no call.
        is_fresh_limited: 1, or 0 when fresh is never refused.
    """
    whole = float(math.floor(limit))
    fresh = whole if is_fresh_limited == 1 else math.inf
    return state._replace(in_flight_max=whole, fresh_in_flight_max=fresh)  # pyright: ignore[reportPrivateUsage]  # of a NamedTuple
