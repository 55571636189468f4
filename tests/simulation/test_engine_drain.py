"""The drain bench and the real engine tell the same of one world.

The bench plays the law bare and compiled; here the same law decides for durable operations on a
store, and fresh calls beside them, in virtual time. The dependency is the bench's: a queue served
oldest first, whose capacity is lost to overload, whose callers give up while the work is still done.
"""

import asyncio
import math
from collections import deque
from random import Random
from typing import NamedTuple

import pytest

pytest.importorskip("numba", reason="the extra `bench` is not installed")

from surgetank.control.backoff import BackoffPolicy
from surgetank.control.governor import GovernorPolicy
from surgetank.core.errors import DependencyThrottledError, DependencyTimeoutError
from surgetank.core.operation import NewOperation, OperationState, Step
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Refusal
from surgetank.rehearsal.drain.bench import Task, play_task
from surgetank.rehearsal.drain.world import World, optimum_s
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.safeguards.operations.action import ActionResult, StepCall, result_of
from surgetank.safeguards.operations.permits import GovernedPermits
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.service import Operations
from surgetank.safeguards.operations.sqlite import SQLiteStore

BACKLOG = 50_000
DEPENDENCY = Dependency("identity@eastus")
STEPS = (Step("call", DEPENDENCY, "call", "{}", is_repeatable=True),)
TICK_S = 0.005
CROWD_S = 1.0
"""Seconds over which load counts."""
STEADY = World(
    title="steady",
    capacity_per_s=1_000,
    fresh_ratio=0.3,
    backlog=BACKLOG,
    timeout_s=2,
    latency_s=0.04,
    queue_max=3_000,
)
WORLDS = {
    "steady": STEADY,
    "collapsing": STEADY.model_copy(update={"collapse": 1.0}),
    "noisy": STEADY.model_copy(
        update={"slow_ratio": 0.02, "slow_factor": 10.0, "collapse": 1.0, "error_ratio": 0.01}
    ),
}


class Call(NamedTuple):
    """One call that waits to be served."""

    answer: "asyncio.Future[bool]"
    """Whether it ended well; cancelled when its caller has given up."""


class Station:
    """The bench's dependency, on an event loop."""

    def __init__(self, world: World, clock: VirtualClock, chance: Random) -> None:
        self._world = world
        self._clock = clock
        self._chance = chance
        self._queue = deque[Call]()
        self._offered = self._rejected = 0
        self._load = world.fresh_ratio

    async def call(self) -> None:
        """Make one call."""
        self._offered += 1
        if len(self._queue) >= self._world.queue_max:
            self._rejected += 1
            raise DependencyThrottledError("full", may_have_acted=False)
        loop = asyncio.get_running_loop()
        call = Call(loop.create_future())
        self._queue.append(call)
        try:
            async with asyncio.timeout(self._world.timeout_s):
                is_good = await call.answer
        except TimeoutError:
            raise DependencyTimeoutError("no answer", may_have_acted=True) from None
        if not is_good:
            raise DependencyTimeoutError("failed", may_have_acted=True)

    async def serve(self) -> None:
        """Serve for ever, tick by tick."""
        at, world = self._clock.now(), self._world
        while True:
            at += TICK_S
            await self._clock.sleep_until(at)
            share = TICK_S / CROWD_S
            self._load += (self._offered / TICK_S / world.capacity_per_s - self._load) * share
            lost = min(0.95, world.collapse * max(0.0, self._load - 1.0))
            services = self._poisson(world.capacity_per_s * (1 - lost) * TICK_S)
            left = services - world.reject_cost * self._rejected
            self._offered = self._rejected = 0
            while left >= 1.0 and self._queue:
                left -= 1.0
                self._answer(self._queue.popleft())

    def _answer(self, call: Call) -> None:
        world, chance = self._world, self._chance
        takes_s = math.exp(chance.gauss(math.log(world.latency_s), world.latency_spread))
        if chance.random() < world.slow_ratio:
            takes_s *= world.slow_factor
        is_good = chance.random() >= world.error_ratio
        asyncio.get_running_loop().call_later(takes_s, _tell, call, is_good)

    def _poisson(self, mean: float) -> int:
        number, product, floor = 0, self._chance.random(), math.exp(-mean)
        while product > floor:
            number += 1
            product *= self._chance.random()
        return number


