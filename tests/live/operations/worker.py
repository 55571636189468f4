"""A worker that is killed: submits operations, says `stored ID` of each, and runs them.

Run as `python worker.py FILE EFFECTS NAME COUNT LEASE_S`: every call appends a line to EFFECTS before it
ends. Submits COUNT operations and then runs until killed, or until nothing is left to do.
"""

import asyncio
import os
import random
import sys
from dataclasses import replace

from surgetank.core.operation import NewOperation, OperationState, Step
from surgetank.core.value import Dependency, Outcome, OutcomeKind
from surgetank.runtime.live.blocking import WorkerThread
from surgetank.runtime.live.clock import SystemClock
from surgetank.safeguards.operations.action import ActionResult, StepCall
from surgetank.safeguards.operations.permits import OpenPermits
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.service import Operations
from surgetank.safeguards.operations.sqlite import SQLiteStore

STEPS = tuple(
    Step(f"s{number}", Dependency(f"d{number}@eastus"), "append", "{}", is_repeatable=True)
    for number in range(3)
)
ONCE = tuple(step._replace(is_repeatable=False) for step in STEPS)
POLICY = OperationsPolicy(scan_s=0.1, in_flight_max=32, tries_max=1_000, close_s=0.1)


async def main(file: str, effects: str, name: str, count: int, lease_s: float) -> None:
    clock, thread = SystemClock(), WorkerThread()
    store = await SQLiteStore.open(file, thread)
    log = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def append(call: StepCall) -> ActionResult:
        os.write(log, f"{call.operation_id} {call.step_name} {name}\n".encode())
        await clock.sleep_until(clock.now() + 0.002)
        return ActionResult(Outcome(OutcomeKind.OK))

    service = Operations(
        store=store,
        permits=OpenPermits(clock=clock),
        actions={"append": append},
        clock=clock,
        chance=random.Random(),
        policy=replace(POLICY, lease_s=lease_s),
        worker=name,
    )
    running = asyncio.create_task(service.run())

    async def submit(number: int) -> None:
        steps = ONCE if number % 4 == 0 else STEPS
        await clock.sleep_until(clock.now() + number * 0.002)
        receipt = await service.submit(NewOperation(f"{name}-{number}", "test", "eastus", steps))
        os.write(1, f"stored {receipt.id}\n".encode())

    await asyncio.gather(*(submit(number) for number in range(count)))
    open_states = (OperationState.READY, OperationState.WAITING, OperationState.RUNNING)
    counts = await service.counts()
    while any(counts[state] for state in open_states):
        counts = await service.counts()
        await clock.sleep_until(clock.now() + 0.02)
    await service.close()
    await running
    await store.close()
    await thread.close()


if __name__ == "__main__":
    _, path, log_path, own_name, wanted, lease = sys.argv
    asyncio.run(main(path, log_path, own_name, int(wanted), float(lease)))
