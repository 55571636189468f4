"""The release: how fast a backlog may follow through one dependency, learnt from its answers.

The law governs the window: how many calls, of both lanes, may be out at once. Fresh calls need no
leave; the backlog calls while fewer than the window are out, so that it takes up what fresh leaves
and gives way to it at once. A window clocks itself: a dependency that stalls gets nothing more.
By Little's law a queue that costs `d` seconds holds `d` times the delivered rate in calls, so the
window is moved by the calls that the queue has too many or too few.

TRICKLE  a few calls at once, until enough clean results tell the latency without a queue.
RAMP     multiply the window once per round trip, until the first sign of delay or errors.
DRAIN    take out of the window the calls that wait, until the queue is gone.
CRUISE   keep the queueing delay at its target: neither idle nor late.
PROBE    now and then, for two round trips, leave the queue out: a lower latency is the baseline.
SHED     fresh alone is too much: only as many fresh calls at once as are answered in time, and of
         the backlog what they leave; until none had to be refused.

Signals are what a client sees (`signal`). No absolute rate matters but the pace of the very first
calls, so the law acts on a replica of 1:1000 as on the real thing.

The law is module functions over NamedTuples of numbers, so that it can be compiled. Operators set
what is in `ReleasePolicy`; the constants below are the law's own. Sources: TCP Vegas and FAST (Wei,
Jin, Low, Hegde, 2006) for the window moved by queueing delay; BBR for PROBE; the constants were
chosen on worlds with even seeds of `surgetank bench drain` and judged on odd ones.
"""

import math
from dataclasses import dataclass

from surgetank.control.evidence import RESULTS_MIN, Interval
from surgetank.control.signal import Mode, Parameters, Release, is_idle, sense
from surgetank.control.standing import STANDING_DELAY, is_standing, least, rebase, watch
from surgetank.core.errors import InvalidInputError

