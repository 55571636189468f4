"""What a run looked like over time, one row a minute: for the plots."""

from dataclasses import dataclass, field

from surgetank.control.view import View
from surgetank.core.operation import OperationState
from surgetank.core.ports import Clock
from surgetank.rehearsal.drill.ledger import Ledger
from surgetank.rehearsal.drill.protection import Protection
from surgetank.rehearsal.drill.world import RegionWorld, World

EVERY_S = 60.0


@dataclass(slots=True)
class RegionSeries:
    """Columns of one region, as long as the instants of the series; counts are of the minute."""

    backlog: list[int] = field(default_factory=list[int])
    """Operations that wait to be tried (again)."""
    reads: list[int] = field(default_factory=list[int])
    """Reads of artifacts that reached the storage account."""
    reads_refused: list[int] = field(default_factory=list[int])
    """Those of them that were refused."""
    tokens_tried: list[int] = field(default_factory=list[int])
    """Tries for tokens that ended, as their callers saw it."""
    tokens_failed: list[int] = field(default_factory=list[int])
    """Those of them that brought none; the others are goodput."""
    tokens_offered: list[int] = field(default_factory=list[int])
    """Calls that reached the token service: offered load."""
    tokens_served: list[int] = field(default_factory=list[int])
    """Calls whose work it did, whether anybody still waited or not."""
    queue_s: list[float] = field(default_factory=list[float])
    """Seconds until a call that arrives at the token service would start."""
    live_ratio: list[float] = field(default_factory=list[float])
    """Speed of its nodes, over that of the starting nodes when warm."""


@dataclass(slots=True)
class GovernorSeries:
    """Columns of one governed dependency, from the minute in which it was first asked for."""

    first_row: int
    """Row of the series that the columns begin at."""
    mode: list[str] = field(default_factory=list[str])
    """Its `View.state`: `open` or `half_open` while the breaker is, else the release's mode."""
    rate_per_s: list[float | None] = field(default_factory=list[float | None])
    """Pace of the backlog; None without a bound."""
    waits_for: list[str] = field(default_factory=list[str])
    """What has to happen next, in words."""
    takes: list[str] = field(default_factory=list[str])
    """How far that is off, in numbers; empty where the law does not say."""

    def changes(self) -> list[int]:
        """Rows of the columns in which its mode, or what it waits for, is another than before."""
        states = list(zip(self.mode, self.waits_for, strict=True))
        return [row for row, state in enumerate(states) if row == 0 or state != states[row - 1]]


@dataclass(slots=True)
class Series:
    """A row a minute."""

    at: list[float] = field(default_factory=list[float])
    """The instants; each row is of the minute that ends then."""
    regions: dict[str, RegionSeries] = field(default_factory=dict[str, RegionSeries])
    governors: dict[str, GovernorSeries] = field(default_factory=dict[str, GovernorSeries])
    """By dependency, as `identity@eastus`; empty without governors."""

    @property
    def backlog(self) -> list[int]:
        """Operations that wait to be tried (again), in all regions."""
        return [
            sum(row) for row in zip(*(one.backlog for one in self.regions.values()), strict=True)
        ]


@dataclass(slots=True)
class _Totals:
    """What was counted in a region before the present minute."""

    reads: int = 0
    reads_refused: int = 0
    tried: int = 0
    offered: int = 0
    served: int = 0


async def sample(
    series: Series, world: World, ledger: Ledger, protection: Protection, clock: Clock
) -> None:
    """Write a row each minute, for ever."""
    before = {region: _Totals() for region in world.regions}
    series.regions = {region: RegionSeries() for region in world.regions}
    due_at = clock.now()
    while True:
        due_at += EVERY_S
        await clock.sleep_until(due_at)
        series.at.append(due_at)
        for name, here in world.regions.items():
            row = series.regions[name]
            row.backlog.append(ledger.waiting[name] + await _waiting(protection, name))
            _count(row, here, ledger, before[name])
        for permits in protection.permits.values():
            for dependency, view in permits.views().items():
                _view(series, dependency, view)


def _count(row: RegionSeries, here: RegionWorld, ledger: Ledger, before: _Totals) -> None:
    tries = ledger.token_tries[here.name]
    counts = here.station.counts
    now = _Totals(here.reads, here.reads_refused, len(tries), counts.offered, counts.served)
    row.reads.append(now.reads - before.reads)
    row.reads_refused.append(now.reads_refused - before.reads_refused)
    row.tokens_tried.append(now.tried - before.tried)
    row.tokens_failed.append(sum(not one.is_ok for one in tries[before.tried :]))
    row.tokens_offered.append(now.offered - before.offered)
    row.tokens_served.append(now.served - before.served)
    row.queue_s.append(here.station.queue_s())
    row.live_ratio.append(here.station.live_ratio())
    before.reads, before.reads_refused = now.reads, now.reads_refused
    before.tried, before.offered, before.served = now.tried, now.offered, now.served


def _view(series: Series, dependency: str, view: View) -> None:
    found = series.governors.get(dependency)
    if found is None:
        found = series.governors[dependency] = GovernorSeries(len(series.at) - 1)
    found.mode.append(view.state)
    found.rate_per_s.append(view.rate_per_s if view.rate_per_s < float("inf") else None)
    found.waits_for.append(view.waits_for)
    found.takes.append(view.takes)


async def _waiting(protection: Protection, region: str) -> int:
    """Operations of a region that the safeguards hold back."""
    operations = protection.operations.get(region)
    if operations is None:
        return 0
    counts = await operations.counts()
    return counts[OperationState.READY] + counts[OperationState.WAITING]
