"""Circuit breaker: stop calling a dependency that keeps failing, then probe it.

CLOSED -> OPEN after `failure_limit` failures in a row, or when `failure_ratio` of the last
`window_calls` failed, or after `blocked_limit` BLOCKED in a row (a policy is a wall at once).
OPEN -> HALF_OPEN at `retry_at`; HALF_OPEN -> CLOSED after `probe_limit` successes, or -> OPEN
after one failure. Each opening that follows another before the breaker has healed doubles the
time it stays open, up to `open_s_max`; it has healed when a whole window passed while closed.

Times are seconds on the caller's clock, which must not run backwards. The state is a NamedTuple
of numbers, so that it can be compiled, and because it is replaced at each call: that costs a fifth
of what a frozen dataclass does.
Source: M. Nygard, "Release It!", 2nd ed., 2018, ch. 5. The count window is that of failsafe-go
and resilience4j; epochs, lost and late probes and growing `open_s` are our additions.
"""

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from surgetank.core.errors import InvalidInputError

WINDOW_CALLS_MAX = 62
"""Results that the window can hold: they are bits of one signed machine word, and one spare."""
DOUBLINGS_MAX = 60
"""2**60 is past any cap; more would overflow a float."""
NO_EPOCH = -1
"""In place of an epoch: do not call."""


class Phase(IntEnum):
    """Where a breaker stands."""

    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2


CLOSED = Phase.CLOSED.value
"""Looked up once: each call compares it, and to name a member of an enumeration takes 0.1 us."""


class BreakerParameters(NamedTuple):
    """A `BreakerPolicy` as numbers; the same names."""

    failure_limit: int
    failure_ratio: float
    window_calls: int
    blocked_limit: int
    probe_limit: int
    open_s: float
    open_s_max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When to open and how to probe; raises `InvalidInputError` if out of range."""

    failure_limit: int = 8
    """Failures in a row that open the breaker; at least 1. At 30% errors by chance alone, 8 in a
    row come once in 15,000 calls; 5, as often advised, once in 400."""
    failure_ratio: float = 0.5
    """Share of the last `window_calls` that opens it; above 0, at most 1. The default of
    resilience4j."""
    window_calls: int = 20
    """Results in the window, from 1 to 62; the ratio counts once it is full. 20 is the least at
    which one error more or less moves the ratio by 5 points."""
    blocked_limit: int = 3
    """BLOCKED in a row that open it; at least 1. More would only learn what the first said; fewer
    would let one odd request close the door for all."""
    probe_limit: int = 3
    """Calls admitted, and successes needed, when half-open; at least 1."""
    open_s: float = 30.0
    """Seconds to refuse calls at the first opening, and to wait for lost probes; above 0."""
    open_s_max: float = 300.0
    """The most seconds to refuse calls; at least `open_s`. Bounds how late a repair is noticed."""

    def __post_init__(self) -> None:
        counts = (self.failure_limit, self.blocked_limit, self.probe_limit, self.window_calls)
        if min(counts) < 1 or self.window_calls > WINDOW_CALLS_MAX:
            raise InvalidInputError(f"out of range: {self}")
        if not 0 < self.failure_ratio <= 1 or not 0 < self.open_s <= self.open_s_max:
            raise InvalidInputError(f"out of range: {self}")

    def parameters(self) -> BreakerParameters:
        """The policy as numbers."""
        return BreakerParameters(
            self.failure_limit,
            self.failure_ratio,
            self.window_calls,
            self.blocked_limit,
            self.probe_limit,
            self.open_s,
            self.open_s_max,
        )


class Breaker(NamedTuple):
    """The state of one breaker: a value to compare, store and replay."""

    phase: int = 0
    """A `Phase`."""
    epoch: int = 0
    """Counts phase changes; a permit names the epoch that issued it."""
    retry_at: float = 0.0
    """A refused caller may ask again then. Unused when closed."""
    streak: int = 0
    """Failures in a row when closed; successes when half-open."""
    blocked: int = 0
    """How many of the streak's last were BLOCKED."""
    window: int = 0
    """Bits of the last results since it closed, the newest lowest; 1 is a failure."""
    failures: int = 0
    """How many of them are failures."""
    results: int = 0
    """How many results the window holds."""
    probes: int = 0
    """Calls admitted since the breaker went half-open, or since it gave probes up as lost."""
    openings: int = 0
    """Openings since it last healed."""


