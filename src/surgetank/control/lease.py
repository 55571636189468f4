"""What a worker brings to a governor that many share, what it takes away, and what is kept.

Every instant of a state is on the clock of whoever keeps it, the ledger; `Offset` learns how far a
worker's own is from that, and `shifted` translates.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from surgetank.control.evidence import Evidence
from surgetank.control.governor import Governor
from surgetank.core.errors import InvalidInputError
from surgetank.core.value import Lane, OutcomeKind

WORKERS_MAX = 1_000
"""Workers that share one dependency; more would make each exchange read and write 100 KB."""
WANTS_MAX = 10_000
"""Calls that a worker may want at once: more than any lease holds."""
RETRIES_MAX = 1_000_000
"""Retries that a lease holds where no budget bounds them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharePolicy:
    """How a governor is shared; raises `InvalidInputError` if out of range."""

    ahead_s: float = 0.1
    """Farthest instant of a permit, in seconds; above 0. A cut of the rate is obeyed after that."""
    grace_s: float = 0.01
    """Seconds after its instant for which a permit is still good at least; 0 or more. What is late
    is made in a bunch: a tenth of `ahead_s` keeps any such span within a tenth of the rate."""
    report_s: float = 0.5
    """Seconds between the exchanges of a worker that calls and has no backlog; above 0. The
    shortest interval by which a law decides. Grows with the number of workers."""
    lease_s: float = 2.0
    """Seconds after its next exchange is due when a worker is taken for gone; above 0. Four
    exchanges may fail before."""
    half_life_s: float = 30.0
    """Without a ledger the pace of a worker's share halves in that time; above 0. In five minutes
    it is a thousandth: nobody then knows what the others do."""
    floor_per_s: float = 0.01
    """A pace that fell below that many calls a second, without a ledger, is none; 0 or more."""

    def __post_init__(self) -> None:
        spans_s = (self.ahead_s, self.report_s, self.lease_s, self.half_life_s)
        if not (min(spans_s) > 0 and self.grace_s >= 0 and self.floor_per_s >= 0):
            raise InvalidInputError(f"out of range: {self}")


class Member(NamedTuple):
    """What is known of one worker since it last came."""

    worker: str
    until: float
    """Forgotten then."""
    back_at: float
    """Its next turn, or its next report."""
    served_at: float
    """When it last got all that it wanted, or some of it."""
    wants: int
    """Backlog calls that it would make."""
    claims: int
    """Calls of both lanes that are out, and permits for calls to come."""
    fresh_needs: int
    """Fresh calls that it would have out at once."""
    fresh_held: int
    """Fresh calls that it may have out at once while they are bounded, or has out."""


class Shared(NamedTuple):
    """The state of a dependency's governor that workers share: a value to store."""

    at: float
    """When it was last exchanged."""
    leased_to_at: float
    """The end of what was given out of the line of time."""
    governor: Governor
    members: tuple[Member, ...]
    """By name; at most `WORKERS_MAX`."""


class Report(NamedTuple):
    """What a worker brings: of one dependency, since it last came."""

    worker: str
    """Its name, at most 100 characters: its own as long as it lives, and no other's."""
    epoch: int
    """Of the permits whose calls are in `evidence` and `results`."""
    evidence: Evidence
    """What its calls add to the evidence."""
    results: tuple[OutcomeKind, ...] = ()
    """How the latest ended, oldest first; at most the breaker's window."""
    retry_at: float = -math.inf
    """The latest instant that the dependency named."""
    fresh_out: int = 0
    backlog_out: int = 0
    pending: int = 0
    """Permits for instants to come."""
    wants: int = 0
    """Backlog calls that it would make now, from 0 to `WANTS_MAX`."""
    fresh_needs: int = 0
    """Fresh calls that it would have out at once, from 0 to `WANTS_MAX`; 0 when nobody asked."""
    debt: int = 0
    """Calls that the pace was not charged for yet; below 0 when it was charged for too many."""
    retries_wanted: int = 0
    retries_unused: int = 0
    probes_unused: int = 0
    is_leaving: bool = False


class Lease(NamedTuple):
    """What a worker may do until it comes again."""

    governor: Governor
    """As the exchange left it: its breaker's phase and epoch, and what its law has decided."""
    start_at: float
    """Instant of the first permit."""
    every_s: float
    """Seconds from one instant to the next; above 0."""
    permits: int
    """Of the backlog; 0 or more."""
    reason: str
    """Why there are no more: a refusal's."""
    probe: Lane | None
    """The lane of the one probe that it may make, if any."""
    fresh_max: float
    """Its own fresh calls below which it may make another; infinite unless fresh is bounded."""
    retries: int
    """Retries that it may make, more than it has."""
    share_per_s: float
    """Its part of the pace, to go by when there is no ledger."""
    share_in_flight: float
    """Its part of the window, likewise."""
    back_at: float
    """Come again then, or sooner."""
    until: float
    """All of it ends then."""


def shifted(lease: Lease, *, by_s: float) -> Lease:
    """Translate a lease to another clock, which says `by_s` more."""
    return lease._replace(
        governor=governor_shifted(lease.governor, by_s),
        start_at=lease.start_at + by_s,
        back_at=lease.back_at + by_s,
        until=lease.until + by_s,
    )


class Offset(NamedTuple):
    """How far the ledger's clock is ahead of a worker's: between two bounds, in seconds.

    The ledger read its clock after the worker sent and before it got the answer. Each exchange
    gives such bounds, and what lies within all of them is closer than any one. Source: F. Cristian,
    "Probabilistic clock synchronization", 1989.
    """

    least_s: float = -math.inf
    most_s: float = math.inf

    def seen(self, *, ledger_at: float, sent_at: float, got_at: float) -> "Offset":
        """Learn from an exchange; bounds that exclude the old ones replace them: a clock was set."""
        least_s, most_s = ledger_at - got_at, ledger_at - sent_at
        both = Offset(max(self.least_s, least_s), min(self.most_s, most_s))
        return both if both.least_s <= both.most_s else Offset(least_s, most_s)

    @property
    def middle_s(self) -> float:
        """The best guess; 0 before the first exchange."""
        return 0.5 * (self.least_s + self.most_s) if math.isfinite(self.least_s) else 0.0


def governor_shifted(state: Governor, by_s: float) -> Governor:
    """Move every instant of a governor."""
    moved: Governor = _instants_shifted(state, by_s)
    return moved._replace(
        breaker=_instants_shifted(state.breaker, by_s),
        budget=_instants_shifted(state.budget, by_s),
        release=_instants_shifted(state.release, by_s),
        evidence=_instants_shifted(state.evidence, by_s),
    )


def _instants_shifted(value: Any, by_s: float) -> Any:
    """Move the fields that are instants: by their names, which end in `_at`."""
    names = (name for name in value._fields if name.endswith("_at"))
    return value._replace(**{name: getattr(value, name) + by_s for name in names})