WINDOW_MAX = 1e9
"""Greatest window: more than anybody has out, and still a whole number in a machine."""
PACE_MAX = 1.2
"""Pace of the backlog, in windows per mean latency, so that no growth comes as a burst."""
ROUND_TRIPS = 3.0
"""Mean latencies in which CRUISE takes out half of an excess: a loop of delay is stable to two."""
GAIN = 0.5
"""Share of the excess, or of the want, that one such time moves."""
RISE_MAX, FALL_MAX = 0.25, 0.3
"""Most growth of the window in one interval of CRUISE, and most fall: one bad look costs a third."""
RISE_MAX_MANY, GROWTH_MANY = 0.1, 0.5
"""The most growth of workers that share nothing, and their share of RAMP's growth: they all grow at
once, and what is too much is seen late in the few results of each."""
STEP_RESULTS = 10.0
"""Results that allow a full step; fewer allow the root of their share of one."""
CONGESTED_TARGETS = 4.0
"""Delay, in targets, that is congestion and no longer the way to it: DRAIN."""
RAMP_DELAY, RAMP_BRAKE, RAMP_SLOW = 2.0, 0.5, 0.25
"""Delay, in targets, at which RAMP gives way to DRAIN, to CRUISE, and halves its growth."""
RAMP_SETTLED = 0.75
"""Share of an interval that must lie after the last step was felt, for the next to be taken."""
DRAIN_LEAST = 0.3
"""Share of the window that one cut of DRAIN leaves at least."""
RESUME = 0.5
"""Share of the target that CRUISE begins with after DRAIN."""
FAIL_CUT = 0.7
"""Share of the window that errors leave, once per round trip. CUBIC's beta."""
CEILING_NEAR, CEILING_RISE, CEILING_S = 0.9, 0.01, 60.0
"""From that share of the window at which errors began, growth per second, for that long."""
CALM_LEVEL, CALM_INTERVALS = 0.3, 6
"""Delay below that share of the target, for so many intervals in a row: the limit has moved."""
PROBE_RATIO, PROBE_LEAST, PROBE_STEP = 1.2, 0.5, 0.2
"""PROBE leaves out so many times the queue, at most that share of the window; the baseline falls
by at most that share of itself."""
PROBE_S_MIN, PROBE_TRIPS = 1.0, 2.0
"""Seconds, and mean latencies, that PROBE lasts."""
PROBE_DOUBT, PROBE_DRAINS, PROBE_S_MAX = 0.5, 5.0, 6.0
"""A delay of that share of its target that PROBE does not move is not ours: after so many times the
seconds that a queue of ours would take to drain, unless those are more than that."""
STRAINED_DELAY, STRAINED_FALL, STRAINED_BACKLOG = 1.5, 0.9, 0.15
"""Fresh alone is too much when a queue of so many targets does not fall below that share of
itself, while no more than that share of the calls is backlog..."""
STRAINED_INTERVALS, FAILING_INTERVALS = 3, 2
"""...for so many intervals, or when most calls fail for so many."""
SHED_DELAY = 0.2
"""Queueing delay that SHED aims at, as a share of the time-out."""
SHED_CUT, SHED_GROWTH = 0.5, 1.5
"""What failures leave of the fresh calls at once, and growth while they wait less than half."""
SHED_CALM, SHED_FEW = 3, 0.02
"""Intervals in a row in which at most that share of fresh was refused, after which it is free."""
FADE_S = 300.0
"""A window that is not used halves in that time. Source: the idea of RFC 7661."""
FREE = math.inf
"""Fresh calls at once when fresh is not shed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePolicy:
    """The adaptive law's settings; raises `InvalidInputError` if out of range."""

    timeout_s: float = 10.0
    """Seconds after which callers give up; above 0. The delay target is a small share of it."""
    workers: int = 1
    """Workers that call the same dependency and share nothing; at least 1. Their first windows
    and floors are divided by it."""
    lag_s: float = 0.0
    """Seconds until what is decided is obeyed, where workers share their state; 0 or more."""
    phase_ratio: float = 0.0
    """When this worker probes within the period, from 0 to 1: workers must not do it together."""
    rate_per_s_min: float = 0.002
    """Absolute floor of the pace, calls per second; above 0. One call in 500 s harms nobody and
    still learns."""
    rate_per_s_unlearnt: float = 1.0
    """Pace of the backlog until a latency is learnt, calls per second; at least `rate_per_s_min`.
    """
    window_start: float = 4.0
    """Calls at once until a latency is learnt; at least 1. Harmless even to what serves 5/s."""
    clean_results: int = 10
    """Clean results that end TRICKLE; at least 3."""
    ramp_growth: float = 1.3
    """Growth of the window per round trip in RAMP; above 1. Its overshoot is what nodes near
    their limit must bear for one round trip."""
    delay_share: float = 0.03
    """Target queueing delay as a share of `timeout_s`; above 0."""
    delay_share_max: float = 0.15
    """Bound on the target when noise or slow services raise it; `delay_share` to 0.5."""
    high_share: float = 0.35
    """Delay of the slowest tenth, as a share of `timeout_s`, that is at the target, whatever the
    others see; above 0."""
    shed_share: float = 0.8
    """Least queueing delay, as a share of `timeout_s`, for which fresh is shed; above 0."""
    base_multiple: float = 1.5
    """Target as a multiple of the baseline latency, where that is less; above 0."""
    probe_period_s: float = 60.0
    """Seconds between probes in CRUISE; above 0."""

    def __post_init__(self) -> None:
        counts = self.workers >= 1 and self.clean_results >= RESULTS_MIN and self.window_start >= 1
        floors = min(self.timeout_s, self.rate_per_s_min, self.probe_period_s) > 0
        rates = self.rate_per_s_min <= self.rate_per_s_unlearnt and self.ramp_growth > 1
        delays = 0 < self.delay_share <= self.delay_share_max <= 0.5 and self.base_multiple > 0  # noqa: PLR2004 - said in the docstring
        shares = min(self.high_share, self.shed_share) > 0
        times = self.lag_s >= 0 and 0 <= self.phase_ratio <= 1
        if not (counts and floors and rates and delays and shares and times):
            raise InvalidInputError(f"out of range: {self}")

    def parameters(self) -> Parameters:
        """The policy as numbers."""
        return Parameters(
            self.timeout_s,
            float(self.workers),
            self.lag_s,
            self.phase_ratio,
            self.rate_per_s_min,
            self.rate_per_s_unlearnt,
            self.window_start,
            float(self.clean_results),
            self.ramp_growth,
            self.delay_share,
            self.delay_share_max,
            self.high_share,
            self.shed_share,
            self.base_multiple,
            self.probe_period_s,
        )

    def start(self, *, now: float) -> Release:
        """See `Law`."""
        return start(self.parameters(), now=now)

    def step(self, state: Release, interval: Interval) -> Release:
        """See `Law`."""
        return step(state, interval, self.parameters())

    def opened(self, state: Release, *, now: float) -> Release:
        """See `Law`."""
        return opened(state, self.parameters(), now=now)

    def closed(self, state: Release, *, probes: int, now: float) -> Release:
        """See `Law`."""
        return closed(state, self.parameters(), probes=probes, now=now)


