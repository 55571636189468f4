"""What a run looked like over time, one row a minute: for the plots."""

from dataclasses import dataclass, field

from surgetank.core.operation import OperationState
from surgetank.core.ports import Clock
from surgetank.rehearsal.drill.ledger import Ledger
from surgetank.rehearsal.drill.protection import Protection
from surgetank.rehearsal.drill.world import World

EVERY_S = 60.0


@dataclass(slots=True)
class Series:
    """Columns of equal length."""

    at: list[float] = field(default_factory=list[float])
    backlog: list[int] = field(default_factory=list[int])
    """Operations that wait to be tried (again)."""
    refused_reads: list[int] = field(default_factory=list[int])
    """Reads of artifacts refused in the minute, all regions."""
    tokens_tried: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """Tries for tokens that ended in the minute, by region."""
    tokens_failed: dict[str, list[int]] = field(default_factory=dict[str, list[int]])


async def sample(
    series: Series, world: World, ledger: Ledger, protection: Protection, clock: Clock
) -> None:
    """Write a row each minute, for ever."""
    refused = 0
    seen = dict.fromkeys(world.regions, 0)
    for region in world.regions:
        series.tokens_tried[region] = []
        series.tokens_failed[region] = []
    due_at = clock.now()
    while True:
        due_at += EVERY_S
        await clock.sleep_until(due_at)
        series.at.append(due_at)
        series.backlog.append(ledger.waiting + await _waiting(protection))
        total = sum(here.account.refused for here in world.regions.values())
        series.refused_reads.append(total - refused)
        refused = total
        for region in world.regions:
            tries = ledger.token_tries[region]
            new = tries[seen[region] :]
            seen[region] = len(tries)
            series.tokens_tried[region].append(len(new))
            series.tokens_failed[region].append(sum(not one.is_ok for one in new))


async def _waiting(protection: Protection) -> int:
    """Operations that the safeguards hold back."""
    waiting = 0
    for operations in protection.operations.values():
        counts = await operations.counts()
        waiting += counts[OperationState.READY] + counts[OperationState.WAITING]
    return waiting
