"""The release: how fast a backlog may follow through one dependency, learnt from its answers.

TRICKLE  the breaker has opened: a trickle until enough clean results came, and fresh is let back
         in by degrees if fresh alone had tipped the dependency over.
RAMP     multiply the rate, quickly below what was healthy before, until the first sign of delay.
DRAIN    below the rate that was delivered, until the queue that the ramp built is gone.
CRUISE   follow the capacity: proportional-integral control of the queueing delay.
PROBE    now and then dip for a moment, to learn the latency without a queue again.

Signals are what a client sees: errors above a learnt floor of errors that are not ours; queueing
delay, a low quantile of latency less a learnt baseline; the delivered rate. Fresh traffic is not
paced, but counts in what is delivered and in every signal. No absolute rate matters but two floors
of the policy, so the law acts on a replica of 1:1000 as on the real thing.

The law is module functions over NamedTuples of numbers, so that it can be compiled. Operators set
what is in `ReleasePolicy`; the constants below are the law's own. Source, unless said otherwise:
the law grew from our study of ten in 40 simulated worlds at hundreds of calls a second, where it
drained all at a median of 1.10 times the optimum; its gains were then fitted to sparse evidence in
the worlds of `tests/laws/test_drain.py`. The ramp is TCP's slow start, PROBE is BBR's.
"""

import math
from dataclasses import dataclass

from surgetank.control.evidence import RESULTS_MIN, Interval
from surgetank.control.signal import (
    CRUISE_GAIN,
    KNOWN_SHARE,
    Mode,
    Parameters,
    Release,
    is_idle,
    reference_rate,
    sense,
    trickle_rate,
)
from surgetank.core.errors import InvalidInputError

