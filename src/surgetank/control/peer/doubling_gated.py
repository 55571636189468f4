"""Twice the rate after each healthy minute, half of it when ill, and fresh shed if that is not enough.

What a careful team does by hand, with what this client sees.

Source: "Site Reliability Engineering" (2016), chapter 22, "Addressing Cascading Failures", on
dropping traffic: take load off until crashes stop, down to 1% of it where need be; wait until most
servers are healthy; then let load back by degrees. The doubling and its figures are ours, as in
`control.peer.doubling`.

Kept: the least rate is 1% of the healthy one, health opens the gate and not the clock, and
traffic that someone waits for is dropped as well when nothing else is left to drop.

Adapted: health is what a client sees, an error ratio and a mean latency against its own best. The
rate is doubled only when the backlog waited for it, or an idle hour would end in a surge.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from surgetank.control.evidence import EvidencePolicy, Interval
from surgetank.control.peer.bound import ONLY_MODE, UNLIMITED, UNPACED_PER_S
from surgetank.control.peer.healthy import best_s, delivered, error_ratio, healthy, reference
from surgetank.core.errors import InvalidInputError

BASE_GROWTH_PER_S = 0.0001
"""The best latency is forgotten by that share per second."""
FRESH_MIN = 1.0
"""Fresh calls at once that are never shed: without any there is nothing to learn."""


class Parameters(NamedTuple):
    """A `DoublingGated` as numbers; the same names."""

    start_share: float
    least_share: float
    double_s: float
    halve_s: float
    error_ratio_max: float
    slow_multiple: float
    rate_per_s_min: float
    rate_per_s_unlearnt: float


class State(NamedTuple):
    """What the law has decided (the first five) and learnt (the rest)."""

    mode: int
    rate_per_s: float
    in_flight_max: float
    fresh_in_flight_max: float
    late_s: float
    cut_at: float
    """When something was last halved."""
    healthy_at: float
    """Since when all has been healthy without a change."""
    closed_at: float
    """When the breaker closed; before all time while it is open, or has never been."""
    peak: float
    """Most calls at once in the last interval; infinite until seen."""
    base_s: float
    """The best mean latency, slowly forgotten; 0 until learnt."""
    delivered_per_s: float
    healthy_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DoublingGated:
    """Settings; raises `InvalidInputError` if out of range."""

    start_share: float = 0.1
    """First rate, as a share of the healthy rate; from `least_share` to 1."""
    least_share: float = 0.01
    """Least rate, as a share of the healthy rate; above 0."""
    double_s: float = 60.0
    """Seconds of unbroken health that allow a doubling; above 0."""
    halve_s: float = 10.0
    """Least seconds between halvings; above 0."""
    error_ratio_max: float = 0.05
    """Error ratio above which an interval is ill; from 0 to 1."""
    slow_multiple: float = 3.0
    """Mean latency above which an interval is ill, as a multiple of the best; above 1."""
    rate_per_s_min: float = 0.002
    """Absolute floor of the rate, calls per second; above 0. As ours."""
    rate_per_s_unlearnt: float = 1.0
    """Stands for the healthy rate until one is learnt, calls per second; above 0. As ours."""
    evidence: EvidencePolicy = field(default_factory=EvidencePolicy)
    """How often the law looks: as ours."""

    def __post_init__(self) -> None:
        times = min(self.double_s, self.halve_s) > 0
        rates = min(self.rate_per_s_min, self.rate_per_s_unlearnt) > 0
        shares = 0 < self.least_share <= self.start_share <= 1 and 0 <= self.error_ratio_max <= 1
        if not (times and rates and shares and self.slow_multiple > 1):
            raise InvalidInputError(f"out of range: {self}")

    def parameters(self) -> Parameters:
        """The policy as numbers."""
        return Parameters(
            self.start_share,
            self.least_share,
            self.double_s,
            self.halve_s,
            self.error_ratio_max,
            self.slow_multiple,
            self.rate_per_s_min,
            self.rate_per_s_unlearnt,
        )

    def start(self, *, now: float) -> State:
        """See `Law`."""
        return start(self.parameters(), now=now)

    def step(self, state: State, interval: Interval) -> State:
        """See `Law`."""
        return step(state, interval, self.parameters())

    def opened(self, state: State, *, now: float) -> State:
        """See `Law`: back to the first rate; half of fresh if the breaker had but just closed."""
        return opened(state, self.parameters(), now=now)

    def closed(self, state: State, *, probes: int, now: float) -> State:
        """See `Law`: health begins."""
        return closed(state, self.parameters(), probes=probes, now=now)


def start(p: Parameters, *, now: float) -> State:
    """See `Law`."""
    first = State(
        ONLY_MODE,
        1.0,
        UNLIMITED,
        math.inf,
        math.inf,
        cut_at=now,
        healthy_at=now,
        closed_at=-math.inf,
        peak=math.inf,
        base_s=0.0,
        delivered_per_s=0.0,
        healthy_per_s=0.0,
    )
    return first._replace(rate_per_s=p.start_share * _reference(first, p))


def step(state: State, interval: Interval, p: Parameters) -> State:
    """See `Law`."""
    is_ill = error_ratio(interval) > p.error_ratio_max or _is_slow(state, interval, p)
    seen = state._replace(
        delivered_per_s=delivered(state.delivered_per_s, interval),
        peak=1.0 * interval.in_flight_peak,
    )
    if is_ill:
        return _cut(seen._replace(healthy_at=interval.ended_at), interval, p)
    seen = seen._replace(
        healthy_per_s=healthy(state.healthy_per_s, seen.delivered_per_s, interval),
        base_s=best_s(
            state.base_s, interval.latency_mean_s, interval, growth_per_s=BASE_GROWTH_PER_S
        ),
    )
    if interval.ended_at - seen.healthy_at < p.double_s:
        return seen
    return _raise(seen._replace(healthy_at=interval.ended_at), interval)


def opened(state: State, p: Parameters, *, now: float) -> State:
    """See `Law`."""
    fresh = state.fresh_in_flight_max
    if now - state.closed_at < p.double_s:
        fresh = max(FRESH_MIN, 0.5 * min(fresh, state.peak))
    return state._replace(
        rate_per_s=p.start_share * _reference(state, p),
        fresh_in_flight_max=fresh,
        cut_at=now,
        healthy_at=now,
        closed_at=-math.inf,
    )


def closed(state: State, p: Parameters, *, probes: int, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state._replace(healthy_at=now, closed_at=now, delivered_per_s=0.0)


def _cut(state: State, interval: Interval, p: Parameters) -> State:
    """Halve the backlog, and once that is at its least, halve fresh."""
    if interval.ended_at - state.cut_at < p.halve_s:
        return state
    cut = state._replace(cut_at=interval.ended_at)
    least_per_s = max(p.rate_per_s_min, p.least_share * _reference(state, p))
    if state.rate_per_s > least_per_s:
        return cut._replace(rate_per_s=max(least_per_s, 0.5 * state.rate_per_s))
    fresh = min(state.fresh_in_flight_max, state.peak)
    return cut._replace(fresh_in_flight_max=max(FRESH_MIN, 0.5 * fresh))


def _raise(state: State, interval: Interval) -> State:
    """Let fresh back first, then double the backlog."""
    if interval.shed > 0:
        return state._replace(fresh_in_flight_max=2.0 * state.fresh_in_flight_max)
    state = state._replace(fresh_in_flight_max=math.inf)
    if interval.held == 0:
        return state
    return state._replace(rate_per_s=min(UNPACED_PER_S, 2.0 * state.rate_per_s))


def _is_slow(state: State, interval: Interval, p: Parameters) -> bool:
    is_known = state.base_s > 0.0 and interval.latency_count > 0
    return is_known and interval.latency_mean_s > p.slow_multiple * state.base_s


def _reference(state: State, p: Parameters) -> float:
    return reference(state.healthy_per_s, p.rate_per_s_unlearnt, p.rate_per_s_min)
