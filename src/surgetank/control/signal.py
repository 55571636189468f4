"""What a release law knows and decides, and how it learns from an interval.

Signals are what a client sees: errors above a learnt floor of errors that are not ours; queueing
delay, which is a low quantile of latency less a learnt baseline; the rate of answers. `release`
decides by them.

Everything is a NamedTuple of numbers and module functions over them, so that it can be compiled.
Source: delay as the signal is from TCP Vegas and BBR; a low quantile of it, the noise and the error
floor are from our study of ten laws in 40 simulated worlds.
"""

import math
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

from surgetank.control.evidence import RESULTS_MIN, Interval

WEIGHT_RESULTS = 20.0
"""An interval of that many results has half the say in a smoothed rate; noise of a fifth."""
MEAN_WEIGHT = 0.4
"""Say of the last interval in the mean latency: what we wait for has to be of now."""
BASE_FALL = 0.3
"""Share of the way that the baseline falls to a lower latency: one lucky interval is not it."""
BASE_RISE = 0.1
"""Share of the way that it rises while no queue can be ours."""
NOISE_WEIGHT = 0.05
"""Say of an interval in the noise: a minute of them."""
NOISE_TARGET = 3.0
"""The target is at least that many times the latency's usual wobble."""
SERVICES_TARGET = 4.0
"""The target is at least that many services' time: fewer waiting calls are chance, not a queue."""
SPREAD_TARGET = 2.0
"""And that many standard deviations of the calls under way without a queue, a Poisson count, so
that the queue outlasts their wobble and the dependency never idles."""
TARGET_S_MIN = 0.005
"""Least delay worth acting on, in seconds: below it lie schedulers and networks."""
BAD_RATIO_MIN = 0.02
"""Error ratio that is always expected."""
BAD_TIMES, BAD_SPREAD = 2.0, 3.0
"""Errors are a signal from twice what the floor lets expect, three standard deviations of a
Poisson count, and one more: chance alone does that in fewer than one interval of a thousand."""
FLOOR_RESULTS = 300.0
"""Results after which half of a new error floor is learnt: slower than any outage tips."""
FLOOR_MAX = 0.15
"""Highest error floor that is learnt: a dependency that fails more often is not well."""
IDLE_S = 60.0
"""A backlog that neither called nor waited for that many seconds is idle."""


class Mode(IntEnum):
    """What the law is doing."""

    TRICKLE = 0
    RAMP = 1
    DRAIN = 2
    CRUISE = 3
    PROBE = 4
    SHED = 5


class Parameters(NamedTuple):
    """A `ReleasePolicy` as numbers; the same names."""

    timeout_s: float
    workers: float
    lag_s: float
    phase_ratio: float
    rate_per_s_min: float
    rate_per_s_unlearnt: float
    window_start: float
    clean_results: float
    ramp_growth: float
    delay_share: float
    delay_share_max: float
    high_share: float
    shed_share: float
    base_multiple: float
    probe_period_s: float


class Release(NamedTuple):
    """What a law has decided (the first five) and learnt (the rest)."""

    mode: int
    """A `Mode`."""
    rate_per_s: float
    """Pace of the backlog, calls per second; above 0."""
    in_flight_max: float
    """Backlog may call while fewer calls of both lanes are out; at least 1."""
    fresh_in_flight_max: float
    """Fresh may call while fewer of its own are out; at least 1, infinite when it is not shed."""
    late_s: float
    """Latency above which three calls in a row end an interval early; infinite until learnt."""
    window: float = 0.0
    """Calls of both lanes that may be out, with its fraction; 0 when the backlog has none."""
    delivered_per_s: float = 0.0
    """Answers, both lanes, smoothed."""
    fresh_per_s: float = 0.0
    """Those of fresh calls."""
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
    queue_s: float = 0.0
    """Queueing delay of nearly all calls: by the low quantile."""
    queue_before_s: float = 0.0
    """The same an interval earlier."""
    delay_s: float = 0.0
    """What is held at the target: `queue_s`, or more when the slowest calls near the time-out."""
    target_s: float = 0.0
    is_failing: int = 0
    """1 when the last interval's errors passed their floor."""
    error_floor: float = 0.0
    """Share of calls that fail whatever we do."""
    ceiling: float = 0.0
    """Window at which errors last began; 0 until met."""
    ceiling_at: float = 0.0
    clean: int = 0
    """Clean results in TRICKLE."""
    calm: int = 0
    """Intervals in a row without a sign of a limit."""
    strained: int = 0
    """Intervals in a row in which errors, or a queue that is not the backlog's, stood."""
    standing_s: float = 0.0
    """Queueing delay that passed its target and is watched; 0 while none is."""
    standing_least_s: float = 0.0
    """The least since `standing_at`."""
    standing_window: float = 0.0
    """The window when it passed the target."""
    standing_at: float = 0.0
    """Since when a much smaller window has not moved it."""
    since_at: float = 0.0
    """When the mode was entered."""
    settled_at: float = 0.0
    """Until then, answers still speak of the window before."""
    probed_at: float = 0.0
    probed_s: float = 0.0
    """Queueing delay before the last probe."""
    probed_window: float = 0.0
    """The window then."""
    backlog_at: float = 0.0
    """The last interval in which the backlog called or waited."""


