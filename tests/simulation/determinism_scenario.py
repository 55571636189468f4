"""Prints the hash of one eventful run; run by test_determinism.py in processes of their own.

Usage: determinism_scenario.py SEED fifo|shuffled
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator

from surgetank.core.errors import DependencyError
from surgetank.core.http import Request, Response, Timeouts
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.chance import stream
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.link import Link
from surgetank.runtime.simulation.loop import Scheduling, VirtualLoop, run
from surgetank.runtime.simulation.network import InMemoryHttpClient, Network
from surgetank.runtime.simulation.trace import Trace

TIMEOUTS = Timeouts(connect_s=1.0, read_s=2.0, pool_s=1.0)
CLIENTS = 60


class Drill:
    """Clients that storm a server, with everything whose order could slip."""

    def __init__(self, loop: VirtualLoop, seed: int) -> None:
        self.loop = loop
        self.clock = VirtualClock(loop)
        self.network = Network(loop, seed=seed)
        self.blocking = InlineBlocking()
        self.trace = Trace()
        self.seed = seed
        self.workers = asyncio.Semaphore(4)
        self.service_chance = stream(seed, "server")

    async def serve(self, request: Request) -> Response:
        """Four workers; bodies in pieces for some."""
        number = int(json.loads(request.body)["client"])
        async with self.workers:
            await self.clock.sleep_until(self.clock.now() + self.service_chance.random() * 0.2)
        await self.blocking.run(lambda: self.note("served", number))
        if number % 3:
            return Response(200, {}, request.body)
        return Response(200, {}, chunks=self.pieces(number))

    async def pieces(self, number: int) -> AsyncIterator[bytes]:
        """A body as it is made."""
        try:
            for _ in range(number % 5):
                await self.clock.sleep_until(self.clock.now() + 0.01)
                yield b"piece"
        finally:
            self.note("closed", number)

    def note(self, what: str, number: int) -> None:
        """Fold one fact into the hash."""
        self.trace.note(self.clock.now(), what, number)

    async def ask(self, client: InMemoryHttpClient, number: int) -> str:
        """One request, tried until it is answered, three times at most."""
        body = json.dumps({"client": number}).encode()
        for attempt in range(3):
            try:
                await client.send(
                    Request.to("POST", "http://server/", body=body), timeouts=TIMEOUTS
                )
            except DependencyError as error:
                self.note(error.code, attempt)
            else:
                return "answered"
        return "gave up"

    async def client(self, number: int) -> None:
        """Races of tasks and of futures, time-outs and cancellations, in sets."""
        client = self.network.client(f"vm-{number}", connections_max=2)
        chance = stream(self.seed, f"client {number}")
        await self.clock.sleep_until(self.clock.now() + chance.random() * 0.3)
        races = {asyncio.create_task(self.ask(client, number + turn)) for turn in range(3)}
        futures = {self.loop.create_future() for _ in range(5)}
        for future in futures:
            self.loop.call_later(0.5, future.set_result, None)
        done, left = await asyncio.wait(races | futures, return_when=asyncio.FIRST_COMPLETED)
        for waiter in [*done, *left]:  # the order of a set
            self.note("raced", hash(waiter))
        try:
            async with asyncio.timeout(chance.random() * 4):
                await asyncio.gather(*left)
        except TimeoutError:
            self.note("timed out", number)
        for task in races:
            task.cancel()
        results = await asyncio.gather(*races, return_exceptions=True)
        for result in results:
            self.note(str(result) or type(result).__name__, number)

    async def play(self) -> str:
        """The whole of it, with a fault in the middle; returns the hash."""
        self.network.link("*", "*", Link(latency_s=0.002, jitter_s=0.003, loss_ratio=0.02))
        self.network.serve("server", self.serve)
        self.loop.call_later(1.0, self.network.link, "vm-1*", "server", Link(is_cut=True))
        self.loop.call_later(2.0, self.network.unlink, "vm-1*", "server")
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(self.client(number))
        self.note("handled", self.network.handled)
        self.note("abandoned", self.network.abandoned)
        return f"{self.trace.digest()} {self.trace.notes} notes"


def main() -> None:
    """Play the drill that the command line asks for."""
    seed = int(sys.argv[1])
    scheduling: Scheduling = "shuffled" if sys.argv[2] == "shuffled" else "fifo"

    async def play(loop: VirtualLoop) -> str:
        return await Drill(loop, seed).play()

    sys.stdout.write(run(play, seed=seed, scheduling=scheduling) + "\n")


if __name__ == "__main__":
    main()