def start(p: Parameters, *, now: float) -> Release:
    """A dependency never seen before: TRICKLE, to learn its latency; fresh is free."""
    first = Release(
        Mode.TRICKLE.value,
        p.rate_per_s_unlearnt,
        1.0,
        FREE,
        math.inf,
        window=p.window_start / p.workers,
        since_at=now,
        probed_at=now - p.phase_ratio * p.probe_period_s,
        backlog_at=-math.inf,
    )
    return _decide(first, p)


def opened(state: Release, p: Parameters, *, now: float) -> Release:
    """The breaker opened: no call gets through, and the next are to be few.

    Errors that come without delay speak of the window: a short queue was full.
    """
    shed = _shed(state, most=1.0, now=now)
    is_free = state.mode in (Mode.RAMP.value, Mode.CRUISE.value)
    if is_free and state.delay_s < state.target_s:
        shed = shed._replace(ceiling=state.window, ceiling_at=now)
    return _decide(shed, p)


def closed(state: Release, p: Parameters, *, probes: int, now: float) -> Release:
    """The breaker closed: its probes were answered; fresh comes back by degrees."""
    most = max(1.0, probes / p.workers)
    back = _shed(state, most=most, now=now)
    # What was seen before it opened is over; only the latency without a queue is remembered.
    forgot = back._replace(
        delivered_per_s=0.0,
        is_failing=0,
        low_1_s=state.base_s,
        low_2_s=state.base_s,
        middle_s=state.base_s,
        mean_s=state.base_s,
        queue_s=0.0,
        delay_s=0.0,
    )
    return _decide(forgot._replace(window=most, settled_at=now, backlog_at=now), p)


def step(state: Release, interval: Interval, p: Parameters) -> Release:
    """Learn from one interval, then decide by mode."""
    seen = _strain(watch(sense(state, interval, p), p, now=interval.ended_at), interval, p)
    is_lost = seen.strained >= FAILING_INTERVALS and interval.bad > interval.ok
    if seen.mode == Mode.SHED:
        moved = _follow_shed(seen, interval, p)
    elif is_lost or seen.strained >= STRAINED_INTERVALS:
        answered = seen.delivered_per_s * (seen.base_s + SHED_DELAY * p.timeout_s)
        moved = _shed(seen, most=max(1.0, answered), now=interval.ended_at)
    elif seen.mode == Mode.TRICKLE:
        moved = _trickle(seen, interval, p)
    elif is_idle(seen, now=interval.ended_at):
        moved = _idle(seen, interval, p)
    else:
        moved = _follow(seen, interval, p)
    return _decide(moved, p)


def _follow(state: Release, interval: Interval, p: Parameters) -> Release:
    """Move the window of a backlog that calls."""
    if state.is_failing == 1:
        return _fail(state, now=interval.ended_at)
    if state.mode == Mode.RAMP:
        return _ramp(state, interval, p)
    if state.mode == Mode.DRAIN:
        return _drain(state, p, now=interval.ended_at)
    if state.mode == Mode.PROBE:
        return _probe(state, p, now=interval.ended_at)
    return _cruise(state, interval, p)