def _tell(call: Call, is_good: bool) -> None:  # noqa: FBT001 - the loop calls it so
    if not call.answer.done():
        call.answer.set_result(is_good)


class Fresh:
    """Fresh calls, at random, which nobody stores."""

    def __init__(self, station: Station, permits: GovernedPermits, clock: VirtualClock) -> None:
        self._station = station
        self._permits = permits
        self._clock = clock
        self.good = self.bad = 0

    async def arrive(self, per_s: float, chance: Random) -> None:
        """Make calls for ever."""
        at = self._clock.now()
        async with asyncio.TaskGroup() as group:
            while True:
                at += chance.expovariate(per_s)
                await self._clock.sleep_until(at)
                group.create_task(self._operation(chance))

    async def _operation(self, chance: Random) -> None:
        for tries in range(3):
            if await self._try(is_retry=tries > 0):
                self.good += 1
                return
            wait_s = chance.random() * 0.5 * 2.0**tries
            await self._clock.sleep_until(self._clock.now() + wait_s)
        self.bad += 1

    async def _try(self, *, is_retry: bool) -> bool:
        answer = self._permits.ask((DEPENDENCY,), lane=Lane.FRESH, retry=is_retry)
        if isinstance(answer, Refusal):
            return False
        (permit,) = answer
        outcome = Outcome(OutcomeKind.OK)
        try:
            await self._station.call()
        except DependencyThrottledError as error:
            outcome = result_of(error).outcome
        except DependencyTimeoutError as error:
            outcome = result_of(error).outcome
        self._permits.report(permit, outcome)
        return outcome.kind is OutcomeKind.OK


def played(world: World, seed: int) -> tuple[float, float]:
    """Drain by the engine: seconds over the optimum, and the share of fresh that ended well."""
    result = (math.inf, 0.0)

    async def main(loop: VirtualLoop) -> None:
        nonlocal result
        clock, chance = VirtualClock(loop), Random(seed)
        station = Station(world, clock, chance)
        permits = GovernedPermits(default=GovernorPolicy(), clock=clock, chance=chance)
        store = await SQLiteStore.open(":memory:", InlineBlocking())

        async def call(_: StepCall, /) -> ActionResult:
            await station.call()
            return ActionResult(Outcome(OutcomeKind.OK))

        operations = Operations(
            store=store,
            permits=permits,
            actions={"call": call},
            clock=clock,
            chance=chance,
            policy=OperationsPolicy(
                in_flight_max=4_000,
                tries_max=1_000_000,
                retry=BackoffPolicy(base_s=0.01, cap_s=0.01),
                lease_s=3_600.0,
            ),
            worker="w",
        )
        new = NewOperation("", "x", "eastus", STEPS, lane=Lane.BACKLOG)
        for first in range(0, BACKLOG, 1_000):
            keys = (f"k{first + each}" for each in range(1_000))
            await asyncio.gather(*(operations.submit(new._replace(key=key)) for key in keys))
        began_at = clock.now()
        fresh = Fresh(station, permits, clock)
        per_s = world.capacity_per_s * world.fresh_ratio
        running = [
            loop.create_task(station.serve()),
            loop.create_task(fresh.arrive(per_s, chance)),
            loop.create_task(operations.run()),
        ]
        while (await operations.counts())[OperationState.SUCCEEDED] < BACKLOG:
            await clock.sleep_until(clock.now() + 0.1)
        drained_s = clock.now() - began_at
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await store.close()
        result = (drained_s / optimum_s(world), fresh.good / (fresh.good + fresh.bad))

    run(main)
    return result


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_the_engine_drains_as_the_bare_law_does(name: str) -> None:
    world = WORLDS[name]
    bare = play_task(Task("surgetank+breaker", name, world, 1, 10**9))
    assert bare.drained_s is not None
    ratio, fresh = played(world, 1)
    assert ratio == pytest.approx(bare.drained_s / optimum_s(world), rel=0.05)
    assert fresh == pytest.approx(bare.fresh_success, abs=0.01)
