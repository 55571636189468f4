"""Admission at the door of a station: refuse early what would wait too long, fresh work last.

Serving a call whose caller will have gone is waste that feeds an outage; refusing it at the door
costs little. A call is let in by the wait it would meet: fresh up to `wait_s_max`, backlog only up
to a share of it, so replay can never push fresh work out. The refused are told when to come back.
Source: queue time as the measure of overload after CoDel (K. Nichols, V. Jacobson, 2012) and
Facebook's adaptive LIFO paper (B. Maurer, "Fail at Scale", ACM Queue 2015); criticality by lane
after Google, "Site Reliability Engineering", 2016, ch. 21.
"""

from dataclasses import dataclass
from math import inf, nextafter
from typing import NamedTuple

from surgetank.core.errors import InvalidInputError
from surgetank.core.value import Lane

_WEIGHT = 0.1
"""Share of a new gap in the mean: the last ten or so completions decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """How long a call may expect to wait; raises `InvalidInputError` if out of range."""

    wait_s_max: float = 2.0
    """Seconds that fresh work may expect to wait; above 0. Well under the time-outs of its callers
    (the token service's clients give up between 5 and 30 s), so what is served is still wanted."""
    backlog_share: float = 0.25
    """Share of `wait_s_max` that backlog may expect to wait; above 0, at most 1."""
    retry_s_min: float = 1.0
    """Least seconds until a refused caller may come back; above 0."""
    retry_s_max: float = 60.0
    """Most seconds until a refused caller may come back; at least `retry_s_min`."""

    def __post_init__(self) -> None:
        if not self.wait_s_max > 0 or not 0 < self.backlog_share <= 1:
            raise InvalidInputError(f"out of range: {self}")
        if not 0 < self.retry_s_min <= self.retry_s_max:
            raise InvalidInputError(f"out of range: {self}")

    def decide(self, *, wait_s: float, lane: Lane, now: float, chance: float = 0.0) -> float | None:
        """Let one call in, or say when to come back.

        Args:
            wait_s: Seconds the call would wait: the queue's own figure, or `expected_wait_s`.
            lane: Whose call it is.
            now: Seconds on the caller's clock.
            chance: From 0 to 1; spreads the refused over up to twice the wait.

        Returns:
            None to come in, or the instant to come back: when the excess will have drained,
            bounded by `retry_s_min` and `retry_s_max`.
        """
        allowed_s = self.wait_s_max
        if lane is Lane.BACKLOG:
            allowed_s *= self.backlog_share
        if wait_s <= allowed_s:
            return None
        excess_s = (wait_s - allowed_s) * (1.0 + chance)
        return now + min(self.retry_s_max, max(self.retry_s_min, excess_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """What a door lets in however the nodes fare; raises `InvalidInputError` if out of range."""

    rate_per_s: float
    """Calls a second over any longer time; above 0."""
    burst: float
    """Calls that may come at once after quiet; at least 1."""
    retry_s_max: float = 60.0
    """Most seconds until a refused caller may come back, and as many again to spread them; above 0,
    finite."""

    def __post_init__(self) -> None:
        if not (self.rate_per_s > 0 and self.burst >= 1 and 0 < self.retry_s_max < inf):
            raise InvalidInputError(f"out of range: {self}")

    def decide(
        self, bucket: "Bucket", *, now: float, chance: float
    ) -> tuple["Bucket", float | None]:
        """Let one call in, or say when to come back.

        Args:
            bucket: What was left after the last call.
            now: Seconds on the caller's clock.
            chance: From 0 to 1; spreads the refused over `retry_s_max`, that they do not come back
                as the burst they were.

        Returns:
            What is left now, and None to come in, or the instant to come back, after `now`.
        """
        counted_at = max(now, bucket.counted_at)
        refill = (counted_at - bucket.counted_at) * self.rate_per_s
        calls = min(self.burst, bucket.calls + refill)
        if calls >= 1.0:
            return Bucket(calls - 1.0, counted_at), None
        wait_s = counted_at - now + (1.0 - calls) / self.rate_per_s
        retry_at = now + min(self.retry_s_max, wait_s) + self.retry_s_max * chance
        return Bucket(calls, counted_at), max(nextafter(now, inf), retry_at)


class Bucket(NamedTuple):
    """Calls that may still come at once, as of an instant."""

    calls: float
    counted_at: float
    """Seconds on the caller's clock up to which time has been counted."""


class Drain(NamedTuple):
    """How fast a queue drains, learnt from completions while work was waiting."""

    gap_s: float = 0.0
    """Mean seconds between completions; 0 until one was measured."""
    busy_since: float | None = None
    """The last completion after which work still waited, or None when the queue ran empty."""


def completed(drain: Drain, *, queue: int, now: float) -> Drain:
    """Count one completion that leaves `queue` calls waiting."""
    gap_s = drain.gap_s
    if drain.busy_since is not None:
        measured_s = now - drain.busy_since
        gap_s = measured_s if gap_s == 0.0 else gap_s + _WEIGHT * (measured_s - gap_s)
    return Drain(gap_s, now if queue > 0 else None)


def expected_wait_s(drain: Drain, *, queue: int, now: float) -> float:
    """Seconds a call would wait behind `queue` others; 0 while nothing has been measured.

    A queue that stands still counts as slower with every second: the gap that is open now is
    taken when it is longer than the mean.
    """
    open_s = 0.0 if drain.busy_since is None else now - drain.busy_since
    return queue * max(drain.gap_s, open_s) if queue > 0 else 0.0
