"""A limit on calls in flight that follows the ratio of long-term to present latency.

Source: Netflix/concurrency-limits, commit 78a74b9 (12 January 2026, after v0.5.4), `Gradient2Limit`
and its `ExpAvgMeasurement`, in a `WindowedLimit`. `control.peer.window` says what a window is there
and here.

Kept: limits from 20 to 200, starting at 20; a long-term average over 600 windows after a plain one
of the first 10, cut by a twentieth when it is above twice the present; a tolerance of 1.5; a
gradient from 0.5 to 1; room for 4 queued calls; smoothing by a fifth; nothing while less than half
of the limit is used. A drop is no signal, but for the latency of the dropped call.

Adapted: a look at an interval is one sample. There the limiter refuses whatever exceeds it, of
every caller; here backlog waits, and fresh is refused only when it fills the limit alone. The
breaker in front of it here is not part of it, so what it knows outlives an opening.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from surgetank.control.evidence import EvidencePolicy, Interval
from surgetank.control.peer.bound import ONLY_MODE, UNPACED_PER_S, limited
from surgetank.control.peer.window import average_s, window_evidence
from surgetank.core.errors import InvalidInputError

WARMUP_WINDOWS = 10
"""Windows of which the long-term latency is the plain average."""
DRIFT = 2.0
"""Long-term over present latency above which the former is cut."""
DRIFT_CUT = 0.95
"""What the cut leaves of it."""
GRADIENT_MIN = 0.5
"""Least gradient: one window takes at most half of the limit, before smoothing."""


class Parameters(NamedTuple):
    """A `Gradient2` as numbers; the same names."""

    timeout_s: float
    limit_start: float
    limit_min: float
    limit_max: float
    queue: float
    smoothing: float
    long_windows: float
    tolerance: float
    is_fresh_limited: int


class State(NamedTuple):
    """What the law has decided (the first five) and learnt (the rest)."""

    mode: int
    rate_per_s: float
    in_flight_max: float
    """The limit, rounded down."""
    fresh_in_flight_max: float
    late_s: float
    limit: float
    long_s: float
    """Long-term latency; 0 until seen."""
    warmup_s: float
    """Sum of the first windows' latencies."""
    windows: int
    """Windows in that sum; at most `WARMUP_WINDOWS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradient2:
    """Settings; raises `InvalidInputError` if out of range."""

    timeout_s: float = 10.0
    """Seconds after which callers give up; above 0. What a failed call is taken to have lasted."""
    limit_start: int = 20
    """First limit; from `limit_min` to `limit_max`."""
    limit_min: int = 20
    """Least limit; at least 1."""
    limit_max: int = 200
    """Greatest limit; at most 1e9."""
    queue: int = 4
    """Calls that may queue; 0 or more."""
    smoothing: float = 0.2
    """Share of a change that is made at once; above 0, at most 1."""
    long_windows: int = 600
    """Windows that the long-term latency remembers; at least 1."""
    tolerance: float = 1.5
    """How far latency may rise above its long-term average unpunished; at least 1."""
    is_fresh_limited: bool = True
    """Whether fresh calls are refused once they fill the limit alone, as the original refuses."""
    evidence: EvidencePolicy = field(default_factory=window_evidence)
    """How often the law looks: the original's windows."""

    def __post_init__(self) -> None:
        limits = 1 <= self.limit_min <= self.limit_start <= self.limit_max <= 1e9  # noqa: PLR2004 - said in the docstring
        shares = 0 < self.smoothing <= 1 and self.tolerance >= 1 and self.queue >= 0
        if not (limits and shares and self.long_windows >= 1 and self.timeout_s > 0):
            raise InvalidInputError(f"out of range: {self}")

    def parameters(self) -> Parameters:
        """The policy as numbers."""
        return Parameters(
            self.timeout_s,
            float(self.limit_start),
            float(self.limit_min),
            float(self.limit_max),
            float(self.queue),
            self.smoothing,
            float(self.long_windows),
            self.tolerance,
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
    limit = p.limit_start
    first = State(ONLY_MODE, UNPACED_PER_S, 1.0, math.inf, math.inf, limit, 0.0, 0.0, 0)
    return limited(first, limit, is_fresh_limited=p.is_fresh_limited)


def step(state: State, interval: Interval, p: Parameters) -> State:
    """See `Law`."""
    latency_s = average_s(interval, p.timeout_s)
    if latency_s <= 0.0:
        return state
    seen = _averaged(state, p, latency_s)
    long_s = seen.long_s
    if long_s / latency_s > DRIFT:
        seen = seen._replace(long_s=DRIFT_CUT * long_s)
    if interval.in_flight_peak < 0.5 * seen.limit:
        return seen
    gradient = max(GRADIENT_MIN, min(1.0, p.tolerance * long_s / latency_s))
    wanted = seen.limit * gradient + p.queue
    limit = seen.limit * (1.0 - p.smoothing) + wanted * p.smoothing
    limit = max(p.limit_min, min(p.limit_max, limit))
    return limited(seen._replace(limit=limit), limit, is_fresh_limited=p.is_fresh_limited)


def opened(state: State, p: Parameters, *, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state


def closed(state: State, p: Parameters, *, probes: int, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state


def _averaged(state: State, p: Parameters, latency_s: float) -> State:
    if state.windows < WARMUP_WINDOWS:
        windows = state.windows + 1
        total_s = state.warmup_s + latency_s
        return state._replace(windows=windows, warmup_s=total_s, long_s=total_s / windows)
    weight = 2.0 / (p.long_windows + 1.0)
    return state._replace(long_s=state.long_s * (1.0 - weight) + latency_s * weight)
