"""The network in memory overloads as the one of sockets does, with the same code and figures."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from statistics import median

import pytest

from surgetank.core.errors import DependencyTimeoutError
from surgetank.core.http import Request, Response, Timeouts
from surgetank.core.ports import Clock, HttpClient
from surgetank.runtime.live.clock import SystemClock
from surgetank.runtime.live.http_client import LiveHttpClient
from surgetank.runtime.live.http_server import serve
from surgetank.runtime.simulation.chance import stream
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.link import Link
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.network import Network

RUNS = 5
CLIENTS = 200
LASTS_S = 3.2
# Thirty-two workers of 160 ms serve 200 a second. With 80 waiting, who is served waits 0.4 s and
# is served 0.16 s: more than the hasty half of the clients would, less than the patient half, and
# far from both. Work is long so that a busy machine, late by a millisecond or two, does not tell.
WORKERS = 32
WORK_S = (0.08, 0.24)
WAITING_LIMIT = 80
READ_S = (0.2, 2.5)
PAUSE_S = (0.2, 0.8)


class Station:
    """A first-come queue before a few workers; who finds it full is told 503."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self.clock = clock
        self.chance = stream(seed, "station")
        self.workers = asyncio.Semaphore(WORKERS)
        self.waiting = 0

    async def __call__(self, _: Request) -> Response:
        if self.waiting >= WAITING_LIMIT:
            return Response(503)
        self.waiting += 1
        async with self.workers:
            self.waiting -= 1
            work_s = self.chance.uniform(*WORK_S)
            await self.clock.sleep_until(self.clock.now() + work_s)
        return Response(200)


async def storm(clock: Clock, client: HttpClient, url: str, seed: int) -> Counter[str]:
    """Clients who ask again and again for `LASTS_S`: how many were served, shed, timed out."""
    counts: Counter[str] = Counter()
    ends_at = clock.now() + LASTS_S

    async def ask_on(number: int) -> None:
        chance = stream(seed, f"client {number}")
        timeouts = Timeouts(read_s=READ_S[number % 2])
        while True:
            await clock.sleep_until(clock.now() + chance.uniform(*PAUSE_S))
            if clock.now() >= ends_at:
                return
            try:
                response = await client.send(Request.to("GET", url), timeouts=timeouts)
                counts["served" if response.status == 200 else "shed"] += 1
            except DependencyTimeoutError:
                counts["timed out"] += 1

    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(ask_on(number))
    return counts


@contextmanager
def untraced() -> Generator[None]:
    """Keep a coverage tracer off: it delays real time and not virtual time, so it would tell."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)


def storm_live(seed: int) -> Counter[str]:
    async def main() -> Counter[str]:
        clock = SystemClock()
        async with (
            serve(Station(clock, seed)) as server,
            LiveHttpClient(connections_max=CLIENTS) as client,
        ):
            return await storm(clock, client, server.url, seed)

    with untraced():
        return asyncio.run(main())


def storm_virtual(seed: int) -> Counter[str]:
    async def main(loop: VirtualLoop) -> Counter[str]:
        clock, network = VirtualClock(loop), Network(loop, seed=seed)
        network.serve("station", Station(clock, seed))
        network.link("*", "*", Link(latency_s=0.0002))
        client = network.client("clients", connections_max=CLIENTS)
        return await storm(clock, client, "http://station/", seed)

    return run(main, seed=seed)


def medians(play: Callable[[int], Counter[str]]) -> dict[str, float]:
    counts = [play(seed) for seed in range(RUNS)]
    return {what: median(count[what] for count in counts) for what in ("served", "timed out")}


@pytest.mark.no_cover  # both networks have traced tests of their own
def test_an_overload_serves_and_times_out_as_many_in_memory_as_on_sockets() -> None:
    live, virtual = medians(storm_live), medians(storm_virtual)
    assert virtual["served"] >= 300
    assert virtual["timed out"] >= 100
    for what, count in live.items():
        assert abs(virtual[what] - count) <= 0.1 * count, f"{what}: {live=} {virtual=}"
