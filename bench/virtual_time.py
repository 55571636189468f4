"""Requests handled in virtual time for each second of processor, bare and as in a drill.

Run: python bench/virtual_time.py [--requests 20000] [--runs 5]

Bare: a client asks, the server answers, one millisecond each way. Drill-like: each request reads
and writes JSON and waits for one of a station's workers; every tenth commits to SQLite (WAL,
synchronous=FULL) on memory-backed storage where there is some. Wanted: 12,000 and 5,000.
"""

import argparse
import asyncio
import json
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from statistics import median
from time import process_time

from surgetank.core.http import Handler, Request, Response, Timeouts
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.link import Link
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.network import Network

CLIENTS = 200
TIMEOUTS = Timeouts(connect_s=5.0, read_s=60.0, pool_s=60.0)
Main = Callable[[VirtualLoop], Coroutine[object, object, int]]


class Station:
    """Twenty workers of 50 ms who read JSON, note it, and write JSON."""

    def __init__(self, clock: VirtualClock, database: sqlite3.Connection) -> None:
        self.clock = clock
        self.database = database
        self.blocking = InlineBlocking()
        self.workers = asyncio.Semaphore(20)
        self.handled = 0

    async def __call__(self, request: Request) -> Response:
        """Do one operation."""
        operation = json.loads(request.body)
        async with self.workers:
            await self.clock.sleep_until(self.clock.now() + 0.05)
        self.handled += 1
        if self.handled % 10 == 0:
            await self.blocking.run(lambda: self.write(operation["id"]))
        body = json.dumps({"id": operation["id"], "state": "succeeded"}).encode()
        return Response(200, {"content-type": "application/json"}, body)

    def write(self, key: str) -> None:
        """Commit one row, durably."""
        with self.database:
            self.database.execute("INSERT OR REPLACE INTO operation VALUES (?, 'done')", (key,))


async def answer(_: Request) -> Response:
    """The least that a server can do."""
    return Response(200)


async def ask(loop: VirtualLoop, handler: Handler, requests: int) -> int:
    """Make `requests` requests from `CLIENTS` hosts; returns how many were handled."""
    network = Network(loop, seed=1)
    network.link("*", "*", Link(latency_s=0.001))
    network.serve("server", handler)

    async def client(number: int) -> None:
        http = network.client(f"client-{number}")
        for turn in range(requests // CLIENTS):
            body = json.dumps({"id": f"{number}-{turn}", "kind": "vm", "region": "eastus"}).encode()
            request = Request.to("POST", "http://server/operations?version=1", body=body)
            response = await http.send(request, timeouts=TIMEOUTS)
            assert response.status == 200  # noqa: PLR2004 - what a bench needs to be true

    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(client(number))
    return network.handled


def bare(requests: int) -> Main:
    """Requests that cost nothing to handle."""

    async def main(loop: VirtualLoop) -> int:
        return await ask(loop, answer, requests)

    return main


def drill_like(requests: int, folder: str) -> Main:
    """Requests that cost what those of a drill do."""
    path = Path(folder, "operations.sqlite3")
    path.unlink(missing_ok=True)

    async def main(loop: VirtualLoop) -> int:
        database = sqlite3.connect(path)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE operation (key TEXT PRIMARY KEY, state TEXT) WITHOUT ROWID")
        try:
            return await ask(loop, Station(VirtualClock(loop), database), requests)
        finally:
            database.close()

    return main


def main() -> None:
    """Measure both, interleaved, and print medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    rates: dict[str, list[float]] = {"bare": [], "drill-like": []}
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        for _ in range(options.runs):
            for name, play in (
                ("bare", bare(options.requests)),
                ("drill-like", drill_like(options.requests, folder)),
            ):
                began = process_time()
                handled = run(play)
                rates[name].append(handled / (process_time() - began))
    for name, measured in rates.items():
        low, high = min(measured), max(measured)
        print(f"{name:11} {median(measured):8,.0f} handled/CPU-s  ({low:,.0f} to {high:,.0f})")


if __name__ == "__main__":
    main()