def admit(state: Breaker, p: BreakerParameters, *, now: float) -> tuple[Breaker, int]:
    """Ask to make one call: the epoch to report it under, or `NO_EPOCH`: do not make it."""
    if state.phase == CLOSED:
        return state, state.epoch
    if state.phase == Phase.HALF_OPEN and state.probes < p.probe_limit:
        return state._replace(probes=state.probes + 1), state.epoch
    if now < state.retry_at:
        return state, NO_EPOCH
    if state.phase == Phase.HALF_OPEN:
        # Probes that never report must not wedge the breaker, and those that report late count.
        again = state._replace(probes=1, retry_at=now + p.open_s)
        return again, again.epoch
    probed = _enter(state, Phase.HALF_OPEN.value, retry_at=now + p.open_s, openings=state.openings)
    return probed._replace(probes=1), probed.epoch


def record(
    state: Breaker,
    p: BreakerParameters,
    epoch: int,
    *,
    is_failure: bool,
    is_blocked: bool,
    now: float,
    retry_at: float = -math.inf,
) -> Breaker:
    """Report how an admitted call ended.

    Args:
        state: The breaker.
        p: Its policy.
        epoch: As given by `admit`; reports of past epochs change nothing.
        is_failure: Not so when it was an answer of a working dependency, if only a refusal.
        is_blocked: Whether the failure was that of a policy.
        now: Seconds on the caller's clock.
        retry_at: The instant the dependency named, if any: an opening lasts until then, but
            never longer than `open_s_max`.
    """
    if epoch != state.epoch:
        return state
    if state.phase == CLOSED:
        return _count(
            state, p, is_failure=is_failure, is_blocked=is_blocked, now=now, retry_at=retry_at
        )
    if is_failure:
        return _open(state, p, now=now, retry_at=retry_at)
    if state.streak + 1 < p.probe_limit:
        return state._replace(streak=state.streak + 1)
    return _enter(state, Phase.CLOSED.value, retry_at=now, openings=state.openings)


def _count(
    state: Breaker,
    p: BreakerParameters,
    *,
    is_failure: bool,
    is_blocked: bool,
    now: float,
    retry_at: float,
) -> Breaker:
    size = p.window_calls
    if not is_failure and state.failures == 0 and state.results == size and state.openings == 0:
        return state  # The calm case: nothing to remember, nothing to allocate.
    is_full = state.results == size
    forgotten = (state.window >> (size - 1)) & 1 if is_full else 0
    failures = state.failures - forgotten + int(is_failure)
    window = ((state.window << 1) | int(is_failure)) & ((1 << size) - 1)
    results = min(size, state.results + 1)
    streak = state.streak + 1 if is_failure else 0
    blocked = state.blocked + 1 if is_blocked else 0
    is_full = results == size
    is_bad = (
        streak >= p.failure_limit
        or blocked >= p.blocked_limit
        or (is_full and failures >= p.failure_ratio * size)
    )
    if is_failure and is_bad:  # A success never opens, even when it fills a window of failures.
        return _open(state, p, now=now, retry_at=retry_at)
    return state._replace(
        streak=streak,
        blocked=blocked,
        window=window,
        failures=failures,
        results=results,
        openings=0 if is_full else state.openings,
    )


def _open(state: Breaker, p: BreakerParameters, *, now: float, retry_at: float) -> Breaker:
    open_s = min(p.open_s_max, p.open_s * 2.0 ** min(state.openings, DOUBLINGS_MAX))
    asked_at = min(retry_at, now + p.open_s_max)
    return _enter(
        state,
        Phase.OPEN.value,
        retry_at=max(now + open_s, asked_at),
        openings=state.openings + 1,
    )


def _enter(state: Breaker, phase: int, *, retry_at: float, openings: int) -> Breaker:
    return Breaker(phase, state.epoch + 1, retry_at, 0, 0, 0, 0, 0, 0, openings)
