"""As many requests as K times those accepted in the last two minutes, and no more.

Source: "Site Reliability Engineering" (Beyer and others, 2016), chapter 21, "Handling Overload",
section "Client-Side Throttling" with equation 21-1: a client rejects a request itself with the
probability max(0, (requests - K accepts) / (requests + 1)).

Kept: K = 2, two minutes, the equation, and that requests rejected by the client count as requests.

Adapted: a law draws no chance, and a backlog is not rejected but waits. Of a backlog that always
has another request, the equation lets (1 + K accepts) requests through in the two minutes, however
many it tries, so that is the pace of both lanes together. Fresh goes first: what it sends is taken
off the pace of the backlog. Where fresh alone is too much, the equation is applied to its own
requests, and what it lets through becomes a limit on fresh in flight by Little's law. The two
minutes are kept in 12 buckets. Accepted is what was answered: a backend that is down accepts
nothing, whether it says so or not. Before the first answer, the equation would let some ten
requests through at once; here it is a rate to begin with.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from surgetank.control.evidence import EvidencePolicy, Interval
from surgetank.control.peer.bound import ONLY_MODE, UNLIMITED, UNPACED_PER_S
from surgetank.control.peer.window import average_s
from surgetank.core.errors import InvalidInputError

BUCKETS = 12
"""Buckets of the history."""
NONE = (0.0,) * BUCKETS


class Parameters(NamedTuple):
    """A `Sre` as numbers; the same names."""

    timeout_s: float
    multiplier: float
    history_s: float
    rate_per_s_start: float


class State(NamedTuple):
    """What the law has decided (the first five) and learnt (the rest)."""

    mode: int
    rate_per_s: float
    in_flight_max: float
    fresh_in_flight_max: float
    late_s: float
    accepts: tuple[float, ...]
    """Answers of both lanes, by bucket, oldest first."""
    fresh: tuple[float, ...]
    """Requests of the fresh lane, shed ones too, by bucket."""
    began_at: float
    bucket_at: float
    """When the newest bucket began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sre:
    """Settings; raises `InvalidInputError` if out of range."""

    timeout_s: float = 10.0
    """Seconds after which callers give up; above 0. What a failed call is taken to have lasted."""
    multiplier: float = 2.0
    """K: requests for each that is accepted; at least 1."""
    history_s: float = 120.0
    """Seconds of history; above 0."""
    rate_per_s_start: float = 10.0
    """Pace of the backlog before the first answers, calls per second; above 0."""
    evidence: EvidencePolicy = field(
        default_factory=lambda: EvidencePolicy(
            samples_min=3, interval_s_min=0.5, interval_s_max=10.0
        )
    )
    """How often the law looks: often, as the original does at every request."""

    def __post_init__(self) -> None:
        times = min(self.timeout_s, self.history_s) > 0
        if not (times and self.multiplier >= 1 and self.rate_per_s_start > 0):
            raise InvalidInputError(f"out of range: {self}")

    def parameters(self) -> Parameters:
        """The policy as numbers."""
        return Parameters(self.timeout_s, self.multiplier, self.history_s, self.rate_per_s_start)

    def start(self, *, now: float) -> State:
        """See `Law`."""
        return start(self.parameters(), now=now)

    def step(self, state: State, interval: Interval) -> State:
        """See `Law`."""
        return step(state, interval, self.parameters())

    def opened(self, state: State, *, now: float) -> State:
        """See `Law`: changes nothing; history ages."""
        return opened(state, self.parameters(), now=now)

    def closed(self, state: State, *, probes: int, now: float) -> State:
        """See `Law`: changes nothing; history has aged."""
        return closed(state, self.parameters(), probes=probes, now=now)


def start(p: Parameters, *, now: float) -> State:
    """See `Law`."""
    return State(
        ONLY_MODE,
        p.rate_per_s_start,
        UNLIMITED,
        math.inf,
        math.inf,
        accepts=NONE,
        fresh=NONE,
        began_at=now,
        bucket_at=now,
    )


def step(state: State, interval: Interval, p: Parameters) -> State:
    """See `Law`."""
    now = interval.ended_at
    state = _aged(state, p, now=now)
    fresh_calls = interval.ok + interval.bad - interval.backlog_ok - interval.backlog_bad
    tried = 1.0 * (fresh_calls + interval.shed)
    state = state._replace(
        accepts=state.accepts[:-1] + (state.accepts[-1] + interval.ok,),  # noqa: RUF005 - unpacking does not compile
        fresh=state.fresh[:-1] + (state.fresh[-1] + tried,),  # noqa: RUF005 - unpacking does not compile
    )
    oldest_at = state.bucket_at - (BUCKETS - 1) * p.history_s / BUCKETS
    span_s = max(interval.span_s, now - max(state.began_at, oldest_at))
    accepts = _total(state.accepts)
    fresh = _total(state.fresh)
    let_through = 1.0 + p.multiplier * accepts
    rate_per_s = min(UNPACED_PER_S, max(1.0, let_through - fresh) / span_s)
    rejected = rejection_probability(fresh, accepts, p.multiplier)
    latency_s = average_s(interval, p.timeout_s)
    fresh_in_flight_max = math.inf
    if rejected > 0.0 and latency_s > 0.0:
        fresh_in_flight_max = max(1.0, (1.0 - rejected) * fresh / span_s * latency_s)
    return state._replace(rate_per_s=rate_per_s, fresh_in_flight_max=fresh_in_flight_max)


def opened(state: State, p: Parameters, *, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state


def closed(state: State, p: Parameters, *, probes: int, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state


def rejection_probability(requests: float, accepts: float, multiplier: float) -> float:
    """The book's equation; from 0, below 1."""
    return max(0.0, (requests - multiplier * accepts) / (requests + 1.0))


def _aged(state: State, p: Parameters, *, now: float) -> State:
    """Begin the buckets that time has reached, and forget as many."""
    bucket_s = p.history_s / BUCKETS
    passed = math.floor((now - state.bucket_at) / bucket_s)
    accepts = state.accepts
    fresh = state.fresh
    for _ in range(min(BUCKETS, passed)):
        accepts = accepts[1:] + (0.0,)  # noqa: RUF005 - unpacking does not compile
        fresh = fresh[1:] + (0.0,)  # noqa: RUF005 - unpacking does not compile
    bucket_at = state.bucket_at + passed * bucket_s
    return state._replace(accepts=accepts, fresh=fresh, bucket_at=bucket_at)


def _total(values: tuple[float, ...]) -> float:
    total = 0.0
    for i in range(BUCKETS):
        total += values[i]
    return total
