"""Proportional-integral control of latency: the textbook's answer.

Source: RFC 8033 (February 2017), PIE, section 4.2: a correction of alpha times the distance of the
queueing delay from its reference, and beta times its change since the last look.

Kept: the form of the correction, and a bound on each.

Adapted: there a queue drops a share of packets, here a client sends a share less, so the correction
is a change of the rate's logarithm. Delay is counted in references, as a service's own pace is not
known beforehand: the reference is a multiple of the least latency seen, which is slowly forgotten.
There are 67 looks a second, here some two, so the gains are ours: a reference too much takes an
eighth of the rate in a second. A client also sees errors: too many count as the most delay. The rate is not raised
while the backlog does not wait for it, or it would wind up.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from surgetank.control.evidence import EvidencePolicy, Interval
from surgetank.control.peer.bound import ONLY_MODE, UNLIMITED, UNPACED_PER_S
from surgetank.control.peer.healthy import best_s, error_ratio
from surgetank.core.errors import InvalidInputError

EXCESS_MAX = 4.0
"""Delay beyond the reference counts up to so many references."""
CUT_MAX = 0.5
"""Most that one correction takes, in the logarithm of the rate."""
RAISE_MAX = 0.25
"""Most that it gives."""
SPAN_S_MAX = 2.0
"""A long interval counts as one of that many seconds: one look, one bounded correction."""
BASE_GROWTH_PER_S = 0.001
"""The least latency is forgotten by that share per second."""


class Parameters(NamedTuple):
    """A `Pi` as numbers; the same names."""

    alpha_per_s: float
    beta: float
    latency_multiple: float
    error_ratio_max: float
    rate_per_s_start: float
    rate_per_s_min: float


class State(NamedTuple):
    """What the law has decided (the first five) and learnt (the rest)."""

    mode: int
    rate_per_s: float
    in_flight_max: float
    fresh_in_flight_max: float
    late_s: float
    base_s: float
    """The least latency, slowly forgotten; 0 until learnt."""
    excess: float
    """Delay beyond the reference at the last look, in references."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pi:
    """Settings; raises `InvalidInputError` if out of range."""

    alpha_per_s: float = 0.125
    """Integral gain: change of the rate's logarithm per second and reference; above 0."""
    beta: float = 0.3
    """Proportional gain: change of the rate's logarithm per reference; 0 or more."""
    latency_multiple: float = 2.0
    """Mean latency to hold, as a multiple of the least; above 1."""
    error_ratio_max: float = 0.02
    """Error ratio above which the delay counts as the most; from 0 to 1."""
    rate_per_s_start: float = 10.0
    """First rate, calls per second; at least `rate_per_s_min`."""
    rate_per_s_min: float = 0.5
    """Least rate, calls per second; above 0."""
    evidence: EvidencePolicy = field(default_factory=EvidencePolicy)
    """How often the law looks: as ours."""

    def __post_init__(self) -> None:
        gains = self.alpha_per_s > 0 and self.beta >= 0
        bounds = self.latency_multiple > 1 and 0 <= self.error_ratio_max <= 1
        if not (gains and bounds and 0 < self.rate_per_s_min <= self.rate_per_s_start):
            raise InvalidInputError(f"out of range: {self}")

    def parameters(self) -> Parameters:
        """The policy as numbers."""
        return Parameters(
            self.alpha_per_s,
            self.beta,
            self.latency_multiple,
            self.error_ratio_max,
            self.rate_per_s_start,
            self.rate_per_s_min,
        )

    def start(self, *, now: float) -> State:
        """See `Law`."""
        return start(self.parameters(), now=now)

    def step(self, state: State, interval: Interval) -> State:
        """See `Law`."""
        return step(state, interval, self.parameters())

    def opened(self, state: State, *, now: float) -> State:
        """See `Law`: back to the first rate, if that is less."""
        return opened(state, self.parameters(), now=now)

    def closed(self, state: State, *, probes: int, now: float) -> State:
        """See `Law`: changes nothing."""
        return closed(state, self.parameters(), probes=probes, now=now)


def start(p: Parameters, *, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return State(ONLY_MODE, p.rate_per_s_start, UNLIMITED, math.inf, math.inf, 0.0, -1.0)


def step(state: State, interval: Interval, p: Parameters) -> State:
    """See `Law`."""
    state = state._replace(base_s=_base_s(state, interval))
    excess = _excess(state, interval, p)
    integral = p.alpha_per_s * min(SPAN_S_MAX, interval.span_s) * excess
    correction = -(integral + p.beta * (excess - state.excess))
    if interval.held == 0:
        correction = min(0.0, correction)
    correction = max(-CUT_MAX, min(RAISE_MAX, correction))
    rate_per_s = state.rate_per_s * math.exp(correction)
    bounded_per_s = max(p.rate_per_s_min, min(UNPACED_PER_S, rate_per_s))
    return state._replace(rate_per_s=bounded_per_s, excess=excess)


def opened(state: State, p: Parameters, *, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state._replace(rate_per_s=min(p.rate_per_s_start, state.rate_per_s), excess=-1.0)


def closed(state: State, p: Parameters, *, probes: int, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state


def _excess(state: State, interval: Interval, p: Parameters) -> float:
    """Delay beyond the reference, in references; from -1 (none) to `EXCESS_MAX`."""
    if error_ratio(interval) > p.error_ratio_max:
        return EXCESS_MAX
    if interval.latency_count == 0 or state.base_s == 0.0:
        return state.excess
    reference_s = (p.latency_multiple - 1.0) * state.base_s
    excess = (interval.latency_mean_s - state.base_s - reference_s) / reference_s
    return max(-1.0, min(EXCESS_MAX, excess))


def _base_s(state: State, interval: Interval) -> float:
    if interval.latency_low_s <= 0.0:
        return state.base_s  # Delay is counted in multiples of it.
    return best_s(state.base_s, interval.latency_low_s, interval, growth_per_s=BASE_GROWTH_PER_S)