NOMINAL_S = 0.5
"""Interval length, in seconds, that per-interval gains are meant for."""
STRETCH_MAX = 8.0
"""How much longer than nominal an interval may count in those gains: one look, one bounded step."""
CONGESTED_TARGETS = 4.0
"""Queueing delay, in targets, that is congestion and no longer the way to it."""
IDLE_HALF_LIFE_S = 300.0
"""An unused rate halves in that time, towards the start rate. Source: the idea of RFC 7661."""
RAMP_RESULTS = 10.0
"""Results that allow a full step of the ramp; fewer allow the root of their share of one."""
RAMP_BRAKE = 0.5
"""One interval whose latency is that share of the target above the baseline stops the growth,
before the median of three has seen it."""
DELIVERED_MIN = 0.4
"""On congestion the delivered rate is taken as at least this share of the rate: few results may
understate it."""
KNEE_MIN = 0.7
"""The same at the first sign of delay, when nothing is lost yet."""
CEILING_KEPT = 0.8
"""The ceiling falls by no more than a fifth at a time: one bad interval may be another's doing."""
KNEE_RATIO = 0.9
"""Rate after the first sign of delay, as a share of what was delivered."""
RESUME_RATIO = 0.95
"""Rate at which CRUISE begins, as a share of what was delivered at the knee."""
DRAIN_PERIOD_S = 1.5
"""Seconds of nominal interval between further cuts in DRAIN: time to see the last one work."""
STANDING_WOBBLE = 0.2
"""A latency within that share of what it was has not moved."""
STANDING_SHARE = 0.6
"""It is not ours when it has not moved with the rate below that share of the ceiling..."""
STANDING_TIMES = 3.0
"""...for that many times itself: a queue so long would have shortened by a third and more."""
FRESH_CUT = 0.6
"""Share of fresh that is kept each time fresh alone opens the breaker again."""
FRESH_GROWTH = 1.1
"""Growth of the share of fresh with each clean interval, and a hundredth more."""
CRUISE_CUT = 0.008
"""Cut in CRUISE at twice the target, per nominal interval: down twice as fast as up."""
CRUISE_GAIN_MAX = 0.08
"""Growth when the rate has passed its old ceiling without delay: the ceiling has moved."""
CRUISE_STEP_MAX = 0.03
"""Most growth in one interval of CRUISE, however long: near the capacity a step is a risk."""
CRUISE_TRIM = 0.05
"""The proportional part: the rate leans this far from the integral."""
PROBE_S = 2.0
"""Seconds of nominal interval that a PROBE lasts."""
PROBE_RATIO = 0.85
"""Rate while probing: enough to empty a queue at the target."""
IN_FLIGHT_SPREAD = 3.0
"""Calls in flight may pass twice their mean by so many standard deviations of a Poisson count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePolicy:
    """The adaptive law's settings; raises `InvalidInputError` if out of range."""

    timeout_s: float = 10.0
    """Seconds after which callers give up; above 0. The delay target is a small share of it."""
    trickle_share: float = 0.05
    """Backlog rate in TRICKLE, as a share of the healthy rate; above 0, at most 1. Harmless even
    to a dependency that came back at a tenth of its size."""
    start_share: float = 0.2
    """Backlog rate at which RAMP starts, as a share of the healthy rate; from `trickle_share` to 1.
    """
    rate_per_s_min: float = 0.002
    """Absolute floor of every rate, calls per second; above 0. One call in 500 s harms nobody and
    still learns."""
    rate_per_s_unlearnt: float = 1.0
    """Stands for the healthy rate until one is learnt, calls per second; above 0."""
    clean_results: int = 10
    """Clean results that end TRICKLE; at least 3."""
    trickle_s_max: float = 60.0
    """Seconds after which 3 clean results end it: sparse traffic shall not wait for ten."""
    ramp_growth: float = 1.15
    """Growth of the rate per interval in RAMP; above 1. Doubles in 5 intervals; one interval's
    overshoot is then 15%, which DRAIN takes back in as long."""
    known_growth: float = 1.5
    """Growth while the total stays below what was healthy; at least `ramp_growth`. Doubles in 2
    intervals, as slow start does per round trip."""
    delay_share: float = 0.03
    """Target queueing delay as a share of `timeout_s`; above 0."""
    delay_share_max: float = 0.1
    """Bound on the target when noise or slow services raise it; `delay_share` to 0.5."""
    base_multiple: float = 1.5
    """Target as a multiple of the baseline latency, where that is less; above 0."""
    drain_ratio: float = 0.8
    """Rate in DRAIN, as a share of the delivered rate; above 0, below 1."""
    probe_period_s: float = 60.0
    """Seconds between probes in CRUISE; above 0."""
    fresh_share_min: float = 0.02
    """Least share of fresh let in; above 0, at most 1: without any there is nothing to learn."""
    in_flight_start: int = 4
    """Backlog calls at once until a latency is learnt; at least 1."""

    def __post_init__(self) -> None:
        shares = 0 < self.trickle_share <= self.start_share <= 1 and 0 < self.fresh_share_min <= 1
        floors = min(self.timeout_s, self.rate_per_s_min, self.rate_per_s_unlearnt) > 0
        growths = 1 < self.ramp_growth <= self.known_growth and 0 < self.drain_ratio < 1
        delays = 0 < self.delay_share <= self.delay_share_max <= 0.5 and self.base_multiple > 0  # noqa: PLR2004 - said in the docstring
        times = self.trickle_s_max > 0 and self.probe_period_s > 0
        counts = self.clean_results >= RESULTS_MIN and self.in_flight_start >= 1
        if not (shares and floors and growths and delays and times and counts):
            raise InvalidInputError(f"out of range: {self}")

    def parameters(self) -> Parameters:
        """The policy as numbers."""
        return Parameters(
            self.timeout_s,
            self.trickle_share,
            self.start_share,
            self.rate_per_s_min,
            self.rate_per_s_unlearnt,
            float(self.clean_results),
            self.trickle_s_max,
            self.ramp_growth,
            self.known_growth,
            self.delay_share,
            self.delay_share_max,
            self.base_multiple,
            self.drain_ratio,
            self.probe_period_s,
            self.fresh_share_min,
            float(self.in_flight_start),
        )

    def start(self, *, now: float) -> Release:
        """See `Law`."""
        return start(self.parameters(), now=now)

    def step(self, state: Release, interval: Interval) -> Release:
        """See `Law`."""
        return step(state, interval, self.parameters())

    def opened(self, state: Release, *, is_overload: bool, now: float) -> Release:
        """See `Law`."""
        return opened(state, self.parameters(), is_overload=is_overload, now=now)

    def closed(self, state: Release, *, probes: int, now: float) -> Release:
        """See `Law`."""
        return closed(state, probes=probes, now=now)