def _decide(state: Release, p: Parameters) -> Release:
    """Turn the window into what the governor obeys."""
    if state.mode == Mode.SHED:
        return _decide_shed(state, p)
    window = min(WINDOW_MAX, max(least(state, p), state.window))
    latency_s = max(state.mean_s, state.base_s)
    if latency_s == 0.0 or state.mode == Mode.TRICKLE:
        rate_per_s = p.rate_per_s_unlearnt / p.workers
    elif window > 1.0:
        rate_per_s = min(PACE_MAX, 0.5 + 0.5 * window) * window / latency_s
    else:  # Less than one call at once: its pace alone makes the window.
        rate_per_s = window / (state.base_s + min(state.delay_s, state.target_s))
    return state._replace(
        window=window,
        rate_per_s=max(p.rate_per_s_min, rate_per_s),
        in_flight_max=max(1.0, float(math.ceil(window))),
    )


def _decide_shed(state: Release, p: Parameters) -> Release:
    """The backlog may have what fresh leaves of the calls that it is bounded to, or nearly none."""
    latency_s = max(state.mean_s, state.base_s)
    pace_per_s = state.window / latency_s if latency_s > 0.0 else p.rate_per_s_unlearnt / p.workers
    rate_per_s = pace_per_s if state.window > 0.0 else p.rate_per_s_min
    return state._replace(
        rate_per_s=max(p.rate_per_s_min, rate_per_s),
        in_flight_max=max(1.0, float(math.ceil(state.window))),
    )


def _strain(state: Release, interval: Interval, p: Parameters) -> Release:
    """Count the intervals in which fresh, or errors, are too much."""
    calls = interval.ok + interval.bad
    backlog = interval.backlog_ok + interval.backlog_bad
    is_standing = (
        state.queue_s > max(STRAINED_DELAY * state.target_s, p.shed_share * p.timeout_s)
        and state.queue_s >= STRAINED_FALL * state.queue_before_s
        and backlog <= STRAINED_BACKLOG * calls
    )
    is_strained = is_standing or (state.is_failing == 1 and interval.bad > interval.ok)
    return state._replace(
        strained=state.strained + 1 if is_strained else max(0, state.strained - 1)
    )


def _trickle(state: Release, interval: Interval, p: Parameters) -> Release:
    """Wait for clean results, then ramp from what is under way."""
    if state.is_failing == 1:
        return state._replace(clean=0)
    clean = state.clean + interval.ok
    if clean < p.clean_results:
        return state._replace(clean=clean)
    window = state.delivered_per_s * state.mean_s
    return _enter(state, Mode.RAMP.value, window=window, now=interval.ended_at)._replace(clean=0)


def _ramp(state: Release, interval: Interval, p: Parameters) -> Release:
    """Multiply, once the last step was felt, until the first sign of delay."""
    now = interval.ended_at
    if state.delay_s > RAMP_DELAY * state.target_s:
        return _cut(state, now=now)
    if state.delay_s > RAMP_BRAKE * state.target_s:
        return _enter(state, Mode.CRUISE.value, window=state.window, now=now)
    if _is_near_ceiling(state, now=now):
        return _enter(state, Mode.CRUISE.value, window=state.window, now=now)
    is_felt = now - RAMP_SETTLED * interval.span_s >= state.settled_at
    if not is_felt or not _is_wanted(state, interval):
        return state
    growth = p.ramp_growth if p.workers == 1.0 else 1.0 + GROWTH_MANY * (p.ramp_growth - 1.0)
    if state.delay_s > RAMP_SLOW * state.target_s:
        growth = 1.0 + 0.5 * (growth - 1.0)
    growth **= min(1.0, math.sqrt((interval.ok + interval.bad) / STEP_RESULTS))
    window = growth * max(state.window, state.delivered_per_s * state.mean_s)
    return state._replace(window=window, settled_at=now + state.mean_s + p.lag_s)


def _cut(state: Release, *, now: float) -> Release:
    """Take the calls that wait out of the window."""
    waiting = state.delivered_per_s * state.delay_s
    window = max(DRAIN_LEAST * state.window, state.window - waiting)
    cut = _enter(state, Mode.DRAIN.value, window=window, now=now)
    return cut._replace(settled_at=now + state.delay_s + state.mean_s)


