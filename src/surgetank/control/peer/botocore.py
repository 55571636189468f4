"""A rate limiter that wakes at the first throttled answer, and then follows TCP's CUBIC.

Source: boto/botocore 1.43.67 (commit 0e6e240, 7 August 2026), adaptive retry mode:
`botocore/retries/{adaptive,throttling,bucket}.py`.

Kept: no limit before the first throttled answer; 0.7 of the rate after one; 0.4 of the cube of the
time since, around the rate that was throttled; at most twice the rate that is measured, which is
smoothed by 0.8 over half seconds; at least 0.5 calls a second; only throttled answers matter.

Adapted: there each answer moves the limiter, here all of an interval move it at its end, first
those that succeeded. Each throttled answer cuts, as there: ten of them at once leave 3% of the rate. The
token bucket, which holds a second's worth, becomes the pace of the backlog; what fresh sends is
taken off it, as fresh draws on the same bucket there but may not wait here. The breaker in front of
it here is not part of it, so what it knows outlives an opening.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from surgetank.control.evidence import EvidencePolicy, Interval
from surgetank.control.peer.bound import ONLY_MODE, UNLIMITED, UNPACED_PER_S
from surgetank.core.errors import InvalidInputError

SMOOTHING = 0.8
"""Say of the last interval in the measured rate."""
MEASURED_MULTIPLE = 2.0
"""The limit is at most so many times the measured rate."""
BUCKET_S = 0.5
"""Seconds over which the rate is measured."""


class Parameters(NamedTuple):
    """A `Botocore` as numbers; the same names."""

    beta: float
    scale: float
    rate_per_s_min: float


class State(NamedTuple):
    """What the law has decided (the first five) and learnt (the rest)."""

    mode: int
    rate_per_s: float
    in_flight_max: float
    fresh_in_flight_max: float
    late_s: float
    is_limiting: int
    """1 since the first throttled answer."""
    limit_per_s: float
    """Of both lanes together."""
    measured_per_s: float
    top_per_s: float
    """The rate that was throttled last."""
    top_s: float
    """Seconds from then until that rate is reached again."""
    throttled_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Botocore:
    """Settings; raises `InvalidInputError` if out of range."""

    beta: float = 0.7
    """What is left of the rate after a throttled answer; above 0, below 1."""
    scale: float = 0.4
    """Steepness of the cube, calls per second and second cubed; above 0."""
    rate_per_s_min: float = 0.5
    """Least rate, calls per second; above 0."""
    evidence: EvidencePolicy = field(
        default_factory=lambda: EvidencePolicy(
            samples_min=3, interval_s_min=BUCKET_S, interval_s_max=30.0
        )
    )
    """How often the law looks: as often as the original measures its rate."""

    def __post_init__(self) -> None:
        if not (0 < self.beta < 1 and min(self.scale, self.rate_per_s_min) > 0):
            raise InvalidInputError(f"out of range: {self}")

    def parameters(self) -> Parameters:
        """The policy as numbers."""
        return Parameters(self.beta, self.scale, self.rate_per_s_min)

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


def start(p: Parameters, *, now: float) -> State:
    """See `Law`."""
    return State(
        ONLY_MODE,
        UNPACED_PER_S,
        UNLIMITED,
        math.inf,
        math.inf,
        is_limiting=0,
        limit_per_s=p.rate_per_s_min,
        measured_per_s=0.0,
        top_per_s=0.0,
        top_s=0.0,
        throttled_at=now,
    )


def step(state: State, interval: Interval, p: Parameters) -> State:
    """See `Law`."""
    calls = interval.ok + interval.bad
    measured = SMOOTHING * calls / interval.span_s + (1.0 - SMOOTHING) * state.measured_per_s
    state = state._replace(measured_per_s=measured)
    if calls > interval.throttled and state.is_limiting == 1:
        state = state._replace(limit_per_s=_bounded(state, p, cubic(state, p, interval.ended_at)))
    if interval.throttled > 0:
        state = _throttled(state, p, count=interval.throttled, now=interval.ended_at)
    if state.is_limiting == 0:
        return state
    fresh = calls - interval.backlog_ok - interval.backlog_bad
    rate_per_s = max(p.rate_per_s_min, state.limit_per_s - fresh / interval.span_s)
    return state._replace(rate_per_s=rate_per_s)


def opened(state: State, p: Parameters, *, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state


def closed(state: State, p: Parameters, *, probes: int, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state


def _throttled(state: State, p: Parameters, *, count: int, now: float) -> State:
    """Cut once for each throttled answer."""
    limit_per_s = state.limit_per_s if state.is_limiting == 1 else state.measured_per_s
    top_per_s = min(state.measured_per_s, limit_per_s)
    for _ in range(count):
        top_per_s = min(state.measured_per_s, limit_per_s)
        limit_per_s = _bounded(state, p, p.beta * top_per_s)
    return state._replace(
        is_limiting=1,
        limit_per_s=limit_per_s,
        top_per_s=top_per_s,
        top_s=(top_per_s * (1.0 - p.beta) / p.scale) ** (1.0 / 3.0),
        throttled_at=now,
    )


def cubic(state: State, p: Parameters, now: float) -> float:
    """The rate by the time since the last throttled answer; may be below 0 or very large."""
    apart_s = now - state.throttled_at - state.top_s
    return p.scale * apart_s * apart_s * apart_s + state.top_per_s


def _bounded(state: State, p: Parameters, rate_per_s: float) -> float:
    most_per_s = min(UNPACED_PER_S, MEASURED_MULTIPLE * state.measured_per_s)
    return max(p.rate_per_s_min, min(most_per_s, rate_per_s))
