"""A limit on calls in flight that keeps a few of them queueing, after TCP Vegas.

The queue is taken to be the share of the limit by which latency exceeds its least.

Source: Netflix/concurrency-limits, commit 78a74b9 (12 January 2026, after v0.5.4), `VegasLimit` in
a `WindowedLimit`. `control.peer.window` says what a window is there and here.

Kept: the first limit of 20 and the greatest of 1,000; steps by the decimal logarithm of the limit;
up by 6 of them without a queue, by 1 below 3 of them, down by 1 above 6 of them and after every
drop; no growth below half of the limit; no smoothing; the least latency is taken afresh after 30
times the limit windows.

Adapted: a look at an interval is one sample. The wait until the least latency is taken afresh is
spread there by chance between half and all of that; a law has no chance, so here it is always three
quarters. There the limiter refuses whatever exceeds it, of every caller; here backlog waits, and
fresh is refused only when it fills the limit alone. The breaker in front of it here is not part of
it, so what it knows outlives an opening.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from surgetank.control.evidence import EvidencePolicy, Interval
from surgetank.control.peer.bound import ONLY_MODE, UNPACED_PER_S, limited
from surgetank.control.peer.window import average_s, log10_step, window_evidence
from surgetank.core.errors import InvalidInputError

PROBE_MULTIPLE = 30.0
"""Windows per call of the limit after which the least latency is taken afresh."""
PROBE_SHARE = 0.75
"""Share of those that is waited; the mean of what chance makes of it in the original."""


class Parameters(NamedTuple):
    """A `Vegas` as numbers; the same names."""

    timeout_s: float
    limit_start: float
    limit_max: float
    alpha_steps: float
    beta_steps: float
    smoothing: float
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
    least_s: float
    """Latency without a queue; 0 until seen."""
    windows: int
    """Since the least latency was taken afresh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vegas:
    """Settings; raises `InvalidInputError` if out of range."""

    timeout_s: float = 10.0
    """Seconds after which callers give up; above 0. What a failed call is taken to have lasted."""
    limit_start: int = 20
    """First limit; from 1 to `limit_max`."""
    limit_max: int = 1000
    """Greatest limit; at most 1e9."""
    alpha_steps: int = 3
    """Queue below which the limit grows, in steps; at least 1."""
    beta_steps: int = 6
    """Queue above which it shrinks, in steps, and growth without a queue; at least `alpha_steps`."""
    smoothing: float = 1.0
    """Share of a change that is made at once; above 0, at most 1."""
    is_fresh_limited: bool = True
    """Whether fresh calls are refused once they fill the limit alone, as the original refuses."""
    evidence: EvidencePolicy = field(default_factory=window_evidence)
    """How often the law looks: the original's windows."""

    def __post_init__(self) -> None:
        limits = 1 <= self.limit_start <= self.limit_max <= 1e9  # noqa: PLR2004 - said in the docstring
        steps = 1 <= self.alpha_steps <= self.beta_steps
        if not (limits and steps and 0 < self.smoothing <= 1 and self.timeout_s > 0):
            raise InvalidInputError(f"out of range: {self}")

    def parameters(self) -> Parameters:
        """The policy as numbers."""
        return Parameters(
            self.timeout_s,
            float(self.limit_start),
            float(self.limit_max),
            float(self.alpha_steps),
            float(self.beta_steps),
            self.smoothing,
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
    first = State(ONLY_MODE, UNPACED_PER_S, 1.0, math.inf, math.inf, limit, 0.0, 0)
    return limited(first, limit, is_fresh_limited=p.is_fresh_limited)


def step(state: State, interval: Interval, p: Parameters) -> State:
    """See `Law`."""
    latency_s = average_s(interval, p.timeout_s)
    if latency_s <= 0.0:
        return state
    state = state._replace(windows=state.windows + 1)
    if PROBE_SHARE * PROBE_MULTIPLE * state.limit <= state.windows:
        return state._replace(windows=0, least_s=latency_s)
    if state.least_s == 0.0 or latency_s < state.least_s:
        return state._replace(least_s=latency_s)
    change = _change(state, interval, p, queue=_queue(state, latency_s))
    wanted = max(1.0, min(p.limit_max, state.limit + change))
    limit = state.limit + p.smoothing * (wanted - state.limit)
    return limited(state._replace(limit=limit), limit, is_fresh_limited=p.is_fresh_limited)


def opened(state: State, p: Parameters, *, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state


def closed(state: State, p: Parameters, *, probes: int, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state


def _queue(state: State, latency_s: float) -> float:
    return float(math.ceil(state.limit * (1.0 - state.least_s / latency_s)))


def _change(state: State, interval: Interval, p: Parameters, *, queue: float) -> float:
    one = log10_step(state.limit)
    if interval.bad > 0:
        return -one
    if 2.0 * interval.in_flight_peak < state.limit:
        return 0.0
    if queue <= one:
        return p.beta_steps * one
    if queue < p.alpha_steps * one:
        return one
    if queue > p.beta_steps * one:
        return -one
    return 0.0
