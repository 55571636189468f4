"""The ledger of a run: what was wanted, what was tried, and what became of it."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from surgetank.cloud.client import TokenTry
from surgetank.core.ports import Clock
from surgetank.rehearsal.drill.outage import Attempt
from surgetank.runtime.simulation.trace import Trace


class Fate(StrEnum):
    """Where a wanted operation stands; all but the first are final."""

    OPEN = "open"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    LOST = "lost"
    """Acknowledged, and in no other state at the end."""


@dataclass(slots=True)
class Wanted:
    """One operation, as the one who wanted it knows it."""

    key: str
    region: str
    is_own: bool
    submitted_at: float
    deadline_at: float
    first_is_ok: bool | None = None
    fate: Fate = Fate.OPEN
    ended_at: float | None = None
    is_waiting: bool = False


@dataclass(slots=True)
class Ledger:
    """Counts and first attempts, in order of time."""

    clock: Clock
    trace: Trace
    wanted: list[Wanted] = field(default_factory=list[Wanted])
    tokens: dict[str, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    own_tokens: list[Attempt] = field(default_factory=list[Attempt])
    token_tries: dict[str, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter[str])
    waiting: int = 0
    """Operations of orchestrators without a governor that wait to be tried again."""

    def submit(self, key: str, *, region: str, is_own: bool, deadline_s: float) -> Wanted:
        """Enter an operation that somebody wants now."""
        now = self.clock.now()
        wanted = Wanted(key, region, is_own, now, now + deadline_s)
        self.wanted.append(wanted)
        self.trace.note(now, "submitted", key)
        return wanted

    def first_attempt(self, wanted: Wanted, *, is_ok: bool) -> None:
        """Enter how the first attempt ended; later ones change nothing."""
        if wanted.first_is_ok is None:
            wanted.first_is_ok = is_ok

    def wait(self, wanted: Wanted, *, is_waiting: bool) -> None:
        """Enter that an operation began or stopped waiting to be tried again."""
        if wanted.is_waiting is not is_waiting:
            wanted.is_waiting = is_waiting
            self.waiting += 1 if is_waiting else -1

    def end(self, wanted: Wanted, fate: Fate) -> None:
        """Enter the end of an operation."""
        assert wanted.fate is Fate.OPEN, f"{wanted.key} ended twice"
        self.first_attempt(wanted, is_ok=fate is Fate.SUCCEEDED)
        self.wait(wanted, is_waiting=False)
        wanted.fate = fate
        wanted.ended_at = self.clock.now()
        self.trace.note(wanted.ended_at, fate.value, wanted.key)

    def token_watch(self, region: str, *, is_own: bool) -> Callable[[TokenTry], None]:
        """Give the observer of one client's tries for tokens."""
        firsts, tries = self.tokens[region], self.token_tries[region]
        clock, counts, trace, own = self.clock, self.counts, self.trace, self.own_tokens

        def watch(one: TokenTry) -> None:
            now = clock.now()
            attempt = Attempt(now, one.is_ok)
            tries.append(attempt)
            counts["calls"] += 1
            if one.is_first:
                counts["steps"] += 1
                firsts.append(attempt)
                if is_own:
                    own.append(attempt)
            trace.note(now, "token", region, one.is_ok)

        return watch

    def call(self, *, is_first: bool) -> None:
        """Enter a call of the control plane for a step."""
        self.counts["calls"] += 1
        self.counts["steps"] += is_first

    def success_ratio(self, region: str, *, since: float) -> float | None:
        """Share of tries for tokens that succeeded since an instant; None when there were none."""
        recent = 0
        oks = 0
        for attempt in reversed(self.token_tries[region]):
            if attempt.at < since:
                break
            recent += 1
            oks += attempt.is_ok
        return oks / recent if recent else None
