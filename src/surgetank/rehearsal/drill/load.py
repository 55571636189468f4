"""The fleet at work: creates, pods, jobs and token calls arrive, and go the way of their variant."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field

from surgetank.cloud.client import TokenClient
from surgetank.cloud.pool import NodePool, RunnerPool
from surgetank.core.operation import OperationState
from surgetank.core.ports import Chance, Clock
from surgetank.rehearsal.drill.ledger import Fate, Ledger, Moment, Wanted
from surgetank.rehearsal.drill.maker import Maker
from surgetank.rehearsal.drill.protection import Protection
from surgetank.rehearsal.drill.world import World
from surgetank.rehearsal.scenario.fleet import arrivals, is_in_share, spread_s
from surgetank.rehearsal.scenario.schema import (
    Creates,
    Fleet,
    Making,
    NodePools,
    Readers,
    RunnerPools,
    Scenario,
    Seat,
    Variant,
)
from surgetank.runtime.simulation.chance import stream
from surgetank.safeguards.operations.record import Record, identify

_FATES = {
    OperationState.SUCCEEDED: Fate.SUCCEEDED,
    OperationState.FAILED: Fate.FAILED,
    OperationState.EXPIRED: Fate.EXPIRED,
    OperationState.CANCELLED: Fate.COALESCED,
    OperationState.UNKNOWN: Fate.UNKNOWN,
}
Pool = NodePool | RunnerPool
_STRIDE = 37
"""Prime to every round share."""


@dataclass(slots=True)
class Load:
    """All of the fleet, in one run."""

    scenario: Scenario
    variant: Variant
    world: World
    protection: Protection
    ledger: Ledger
    clock: Clock
    seed: int
    pools: dict[str, list[Pool]] = field(default_factory=dict[str, list[Pool]])
    """Pools by the name of their fleet, region after region."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def run(self) -> None:
        """Let everything arrive."""
        async with asyncio.TaskGroup() as group:
            for fleet in self.scenario.fleet:
                for region in self.scenario.cloud.regions:
                    group.create_task(self._feed(fleet, region))

    async def settle(self) -> None:
        """Enter what the stores say of every operation that the safeguards took on."""
        for wanted in self.ledger.wanted:
            if not wanted.is_covered or self.variant.release is None:
                continue
            operations = self.protection.operations[wanted.region]
            record = await operations.get(identify(wanted.key))
            _settle(wanted, record)
            tries = 0 if record is None else sum(one.tries for one in record.progress)
            self.ledger.trace.note(wanted.ended_at or 0.0, wanted.fate.value, wanted.key, tries)

    async def _feed(self, fleet: Fleet, region: str) -> None:
        match fleet:
            case Creates():
                maker = self._maker(fleet, region)
                for at in self._arrivals(fleet, region):
                    await self.clock.sleep_until(at)
                    await maker.ask(fleet.instances)
            case NodePools() | RunnerPools():
                await self._feed_pools(fleet, region)
            case Readers():
                await self._feed_readers(fleet, region)

    async def _feed_pools(self, fleet: NodePools | RunnerPools, region: str) -> None:
        count = max(1, round(fleet.pools * self.scenario.cloud.regions[region].size))
        pools = [self._pool(fleet, self._maker(fleet, region, pool=n)) for n in range(count)]
        self.pools.setdefault(fleet.name, []).extend(pools)
        for index, at in enumerate(self._arrivals(fleet, region)):
            await self.clock.sleep_until(at)
            await pools[index % count].submit()

    def _pool(self, fleet: NodePools | RunnerPools, maker: Maker) -> Pool:
        if isinstance(fleet, NodePools):
            return NodePool(
                clock=self.clock,
                asker=maker,
                patience_s=fleet.work_patience_s,
                pods_per_node=fleet.pods_per_node,
            )
        return RunnerPool(
            clock=self.clock, asker=maker, patience_s=fleet.work_patience_s, idle_s=fleet.idle_s
        )

    async def _feed_readers(self, fleet: Readers, region: str) -> None:
        count = max(1, round(fleet.nodes * self.scenario.cloud.regions[region].size))
        nodes = [self._reader(fleet, region, number) for number in range(count)]
        own = self._reader(fleet, region, None)
        first = self._first(fleet, region)
        chance = stream(self.seed, f"reader {fleet.name} {region}")
        for index, at in enumerate(self._arrivals(fleet, region)):
            await self.clock.sleep_until(at)
            is_own = is_in_share(first + index, self.scenario.own_share)
            client = own if is_own else nodes[index % count]
            self._start(self._read(client, fleet, chance))

    def _reader(self, fleet: Readers, region: str, number: int | None) -> TokenClient:
        """A running node; `number` is None for yours."""
        share = self.variant.share
        if number is None:
            is_covered = share > 0
        else:
            place = self._first(fleet, region) + number
            is_covered = self.variant.seat is not Seat.YOU and is_in_share(place, share)
        name = f"{fleet.name}-{region}-{'own' if number is None else number}"
        if is_covered:
            self.protection.covered.add(name)
        return self.world.token_client(region, name, is_own=number is None, consumer=fleet.name)

    async def _read(self, client: TokenClient, fleet: Readers, chance: Chance) -> None:
        """A process on a node asks for a token, and starts again when it got none."""
        gives_up_at = self.clock.now() + fleet.patience_s
        ratio = self.scenario.cloud.retry_spread_ratio
        is_again = False
        while not await client.get("resource-0", is_again=is_again):
            is_again = True
            pause_s = spread_s(fleet.retry_s, ratio=ratio, chance=chance.random())
            retry_at = self.clock.now() + pause_s
            if retry_at > gives_up_at:
                return
            await self.clock.sleep_until(retry_at)

    def _maker(self, fleet: Making, region: str, *, pool: int | None = None) -> Maker:
        return Maker(
            self.scenario,
            self.variant,
            self.world,
            self.protection,
            fleet,
            region,
            self.seed,
            first=self._first(fleet, region),
            pool=pool,
        )

    def _first(self, fleet: Fleet, region: str) -> int:
        """Where a fleet of a region begins to count, so that no two fleets keep step."""
        fleets, regions = self.scenario.fleet, list(self.scenario.cloud.regions)
        return _STRIDE * (fleets.index(fleet) * len(regions) + regions.index(region))

    def _arrivals(self, fleet: Fleet, region: str) -> list[float]:
        start_at, end_at = self.scenario.start.timestamp(), self.scenario.end.timestamp()
        return list(
            arrivals(
                fleet,
                self.scenario.cloud.regions[region],
                self.scenario.cloud.demand,
                start_at=start_at,
                end_at=end_at,
                chance=stream(self.seed, f"arrivals {fleet.name} {region}"),
            )
        )

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _settle(wanted: Wanted, record: Record | None) -> None:
    if record is None:
        wanted.fate = Fate.LOST
        return
    wanted.fate = _FATES.get(record.state, Fate.OPEN)
    wanted.ended_at = record.finished_at
    if record.finished_at is not None:
        wanted.moments.append(Moment(record.finished_at, "", wanted.fate.value, record.detail))
    if wanted.fate is not Fate.OPEN:
        firsts = all(one.tries <= 1 and one.sleeps == 0 for one in record.progress)
        wanted.first_is_ok = firsts and wanted.fate is Fate.SUCCEEDED
