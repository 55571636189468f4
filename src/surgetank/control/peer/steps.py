"""Fixed steps of the healthy rate, each taken when the last one went well.

Source: Roblox, "Return to Service 10/28-10/31 2021" (20 January 2022): players were admitted in
steps of about 10%, each gated on the load of databases, on caches and on stability.

Kept: the size of a step, and that health gates it.

Adapted: a client sees neither databases nor caches, so health is the error ratio. The law goes on
past 100% as long as it is healthy, which no operator would; that favours it. A step down is left
to the breaker, as it was to the operators.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from surgetank.control.evidence import EvidencePolicy, Interval
from surgetank.control.peer.bound import ONLY_MODE, UNLIMITED, UNPACED_PER_S
from surgetank.control.peer.healthy import delivered, error_ratio, healthy, reference
from surgetank.core.errors import InvalidInputError


class Parameters(NamedTuple):
    """A `Steps` as numbers; the same names."""

    step_share: float
    step_s: float
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
    steps: int
    """Steps taken; at least 1."""
    since_at: float
    """Since when the present step has been healthy."""
    delivered_per_s: float
    healthy_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Settings; raises `InvalidInputError` if out of range."""

    step_share: float = 0.1
    """Size of a step, as a share of the healthy rate; above 0, at most 1."""
    step_s: float = 60.0
    """Seconds that a step must have been healthy; above 0."""
    error_ratio_max: float = 0.05
    """Error ratio above which a step is not healthy; from 0 to 1."""
    rate_per_s_min: float = 0.002
    """Least healthy rate to go by, calls per second; above 0. As ours."""
    rate_per_s_unlearnt: float = 1.0
    """Stands for the healthy rate until one is learnt, calls per second; above 0. As ours."""
    evidence: EvidencePolicy = field(default_factory=EvidencePolicy)
    """How often the law looks: as ours."""

    def __post_init__(self) -> None:
        rates = min(self.rate_per_s_min, self.rate_per_s_unlearnt) > 0
        shares = 0 < self.step_share <= 1 and 0 <= self.error_ratio_max <= 1
        if not (rates and shares and self.step_s > 0):
            raise InvalidInputError(f"out of range: {self}")

    def parameters(self) -> Parameters:
        """The policy as numbers."""
        return Parameters(
            self.step_share,
            self.step_s,
            self.error_ratio_max,
            self.rate_per_s_min,
            self.rate_per_s_unlearnt,
        )

    def start(self, *, now: float) -> State:
        """See `Law`."""
        return start(self.parameters(), now=now)

    def step(self, state: State, interval: Interval) -> State:
        """See `Law`: a step up after `step_s` of health, and no step down but by the breaker."""
        return step(state, interval, self.parameters())

    def opened(self, state: State, *, now: float) -> State:
        """See `Law`: back to the first step."""
        return opened(state, self.parameters(), now=now)

    def closed(self, state: State, *, probes: int, now: float) -> State:
        """See `Law`: the first step begins."""
        return closed(state, self.parameters(), probes=probes, now=now)


def start(p: Parameters, *, now: float) -> State:
    """See `Law`."""
    first = State(ONLY_MODE, 1.0, UNLIMITED, math.inf, math.inf, 1, now, 0.0, 0.0)
    return _at(first, p, steps=1, now=now)


def step(state: State, interval: Interval, p: Parameters) -> State:
    """See `Law`."""
    now = interval.ended_at
    seen = state._replace(delivered_per_s=delivered(state.delivered_per_s, interval))
    if error_ratio(interval) > p.error_ratio_max:
        return seen._replace(since_at=now)
    seen = seen._replace(healthy_per_s=healthy(state.healthy_per_s, seen.delivered_per_s, interval))
    if now - seen.since_at >= p.step_s and seen.rate_per_s < UNPACED_PER_S:
        return _at(seen, p, steps=seen.steps + 1, now=now)
    return _at(seen, p, steps=seen.steps, now=seen.since_at)


def opened(state: State, p: Parameters, *, now: float) -> State:
    """See `Law`."""
    return _at(state, p, steps=1, now=now)


def closed(state: State, p: Parameters, *, probes: int, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state._replace(since_at=now, delivered_per_s=0.0)


def _at(state: State, p: Parameters, *, steps: int, now: float) -> State:
    healthy_per_s = reference(state.healthy_per_s, p.rate_per_s_unlearnt, p.rate_per_s_min)
    rate_per_s = min(UNPACED_PER_S, steps * p.step_share * healthy_per_s)
    return state._replace(steps=steps, rate_per_s=rate_per_s, since_at=now)
