"""The fleet at work: creates and token calls arrive, and go the way of their variant.

Yours is the same work in every variant: every n-th arrival. Covered is what the safeguards carry.
"""

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field

from surgetank.cloud.client import TokenClient
from surgetank.core.operation import NewOperation, OperationState, Step
from surgetank.core.ports import Chance, Clock
from surgetank.rehearsal.drill.ledger import Fate, Ledger, Moment, Wanted
from surgetank.rehearsal.drill.orchestrator import Orchestrator
from surgetank.rehearsal.drill.protection import CONNECTIONS_MAX, Protection
from surgetank.rehearsal.drill.request import StepRequest, steps_of
from surgetank.rehearsal.drill.world import VERSION, World
from surgetank.rehearsal.scenario.fleet import arrivals, is_in_share, spread_s
from surgetank.rehearsal.scenario.schema import Creates, Fleet, Readers, Scenario, Seat, Variant
from surgetank.runtime.simulation.chance import stream
from surgetank.safeguards.operations.record import Record, identify

_FATES = {
    OperationState.SUCCEEDED: Fate.SUCCEEDED,
    OperationState.FAILED: Fate.FAILED,
    OperationState.EXPIRED: Fate.EXPIRED,
    OperationState.UNKNOWN: Fate.UNKNOWN,
}


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
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def run(self) -> None:
        """Let everything arrive."""
        async with asyncio.TaskGroup() as group:
            for fleet in self.scenario.fleet:
                for region in self.scenario.cloud.regions:
                    if isinstance(fleet, Creates):
                        group.create_task(self._feed_creates(fleet, region))
                    else:
                        group.create_task(self._feed_readers(fleet, region))

    async def settle(self) -> None:
        """Enter what the stores say of every operation that the safeguards took on."""
        for wanted in self.ledger.wanted:
            if wanted.key not in self.protection.covered or self.variant.release is None:
                continue
            operations = self.protection.operations[wanted.region]
            record = await operations.get(identify(wanted.key))
            _settle(wanted, record)
            tries = 0 if record is None else sum(one.tries for one in record.progress)
            self.ledger.trace.note(wanted.ended_at or 0.0, wanted.fate.value, wanted.key, tries)

    async def _feed_creates(self, fleet: Creates, region: str) -> None:
        here = self.world.regions[region]
        orchestrator = self._orchestrator(fleet, region)
        chance = stream(self.seed, f"extensions {fleet.name} {region}")
        for index, at in enumerate(self._arrivals(fleet, region)):
            await self.clock.sleep_until(at)
            name = f"{fleet.name}-{region}-{index}"
            is_own, is_covered = self._shares(index)
            if is_own:
                self.world.own.add(name)
            if is_covered:
                self.protection.covered.add(name)
            wanted = self.ledger.submit(
                Wanted(
                    key=name,
                    fleet=fleet.name,
                    region=region,
                    is_own=is_own,
                    is_covered=is_covered,
                    way="anonymous",
                    submitted_at=at,
                    deadline_at=at + fleet.deadline_s,
                )
            )
            steps = steps_of(
                fleet,
                name,
                region=region,
                host=here.compute.host,
                manifest_url=here.manifests[int(chance.random() * len(here.manifests))],
                version=VERSION,
            )
            if is_covered and self.variant.release is not None:
                await self._submit(wanted, steps, patience_s=fleet.patience_s)
            else:
                self._start(orchestrator.run(wanted, steps))

    async def _submit(
        self, wanted: Wanted, steps: tuple[StepRequest, ...], *, patience_s: float
    ) -> None:
        self.protection.wanted[identify(wanted.key)] = wanted
        new = NewOperation(
            key=wanted.key,
            kind="create",
            region=wanted.region,
            steps=tuple(_durable(step) for step in steps),
            deadline_at=wanted.submitted_at + patience_s,
        )
        await self.protection.operations[wanted.region].submit(new)

    async def _feed_readers(self, fleet: Readers, region: str) -> None:
        count = max(1, round(fleet.nodes * self.scenario.cloud.regions[region].size))
        nodes = [self._reader(region, f"node-{region}-{number}", number) for number in range(count)]
        own = self._reader(region, f"own-{region}", None)
        chance = stream(self.seed, f"reader {fleet.name} {region}")
        for index, at in enumerate(self._arrivals(fleet, region)):
            await self.clock.sleep_until(at)
            is_own, _ = self._shares(index)
            client = own if is_own else nodes[index % count]
            self._start(self._read(client, fleet, chance))

    def _reader(self, region: str, name: str, number: int | None) -> TokenClient:
        """A running node; `number` is None for yours."""
        share = self.variant.share
        if number is None:
            is_covered = share > 0
        else:
            is_covered = self.variant.seat is not Seat.YOU and is_in_share(number, share)
        if is_covered:
            self.protection.covered.add(name)
        return self.world.token_client(region, name, is_own=number is None)

    async def _read(self, client: TokenClient, fleet: Readers, chance: Chance) -> None:
        """A process on a node asks for a token, and starts again when it got none."""
        gives_up_at = self.clock.now() + fleet.patience_s
        is_again = False
        while not await client.get("resource-0", is_again=is_again):
            is_again = True
            pause_s = spread_s(fleet.retry_s, chance=chance.random())
            retry_at = self.clock.now() + pause_s
            if retry_at > gives_up_at:
                return
            await self.clock.sleep_until(retry_at)

    def _orchestrator(self, fleet: Creates, region: str) -> Orchestrator:
        return Orchestrator(
            http=self.world.network.client(
                f"orchestrator.{region}", connections_max=CONNECTIONS_MAX
            ),
            clock=self.clock,
            chance=stream(self.seed, f"orchestrator {fleet.name} {region}"),
            ledger=self.ledger,
            retry_s=fleet.retry_s,
            retry_s_max=fleet.retry_s,
            patience_s=fleet.patience_s,
        )

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

    def _shares(self, index: int) -> tuple[bool, bool]:
        """Whether an arrival is yours, and whether it is covered."""
        is_own = is_in_share(index, self.scenario.own_share)
        if self.variant.seat is Seat.YOU:
            return is_own, is_own
        return is_own, is_in_share(index, self.variant.share)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _durable(step: StepRequest) -> Step:
    """A step of a durable operation: a PUT may be made twice, says Resource Manager."""
    arguments = json.dumps({"method": "PUT", "url": step.url, "body": json.loads(step.body)})
    return Step(step.name, step.dependency, "http", arguments, is_repeatable=True)


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