class Decision(Protocol):
    """What a governor obeys: the first fields of every law's state. See `Release`."""

    @property
    def mode(self) -> int:
        """A `Mode`."""
        ...

    @property
    def rate_per_s(self) -> float:
        """Pace of the backlog."""
        ...

    @property
    def in_flight_max(self) -> float:
        """Calls of both lanes below which the backlog may call."""
        ...

    @property
    def fresh_in_flight_max(self) -> float:
        """Fresh calls below which fresh may call."""
        ...

    @property
    def late_s(self) -> float:
        """Latency that ends an interval early."""
        ...

    def _asdict(self) -> dict[str, Any]: ...


class Law(Protocol):
    """A release law: ours, or a peer's (`control.peer`). Each has a state of its own."""

    def start(self, *, now: float) -> Decision:
        """For a dependency never seen before: healthy until seen otherwise."""
        ...

    def step(self, state: Any, interval: Interval) -> Decision:
        """Learn from one interval and decide anew."""
        ...

    def opened(self, state: Any, *, now: float) -> Decision:
        """The breaker opened."""
        ...

    def closed(self, state: Any, *, probes: int, now: float) -> Decision:
        """The breaker closed after `probes` clean results."""
        ...


def sense(state: Release, interval: Interval, p: Parameters) -> Release:
    """Update what is learnt: errors, rates, latency. Decides nothing."""
    results = interval.ok + interval.bad
    expected = results * max(BAD_RATIO_MIN, state.error_floor)
    is_failing = interval.bad >= max(
        RESULTS_MIN, BAD_TIMES * expected + BAD_SPREAD * math.sqrt(expected) + 1.0
    )
    error_floor = state.error_floor
    if not is_failing or is_idle(state, now=interval.ended_at):
        learnt = results / (results + FLOOR_RESULTS)
        error_floor += learnt * (interval.bad / results - error_floor)
    weight = results / (results + WEIGHT_RESULTS)
    delivered_per_s = mix(state.delivered_per_s, interval.ok / interval.span_s, weight)
    fresh = interval.ok - interval.backlog_ok
    is_busy = interval.backlog_ok + interval.backlog_bad + interval.held > 0
    seen = state._replace(
        is_failing=int(is_failing),
        error_floor=min(FLOOR_MAX, error_floor),
        delivered_per_s=delivered_per_s,
        fresh_per_s=mix(state.fresh_per_s, fresh / interval.span_s, weight),
        backlog_at=interval.ended_at if is_busy else state.backlog_at,
        queue_before_s=state.queue_s,
    )
    if interval.latency_count > 0:
        return _sense_latency(seen, interval, p)
    lost_s = p.timeout_s if interval.bad > 0 else state.queue_s
    target_s = max(state.target_s, p.delay_share * p.timeout_s)
    return seen._replace(queue_s=lost_s, delay_s=lost_s, target_s=target_s)


def _sense_latency(state: Release, interval: Interval, p: Parameters) -> Release:
    """Baseline, noise, queueing delay and its target, and what is late."""
    low_s = interval.latency_low_s
    if state.base_s == 0.0:
        state = state._replace(base_s=low_s, low_1_s=low_s, low_2_s=low_s)
    narrow_s = min(p.delay_share * p.timeout_s, max(p.base_multiple * state.base_s, TARGET_S_MIN))
    least, most = min(state.low_1_s, state.low_2_s), max(state.low_1_s, state.low_2_s)
    middle_s = max(least, min(most, low_s))
    base_s = state.base_s
    if middle_s < base_s:
        base_s += BASE_FALL * (middle_s - base_s)
    elif p.workers == 1.0 and is_idle(state, now=interval.ended_at) and state.is_failing == 0:
        base_s += BASE_RISE * (middle_s - base_s)
    noise_s = state.noise_s
    if state.mode != Mode.DRAIN:
        noise_s += NOISE_WEIGHT * (min(abs(low_s - middle_s), narrow_s) - noise_s)
    # Something was delivered, as it has a latency; others are as busy as this one.
    service_s = 1.0 / (p.workers * state.delivered_per_s)
    services_s = SERVICES_TARGET * service_s + SPREAD_TARGET * math.sqrt(base_s * service_s)
    target_s = min(
        p.delay_share_max * p.timeout_s, max(narrow_s, NOISE_TARGET * noise_s, services_s)
    )
    # One interval alone counts only when it is far off; otherwise the median of three speaks.
    watched_s = low_s if low_s > middle_s + narrow_s else middle_s
    queue_s = max(0.0, watched_s - base_s)
    slowest_s = interval.latency_high_s - base_s
    return state._replace(
        base_s=base_s,
        noise_s=noise_s,
        low_1_s=state.low_2_s,
        low_2_s=low_s,
        middle_s=middle_s,
        mean_s=mix(state.mean_s, interval.latency_mean_s, MEAN_WEIGHT),
        queue_s=queue_s,
        delay_s=max(queue_s, target_s * slowest_s / (p.high_share * p.timeout_s)),
        target_s=target_s,
        late_s=base_s + 3.0 * target_s,
    )


def mix(old: float, new: float, weight: float) -> float:
    """Smooth: `weight` is the say of the new; the first value is taken whole."""
    return new if old == 0.0 else old + weight * (new - old)


def is_idle(state: Release, *, now: float) -> bool:
    """Whether the backlog has long neither called nor waited."""
    return now - state.backlog_at > IDLE_S