def start(p: Parameters, *, now: float) -> Release:
    """A dependency never seen before: RAMP, from a rate that stands for what is not learnt."""
    rate_per_s = max(p.rate_per_s_min, p.rate_per_s_unlearnt)
    return Release(
        int(Mode.RAMP),
        rate_per_s,
        int(p.in_flight_start),
        1.0,
        math.inf,
        since_at=now,
        probed_at=now,
        backlog_at=-math.inf,
    )


def opened(state: Release, p: Parameters, *, is_overload: bool, now: float) -> Release:
    """The breaker opened: TRICKLE, with less fresh when it was fresh that tipped it over."""
    fresh_share = state.fresh_share
    if is_overload and state.mode == Mode.TRICKLE:
        fresh_share = max(p.fresh_share_min, FRESH_CUT * fresh_share)
    # Only a delay that was seen says anything of capacity; errors alone may be any fault.
    is_known = state.mode == Mode.DRAIN and state.standing_s > 0
    ceiling_per_s = state.integral_per_s if is_known else state.ceiling_per_s
    return state._replace(
        mode=int(Mode.TRICKLE),
        rate_per_s=trickle_rate(state, p),
        fresh_share=fresh_share,
        ceiling_per_s=ceiling_per_s,
        clean=0,
        since_at=now,
    )


def closed(state: Release, *, probes: int, now: float) -> Release:
    """The breaker closed: its probes were clean results."""
    return state._replace(
        clean=probes,
        since_at=now,
        backlog_at=now,
        delivered_per_s=0.0,
    )


def step(state: Release, interval: Interval, p: Parameters) -> Release:
    """Learn from one interval, then decide by mode."""
    seen = sense(state, interval, p)
    if seen.mode == Mode.TRICKLE:
        decided = _trickle(seen, interval, p)
    elif is_idle(seen, now=interval.ended_at):
        decided = _idle(seen, interval, p)
    elif _is_congested(seen) and seen.mode != Mode.DRAIN:
        decided = _drain_from(seen, interval, p, least=DELIVERED_MIN, ratio=p.drain_ratio)
    elif seen.mode == Mode.RAMP:
        decided = _ramp(seen, interval, p)
    elif seen.mode == Mode.DRAIN:
        decided = _drain(seen, interval, p)
    elif seen.mode == Mode.PROBE:
        decided = _probe(seen, interval)
    else:
        decided = _cruise(seen, interval, p)
    return decided._replace(in_flight_max=_in_flight_max(decided, p))


def _trickle(state: Release, interval: Interval, p: Parameters) -> Release:
    """Wait for clean results, give fresh back its share, then ramp."""
    state = state._replace(rate_per_s=trickle_rate(state, p))
    if state.is_failing:
        return state._replace(clean=0)
    if _is_congested(state):
        return state
    share = min(1.0, FRESH_GROWTH * state.fresh_share + 0.01)
    clean = state.clean + interval.ok
    waited_s = interval.ended_at - state.since_at
    needed = p.clean_results if waited_s < p.trickle_s_max else RESULTS_MIN
    if clean < needed or share < 1.0:
        return state._replace(fresh_share=share, clean=clean)
    return _enter(
        state._replace(fresh_share=share),
        Mode.RAMP,
        rate_per_s=_start_rate(state, p),
        now=interval.ended_at,
    )