def _drain(state: Release, p: Parameters, *, now: float) -> Release:
    """Wait until the queue is gone; cut again where it is not."""
    if state.delay_s < state.target_s:
        window = state.window + RESUME * state.delivered_per_s * state.target_s
        return _enter(state, Mode.CRUISE.value, window=window, now=now)
    if now <= state.settled_at:
        return state
    if is_standing(state, p, now=now):
        return rebase(state)
    return _cut(state, now=now)


def _cruise(state: Release, interval: Interval, p: Parameters) -> Release:
    """Move the window by the calls that the queue has too many or too few."""
    now = interval.ended_at
    if state.delay_s > CONGESTED_TARGETS * state.target_s:
        return _cut(state, now=now)
    if state.delay_s > state.target_s and is_standing(state, p, now=now):
        return rebase(state)
    change = GAIN * state.delivered_per_s * (state.target_s - state.delay_s)
    change *= _share(state, interval, p)
    calm = 0
    if change > 0.0:
        calm = state.calm + 1 if state.delay_s < CALM_LEVEL * state.target_s else 0
        may_rise = now >= state.settled_at and _is_wanted(state, interval)
        change = min(change, _rise_max(state, interval, p)) if may_rise else 0.0
    moved = state._replace(
        window=state.window + max(change, -FALL_MAX * state.window),
        ceiling=max(state.ceiling, state.window) if state.ceiling > 0.0 else 0.0,
        calm=calm,
    )
    may_ramp = p.workers == 1.0  # Many that find at once that the limit has moved overrun it.
    if calm >= CALM_INTERVALS and may_ramp and not _is_near_ceiling(state, now=now):
        return _enter(moved, Mode.RAMP.value, window=moved.window, now=now)
    if now - state.probed_at > p.probe_period_s:
        waiting = PROBE_RATIO * state.delivered_per_s * state.delay_s
        window = max(PROBE_LEAST * moved.window, moved.window - waiting)
        probing = _enter(moved, Mode.PROBE.value, window=window, now=now)
        return probing._replace(probed_window=moved.window, probed_s=state.queue_s, probed_at=now)
    return moved


def _rise_max(state: Release, interval: Interval, p: Parameters) -> float:
    """Most growth: a quarter, and little near where errors began."""
    if _is_near_ceiling(state, now=interval.ended_at):
        return CEILING_RISE * min(2.0, interval.span_s) * state.window
    return (RISE_MAX if p.workers == 1.0 else RISE_MAX_MANY) * state.window


def _is_near_ceiling(state: Release, *, now: float) -> bool:
    is_known = state.ceiling > 0.0 and now - state.ceiling_at < CEILING_S
    return is_known and state.window > CEILING_NEAR * state.ceiling


def _fail(state: Release, *, now: float) -> Release:
    """Errors above their floor: cut, once per round trip, and remember where."""
    if now < state.settled_at:
        return _enter(state, Mode.CRUISE.value, window=state.window, now=now)
    cut = _enter(state, Mode.CRUISE.value, window=FAIL_CUT * state.window, now=now)
    settled_at = now + state.mean_s + PROBE_S_MIN
    return cut._replace(ceiling=state.window, ceiling_at=now, settled_at=settled_at)


