"""A backlog drained through the whole engine: under governors of its own, and under shared ones.

Run: python bench/shared_drain.py [--paces 100 1000] [--seconds 5] [--rounds 3] [--json]

One process with a store in a SQLite file, whose operations have one step that does nothing. The
pace is fixed; so many operations wait as it lets through in the seconds. Both ways take turns.
A figure of 1 is the pace itself; that of the first operations, which may be caught up, is in it.
"""

import argparse
import asyncio
import json
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple

from surgetank.control.evidence import EvidencePolicy
from surgetank.control.governor import GovernorPolicy
from surgetank.control.peer.steps import Steps
from surgetank.core.operation import NewOperation, Step
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind
from surgetank.runtime.live.blocking import WorkerThread
from surgetank.runtime.live.clock import SystemClock, host_now
from surgetank.safeguards.operations.action import ActionResult, StepCall
from surgetank.safeguards.operations.ledger_sqlite import SQLiteLedger
from surgetank.safeguards.operations.permits import GovernedPermits
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.record import Record
from surgetank.safeguards.operations.service import Operations
from surgetank.safeguards.operations.shared_permits import SharedPermits
from surgetank.safeguards.operations.sqlite import SQLiteStore

STEPS = (Step("vm", Dependency("vm@eastus"), "nothing", "{}", is_repeatable=True),)
OWN, SHARED = "own", "shared"


class Drain(NamedTuple):
    """Of one drain."""

    pace_ratio: float
    """Operations a second, as a share of the pace."""
    cpu_ms: float
    """Of the process, for each operation."""


def paced(rate_per_s: float) -> GovernorPolicy:
    """A law that never looks: the pace stays."""
    return GovernorPolicy(
        law=Steps(step_share=1.0, step_s=1e9, rate_per_s_unlearnt=rate_per_s),
        evidence=EvidencePolicy(samples_min=10**9, interval_s_max=1e9),
    )


async def nothing(_: StepCall) -> ActionResult:
    """Make the call of a step."""
    return ActionResult(Outcome(OutcomeKind.OK))


async def drain(side: str, folder: str, *, pace: float, operations: int) -> Drain:
    """Let so many operations wait, and time how they are done."""
    clock, policy, done = SystemClock(), paced(pace), asyncio.Event()
    left = operations

    def count(_: Record) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            done.set()

    async with AsyncExitStack() as stack:
        thread, aside = WorkerThread(), WorkerThread()
        stack.push_async_callback(thread.close)
        stack.push_async_callback(aside.close)
        store = await SQLiteStore.open(str(Path(folder) / "operations.db"), thread)
        stack.push_async_callback(store.close)
        permits: Any = GovernedPermits(default=policy, clock=clock, chance=Random(1))
        if side == SHARED:
            ledger = await SQLiteLedger.open(str(Path(folder) / "g.db"), aside, now=host_now)
            stack.push_async_callback(ledger.close)
            permits = SharedPermits(
                ledger, worker="a", default=policy, clock=clock, chance=Random(1)
            )
            permits.start()
            stack.push_async_callback(permits.close)
        service = Operations(
            store=store,
            permits=permits,
            actions={"nothing": nothing},
            clock=clock,
            chance=Random(1),
            policy=OperationsPolicy(),
            worker="a",
            watch=count,
        )
        wanted = (
            NewOperation(f"k{number}", "create_vm", "eastus", STEPS, lane=Lane.BACKLOG)
            for number in range(operations)
        )
        await asyncio.gather(*(service.submit(each) for each in wanted))
        began_at, cpu_s = clock.now(), time.process_time()
        running = asyncio.create_task(service.run())
        await done.wait()
        took_s, cpu_s = clock.now() - began_at, time.process_time() - cpu_s
        await service.close()
        await running
    return Drain(operations / took_s / pace, 1e3 * cpu_s / operations)


def main() -> None:
    """Measure both ways in turn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--paces", type=float, nargs="+", default=[100.0, 1_000.0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    for pace in given.paces:
        drains: dict[str, list[Drain]] = {OWN: [], SHARED: []}
        for _ in range(given.rounds):
            for side, found in drains.items():
                with tempfile.TemporaryDirectory() as folder:
                    operations = round(pace * given.seconds)
                    found.append(asyncio.run(drain(side, folder, pace=pace, operations=operations)))
        medians = {
            side: Drain(*(round(median(column), 3) for column in zip(*found, strict=True)))
            for side, found in drains.items()
        }
        ratio = round(medians[SHARED].pace_ratio / medians[OWN].pace_ratio, 3)
        figures = {side: each._asdict() for side, each in medians.items()}
        line = {"pace_per_s": pace, **figures, "shared_to_own": ratio}
        print(json.dumps(line) if given.json else line)


if __name__ == "__main__":
    main()
