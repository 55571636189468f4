"""Circuit breaker: stop calling a dependency that keeps failing, then probe it.

CLOSED -> OPEN after `failure_limit` failures in a row, or when `failure_ratio` of the last
`window_calls` failed, or after `blocked_limit` BLOCKED in a row (a policy is a wall at once).
OPEN -> HALF_OPEN at `retry_at`; HALF_OPEN -> CLOSED after `probe_limit` successes, or -> OPEN
after one failure. Each opening that follows another before the breaker has healed doubles the
time it stays open, up to `open_s_max`; it has healed when a whole window passed while closed.

Times are seconds on the caller's clock, which must not run backwards. The state is a NamedTuple
because it is replaced at each call: that costs a fifth of what a frozen dataclass does.
Source: M. Nygard, "Release It!", 2nd ed., 2018, ch. 5. The count window is that of failsafe-go
and resilience4j; epochs, lost probes and growing `open_s` are our additions.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from surgetank.core.errors import InvalidInputError
from surgetank.core.value import OutcomeKind

WINDOW_CALLS_MAX = 64
"""Results that the window can hold: they are the bits of one machine word."""


class Phase(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


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
    """Results in the window, from 1 to 64; the ratio counts once it is full. 20 is the least at
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


class Breaker(NamedTuple):
    """The state of one breaker: a value to compare, store and replay."""

    policy: BreakerPolicy
    phase: Phase = Phase.CLOSED
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
    results: int = 0
    """How many results the window holds."""
    probes: int = 0
    """Calls admitted since the breaker went half-open."""
    openings: int = 0
    """Openings since it last healed."""

    def admit(self, *, now: float) -> "tuple[Breaker, int | None]":
        """Ask to make one call. Without an epoch, do not make it."""
        if self.phase is Phase.CLOSED:
            return self, self.epoch
        if self.phase is Phase.HALF_OPEN and self.probes < self.policy.probe_limit:
            return self._replace(probes=self.probes + 1), self.epoch
        if now < self.retry_at:
            return self, None
        # Also when half-open: probes that never report must not wedge the breaker.
        return self._enter(Phase.HALF_OPEN, retry_at=now + self.policy.open_s).admit(now=now)

    def record(
        self, epoch: int, kind: OutcomeKind, *, now: float, retry_at: float | None = None
    ) -> "Breaker":
        """Report how an admitted call ended.

        Args:
            epoch: As given by `admit`; reports of past epochs change nothing.
            kind: OK and PERMANENT are answers of a working dependency; all else is a failure.
            now: Seconds on the caller's clock.
            retry_at: The instant the dependency named, if any: an opening lasts until then, but
                never longer than `open_s_max`.
        """
        if epoch != self.epoch:
            return self
        failed = kind is not OutcomeKind.OK and kind is not OutcomeKind.PERMANENT
        if self.phase is Phase.CLOSED:
            return self._count(failed=failed, kind=kind, now=now, retry_at=retry_at)
        assert self.phase is Phase.HALF_OPEN, "an open breaker gives no epochs out"
        if failed:
            return self._open(now=now, retry_at=retry_at)
        if self.streak + 1 < self.policy.probe_limit:
            return self._replace(streak=self.streak + 1)
        return self._enter(Phase.CLOSED, retry_at=now)

    def _count(
        self, *, failed: bool, kind: OutcomeKind, now: float, retry_at: float | None
    ) -> "Breaker":
        policy = self.policy
        size = policy.window_calls
        if not failed and self.window == 0 and self.results == size and self.openings == 0:
            return self  # The calm case: nothing to remember, nothing to allocate.
        window = (self.window << 1 | failed) & ((1 << size) - 1)
        results = min(size, self.results + 1)
        streak = self.streak + 1 if failed else 0
        blocked = self.blocked + 1 if kind is OutcomeKind.BLOCKED else 0
        is_full = results == size
        is_bad = (
            streak >= policy.failure_limit
            or blocked >= policy.blocked_limit
            or (is_full and window.bit_count() >= policy.failure_ratio * size)
        )
        if failed and is_bad:  # A success never opens, even when it fills a window of old failures.
            return self._open(now=now, retry_at=retry_at)
        openings = 0 if is_full else self.openings
        return self._replace(
            streak=streak, blocked=blocked, window=window, results=results, openings=openings
        )

    def _open(self, *, now: float, retry_at: float | None) -> "Breaker":
        policy = self.policy
        doublings = min(self.openings, 60)  # 2**60 is past any cap; more would overflow a float.
        open_s = min(policy.open_s_max, policy.open_s * 2.0**doublings)
        asked_at = now if retry_at is None else min(retry_at, now + policy.open_s_max)
        return self._enter(
            Phase.OPEN, retry_at=max(now + open_s, asked_at), openings=self.openings + 1
        )

    def _enter(self, phase: Phase, *, retry_at: float, openings: int | None = None) -> "Breaker":
        kept = self.openings if openings is None else openings
        return Breaker(self.policy, phase, self.epoch + 1, retry_at, openings=kept)
