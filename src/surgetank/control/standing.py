"""A latency that a much smaller window does not move is not ours: it becomes the baseline.

Part of the release law (`release`), and compiled with it.
"""

from surgetank.control.signal import Mode, Parameters, Release

LEAST_WINDOW, LEAST_SHARE = 1.0, 0.1
"""Least window of a worker that knows of all calls, and of all workers together that know only
their own: a backlog that is let through at all keeps learning."""
STANDING_WINDOW, STANDING_DELAY, STANDING_LATENCY = 0.6, 0.75, 0.25
"""Latency is not ours when it has kept that share of itself below that share of the window, or at the
least one, and is below that share of the time-out: it becomes the baseline."""
WATCH_END = 0.5
"""A delay that passed its target is watched until it is below that share of it: what stands just
at its target would never be told from a queue."""
STANDING_S, STANDING_TRIPS = 6.0, 10.0
"""Seconds, and mean latencies, for which it must have done so: a queue that is ours is gone by then."""
STANDING_LEAST = 1.1
"""What counts as the least window, in least windows: fresh alone moves it."""


def watch(state: Release, p: Parameters, *, now: float) -> Release:
    """Note how long a much smaller window has not moved a latency, and the least of it."""
    over = state.target_s if state.standing_s == 0.0 else WATCH_END * state.target_s
    if state.delay_s <= over or state.is_failing == 1:
        return state._replace(standing_s=0.0)
    if state.standing_s == 0.0:
        return state._replace(
            standing_s=state.queue_s,
            standing_least_s=state.queue_s,
            standing_window=_bound(state),
            standing_at=now,
        )
    bound = _bound(state)
    is_least = bound <= STANDING_LEAST * least(state, p)
    is_small = bound < STANDING_WINDOW * state.standing_window or is_least
    if not is_small or state.queue_s < STANDING_DELAY * state.standing_s:
        return state._replace(
            standing_s=state.queue_s, standing_least_s=state.queue_s, standing_at=now
        )
    return state._replace(standing_least_s=min(state.standing_least_s, state.queue_s))


def is_standing(state: Release, p: Parameters, *, now: float) -> bool:
    """Whether a latency is not ours."""
    since_s = max(STANDING_S, STANDING_TRIPS * state.mean_s)
    is_long = state.standing_s > 0.0 and now - state.standing_at > since_s
    return is_long and state.base_s + state.queue_s < STANDING_LATENCY * p.timeout_s


def rebase(state: Release) -> Release:
    """Take the least of what stood for part of the baseline."""
    least_s = state.standing_least_s
    return state._replace(
        base_s=state.base_s + least_s, queue_s=state.queue_s - least_s, standing_s=0.0
    )


def least(state: Release, p: Parameters) -> float:
    """Least window: beside the fresh calls that are out on average, room for one."""
    if p.workers == 1.0:
        return LEAST_WINDOW + state.fresh_per_s * state.base_s
    return LEAST_SHARE / p.workers


def _bound(state: Release) -> float:
    """The window, or what bounds the calls while fresh is shed."""
    return state.fresh_in_flight_max if state.mode == Mode.SHED else state.window
