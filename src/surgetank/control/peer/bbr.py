"""A model of the path: the most that was delivered of late, and the least latency of late.

Source: draft-cardwell-iccrg-bbr-congestion-control-00 (3 July 2017), BBR version 1, sections 4.1 to
4.3.

Kept: STARTUP at a gain of 2/ln(2), left when three rounds in a row brought less than a quarter
more; DRAIN at the inverse of it until no more is in flight than the path holds; PROBE_BW through
eight phases of 5/4, 3/4 and six of 1; PROBE_RTT with 4 in flight for 0.2 s and a round trip when no
new least latency was seen for 10 s; the greatest delivery of 10 rounds; twice what the path holds
and 3 more in flight; 10 to begin with; rates that no one had work for count only upwards; one call
in flight after all were lost.

Adapted: packets are calls, acknowledgements are answers, and a law looks once an interval, some ten
times less often than once a round trip. So an interval is a round and lasts a phase, or several
are, where latency is longer. A packet's least round trip is the path's; a call's is the luck of an
easy one, and a window by it starves: with log-normal latencies of spread 0.3 it drained 36% of a
backlog in 2.4 times the time in which the least mean of an interval drained all. So the round trip
is that least mean. What is in flight is its mean by Little's law, or its peak where the
draft waits for it to rise. Both lanes are one flow, but only backlog is paced: what fresh sends is
taken off its pace. Gain cycling starts at the first phase of 1, where the draft leaves it to
chance. Recovery from single losses (packet conservation) has no counterpart: a lost call costs what
it would have cost anyway.
"""

import math
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from surgetank.control.evidence import EvidencePolicy, Interval
from surgetank.control.peer.bound import UNPACED_PER_S
from surgetank.core.errors import InvalidInputError

HIGH_GAIN = 2.0 / math.log(2.0)
"""Doubles the rate each round."""
WINDOW_GAIN = 2.0
"""In flight while probing, in what the path holds."""
QUANTA = 3.0
"""Calls in flight beyond that."""
PROBE_UP = 1.25
"""Pace of the first of the eight phases."""
PROBE_DOWN = 0.75
"""Pace of the second."""
PHASES = 8
FIRST_PHASE = 2
"""Where the cycle begins: after the two that probe."""
ROUNDS = 10
"""Rounds whose greatest delivery counts."""
NO_ROUNDS = (0.0,) * ROUNDS
FULL_GROWTH = 1.25
"""Growth of the delivered rate that shows that STARTUP is not done."""
FULL_ROUNDS = 3
"""Rounds without it that end STARTUP."""
LATENCY_S = 10.0
"""Age of the least latency at which it is probed again, in seconds."""
PROBE_S = 0.2
"""Seconds that PROBE_RTT lasts, and a round trip."""
WINDOW_MIN = 4.0
"""Least calls in flight."""
ASSUMED_S = 0.001
"""Latency until one is known, in seconds."""


class Mode(IntEnum):
    """States of the draft, by the numbers of those of ours that resemble them."""

    STARTUP = 1
    DRAIN = 2
    PROBE_BW = 3
    PROBE_RTT = 4


class Parameters(NamedTuple):
    """A `Bbr` as numbers; the same names."""

    window_start: float
    rate_per_s_min: float


