"""What a release law knows and decides, and how it learns from an interval.

Signals are what a client sees: errors above a learnt floor of errors that are not ours; queueing
delay, which is a low quantile of latency less a learnt baseline; the rate of answers. Ours and its
peers share them; `release` and `peer` decide.

Everything is a NamedTuple of numbers and module functions over them, so that it can be compiled.
Source: delay as the signal is from TCP Vegas and BBR; a low quantile of it, the noise and the error
floor are from our study of ten laws in 40 simulated worlds.
"""

import math
from enum import IntEnum
from typing import NamedTuple, Protocol

from surgetank.control.evidence import RESULTS_MIN, Interval

WEIGHT_RESULTS = 8.0
"""An interval of that many results has half the say in a smoothed rate; noise of a third."""
FRESH_RESULTS = 100.0
"""The same for the rate of fresh, which changes with the hour and not with our decisions. It is
learnt only without delay: in a queue, backlog crowds fresh out of the answers."""
NOISE_TARGET = 3.0
"""The target is at least that many times the latency's usual wobble."""
SERVICES_TARGET = 4.0
"""The target is at least that many services' time: fewer waiting calls are chance, not a queue."""
IDLE_CALLS = 5.0
"""A backlog that sent nothing while its rate allowed that many calls is idle."""
IDLE_S_MIN = 60.0
"""And it must have been so for this long, in seconds."""
TARGET_S_MIN = 0.005
"""Least delay worth acting on, in seconds: below it lie schedulers and networks."""
BAD_RATIO_MIN = 0.02
"""Error ratio that is always expected."""
BAD_SPREAD = 3.0
"""Errors are a signal when they exceed what the floor lets expect by that many times the standard
deviation of a Poisson count: chance alone does that in fewer than one interval of a hundred."""
FLOOR_RESULTS = 300.0
"""Results after which half of a new error floor is learnt: slower than any outage tips."""
FLOOR_MAX = 0.15
"""Highest error floor that is learnt: a dependency that fails more often is not well."""
HEALTHY_HALF_LIFE_S = 6 * 3600.0
"""A healthy rate is half forgotten after that: it shall outlast an outage, not a season."""
KNOWN_SHARE = 0.7
"""Share of a rate known to be good below which the ramp may hurry."""
CRUISE_GAIN = 0.004
"""Growth in CRUISE at no delay, per nominal interval: 0.8% a second."""


class Mode(IntEnum):
    """What the law is doing."""

    TRICKLE = 0
    RAMP = 1
    DRAIN = 2
    CRUISE = 3
    PROBE = 4


class Parameters(NamedTuple):
    """A `ReleasePolicy` as numbers; the same names."""

    timeout_s: float
    trickle_share: float
    start_share: float
    rate_per_s_min: float
    rate_per_s_unlearnt: float
    clean_results: float
    trickle_s_max: float
    ramp_growth: float
    known_growth: float
    delay_share: float
    delay_share_max: float
    base_multiple: float
    drain_ratio: float
    probe_period_s: float
    fresh_share_min: float
    in_flight_start: float


class Release(NamedTuple):
    """What a law has decided (the first five) and learnt (the rest)."""

    mode: int
    rate_per_s: float
    """Calls of the backlog; above 0."""
    in_flight_max: int
    """Calls of the backlog at once; at least 1."""
    fresh_share: float
    """Share of fresh calls let in; above 0, at most 1."""
    late_s: float
    """Latency above which three calls in a row end an interval early; infinite until learnt."""
    delivered_per_s: float = 0.0
    """Answers, both lanes, smoothed."""
    fresh_per_s: float = 0.0
    """Answers to fresh calls, smoothed for longer: what the backlog has to leave room for."""
    healthy_per_s: float = 0.0
    """The most that was delivered in health, slowly forgotten; 0 until learnt."""
    base_s: float = 0.0
    """Latency without a queue; 0 until learnt."""
    noise_s: float = 0.0
    """Usual distance of the low quantile from its median."""
    low_1_s: float = 0.0
    low_2_s: float = 0.0
    """Low quantiles of the last two intervals."""
    middle_s: float = 0.0
    """Median of the last three low quantiles."""
    mean_s: float = 0.0
    """Mean latency, smoothed."""
    queue_delay_s: float = 0.0
    target_s: float = 0.0
    is_failing: int = 0
    """1 when the last interval's errors passed their floor."""
    error_floor: float = 0.0
    """Share of calls that fail whatever we do."""
    ceiling_per_s: float = 0.0
    """Backlog rate at which delay last began; 0 until met."""
    integral_per_s: float = 0.0
    """In CRUISE the integral part of the rate; in DRAIN the rate to come back to."""
    growth: float = CRUISE_GAIN
    clean: int = 0
    """Clean results since the breaker closed."""
    since_at: float = 0.0
    """When the mode was entered or, in DRAIN, last cut."""
    standing_s: float = 0.0
    """Latency of the queue that DRAIN waits for; 0 when errors alone led there."""
    standing_at: float = 0.0
    """Since when it has not moved."""
    probed_at: float = 0.0
    backlog_at: float = 0.0
    """The last interval in which the backlog called or waited."""


class Law(Protocol):
    """A release law: ours, or a peer's (`control.peer`)."""

    def start(self, *, now: float) -> Release:
        """For a dependency never seen before: healthy until seen otherwise."""
        ...

    def step(self, state: Release, interval: Interval) -> Release:
        """Learn from one interval and decide anew."""
        ...

    def opened(self, state: Release, *, is_overload: bool, now: float) -> Release:
        """The breaker opened; `is_overload` when calls that it had just let in tipped it again."""
        ...

    def closed(self, state: Release, *, probes: int, now: float) -> Release:
        """The breaker closed after `probes` clean results."""
        ...