def _ramp(state: Release, interval: Interval, p: Parameters) -> Release:
    """Multiply until the first sign of delay."""
    if state.queue_delay_s > state.target_s:
        return _drain_from(state, interval, p, least=KNEE_MIN, ratio=KNEE_RATIO)
    is_rising = interval.latency_low_s > state.base_s + RAMP_BRAKE * state.target_s
    if is_rising or not _is_wanted(state, interval):
        return state
    weight = min(1.0, (interval.ok + interval.bad) / RAMP_RESULTS) ** 0.5
    rate = state.rate_per_s
    is_known = state.ceiling_per_s == 0.0 or rate < KNOWN_SHARE * state.ceiling_per_s
    growth = p.ramp_growth if is_known else 1.0 + 0.25 * (p.ramp_growth - 1.0)
    grown = rate * growth**weight
    room_per_s = KNOWN_SHARE * state.healthy_per_s - state.fresh_per_s
    hurried = min(room_per_s, rate * p.known_growth**weight)
    return state._replace(rate_per_s=max(grown, hurried))


def _drain_from(
    state: Release, interval: Interval, p: Parameters, *, least: float, ratio: float
) -> Release:
    """Go below what was delivered, and remember that as the rate to come back to."""
    rate, now = state.rate_per_s, interval.ended_at
    reached = min(rate, max(_room(state), least * rate))
    # Fresh goes on, so the whole cut falls on the backlog: the total is what has to come down.
    cut = max(DELIVERED_MIN * reached, reached - (1.0 - ratio) * state.delivered_per_s)
    is_delayed = interval.latency_count > 0 and state.queue_delay_s > state.target_s
    drained = _enter(state, Mode.DRAIN, rate_per_s=max(trickle_rate(state, p), cut), now=now)
    return drained._replace(
        integral_per_s=max(reached, CEILING_KEPT * state.ceiling_per_s) if is_delayed else reached,
        standing_s=state.base_s + state.queue_delay_s if is_delayed else 0.0,
        standing_at=now,
    )


def _drain(state: Release, interval: Interval, p: Parameters) -> Release:
    """Hold below the delivered rate until the queue is gone; cut again where it is not."""
    now = interval.ended_at
    if state.queue_delay_s < state.target_s and not state.is_failing:
        rate_per_s = max(trickle_rate(state, p), RESUME_RATIO * state.integral_per_s)
        if state.standing_s == 0.0:  # Without a delay no capacity was found: ramp on.
            return _enter(state, Mode.RAMP, rate_per_s=rate_per_s, now=now)
        cruising = _enter(state, Mode.CRUISE, rate_per_s=rate_per_s, now=now)
        return cruising._replace(
            integral_per_s=rate_per_s, ceiling_per_s=state.integral_per_s, growth=CRUISE_GAIN
        )
    latency_s = state.base_s + state.queue_delay_s
    is_growing = 0 < (1.0 + STANDING_WOBBLE) * state.standing_s < latency_s
    is_due = now - state.since_at > DRAIN_PERIOD_S * _stretch(interval)
    state = _watch_standing(state, now=now)
    if not (is_due or is_growing):
        return state
    rate_per_s = max(trickle_rate(state, p), p.drain_ratio * state.rate_per_s)
    return state._replace(
        rate_per_s=rate_per_s,
        integral_per_s=max(rate_per_s, RESUME_RATIO * state.integral_per_s),
        since_at=now,
    )


def _watch_standing(state: Release, *, now: float) -> Release:
    """Take a latency that slowing down does not move for the baseline: it is not ours."""
    if state.is_failing or state.standing_s == 0.0:
        return state
    latency_s = state.base_s + state.queue_delay_s
    if abs(latency_s - state.standing_s) > STANDING_WOBBLE * state.standing_s:
        return state._replace(standing_s=latency_s, standing_at=now)
    is_slow = state.rate_per_s < STANDING_SHARE * state.integral_per_s
    if is_slow and now - state.standing_at > STANDING_TIMES * latency_s:
        return state._replace(base_s=latency_s)
    return state


