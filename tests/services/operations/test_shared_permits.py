"""Workers that share governors: together they drain as one would, whatever becomes of the ledger."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from surgetank.cloud.station import Served, Station, StationPolicy
from surgetank.control.breaker import BreakerPolicy
from surgetank.control.governor import GovernorPolicy
from surgetank.control.lease import Report, SharePolicy
from surgetank.control.peer.steps import Steps
from surgetank.control.release import ReleasePolicy
from surgetank.core.errors import DependencyError
from surgetank.core.ports import Permits
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit, Refusal
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.safeguards.operations.ledger import Answer, Ledger, MemoryLedger
from surgetank.safeguards.operations.ledger_sqlite import SQLiteLedger
from surgetank.safeguards.operations.permits import GovernedPermits
from surgetank.safeguards.operations.shared_permits import SharedPermits

VM = Dependency("vm@eastus")
OK, FAULT = Outcome(OutcomeKind.OK), Outcome(OutcomeKind.TRANSIENT)
LEARNING = GovernorPolicy(law=ReleasePolicy(lag_s=0.2))
TIMEOUT_S = 10.0
# Bears 200 calls a second; a queue of ten seconds crashes a node, which comes back cold.
COLLAPSING = StationPolicy(
    nodes=4,
    rate_per_s=200.0,
    service_s=0.1,
    pressure_s=5.0,
    crash_after_s=10.0,
    restart_s=30.0,
    warm_s=60.0,
)


def paced(rate_per_s: float) -> GovernorPolicy:
    """A pace that stays."""
    law = Steps(step_share=1.0, step_s=1e9, rate_per_s_unlearnt=rate_per_s)
    return GovernorPolicy(law=law, breaker=BreakerPolicy(failure_limit=8, open_s=10.0))


@dataclass
class FlakyLedger:
    """A ledger that may be away, or take a report and lose its answer."""

    inner: Ledger
    clock: VirtualClock
    away_until: float = 0.0
    answers_lost: int = 0
    reports: list[Report] = field(default_factory=list[Report])

    async def exchange(
        self, dependency: Dependency, report: Report, policy: GovernorPolicy
    ) -> Answer:
        if self.clock.now() < self.away_until:
            raise DependencyError("connection refused", may_have_acted=False)
        self.reports.append(report)
        answer = await self.inner.exchange(dependency, report, policy)
        if self.answers_lost:
            self.answers_lost -= 1
            raise DependencyError("connection reset", may_have_acted=True)
        return answer

    async def close(self) -> None:
        await self.inner.close()


@dataclass
class World:
    """Workers, a ledger and a dependency with a backlog before it."""

    loop: VirtualLoop
    clock: VirtualClock
    ledger: FlakyLedger
    calls: deque[int] = field(default_factory=deque[int])
    """What is still to be done, for whoever asks first."""
    done_at: list[float] = field(default_factory=list[float])
    made: list[tuple[float, Lane]] = field(default_factory=list[tuple[float, Lane]])
    serve: Callable[[Lane], Coroutine[Any, Any, Outcome]] | None = None
    workers: dict[str, SharedPermits] = field(default_factory=dict[str, SharedPermits])
    tasks: dict[str, list[asyncio.Task[None]]] = field(
        default_factory=dict[str, "list[asyncio.Task[None]]"]
    )

    def worker(self, name: str, policy: GovernorPolicy) -> SharedPermits:
        """Start one that shares."""
        permits = SharedPermits(
            self.ledger, worker=name, default=policy, clock=self.clock, chance=Random(name)
        )
        permits.start()
        self.workers[name] = permits
        return permits

    def drain(self, name: str, permits: Permits) -> None:
        """Let a worker take from the backlog as it gets leave."""
        task = self.loop.create_task(self._drain(name, permits), name=f"drain of {name}")
        self.tasks.setdefault(name, []).append(task)

    async def kill(self, name: str) -> None:
        """Stop all that a worker does, as a power cut would; its calls are done again."""
        permits = self.workers.pop(name)
        assert permits._task is not None
        for task in (permits._task, *self.tasks.pop(name)):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _drain(self, name: str, permits: Permits) -> None:
        while True:
            if not self.calls:
                await self.pass_s(0.1)
                continue
            answer = permits.ask((VM,), lane=Lane.BACKLOG)
            if isinstance(answer, Refusal):
                assert answer.retry_at > self.clock.now()
                await self.clock.sleep_until(answer.retry_at)
                continue
            call = self.call(permits, answer[0], self.calls.popleft())
            self.tasks.setdefault(name, []).append(self.loop.create_task(call))

    async def call(self, permits: Permits, permit: Permit, number: int) -> None:
        """Make a call; one that fails, or is cut off, is to be done again."""
        self.made.append((self.clock.now(), permit.lane))
        outcome = None
        try:
            outcome = await self.serve(permit.lane) if self.serve else await self._serve()
        finally:
            if outcome != OK:
                self.calls.append(number)
        permits.report(permit, outcome)
        if outcome == OK:
            self.done_at.append(self.clock.now())

    async def _serve(self) -> Outcome:
        await self.pass_s(0.05)
        return OK

    async def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        await self.clock.sleep_until(self.clock.now() + seconds)

    def rate_per_s(self, *, since: float, until: float) -> float:
        """Calls made between two instants."""
        return sum(since <= at < until for at, _ in self.made) / (until - since)


def play(main: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def whole(loop: VirtualLoop) -> None:
        clock = VirtualClock(loop)
        world = World(loop, clock, FlakyLedger(MemoryLedger(clock=clock), clock))
        await main(world)
        for name in list(world.tasks):
            for task in world.tasks[name]:
                task.cancel()
        for permits in world.workers.values():
            await permits.close()

    run(whole)


def drained_s(names: str, *, calls: int, fresh_per_s: float = 20.0) -> tuple[float, int]:
    """Seconds until a backlog before a station is done, and the crashes; no names: one governor."""
    found = list[tuple[float, int]]()

    async def main(world: World) -> None:
        station = Station(COLLAPSING, world.clock, Random(7))
        began_at = world.clock.now()

        async def serve(lane: Lane) -> Outcome:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    served = isinstance(await station.serve(lane=lane), Served)
                    return OK if served else FAULT
            except TimeoutError:
                return Outcome(OutcomeKind.TIMEOUT)

        world.serve = serve
        world.calls.extend(range(calls))
        one = GovernedPermits(default=GovernorPolicy(), clock=world.clock, chance=Random(1))
        asked: dict[str, Permits] = {name: world.worker(name, LEARNING) for name in names}
        for name, permits in (asked or {"one": one}).items():
            world.drain(name, permits)
        fresh = world.loop.create_task(offer_fresh(world, tuple(asked.values()) or (one,)))
        while len(world.done_at) < calls:
            await world.pass_s(0.5)
        found.append((world.clock.now() - began_at, station.counts.crashes))
        fresh.cancel()

    async def offer_fresh(world: World, asked: tuple[Permits, ...]) -> None:
        async def one_call(permits: Permits, permit: Permit) -> None:
            assert world.serve is not None
            permits.report(permit, await world.serve(Lane.FRESH))

        number, calls_out = 0, set[asyncio.Task[None]]()
        while True:
            await world.pass_s(1 / fresh_per_s)
            number += 1
            permits = asked[number % len(asked)]
            answer = permits.ask((VM,), lane=Lane.FRESH)
            if not isinstance(answer, Refusal):
                calls_out.add(world.loop.create_task(one_call(permits, answer[0])))

    play(main)
    return found[0]


@pytest.mark.parametrize("names", ["a", "abcd", "abcdefgh"])
def test_workers_drain_as_fast_as_one_governor_and_tip_nothing(names: str) -> None:
    one_s, one_crashes = drained_s("", calls=12_000)
    shared_s, crashes = drained_s(names, calls=12_000)
    print(names, one_s, one_crashes, shared_s, crashes)
    assert crashes <= one_crashes
    assert shared_s < 1.1 * one_s
