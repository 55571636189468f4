"""No release at all: everything at once, and only each caller's own backoff. What happens today.

Give its governor no breaker and no budget either.

Source: the retry rules of today's clients are in `control.backoff`; this law adds nothing to them.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from surgetank.control.evidence import EvidencePolicy, Interval
from surgetank.control.peer.bound import ONLY_MODE, UNLIMITED, UNPACED_PER_S


class Parameters(NamedTuple):
    """An `Sdk` as numbers: it has none, and a tuple may not be empty."""

    unused: float


class State(NamedTuple):
    """Nothing is decided but to let all pass."""

    mode: int
    rate_per_s: float
    in_flight_max: float
    fresh_in_flight_max: float
    late_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdk:
    """The law without settings."""

    evidence: EvidencePolicy = field(default_factory=EvidencePolicy)
    """How often it looks: it does not matter."""

    def parameters(self) -> Parameters:
        """The policy as numbers."""
        return Parameters(0.0)

    def start(self, *, now: float) -> State:
        """See `Law`."""
        return start(self.parameters(), now=now)

    def step(self, state: State, interval: Interval) -> State:
        """See `Law`: learns nothing."""
        return step(state, interval, self.parameters())

    def opened(self, state: State, *, now: float) -> State:
        """See `Law`: changes nothing."""
        return opened(state, self.parameters(), now=now)

    def closed(self, state: State, *, probes: int, now: float) -> State:
        """See `Law`: changes nothing."""
        return closed(state, self.parameters(), probes=probes, now=now)


def start(p: Parameters, *, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return State(ONLY_MODE, UNPACED_PER_S, UNLIMITED, math.inf, math.inf)


def step(state: State, interval: Interval, p: Parameters) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state


def opened(state: State, p: Parameters, *, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state


def closed(state: State, p: Parameters, *, probes: int, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state
