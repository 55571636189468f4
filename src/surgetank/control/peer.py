"""The laws of others, on the same interface: what ours is compared with.

`Sdk` is what happens today: no release at all, only each caller's own backoff. `Steps` and
`Doubling` are what operators do by hand after an incident. All three are given what ours has
(learnt healthy rate, the same evidence), so that only the law differs.
"""

import math
from dataclasses import dataclass, field

from surgetank.control.evidence import Interval
from surgetank.control.release import ReleasePolicy
from surgetank.control.signal import Mode, Release, sense
from surgetank.core.errors import InvalidInputError

UNPACED_PER_S = 1e9
"""A rate that holds nothing back, calls per second."""
UNLIMITED = 1_000_000_000
"""Calls at once that hold nothing back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdk:
    """No release: everything at once. Give its governor no breaker and no budget either."""

    def start(self, *, now: float) -> Release:
        """See `Law`."""
        return Release(int(Mode.RAMP), UNPACED_PER_S, UNLIMITED, 1.0, math.inf, since_at=now)

    def step(self, state: Release, interval: Interval) -> Release:
        """See `Law`: learns nothing."""
        del interval
        return state

    def opened(self, state: Release, *, is_overload: bool, now: float) -> Release:
        """See `Law`: changes nothing."""
        del is_overload, now
        return state

    def closed(self, state: Release, *, probes: int, now: float) -> Release:
        """See `Law`: changes nothing."""
        del probes, now
        return state


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Fixed steps of the healthy rate, each taken when the last one went well.

    Goes on past 100% as long as it is healthy, which no operator would; it favours this peer.
    Source: Roblox, October 2021: players admitted in steps of about 10%, each gated on load.
    """

    step_share: float = 0.1
    """Size of a step, as a share of the healthy rate; above 0, at most 1."""
    step_s: float = 60.0
    """Seconds that a step must have been healthy; above 0."""
    error_ratio_max: float = 0.05
    """Error ratio above which a step is not healthy; from 0 to 1."""
    learning: ReleasePolicy = field(default_factory=ReleasePolicy)
    """How signals are learnt; as ours."""

    def __post_init__(self) -> None:
        _check(self, step_s=self.step_s, error_ratio_max=self.error_ratio_max)
        if not 0 < self.step_share <= 1:
            raise InvalidInputError(f"out of range: {self}")

    def start(self, *, now: float) -> Release:
        """See `Law`."""
        return self._at(_blank(now=now), steps=1, now=now)

    def step(self, state: Release, interval: Interval) -> Release:
        """See `Law`: one step up after `step_s` of health, and no step down but by the breaker."""
        seen = sense(state, interval, self.learning.parameters())
        now = interval.ended_at
        if _error_ratio(interval) > self.error_ratio_max:
            return seen._replace(since_at=now)
        steps = seen.clean + (now - seen.since_at >= self.step_s)
        return self._at(seen, steps=steps, now=now if steps > seen.clean else seen.since_at)

    def opened(self, state: Release, *, is_overload: bool, now: float) -> Release:
        """See `Law`: back to the first step."""
        del is_overload
        return self._at(state, steps=1, now=now)

    def closed(self, state: Release, *, probes: int, now: float) -> Release:
        """See `Law`."""
        del probes
        return state._replace(since_at=now, delivered_per_s=0.0)

    def _at(self, state: Release, *, steps: int, now: float) -> Release:
        rate_per_s = steps * self.step_share * _reference(state, self.learning)
        return state._replace(clean=steps, rate_per_s=rate_per_s, since_at=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubling:
    """Twice the rate each minute while healthy, half of it when not.

    Source: common runbooks ("double it every minute and watch errors"), as in our study of laws.
    """

    start_share: float = 0.1
    """First rate, as a share of the healthy rate; above 0, at most 1."""
    double_s: float = 60.0
    """Seconds of health that double the rate; above 0."""
    halve_s: float = 10.0
    """Least seconds between halvings; above 0."""
    error_ratio_max: float = 0.1
    """Error ratio above which the rate is halved; from 0 to 1."""
    learning: ReleasePolicy = field(default_factory=ReleasePolicy)
    """How signals are learnt; as ours."""

    def __post_init__(self) -> None:
        _check(self, step_s=min(self.double_s, self.halve_s), error_ratio_max=self.error_ratio_max)
        if not 0 < self.start_share <= 1:
            raise InvalidInputError(f"out of range: {self}")

    def start(self, *, now: float) -> Release:
        """See `Law`."""
        return self._first(_blank(now=now), now=now)

    def step(self, state: Release, interval: Interval) -> Release:
        """See `Law`."""
        seen = sense(state, interval, self.learning.parameters())
        now = interval.ended_at
        elapsed_s = now - seen.since_at
        if _error_ratio(interval) > self.error_ratio_max and elapsed_s >= self.halve_s:
            rate_per_s = max(self.learning.rate_per_s_min, 0.5 * seen.rate_per_s)
        elif elapsed_s >= self.double_s:
            rate_per_s = min(UNPACED_PER_S, 2.0 * seen.rate_per_s)
        else:
            return seen
        return seen._replace(rate_per_s=rate_per_s, since_at=now)

    def opened(self, state: Release, *, is_overload: bool, now: float) -> Release:
        """See `Law`: back to the first rate."""
        del is_overload
        return self._first(state, now=now)

    def closed(self, state: Release, *, probes: int, now: float) -> Release:
        """See `Law`."""
        del probes
        return state._replace(since_at=now, delivered_per_s=0.0)

    def _first(self, state: Release, *, now: float) -> Release:
        rate_per_s = self.start_share * _reference(state, self.learning)
        return state._replace(rate_per_s=rate_per_s, since_at=now)


def _blank(*, now: float) -> Release:
    return Release(int(Mode.RAMP), UNPACED_PER_S, UNLIMITED, 1.0, math.inf, since_at=now)


def _reference(state: Release, learning: ReleasePolicy) -> float:
    learnt = state.healthy_per_s if state.healthy_per_s > 0 else learning.rate_per_s_unlearnt
    return max(learning.rate_per_s_min, learnt)


def _error_ratio(interval: Interval) -> float:
    return interval.bad / (interval.ok + interval.bad)


def _check(policy: object, *, step_s: float, error_ratio_max: float) -> None:
    if not step_s > 0 or not 0 <= error_ratio_max <= 1:
        raise InvalidInputError(f"out of range: {policy}")
