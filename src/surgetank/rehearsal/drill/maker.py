"""Makes the machines of one fleet or pool in one region, by the safeguards or as today.

Yours is every n-th create and every n-th pool; covered is what the safeguards carry. A pool is
wholly yours or not at all, and covered or not: its jobs and pods are the same in every variant, but
how many machines they ask for is not.
"""

import asyncio
import json
from dataclasses import dataclass, field

from surgetank.cloud.extension import VERSION
from surgetank.core.operation import NewOperation, OperationId, OperationState, Step
from surgetank.core.ports import Chance
from surgetank.rehearsal.drill.ledger import Fate, Wanted
from surgetank.rehearsal.drill.orchestrator import Orchestrator
from surgetank.rehearsal.drill.protection import CONNECTIONS_MAX, Protection
from surgetank.rehearsal.drill.request import StepRequest, steps_of
from surgetank.rehearsal.drill.world import World
from surgetank.rehearsal.scenario.fleet import is_in_share, way_of
from surgetank.rehearsal.scenario.schema import Making, Scenario, Seat, Variant
from surgetank.runtime.simulation.chance import stream
from surgetank.safeguards.operations.record import identify

_STRIDE = 37
"""Between the pools of a fleet, so that their machines do not all begin with one way of reading."""


@dataclass(frozen=True, slots=True)
class Order:
    """Machines that were asked for; see `cloud.pool.Ask`."""

    protection: Protection
    region: str
    operation_id: OperationId | None
    """None for an orchestrator without safeguards, which cannot be stopped."""
    ended: asyncio.Future[bool]

    async def done(self) -> bool:
        """Wait until the machines serve, or nobody works on it any more; whether they serve."""
        return await asyncio.shield(self.ended)

    async def withdraw(self) -> bool:
        """Say that nobody wants them now; False when they come all the same."""
        if self.operation_id is None:
            return False
        operations = self.protection.operations[self.region]
        record = await operations.cancel(self.operation_id, also_under_way=False)
        return record is not None and record.state is OperationState.CANCELLED


@dataclass(slots=True)
class Maker:
    """One fleet in one region."""

    scenario: Scenario
    variant: Variant
    world: World
    protection: Protection
    fleet: Making
    region: str
    seed: int
    first: int = 0
    """Number of its first operation: shares are dealt out over all fleets and regions together, so
    that even one in a hundred is met where each has fewer."""
    pool: int | None = None
    """Which pool of the fleet it makes machines for, from 0; None for a fleet without pools."""
    _orders: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _orchestrator: Orchestrator = field(init=False)
    _chance: Chance = field(init=False)

    def __post_init__(self) -> None:
        fleet = self.fleet
        self._chance = stream(self.seed, f"extensions {self._name}")
        self._orchestrator = Orchestrator(
            http=self.world.network.client(
                f"orchestrator.{self.region}", connections_max=CONNECTIONS_MAX
            ),
            clock=self.world.clock,
            chance=stream(self.seed, f"orchestrator {self._name}"),
            ledger=self.world.ledger,
            retry_s=fleet.retry_s,
            retry_s_max=fleet.retry_s_max or fleet.retry_s,
            retry_spread_ratio=self.scenario.cloud.retry_spread_ratio,
            patience_s=fleet.patience_s,
        )

    @property
    def _name(self) -> str:
        """What the names of its operations begin with."""
        name = f"{self.fleet.name}-{self.region}"
        return name if self.pool is None else f"{name}-{self.pool}"

    async def ask(self, machines: int) -> Order:
        """Ask for machines by one operation; it is taken in when this returns."""
        index = self._orders
        self._orders += 1
        wanted = self._enter(index)
        manifests = self.world.regions[self.region].manifests
        steps = steps_of(
            self.fleet,
            wanted.key,
            machines=machines,
            region=self.region,
            host=self.world.regions[self.region].compute.host,
            manifest_url=manifests[int(self._chance.random() * len(manifests))],
            version=VERSION,
        )
        ended = asyncio.get_running_loop().create_future()
        if wanted.is_covered and self.variant.release is not None:
            operation_id = await self._submit(wanted, steps, ended)
            return Order(self.protection, self.region, operation_id, ended)
        task = asyncio.get_running_loop().create_task(self._run(wanted, steps, ended))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return Order(self.protection, self.region, None, ended)

    def _enter(self, index: int) -> Wanted:
        now = self.world.clock.now()
        name = f"{self._name}-{index}"
        number = self.first + (index if self.pool is None else self.pool)
        place = self.first + _STRIDE * (self.pool or 0) + index
        is_own = is_in_share(number, self.scenario.own_share)
        is_covered = is_in_share(number, self.variant.share)
        if self.variant.seat is Seat.YOU:
            is_covered = is_own
        way = way_of(self.scenario.cloud.reads, place)
        self.world.ways[name] = way
        if is_own:
            self.world.own.add(name)
        if is_covered:
            self.protection.covered.add(name)
        return self.world.ledger.submit(
            Wanted(
                key=name,
                fleet=self.fleet.name,
                region=self.region,
                is_own=is_own,
                is_covered=is_covered,
                way=way,
                submitted_at=now,
                deadline_at=now + self.fleet.deadline_s,
            )
        )

    async def _run(
        self, wanted: Wanted, steps: tuple[StepRequest, ...], ended: asyncio.Future[bool]
    ) -> None:
        await self._orchestrator.run(wanted, steps)
        ended.set_result(wanted.fate is Fate.SUCCEEDED)

    async def _submit(
        self, wanted: Wanted, steps: tuple[StepRequest, ...], ended: asyncio.Future[bool]
    ) -> OperationId:
        operation_id = identify(wanted.key)
        self.protection.wanted[operation_id] = wanted
        self.protection.ended[operation_id] = ended
        new = NewOperation(
            key=wanted.key,
            kind="create",
            region=wanted.region,
            steps=tuple(_durable(step) for step in steps),
            deadline_at=wanted.submitted_at + self.fleet.patience_s,
        )
        await self.protection.operations[wanted.region].submit(new)
        return operation_id


def _durable(step: StepRequest) -> Step:
    """A step of a durable operation: a PUT may be made twice, says Resource Manager."""
    arguments = json.dumps({"method": "PUT", "url": step.url, "body": json.loads(step.body)})
    return Step(step.name, step.dependency, "http", arguments, is_repeatable=True)