class State(NamedTuple):
    """What the law has decided (the first five) and learnt (the rest)."""

    mode: int
    rate_per_s: float
    in_flight_max: float
    fresh_in_flight_max: float
    late_s: float
    pace_per_s: float
    """Of both lanes together."""
    window: float
    """Calls in flight, but for probes and losses."""
    rounds_per_s: tuple[float, ...]
    """Rates delivered in the last `ROUNDS`, oldest first."""
    most_per_s: float
    """The greatest of them."""
    least_s: float
    """The least mean latency of late; 0 until seen."""
    least_at: float
    round_at: float
    """When the present round began."""
    full_per_s: float
    """The rate that has yet to be passed by a quarter."""
    full_rounds: int
    is_full: int
    """1 once STARTUP has found the limit."""
    phase: int
    phase_at: float
    probe_until_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bbr:
    """Settings; raises `InvalidInputError` if out of range."""

    window_start: int = 10
    """Calls in flight to begin with; at least 4. Source: RFC 6928."""
    rate_per_s_min: float = 0.002
    """Least pace of the backlog, calls per second; above 0. As ours."""
    evidence: EvidencePolicy = field(
        default_factory=lambda: EvidencePolicy(
            samples_min=5, interval_s_min=0.2, interval_s_max=5.0
        )
    )
    """How often the law looks: often, as the original does at every answer."""

    def __post_init__(self) -> None:
        if not (self.window_start >= WINDOW_MIN and self.rate_per_s_min > 0):
            raise InvalidInputError(f"out of range: {self}")

    def parameters(self) -> Parameters:
        """The policy as numbers."""
        return Parameters(float(self.window_start), self.rate_per_s_min)

    def start(self, *, now: float) -> State:
        """See `Law`."""
        return start(self.parameters(), now=now)

    def step(self, state: State, interval: Interval) -> State:
        """See `Law`."""
        return step(state, interval, self.parameters())

    def opened(self, state: State, *, now: float) -> State:
        """See `Law`: changes nothing, as an idle time does not."""
        return opened(state, self.parameters(), now=now)

    def closed(self, state: State, *, probes: int, now: float) -> State:
        """See `Law`: goes on as after an idle time, at the rate it knew."""
        return closed(state, self.parameters(), probes=probes, now=now)


def start(p: Parameters, *, now: float) -> State:
    """See `Law`."""
    pace_per_s = HIGH_GAIN * p.window_start / ASSUMED_S
    return State(
        Mode.STARTUP.value,
        pace_per_s,
        p.window_start,
        math.inf,
        math.inf,
        pace_per_s=pace_per_s,
        window=p.window_start,
        rounds_per_s=NO_ROUNDS,
        most_per_s=0.0,
        least_s=0.0,
        least_at=now,
        round_at=now,
        full_per_s=0.0,
        full_rounds=0,
        is_full=0,
        phase=FIRST_PHASE,
        phase_at=now,
        probe_until_at=now,
    )


def step(state: State, interval: Interval, p: Parameters) -> State:
    """See `Law`."""
    now = interval.ended_at
    is_stale = state.least_s > 0.0 and now > state.least_at + LATENCY_S
    seen = _see_rate(state, interval)
    if seen.mode == Mode.PROBE_BW:
        seen = _cycle(seen, interval)
    elif seen.mode == Mode.STARTUP and seen.is_full == 1:
        seen = seen._replace(mode=Mode.DRAIN.value)
    if seen.mode == Mode.DRAIN and _in_flight(interval) <= _held_by_path(seen, 1.0):
        seen = _enter_probe_bw(seen, now=now)
    seen = _see_latency(seen, interval, p, is_stale=is_stale)
    if seen.mode == Mode.PROBE_RTT:
        seen = _leave_probe_rtt(seen, now=now)
    elif is_stale:
        until_at = now + PROBE_S + seen.least_s
        seen = seen._replace(mode=Mode.PROBE_RTT.value, probe_until_at=until_at)
    return _controlled(seen, interval, p)


