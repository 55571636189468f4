"""A limit on calls in flight: one more for each good window, a tenth less for a bad one.

Source: Netflix/concurrency-limits, commit 78a74b9 (12 January 2026, after v0.5.4), `AIMDLimit` in
a `WindowedLimit`. `control.peer.window` says what a window is there and here.

Kept: limits from 20 to 200, starting at 20; a ratio of 0.9, rounded down; a drop or an average
above 5 s as the signal; growth only while at least half of the limit is used.

Adapted: a look at an interval is one sample. There the limiter refuses whatever exceeds it, of
every caller; here backlog waits, and fresh is refused only when it fills the limit alone. Its
author's restart would begin at 20; the breaker that stands in front of it here is not part of it,
so the limit outlives an opening.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from surgetank.control.evidence import EvidencePolicy, Interval
from surgetank.control.peer.bound import ONLY_MODE, UNPACED_PER_S, limited
from surgetank.control.peer.window import average_s, window_evidence
from surgetank.core.errors import InvalidInputError


class Parameters(NamedTuple):
    """An `Aimd` as numbers; the same names."""

    timeout_s: float
    limit_start: float
    limit_min: float
    limit_max: float
    backoff_ratio: float
    slow_s: float
    is_fresh_limited: int


class State(NamedTuple):
    """What the law has decided: it knows nothing else."""

    mode: int
    rate_per_s: float
    in_flight_max: float
    fresh_in_flight_max: float
    late_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Aimd:
    """Settings; raises `InvalidInputError` if out of range."""

    timeout_s: float = 10.0
    """Seconds after which callers give up; above 0. What a failed call is taken to have lasted."""
    limit_start: int = 20
    """First limit; from `limit_min` to `limit_max`."""
    limit_min: int = 20
    """Least limit; at least 1."""
    limit_max: int = 200
    """Greatest limit; at most 1e9."""
    backoff_ratio: float = 0.9
    """What is left of the limit after a bad window; from 0.5, below 1."""
    slow_s: float = 5.0
    """Average latency of a window that counts as a drop, in seconds; above 0."""
    is_fresh_limited: bool = True
    """Whether fresh calls are refused once they fill the limit alone, as the original refuses."""
    evidence: EvidencePolicy = field(default_factory=window_evidence)
    """How often the law looks: the original's windows."""

    def __post_init__(self) -> None:
        limits = 1 <= self.limit_min <= self.limit_start <= self.limit_max <= 1e9  # noqa: PLR2004 - said in the docstring
        times = min(self.timeout_s, self.slow_s) > 0
        if not (limits and times and 0.5 <= self.backoff_ratio < 1):  # noqa: PLR2004 - said in the docstring
            raise InvalidInputError(f"out of range: {self}")

    def parameters(self) -> Parameters:
        """The policy as numbers."""
        return Parameters(
            self.timeout_s,
            float(self.limit_start),
            float(self.limit_min),
            float(self.limit_max),
            self.backoff_ratio,
            self.slow_s,
            int(self.is_fresh_limited),
        )

    def start(self, *, now: float) -> State:
        """See `Law`."""
        return start(self.parameters(), now=now)

    def step(self, state: State, interval: Interval) -> State:
        """See `Law`."""
        return step(state, interval, self.parameters())

    def opened(self, state: State, *, now: float) -> State:
        """See `Law`: changes nothing."""
        return opened(state, self.parameters(), now=now)

    def closed(self, state: State, *, probes: int, now: float) -> State:
        """See `Law`: changes nothing."""
        return closed(state, self.parameters(), probes=probes, now=now)


def start(p: Parameters, *, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    first = State(ONLY_MODE, UNPACED_PER_S, 1.0, math.inf, math.inf)
    return limited(first, p.limit_start, is_fresh_limited=p.is_fresh_limited)


def step(state: State, interval: Interval, p: Parameters) -> State:
    """See `Law`."""
    limit = state.in_flight_max
    if interval.bad > 0 or average_s(interval, p.timeout_s) > p.slow_s:
        limit = float(math.floor(limit * p.backoff_ratio))
    elif 2.0 * interval.in_flight_peak >= limit:
        limit = limit + 1.0
    limit = min(p.limit_max, max(p.limit_min, limit))
    return limited(state, limit, is_fresh_limited=p.is_fresh_limited)


def opened(state: State, p: Parameters, *, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state


def closed(state: State, p: Parameters, *, probes: int, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state
