"""What workers that share a governor by leases call, before and after a cut of the rate.

Run: python bench/shared_governor.py [--store sqlite] [--workers 1 4 8 16] [--seconds 8] [--json]

Each worker is a process with a `SharedPermits` over one ledger, a SQLite file or a PostgreSQL
started for it, and asks as long as it is let through; a call takes 20 ms and nothing is called. The
rate is 2,000 a second and is cut to 500 in the ledger, as if the law had decided so. Figures are as the workers' calls fell on the host's clock:
the first two seconds of a run are left out. Excess are the most calls by which they were ahead of
500 a second since the cut.
"""

import argparse
import asyncio
import json
import sqlite3
import subprocess
import sys
import tempfile
from bisect import bisect_left
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

import psycopg

from operations_peers.server import postgres
from surgetank.control.evidence import EvidencePolicy
from surgetank.control.governor import GovernorPolicy
from surgetank.control.peer.steps import Steps
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit, Refusal
from surgetank.runtime.assembly import POSTGRES
from surgetank.runtime.live.blocking import WorkerThread
from surgetank.runtime.live.clock import SystemClock, host_now
from surgetank.safeguards.operations.ledger import Ledger
from surgetank.safeguards.operations.ledger_postgres import PostgresLedger
from surgetank.safeguards.operations.ledger_sqlite import SQLiteLedger
from surgetank.safeguards.operations.shared_permits import SharedPermits

VM = Dependency("vm@eastus")
BEFORE_PER_S, AFTER_PER_S = 2_000, 500
CALL_S = 0.02
SETTLE_S = 2.0
"""Seconds until all workers have got their share."""
BEGIN_S = 0.5
"""Seconds until workers that are ready begin."""
POLICY = GovernorPolicy(
    law=Steps(step_share=1.0, step_s=1e9, rate_per_s_unlearnt=float(BEFORE_PER_S)),
    evidence=EvidencePolicy(samples_min=10**9, interval_s_max=1e9),
)
"""A law that never looks: the rate is what the file says."""


class Figures(NamedTuple):
    """Of one run."""

    store: str
    workers: int
    before_per_s: float
    worst_s: int
    """Calls in the worst second before the cut, of any second."""
    worst_100_ms: int
    after_per_s: float
    """From a second after the cut."""
    after_worst_s: int
    after_worst_100_ms: int
    excess: float
    """The most calls ahead of the lower rate since the cut."""


async def opened(place: str, blocking: WorkerThread) -> Ledger:
    """Open the ledger at an address of PostgreSQL, or in a file."""
    if place.startswith(POSTGRES):
        return await PostgresLedger.open(place)
    return await SQLiteLedger.open(place, blocking, now=host_now)


async def work(place: str, worker: str) -> list[float]:
    """Call as long as it is let through; when each call was made, on the host's clock.

    Says when it is ready, and is then told when to begin and to end.
    """
    clock, blocking = SystemClock(), WorkerThread()
    ledger = await opened(place, blocking)
    print("ready", flush=True)
    begin_at, end_at = map(float, sys.stdin.readline().split())
    permits = SharedPermits(
        ledger, worker=worker, default=POLICY, clock=clock, chance=Random(worker)
    )
    permits.start()
    made, calls = list[float](), set[asyncio.Task[None]]()

    async def call(permit: Permit) -> None:
        await asyncio.sleep(CALL_S)
        permits.report(permit, Outcome(OutcomeKind.OK))

    await asyncio.sleep(begin_at - host_now())
    while host_now() < end_at:
        answer = permits.ask((VM,), lane=Lane.BACKLOG)
        if isinstance(answer, Refusal):
            await clock.sleep_until(answer.retry_at)
            continue
        made.append(host_now())
        task = asyncio.create_task(call(answer[0]))
        calls.add(task)
        task.add_done_callback(calls.discard)
    await asyncio.gather(*calls)
    await permits.close()
    await ledger.close()
    await blocking.close()
    return made


def cut(place: str) -> float:
    """Lower the rate in the ledger, between two exchanges; when."""
    if place.startswith(POSTGRES):
        with psycopg.connect(place) as server:
            row = server.execute("select state from surgetank.governor for update").fetchone()
            assert row is not None, "workers have been there"
            server.execute("update surgetank.governor set state = %s", (lowered(row[0]),))
        return host_now()
    connection = sqlite3.connect(place, isolation_level=None)
    connection.execute("begin immediate")
    text = lowered(connection.execute("select state from governor").fetchone()[0])
    connection.execute("update governor set state = ?", (text,))
    connection.execute("commit")
    connection.close()
    return host_now()


def lowered(text: str) -> str:
    """Write the lower rate into a state."""
    state = json.loads(text)
    state["release"]["rate_per_s"] = float(AFTER_PER_S)
    return json.dumps(state)


@contextmanager
def place_of(store: str) -> Generator[str]:
    """Give the place of an empty ledger."""
    with tempfile.TemporaryDirectory() as folder:
        if store == "sqlite":
            yield str(Path(folder) / "governors.db")
            return
        with postgres(Path(folder)) as server, server.database() as address:
            yield address


def worst(made: list[float], *, span_s: float) -> int:
    """Most calls in any span of that length."""
    return max((bisect_left(made, at + span_s) - i for i, at in enumerate(made)), default=0)


def started(place: str, name: str) -> subprocess.Popen[str]:
    """Start a worker."""
    command = [sys.executable, __file__, "--place", place, "--name", name]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)  # noqa: S603 - ourselves


def measure(store: str, workers: int, *, seconds: float) -> Figures:
    """Run the workers, cut the rate half way, and count."""
    with place_of(store) as place:
        running = [started(place, f"w{number}") for number in range(workers)]
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        begin_at = host_now() + BEGIN_S
        cut_at = begin_at + SETTLE_S + seconds
        end_at = cut_at + seconds
        for process in running:
            assert process.stdin is not None
            process.stdin.write(f"{begin_at} {end_at}\n")
            process.stdin.flush()
        asyncio.run(asyncio.sleep(cut_at - host_now()))
        cut_at = cut(place)
        outputs = [process.communicate()[0] for process in running]
    made = sorted(at for output in outputs for at in json.loads(output))
    before = [at for at in made if begin_at + SETTLE_S <= at < cut_at]
    since = [at for at in made if at >= cut_at]
    after = [at for at in since if at >= cut_at + 1.0]
    excess = max(
        (count - AFTER_PER_S * (at - cut_at) for count, at in enumerate(since, 1)), default=0.0
    )
    return Figures(
        store,
        workers,
        round(len(before) / (cut_at - begin_at - SETTLE_S), 1),
        worst(before, span_s=1.0),
        worst(before, span_s=0.1),
        round(len(after) / (end_at - cut_at - 1.0), 1),
        worst(after, span_s=1.0),
        worst(after, span_s=0.1),
        round(excess, 1),
    )


def main() -> None:
    """Measure, or be one of the workers that are measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--seconds", type=float, default=8.0, help="on each side of the cut")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--place", help=argparse.SUPPRESS)
    parser.add_argument("--name", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.place is not None:
        json.dump(asyncio.run(work(given.place, given.name)), sys.stdout)
        return
    for workers in given.workers:
        figures = measure(given.store, workers, seconds=given.seconds)
        print(json.dumps(figures._asdict()) if given.json else figures)


if __name__ == "__main__":
    main()
