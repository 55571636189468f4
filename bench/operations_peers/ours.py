"""Surgetank's side: the public classes with every feature on.

Governed by `GovernedPermits` under the default policy; each operation is written down as begun
before its call, and its outcome after it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from random import Random
from uuid import UUID

from operations_peers.side import PAYLOAD, Settings, Submitted, submit_all
from surgetank.control.governor import GovernorPolicy
from surgetank.core.operation import NewOperation, OperationState, Step
from surgetank.core.value import Dependency, Outcome, OutcomeKind
from surgetank.runtime.live.blocking import WorkerThread
from surgetank.runtime.live.clock import SystemClock
from surgetank.runtime.live.memory import collect_seldom
from surgetank.safeguards.operations.action import Action, ActionResult, StepCall
from surgetank.safeguards.operations.permits import GovernedPermits
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.postgres import PostgresStore
from surgetank.safeguards.operations.service import Operations
from surgetank.safeguards.operations.sqlite import SQLiteStore
from surgetank.safeguards.operations.store import Store

STEPS = (Step("create", Dependency("compute@bench"), "nothing", PAYLOAD),)
OPEN_STATES = (OperationState.READY, OperationState.WAITING, OperationState.RUNNING)
GOOD = ActionResult(Outcome(OutcomeKind.OK))
BEGIN_MS = 1_770_055_380_000
"""Milliseconds since 1970 at which the first key is made."""
OPEN_MAX = 100_000_000
BATCHES_IN_FLIGHT = 4
"""One is claimed and one written down while two run: what a pipeline needs, and some."""


async def succeed(call: StepCall) -> ActionResult:
    """End well at once."""
    del call
    return GOOD


def ordered_key(number: int) -> str:
    """Make a UUID of version 7, a thousand a millisecond: its time, its turn, its number."""
    when, turn = divmod(number, 1_000)
    return str(UUID(hex=f"{BEGIN_MS + when:012x}7{turn:03x}8{number:015x}"))


def new_operation(key: str) -> NewOperation:
    """Make an operation of one step."""
    return NewOperation(key, "create_vm", "bench", STEPS)


class SQLite:
    """On one SQLite file, synchronous=FULL."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def prepare(self) -> None:
        """Make the tables."""
        self.left()

    def fill(self, operations: int) -> None:
        """Queue operations through the service."""
        wanted = self.settings._replace(operations=operations, callers=1_000, bound_s=3600.0)
        asyncio.run(self._submit(wanted))

    def work(self, ready: Callable[[], None], tick: Callable[[], None]) -> None:
        """Drain until ended."""

        async def nothing(call: StepCall) -> ActionResult:
            del call
            tick()
            return GOOD

        async def main() -> None:
            async with self.opened(nothing, batch=self.settings.batch) as service:
                ready()
                await service.run()

        asyncio.run(main())

    def left(self) -> int:
        """Count operations that have not ended."""

        async def main() -> int:
            async with self.opened() as service:
                counts = await service.counts()
                return sum(counts[state] for state in OPEN_STATES)

        return asyncio.run(main())

    def submit(self) -> Submitted:
        """Submit operations one by one."""
        return asyncio.run(self._submit(self.settings))

    async def _submit(self, wanted: Settings) -> Submitted:
        async with self.opened() as service:
            return await submit_all(
                lambda number: service.submit(new_operation(ordered_key(number))), wanted
            )

    @asynccontextmanager
    async def opened(
        self, action: Action = succeed, *, batch: int | None = None
    ) -> AsyncGenerator[Operations]:
        """Build the service as an assembly would; `batch` None leaves the store's own groups."""
        clock, thread = SystemClock(), WorkerThread()
        policy = OperationsPolicy()
        if batch is not None:
            policy = OperationsPolicy(batch=batch, in_flight_max=BATCHES_IN_FLIGHT * batch)
        store = await self._store(thread, batch)
        service = Operations(
            store=store,
            permits=GovernedPermits(default=GovernorPolicy(), clock=clock, chance=Random()),
            actions={"nothing": action},
            clock=clock,
            chance=Random(),
            policy=policy,
            worker="bench",
        )
        collect_seldom()  # As `surgetank serve` does.
        try:
            yield service
        finally:
            await service.close()
            await store.close()
            await thread.close()

    async def _store(self, thread: WorkerThread, batch: int | None) -> Store:
        address = self.settings.address
        if batch is None:
            return await SQLiteStore.open(address, thread, open_max=OPEN_MAX)
        return await SQLiteStore.open(address, thread, open_max=OPEN_MAX, writes_per_commit=batch)


class Postgres(SQLite):
    """On a PostgreSQL database."""

    async def _store(self, thread: WorkerThread, batch: int | None) -> Store:
        del thread
        address = self.settings.address
        if batch is None:
            return await PostgresStore.open(address, open_max=OPEN_MAX)
        return await PostgresStore.open(address, open_max=OPEN_MAX, writes_per_commit=batch)