def _probe(state: Release, p: Parameters, *, now: float) -> Release:
    """Take the latency without a queue for the baseline; one that does not move is not ours."""
    passed_s = now - state.since_at - max(PROBE_S_MIN, PROBE_TRIPS * state.mean_s)
    if passed_s <= 0.0:
        return state
    base_s = min(state.base_s, max(state.middle_s, (1.0 - PROBE_STEP) * state.base_s))
    is_unmoved = state.queue_s > STANDING_DELAY * state.probed_s > PROBE_DOUBT * state.target_s
    if is_unmoved and p.workers == 1.0:
        # Some times as long as a queue of ours would take to drain by what is left out now.
        ours = 1.0 - state.fresh_per_s / max(state.delivered_per_s, 1e-9)
        freed = max(1e-9, min(ours, 1.0 - state.window / state.probed_window))
        drained_s = PROBE_DRAINS * state.queue_s / freed
        if passed_s <= drained_s <= PROBE_S_MAX:
            return state
        if drained_s <= PROBE_S_MAX:
            base_s = state.base_s + min(state.queue_s, state.probed_s)
    back = _enter(state, Mode.CRUISE.value, window=state.probed_window, now=now)
    # The queue comes back with the window: by Little's law, the latency too.
    mean_s = max(state.mean_s, state.probed_window / max(state.delivered_per_s, 1e-9))
    return back._replace(
        base_s=base_s, mean_s=mean_s, standing_s=0.0, settled_at=now + mean_s + p.lag_s
    )


def _shed(state: Release, *, most: float, now: float) -> Release:
    """Let in only so many fresh calls at once, and hardly any backlog at first."""
    shed = _enter(state, Mode.SHED.value, window=0.0, now=now)
    return shed._replace(
        fresh_in_flight_max=most,
        settled_at=now + PROBE_TRIPS,
        clean=0,
        strained=0,
        standing_s=0.0,
    )


def _follow_shed(state: Release, interval: Interval, p: Parameters) -> Release:
    """As many fresh calls as are answered in time; all, once none had to be refused."""
    now, most = interval.ended_at, state.fresh_in_flight_max
    if state.is_failing == 1:
        if now <= state.settled_at:
            return state._replace(window=0.0)
        cut = max(1.0, SHED_CUT * most)
        settled_at = now + p.timeout_s
        return state._replace(fresh_in_flight_max=cut, window=0.0, settled_at=settled_at, calm=0)
    if is_standing(state, p, now=now):
        state = rebase(state)
    goal_s = max(state.target_s, SHED_DELAY * p.timeout_s)
    is_short = interval.shed > SHED_FEW * (interval.ok + interval.shed)
    if is_short or state.delay_s >= goal_s:
        return _admit(state, interval, p, goal_s=goal_s)._replace(window=0.0, calm=0)
    if state.calm < SHED_CALM:
        return state._replace(window=most, calm=state.calm + 1)
    window = 0.5 * state.delivered_per_s * state.base_s
    free = _enter(state, Mode.RAMP.value, window=window, now=now)
    return free._replace(fresh_in_flight_max=FREE)


def _admit(state: Release, interval: Interval, p: Parameters, *, goal_s: float) -> Release:
    """Let in more fresh calls at once, or fewer, towards the delay that is borne."""
    most, share = state.fresh_in_flight_max, _share(state, interval, p)
    if state.delay_s < 0.5 * goal_s:
        most *= SHED_GROWTH**share
    else:
        most += GAIN * state.delivered_per_s * (goal_s - state.delay_s) * share
    return state._replace(fresh_in_flight_max=min(WINDOW_MAX, max(1.0, most)))


def _idle(state: Release, interval: Interval, p: Parameters) -> Release:
    """No backlog: bring the window towards where a ramp begins, for the day one comes."""
    first = max(p.window_start / p.workers, state.delivered_per_s * state.mean_s)
    faded = state.window * 0.5 ** (interval.span_s / FADE_S)
    return state._replace(mode=Mode.RAMP.value, window=max(first, faded), calm=0)


def _is_wanted(state: Release, interval: Interval) -> bool:
    """Whether the backlog would use a larger window: it was held, or used nearly all it had."""
    return interval.held > 0 or interval.in_flight_peak >= 0.7 * state.window


def _share(state: Release, interval: Interval, p: Parameters) -> float:
    """How much of a full step this interval allows: by its results, and by its time."""
    results = min(1.0, (interval.ok + interval.bad) / STEP_RESULTS)
    trips_s = max(ROUND_TRIPS * state.mean_s + p.lag_s, 0.1 * PROBE_S_MIN)
    return math.sqrt(results) * min(1.0, interval.span_s / trips_s)


def _enter(state: Release, mode: int, *, window: float, now: float) -> Release:
    return state._replace(mode=mode, window=window, since_at=now, calm=0)