def opened(state: State, p: Parameters, *, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state


def closed(state: State, p: Parameters, *, probes: int, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state._replace(least_at=now, round_at=now, phase_at=now)


def _see_rate(state: State, interval: Interval) -> State:
    """Note what was delivered, round by round, and whether STARTUP still finds more."""
    now = interval.ended_at
    rate_per_s = interval.ok / interval.span_s
    is_idle = interval.held == 0 or state.mode == Mode.PROBE_RTT
    if is_idle and rate_per_s < state.most_per_s:
        return state
    is_round = now - state.round_at >= state.least_s
    rounds = state.rounds_per_s
    if is_round:
        rounds = rounds[1:] + (rate_per_s,)  # noqa: RUF005 - unpacking does not compile
        state = state._replace(round_at=now)
    else:
        rounds = rounds[:-1] + (max(rate_per_s, rounds[-1]),)  # noqa: RUF005 - unpacking does not compile
    most_per_s = 0.0
    for i in range(ROUNDS):
        most_per_s = max(most_per_s, rounds[i])
    state = state._replace(rounds_per_s=rounds, most_per_s=most_per_s)
    if state.is_full == 1 or is_idle or not is_round:
        return state
    if most_per_s >= FULL_GROWTH * state.full_per_s:
        return state._replace(full_per_s=most_per_s, full_rounds=0)
    full_rounds = state.full_rounds + 1
    is_full = 1 if full_rounds >= FULL_ROUNDS else 0
    return state._replace(full_rounds=full_rounds, is_full=is_full)


def _see_latency(state: State, interval: Interval, p: Parameters, *, is_stale: bool) -> State:
    least_s = interval.latency_mean_s
    if interval.latency_count == 0 or least_s <= 0.0:
        return state
    if state.least_s == 0.0:
        pace_per_s = min(UNPACED_PER_S, HIGH_GAIN * p.window_start / least_s)
        return state._replace(least_s=least_s, least_at=interval.ended_at, pace_per_s=pace_per_s)
    if is_stale or least_s <= state.least_s:
        return state._replace(least_s=least_s, least_at=interval.ended_at)
    return state


def _cycle(state: State, interval: Interval) -> State:
    """Go to the next phase when this one has done its work."""
    elapsed_s = interval.ended_at - state.phase_at
    is_over = elapsed_s > state.least_s
    if state.phase == 0:
        is_up = interval.in_flight_peak >= _held_by_path(state, PROBE_UP)
        is_over = is_over and (interval.bad > 0 or is_up)
    elif state.phase == 1:
        is_over = is_over or _in_flight(interval) <= _held_by_path(state, 1.0)
    if not is_over:
        return state
    return state._replace(phase=(state.phase + 1) % PHASES, phase_at=interval.ended_at)


def _enter_probe_bw(state: State, *, now: float) -> State:
    return state._replace(mode=Mode.PROBE_BW.value, phase=FIRST_PHASE, phase_at=now)


def _leave_probe_rtt(state: State, *, now: float) -> State:
    if now < state.probe_until_at:
        return state
    state = state._replace(least_at=now)
    if state.is_full == 1:
        return _enter_probe_bw(state, now=now)
    return state._replace(mode=Mode.STARTUP.value)


def _controlled(state: State, interval: Interval, p: Parameters) -> State:
    """Turn the model into a pace and a window."""
    pace_per_s = _pace_gain(state) * state.most_per_s
    if state.is_full == 0:
        pace_per_s = max(pace_per_s, state.pace_per_s)
    pace_per_s = min(UNPACED_PER_S, pace_per_s)
    fresh = interval.ok + interval.bad - interval.backlog_ok - interval.backlog_bad
    window = _window(state, interval, p)
    in_flight_max = window
    if interval.ok == 0 and interval.bad > 0:
        in_flight_max = 1.0
    elif state.mode == Mode.PROBE_RTT:
        in_flight_max = min(window, WINDOW_MIN)
    return state._replace(
        rate_per_s=max(p.rate_per_s_min, pace_per_s - fresh / interval.span_s),
        in_flight_max=in_flight_max,
        pace_per_s=pace_per_s,
        window=window,
    )


def _pace_gain(state: State) -> float:
    if state.mode == Mode.STARTUP:
        return HIGH_GAIN
    if state.mode == Mode.DRAIN:
        return 1.0 / HIGH_GAIN
    if state.mode == Mode.PROBE_BW and state.phase == 0:
        return PROBE_UP
    if state.mode == Mode.PROBE_BW and state.phase == 1:
        return PROBE_DOWN
    return 1.0


def _window(state: State, interval: Interval, p: Parameters) -> float:
    """Up by what was answered at most, to what the path holds; down to it at once when full."""
    if state.mode == Mode.PROBE_RTT:
        return state.window
    if state.least_s == 0.0:
        return p.window_start
    gain = WINDOW_GAIN if state.mode == Mode.PROBE_BW else HIGH_GAIN
    target = min(UNPACED_PER_S, _held_by_path(state, gain))
    grown = min(state.window + interval.ok, target)
    if state.is_full == 0:
        grown = max(state.window, grown)
    return max(WINDOW_MIN, grown)


def _held_by_path(state: State, gain: float) -> float:
    return gain * state.most_per_s * state.least_s + QUANTA


def _in_flight(interval: Interval) -> float:
    """Calls in flight on average, by Little's law; at most the peak."""
    mean = interval.ok * interval.latency_mean_s / interval.span_s
    return min(mean, 1.0 * interval.in_flight_peak)