def _cruise(state: Release, interval: Interval, p: Parameters) -> Release:
    """Follow the capacity by queueing delay."""
    stretch = _stretch(interval)
    integral, ceiling, growth = state.integral_per_s, state.ceiling_per_s, state.growth
    error = max(-1.0, min(1.0, (state.target_s - state.queue_delay_s) / state.target_s))
    has_moved = error > 0.3 and integral > 1.05 * ceiling  # noqa: PLR2004 - see CRUISE_GAIN_MAX
    growth = min(CRUISE_GAIN_MAX, 1.3 * growth) if has_moved else CRUISE_GAIN
    if error < 0 or _is_wanted(state, interval):
        gain = growth if error > 0 else CRUISE_CUT
        change = min(CRUISE_STEP_MAX, gain * error * stretch)
        integral = max(trickle_rate(state, p), integral * (1.0 + change))
    if integral < 0.97 * ceiling:  # A dead band: wobble moves no ceiling.
        ceiling += 0.02 * (integral - ceiling)
    elif error < 0.2 and integral > ceiling:  # noqa: PLR2004 - near the target: the new ceiling
        ceiling += 0.1 * (integral - ceiling)
    cruised = state._replace(integral_per_s=integral, ceiling_per_s=ceiling, growth=growth)
    now = interval.ended_at
    if now - state.probed_at > p.probe_period_s * stretch:
        rate_per_s = max(trickle_rate(state, p), PROBE_RATIO * integral)
        return _enter(cruised, Mode.PROBE, rate_per_s=rate_per_s, now=now)
    return cruised._replace(rate_per_s=integral * (1.0 + CRUISE_TRIM * error))


def _probe(state: Release, interval: Interval) -> Release:
    """Take the latency of the dip as the baseline, within a fifth of the old one."""
    now = interval.ended_at
    if now - state.since_at <= PROBE_S * _stretch(interval):
        return state
    base_s = min(max(state.middle_s, 0.8 * state.base_s), 1.2 * state.base_s)
    cruising = _enter(state, Mode.CRUISE, rate_per_s=state.integral_per_s, now=now)
    return cruising._replace(base_s=base_s, probed_at=now)


def _idle(state: Release, interval: Interval, p: Parameters) -> Release:
    """No backlog: bring the rate towards where a ramp begins, for the day one comes."""
    first = _start_rate(state, p)
    faded = state.rate_per_s * 0.5 ** (interval.span_s / IDLE_HALF_LIFE_S)
    return state._replace(mode=int(Mode.RAMP), rate_per_s=max(first, faded))


def _is_wanted(state: Release, interval: Interval) -> bool:
    """Whether the backlog would use a higher rate: it was held, or used nearly all it had."""
    used = interval.backlog_ok + interval.backlog_bad
    return interval.held > 0 or (used > 0 and used >= 0.7 * state.rate_per_s * interval.span_s)


def _is_congested(state: Release) -> bool:
    return state.is_failing == 1 or state.queue_delay_s > CONGESTED_TARGETS * state.target_s


def _room(state: Release) -> float:
    """What was delivered beyond fresh: with a queue standing, the room that the backlog has."""
    return max(0.0, state.delivered_per_s - state.fresh_per_s)


def _enter(state: Release, mode: Mode, *, rate_per_s: float, now: float) -> Release:
    return state._replace(mode=int(mode), rate_per_s=rate_per_s, since_at=now)


def _start_rate(state: Release, p: Parameters) -> float:
    return max(p.rate_per_s_min, p.start_share * reference_rate(state, p))


def _in_flight_max(state: Release, p: Parameters) -> int:
    if state.base_s == 0.0:
        return int(p.in_flight_start)
    mean = state.rate_per_s * (state.mean_s + state.target_s)
    spread = math.sqrt(state.rate_per_s * state.mean_s + 0.01)
    return max(1, math.ceil(2.0 * mean + IN_FLIGHT_SPREAD * spread))


def _stretch(interval: Interval) -> float:
    return max(1.0, min(STRETCH_MAX, interval.span_s / NOMINAL_S))
