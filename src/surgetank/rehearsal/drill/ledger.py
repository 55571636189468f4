"""The ledger of a run: what was wanted, what was tried, and what became of it."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

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
    COALESCED = "coalesced"
    """Withdrawn, because whoever wanted it had gone; what its steps had made by then is left behind."""
    LOST = "lost"
    """Acknowledged, and in no other state at the end."""


CALLED = "called"
WAITS = "waits"


class Moment(NamedTuple):
    """One thing that happened to an operation."""

    at: float
    step: str
    """The step that it concerns; empty for the whole operation."""
    what: str
    """`called`, what became of the call (`ok`, `blocked`...), `waits`, or the operation's fate."""
    why: str = ""
    """The reason, for people."""
    until: float | None = None
    """Of `waits`: the instant from which it may be tried."""


@dataclass(slots=True, kw_only=True)
class Wanted:
    """One operation, as the one who wanted it knows it."""

    key: str
    fleet: str
    region: str
    is_own: bool
    is_covered: bool
    """Whether the variant's safeguards carry it."""
    way: str
    """How its machines read artifacts: `anonymous`, `sas`..."""
    submitted_at: float
    deadline_at: float
    first_is_ok: bool | None = None
    fate: Fate = Fate.OPEN
    ended_at: float | None = None
    is_waiting: bool = False
    moments: list[Moment] = field(default_factory=list[Moment])
    """What happened to it, in order of time."""


@dataclass(slots=True)
class Ledger:
    """Counts and first attempts, in order of time."""

    clock: Clock
    trace: Trace
    wanted: list[Wanted] = field(default_factory=list[Wanted])
    tokens: dict[str, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    consumed: dict[str, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    """First attempts by the fleet of whoever asked; those of new machines are under their own."""
    own_tokens: list[Attempt] = field(default_factory=list[Attempt])
    token_tries: dict[str, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter[str])
    waiting: Counter[str] = field(default_factory=Counter[str])
    """Operations of orchestrators without a governor that wait to be tried again, by region."""

    def submit(self, wanted: Wanted) -> Wanted:
        """Enter an operation that somebody wants now."""
        now = self.clock.now()
        self.wanted.append(wanted)
        self.trace.note(now, "submitted", wanted.key)
        return wanted

    def first_attempt(self, wanted: Wanted, *, is_ok: bool) -> None:
        """Enter how the first attempt ended; later ones change nothing."""
        if wanted.first_is_ok is None:
            wanted.first_is_ok = is_ok

    def wait(
        self, wanted: Wanted, *, is_waiting: bool, why: str = "", until: float | None = None
    ) -> None:
        """Enter that an operation began or stopped waiting to be tried again."""
        if is_waiting:
            self.moment(wanted, "", WAITS, why, until)
        if wanted.is_waiting is not is_waiting:
            wanted.is_waiting = is_waiting
            self.waiting[wanted.region] += 1 if is_waiting else -1

    def moment(
        self, wanted: Wanted, step: str, what: str, why: str = "", until: float | None = None
    ) -> None:
        """Enter that something happened to an operation now."""
        wanted.moments.append(Moment(self.clock.now(), step, what, why, until))

    def end(self, wanted: Wanted, fate: Fate) -> None:
        """Enter the end of an operation."""
        assert wanted.fate is Fate.OPEN, f"{wanted.key} ended twice"
        self.first_attempt(wanted, is_ok=fate is Fate.SUCCEEDED)
        self.wait(wanted, is_waiting=False)
        wanted.fate = fate
        wanted.ended_at = self.clock.now()
        self.moment(wanted, "", fate.value)
        self.trace.note(wanted.ended_at, fate.value, wanted.key)

    def token_watch(
        self, region: str, *, is_own: bool, consumer: str
    ) -> Callable[[TokenTry], None]:
        """Give the observer of the tries for tokens of one client, which is part of `consumer`."""
        firsts, tries = self.tokens[region], self.token_tries[region]
        consumed = self.consumed[consumer]
        clock, counts, trace, own = self.clock, self.counts, self.trace, self.own_tokens

        def watch(one: TokenTry) -> None:
            now = clock.now()
            attempt = Attempt(now, one.is_ok)
            tries.append(attempt)
            counts["calls"] += 1
            if one.is_first:
                counts["steps"] += 1
                firsts.append(attempt)
                consumed.append(attempt)
                if is_own:
                    own.append(attempt)
            trace.note(now, "token", region, one.is_ok)

        return watch

    def call(self, wanted: Wanted, step: str, *, is_first: bool) -> None:
        """Enter a call of the control plane for a step."""
        self.counts["calls"] += 1
        self.counts["steps"] += is_first
        self.moment(wanted, step, CALLED)

    def answer(self, wanted: Wanted, step: str, what: str, why: str) -> None:
        """Enter what became of a call."""
        self.moment(wanted, step, what, why)

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
