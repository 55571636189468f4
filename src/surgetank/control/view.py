"""What an operator wants to know of a governor: where it stands, why, and what it would take.

Reads a governor's state and changes nothing. The words for it are here, and nowhere else: what each
state is and why it holds back (`MEANINGS`), and what our own law waits for in it. A peer's mode is
that of ours which it resembles, and says no more than that.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from surgetank.control import budget as budgets
from surgetank.control import governor
from surgetank.control.breaker import Phase
from surgetank.control.governor import Governor
from surgetank.control.release import (
    PROBE_S_MIN,
    PROBE_TRIPS,
    RAMP_BRAKE,
    SHED_CALM,
    SHED_DELAY,
    ReleasePolicy,
)
from surgetank.control.signal import Mode, Release, is_idle
from surgetank.core.value import Lane, Permit

DECISION_FIELDS = 5
"""The first fields of every law's state; the rest is what it has learnt."""
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "open": "the breaker is open: no call but a probe",
        "half_open": "the breaker lets single calls through to see how they end",
        "trickle": "a few calls at once, until clean results tell the usual latency",
        "ramp": "more and more calls at once while there is no sign of delay",
        "drain": "fewer calls at once than are out, until the queue is gone",
        "cruise": "as many calls at once as keep a short queue",
        "probe": "fewer calls at once for a moment, to learn the latency without a queue",
        "shed": "fresh alone is too much: few fresh calls at once, and hardly any backlog",
    }
)
"""What a governor does in each state, and with that why it holds a backlog back: the breaker's two
states that are not closed, then the release's modes, in their order."""
_WAITS_FOR = {
    Mode.TRICKLE: "clean results, a few calls at once",
    Mode.RAMP: "the first sign of delay, or the end of the backlog",
    Mode.DRAIN: "the queue to empty",
    Mode.CRUISE: "the end of the backlog",
    Mode.PROBE: "the latency without a queue",
    Mode.SHED: "fresh alone to be answered in time",
}


class View(NamedTuple):
    """Where one dependency stands."""

    phase: Phase
    mode: Mode
    held: str
    """Reason for which a backlog call would be refused now, or empty."""
    waits_for: str
    """What has to happen next, in words that stay the same while it waits for the same."""
    takes: str
    """How far that is off, in numbers; empty where the law does not say."""
    retry_at: float | None
    """When a refused backlog call may ask again, or None when it would be let in."""
    rate_per_s: float
    """Pace of the backlog."""
    in_flight: int
    """Calls out, of both lanes."""
    in_flight_max: float
    """The backlog may call while fewer are out."""
    fresh_in_flight_max: float
    """Fresh may call while fewer of its own are out; infinite unless fresh alone is too much."""
    retries_left: float
    """Infinite without a budget."""
    learnt: Mapping[str, Any]
    """The law's own numbers, by the names of its state."""

    @property
    def state(self) -> str:
        """`open` or `half_open` while the breaker is, else the release's mode: of `MEANINGS`."""
        return (self.mode if self.phase is Phase.CLOSED else self.phase).name.lower()


def view(state: Governor, *, now: float) -> View:
    """Say where the dependency stands and what it waits for."""
    _, answer = governor.admit(state, lane=Lane.BACKLOG, retry=False, now=now, chance=0.0)
    held, retry_at = ("", None) if isinstance(answer, Permit) else (answer.reason, answer.retry_at)
    budget, release = state.policy.budget, state.release
    waits_for, takes = _waiting(state, now=now)
    return View(
        phase=Phase(state.breaker.phase),
        mode=Mode(release.mode),
        held=held,
        waits_for=waits_for,
        takes=takes,
        retry_at=retry_at,
        rate_per_s=release.rate_per_s,
        in_flight=governor.in_flight(state, now=now),
        in_flight_max=release.in_flight_max,
        fresh_in_flight_max=release.fresh_in_flight_max,
        retries_left=math.inf if budget is None else budgets.left(state.budget, budget, now=now),
        learnt=dict(list(release._asdict().items())[DECISION_FIELDS:]),  # pyright: ignore[reportPrivateUsage]  # a NamedTuple of some law
    )


def _waiting(state: Governor, *, now: float) -> tuple[str, str]:
    """What it waits for, and how far that is off."""
    breaker, release, law = state.breaker, state.release, state.policy.law
    if breaker.phase == Phase.OPEN:
        return "the breaker's open time to pass", _seconds(breaker.retry_at - now)
    if breaker.phase == Phase.HALF_OPEN:
        return "probes to succeed", f"{breaker.streak} of {state.limits.probe_limit} probes"
    if now < state.hold_until_at:
        return "the time that the dependency named", _seconds(state.hold_until_at - now)
    mode = Mode(release.mode)
    if not (isinstance(release, Release) and isinstance(law, ReleasePolicy)):
        return _WAITS_FOR[mode], ""
    if mode == Mode.RAMP and is_idle(release, now=now):
        return "a backlog", ""
    return _WAITS_FOR[mode], _takes(release, law, mode, now=now)


def _takes(release: Release, law: ReleasePolicy, mode: Mode, *, now: float) -> str:
    """Say what our law would need to see to leave its mode."""
    if mode == Mode.SHED:
        return _takes_to_free(release, law)
    if mode == Mode.TRICKLE:
        return f"{release.clean} of {law.clean_results} clean answers"
    if release.is_failing == 1:
        return f"errors to fall to their floor, {release.error_floor:.1%}"
    if mode == Mode.PROBE:
        probe_s = max(PROBE_S_MIN, PROBE_TRIPS * release.mean_s)
        return _seconds(release.since_at + probe_s - now)
    delay, target = f"queueing delay {release.delay_s:.3g} s", f"{release.target_s:.3g} s"
    if mode == Mode.RAMP:
        return f"{delay} to pass {RAMP_BRAKE * release.target_s:.3g} s"
    is_late = mode == Mode.DRAIN or release.delay_s > release.target_s
    return f"{delay} to fall below {target}" if is_late else f"{delay}, held at {target}"


def _takes_to_free(release: Release, law: ReleasePolicy) -> str:
    """Say what would let all fresh calls in again."""
    if release.is_failing == 1:
        return "errors to stop"
    calm_s = max(release.target_s, SHED_DELAY * law.timeout_s)
    intervals = f"hardly a fresh call refused for {SHED_CALM + 1 - release.calm} intervals"
    if release.delay_s < calm_s:
        return intervals
    return f"queueing delay {release.delay_s:.3g} s to fall below {calm_s:.3g} s, {intervals}"


def _seconds(span_s: float) -> str:
    return f"{max(0.0, span_s):.3g} s"
