"""Twice the rate each minute, by the clock; half of it when errors show.

Source: common runbooks ("double it every minute and watch errors"); the figures are ours.

Kept: doubling by the clock, and an operator who brakes when errors are plain to see.

Adapted: nothing has to be healthy for the next doubling but that errors stay below
`error_ratio_max`. The first rate is a share of the healthy rate, which the law is given as ours is.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from surgetank.control.evidence import EvidencePolicy, Interval
from surgetank.control.peer.bound import ONLY_MODE, UNLIMITED, UNPACED_PER_S
from surgetank.control.peer.healthy import delivered, error_ratio, healthy, reference
from surgetank.core.errors import InvalidInputError


class Parameters(NamedTuple):
    """A `Doubling` as numbers; the same names."""

    start_share: float
    double_s: float
    halve_s: float
    error_ratio_max: float
    rate_per_s_min: float
    rate_per_s_unlearnt: float


class State(NamedTuple):
    """What the law has decided (the first five) and learnt (the rest)."""

    mode: int
    rate_per_s: float
    in_flight_max: float
    fresh_in_flight_max: float
    late_s: float
    since_at: float
    """When the rate was last changed."""
    delivered_per_s: float
    healthy_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubling:
    """Settings; raises `InvalidInputError` if out of range."""

    start_share: float = 0.1
    """First rate, as a share of the healthy rate; above 0, at most 1."""
    double_s: float = 60.0
    """Seconds between doublings; above 0."""
    halve_s: float = 10.0
    """Least seconds between halvings; above 0."""
    error_ratio_max: float = 0.1
    """Error ratio above which the rate is halved; from 0 to 1."""
    rate_per_s_min: float = 0.002
    """Least rate, calls per second; above 0. As ours."""
    rate_per_s_unlearnt: float = 1.0
    """Stands for the healthy rate until one is learnt, calls per second; above 0. As ours."""
    evidence: EvidencePolicy = field(default_factory=EvidencePolicy)
    """How often the law looks: as ours."""

    def __post_init__(self) -> None:
        numbers = (self.double_s, self.halve_s, self.rate_per_s_min, self.rate_per_s_unlearnt)
        shares = 0 < self.start_share <= 1 and 0 <= self.error_ratio_max <= 1
        if not (shares and min(numbers) > 0):
            raise InvalidInputError(f"out of range: {self}")

    def parameters(self) -> Parameters:
        """The policy as numbers."""
        return Parameters(
            self.start_share,
            self.double_s,
            self.halve_s,
            self.error_ratio_max,
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
        """See `Law`: back to the first rate."""
        return opened(state, self.parameters(), now=now)

    def closed(self, state: State, *, probes: int, now: float) -> State:
        """See `Law`: the clock begins."""
        return closed(state, self.parameters(), probes=probes, now=now)


def start(p: Parameters, *, now: float) -> State:
    """See `Law`."""
    return _first(State(ONLY_MODE, 1.0, UNLIMITED, math.inf, math.inf, now, 0.0, 0.0), p, now=now)


def step(state: State, interval: Interval, p: Parameters) -> State:
    """See `Law`."""
    now = interval.ended_at
    seen = state._replace(delivered_per_s=delivered(state.delivered_per_s, interval))
    is_failing = error_ratio(interval) > p.error_ratio_max
    if not is_failing:
        seen = seen._replace(
            healthy_per_s=healthy(state.healthy_per_s, seen.delivered_per_s, interval)
        )
    elapsed_s = now - seen.since_at
    if is_failing and elapsed_s >= p.halve_s:
        rate_per_s = max(p.rate_per_s_min, 0.5 * seen.rate_per_s)
    elif elapsed_s >= p.double_s:
        rate_per_s = min(UNPACED_PER_S, 2.0 * seen.rate_per_s)
    else:
        return seen
    return seen._replace(rate_per_s=rate_per_s, since_at=now)


def opened(state: State, p: Parameters, *, now: float) -> State:
    """See `Law`."""
    return _first(state, p, now=now)


def closed(state: State, p: Parameters, *, probes: int, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state._replace(since_at=now, delivered_per_s=0.0)


def _first(state: State, p: Parameters, *, now: float) -> State:
    healthy_per_s = reference(state.healthy_per_s, p.rate_per_s_unlearnt, p.rate_per_s_min)
    return state._replace(rate_per_s=p.start_share * healthy_per_s, since_at=now)