def sense(state: Release, interval: Interval, p: Parameters) -> Release:
    """Update what is learnt: errors, latency, rates. Decides nothing; peers use it too."""
    results = interval.ok + interval.bad
    weight = results / (results + WEIGHT_RESULTS)
    error_ratio = interval.bad / results
    expected = results * max(BAD_RATIO_MIN, state.error_floor)
    is_failing = interval.bad >= max(RESULTS_MIN, expected + BAD_SPREAD * math.sqrt(expected))
    error_floor = state.error_floor
    if not is_failing or _is_quiet(state, p, now=interval.ended_at):
        error_floor += results / (results + FLOOR_RESULTS) * (error_ratio - error_floor)
    delivered = _mix(state.delivered_per_s, interval.ok / interval.span_s, weight)
    is_busy = interval.backlog_ok + interval.backlog_bad + interval.held > 0
    seen = _sense_latency(
        state._replace(
            is_failing=int(is_failing),
            error_floor=min(FLOOR_MAX, error_floor),
            delivered_per_s=delivered,
            backlog_at=interval.ended_at if is_busy else state.backlog_at,
        ),
        interval,
        p,
    )
    if is_failing or seen.mode == Mode.TRICKLE or seen.queue_delay_s > seen.target_s:
        return seen
    kept = state.healthy_per_s * 0.5 ** (interval.span_s / HEALTHY_HALF_LIFE_S)
    fresh_per_s = (interval.ok - interval.backlog_ok) / interval.span_s
    return seen._replace(
        healthy_per_s=max(kept, delivered),
        fresh_per_s=_mix(state.fresh_per_s, fresh_per_s, results / (results + FRESH_RESULTS)),
    )


def _is_quiet(state: Release, p: Parameters, *, now: float) -> bool:
    """Whether errors cannot be the backlog's doing: it is idle, or at its least rate.

    Without this, a dependency that always fails one call in ten would always look overloaded.
    """
    is_least = state.mode != Mode.TRICKLE and state.rate_per_s <= trickle_rate(state, p)
    return is_least or is_idle(state, now=now)


def _sense_latency(state: Release, interval: Interval, p: Parameters) -> Release:
    """Baseline, noise, queueing delay and its target, and what is late."""
    narrow_s = min(p.delay_share * p.timeout_s, max(p.base_multiple * state.base_s, TARGET_S_MIN))
    low_s = interval.latency_low_s
    if interval.latency_count == 0:
        queue_delay_s = p.timeout_s if interval.bad > 0 else state.queue_delay_s
        return state._replace(queue_delay_s=queue_delay_s, target_s=max(state.target_s, narrow_s))
    if state.base_s == 0.0:
        state = state._replace(base_s=low_s, low_1_s=low_s, low_2_s=low_s)
        narrow_s = min(p.delay_share * p.timeout_s, max(p.base_multiple * low_s, TARGET_S_MIN))
    least, most = min(state.low_1_s, state.low_2_s), max(state.low_1_s, state.low_2_s)
    middle_s = max(least, min(most, low_s))
    base_s = _learn_base(state, middle_s=middle_s, narrow_s=narrow_s, interval=interval)
    noise_s = state.noise_s
    if state.mode != Mode.DRAIN:
        noise_s += 0.05 * (min(abs(low_s - middle_s), narrow_s) - noise_s)
    services_s = SERVICES_TARGET / state.delivered_per_s if state.delivered_per_s > 0 else 0.0
    target_s = min(
        p.delay_share_max * p.timeout_s, max(narrow_s, NOISE_TARGET * noise_s, services_s)
    )
    # One interval alone counts only when it is far off; otherwise the median of three speaks.
    watched_s = low_s if low_s > middle_s + narrow_s else middle_s
    return state._replace(
        base_s=base_s,
        noise_s=noise_s,
        low_1_s=state.low_2_s,
        low_2_s=low_s,
        middle_s=middle_s,
        mean_s=_mix(state.mean_s, interval.latency_mean_s, 0.2),
        queue_delay_s=max(0.0, watched_s - base_s),
        target_s=target_s,
        late_s=base_s + 2.0 * target_s,
    )


def _learn_base(state: Release, *, middle_s: float, narrow_s: float, interval: Interval) -> float:
    """The latency without a queue: falls readily, rises only where a queue is unlikely."""
    base_s = state.base_s
    above_s = middle_s - base_s
    if above_s < 0:
        return base_s + 0.3 * above_s
    is_light = state.delivered_per_s <= KNOWN_SHARE * state.healthy_per_s
    if state.mode == Mode.RAMP and is_light and above_s < 0.5 * narrow_s:
        return base_s + 0.1 * above_s
    if state.mode == Mode.TRICKLE and interval.bad == 0:
        # At a trickle no queue is ours: what remains is how the dependency is now. Without this a
        # dependency that came back slower would never be let out of TRICKLE.
        return base_s + 0.1 * above_s
    return base_s


def _mix(old: float, new: float, weight: float) -> float:
    return new if old == 0.0 else old + weight * (new - old)


def is_idle(state: Release, *, now: float) -> bool:
    """Whether the backlog has long sent nothing, though its rate would have allowed it."""
    return now - state.backlog_at > max(IDLE_S_MIN, IDLE_CALLS / state.rate_per_s)


def reference_rate(state: Release, p: Parameters) -> float:
    """The healthy rate, or what stands for it; above 0."""
    return state.healthy_per_s if state.healthy_per_s > 0 else p.rate_per_s_unlearnt


def trickle_rate(state: Release, p: Parameters) -> float:
    """The least backlog rate, calls per second."""
    return max(p.rate_per_s_min, p.trickle_share * reference_rate(state, p))
