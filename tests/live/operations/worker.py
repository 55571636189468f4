"""A worker for tests of faults: submits operations, says `stored ID` of each, and runs them.

Run as `python worker.py STORE EFFECTS NAME COUNT LEASE_S`: STORE is a file or the address of a
database. Every call appends `ID STEP NAME` to EFFECTS before it ends, and every end that is stored
`ID stored NAME`. Submits COUNT operations, again with the same key where the store fails, and then
runs until killed, until nothing is left to do, or until the store is not ours any more: then it fails.
"""

import asyncio
import os
import random
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import structlog

from surgetank.core.errors import DependencyError
from surgetank.core.operation import NewOperation, OperationState, Step
from surgetank.core.value import Dependency, Outcome, OutcomeKind
from surgetank.runtime.live.blocking import WorkerThread
from surgetank.runtime.live.clock import SystemClock
from surgetank.safeguards.operations.action import ActionResult, StepCall
from surgetank.safeguards.operations.permits import OpenPermits
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.record import Record
from surgetank.safeguards.operations.service import Operations
from surgetank.safeguards.operations.sqlite import SQLiteStore
from surgetank.safeguards.operations.store import Store

T = TypeVar("T")
RETRY_S = 0.1

STEPS = tuple(
    Step(f"s{number}", Dependency(f"d{number}@eastus"), "append", "{}", is_repeatable=True)
    for number in range(3)
)
ONCE = tuple(
    step._replace(name=f"once{number}", is_repeatable=False) for number, step in enumerate(STEPS)
)
POLICY = OperationsPolicy(scan_s=0.1, in_flight_max=32, tries_max=1_000, close_s=0.1)


async def open_store(place: str, thread: WorkerThread) -> Store:
    if "://" not in place:
        return await SQLiteStore.open(place, thread)
    from surgetank.safeguards.operations.postgres import (  # noqa: PLC0415 - an extra
        PostgresStore,
    )

    return await PostgresStore.open(place)


async def until_answered(ask: Callable[[], Awaitable[T]], clock: SystemClock) -> T:
    while True:
        try:
            return await ask()
        except DependencyError:
            await clock.sleep_until(clock.now() + RETRY_S)


async def main(place: str, effects: str, name: str, count: int, lease_s: float) -> None:
    structlog.configure(  # As `surgetank serve` does: without every local value of a traceback.
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(),
        ]
    )
    clock, thread = SystemClock(), WorkerThread()
    store = await open_store(place, thread)
    log = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def append(call: StepCall) -> ActionResult:
        os.write(log, f"{call.operation_id} {call.step_name} {name}\n".encode())
        await clock.sleep_until(clock.now() + 0.002)
        return ActionResult(Outcome(OutcomeKind.OK))

    def ended(record: Record) -> None:
        if record.finished_at is not None:
            os.write(log, f"{record.id} stored {name}\n".encode())

    service = Operations(
        store=store,
        permits=OpenPermits(clock=clock),
        actions={"append": append},
        clock=clock,
        chance=random.Random(),
        policy=replace(POLICY, lease_s=lease_s),
        worker=name,
        watch=ended,
    )
    running = asyncio.create_task(service.run())

    async def submit(number: int) -> None:
        steps = ONCE if number % 4 == 0 else STEPS
        await clock.sleep_until(clock.now() + number * 0.002)
        new = NewOperation(f"{name}-{number}", "test", "eastus", steps)
        receipt = await until_answered(lambda: service.submit(new), clock)
        os.write(1, f"stored {receipt.id}\n".encode())

    await asyncio.gather(*(submit(number) for number in range(count)))
    open_states = (OperationState.READY, OperationState.WAITING, OperationState.RUNNING)
    counts = await until_answered(service.counts, clock)
    while any(counts[state] for state in open_states) and not running.done():
        counts = await until_answered(service.counts, clock)
        await clock.sleep_until(clock.now() + 0.02)
    await service.close()
    await running
    await store.close()
    await thread.close()


if __name__ == "__main__":
    _, path, log_path, own_name, wanted, lease = sys.argv
    asyncio.run(main(path, log_path, own_name, int(wanted), float(lease)))
