"""Workers that share governors: together they drain as one would, whatever becomes of the ledger."""

import asyncio
import math
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from surgetank.cloud.station import Served, Station, StationPolicy
from surgetank.control.breaker import BreakerPolicy, Phase
from surgetank.control.evidence import EvidencePolicy
from surgetank.control.governor import WEIGHT_MAX, GovernorPolicy
from surgetank.control.lease import Report
from surgetank.control.peer.steps import Steps
from surgetank.control.release import ReleasePolicy
from surgetank.core.errors import DependencyError, InvalidInputError, QueueFullError
from surgetank.core.ports import Permits
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit, Refusal
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.safeguards.operations.ledger import Answer, Ledger, MemoryLedger
from surgetank.safeguards.operations.ledger_sqlite import SQLiteLedger
from surgetank.safeguards.operations.permits import GovernedPermits
from surgetank.safeguards.operations.shared_permits import WORKER_CHARACTERS_MAX, SharedPermits

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
    never = EvidencePolicy(samples_min=10**9, interval_s_max=1e9)
    breaker = BreakerPolicy(failure_limit=8, probe_limit=1, open_s=10.0)
    return GovernorPolicy(law=law, breaker=breaker, evidence=never)


@dataclass
class FlakyLedger:
    """A ledger that may be away, or take a report and lose its answer."""

    inner: Ledger
    clock: VirtualClock
    away_until: float = 0.0
    is_silent: bool = False
    defect: Exception | None = None
    answers_lost: int = 0
    reports: list[Report] = field(default_factory=list[Report])

    async def exchange(
        self, dependency: Dependency, report: Report, policy: GovernorPolicy
    ) -> Answer:
        if self.clock.now() < self.away_until:
            raise DependencyError("connection refused", may_have_acted=False)
        if self.defect is not None:
            raise self.defect
        if self.is_silent:
            await asyncio.Event().wait()
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
        permits: Any = self.workers.pop(name)
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
        try:
            outcome = await self.serve(permit.lane) if self.serve else await self._serve()
        except asyncio.CancelledError:
            self.calls.append(number)
            raise
        permits.report(permit, outcome)
        if outcome == OK:
            self.done_at.append(self.clock.now())
        else:
            self.calls.append(number)

    async def offer_fresh(self, permits: Permits, *, per_s: float) -> None:
        """Make fresh calls, evenly, as long as they are let through."""
        assert self.serve is not None
        calls = set[asyncio.Task[None]]()
        while True:
            await self.pass_s(1 / per_s)
            answer = permits.ask((VM,), lane=Lane.FRESH)
            if not isinstance(answer, Refusal):
                calls.add(self.loop.create_task(self._fresh(permits, answer[0])))

    async def _fresh(self, permits: Permits, permit: Permit) -> None:
        assert self.serve is not None
        permits.report(permit, await self.serve(Lane.FRESH))

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


def drained_s(names: str, *, calls: int) -> tuple[float, int]:
    """Seconds until a backlog before a station is done, and the crashes; no names: one governor."""
    found = list[tuple[float, int]]()

    async def main(world: World) -> None:
        began_at = world.clock.now()
        station = Station(COLLAPSING, world.clock, Random(7))
        world.serve = partial(serve, station)
        world.calls.extend(range(calls))
        one = GovernedPermits(default=GovernorPolicy(), clock=world.clock, chance=Random(1))
        asked: dict[str, Permits] = {name: world.worker(name, LEARNING) for name in names}
        for name, permits in (asked or {"one": one}).items():
            world.drain(name, permits)
            fresh = world.offer_fresh(permits, per_s=20.0 / max(1, len(names)))
            world.tasks[name].append(world.loop.create_task(fresh))
        while len(world.done_at) < calls:
            await world.pass_s(0.5)
        found.append((world.clock.now() - began_at, station.counts.crashes))

    play(main)
    return found[0]


async def serve(station: Station, lane: Lane) -> Outcome:
    """Call a station, and give up after a while."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            served = await station.serve(lane=lane)
    except TimeoutError:
        return Outcome(OutcomeKind.TIMEOUT)
    return OK if isinstance(served, Served) else FAULT


@pytest.mark.no_cover  # shorter runs trace the same
@pytest.mark.parametrize("names", ["a", "abcd", "abcdefgh"])
def test_workers_drain_as_fast_as_one_governor_and_tip_nothing(names: str) -> None:
    one_s, one_crashes = drained_s("", calls=12_000)
    shared_s, crashes = drained_s(names, calls=12_000)
    assert crashes <= one_crashes
    assert shared_s < 1.1 * one_s


def test_a_paced_backlog_goes_at_the_pace_of_one_however_many_workers() -> None:
    async def main(world: World) -> None:
        world.calls.extend(range(10_000))
        for name in "abcd":
            world.drain(name, world.worker(name, paced(200.0)))
        await world.pass_s(10.0)
        assert world.rate_per_s(since=2.0, until=10.0) == pytest.approx(200.0, rel=0.02)
        shares = Counter(int(at * 10) for at, _ in world.made if 2.0 <= at < 10.0)
        assert max(shares.values()) <= 23

    play(main)


def test_while_the_ledger_is_away_workers_go_on_at_a_share_that_fades_and_come_back() -> None:
    async def main(world: World) -> None:
        world.calls.extend(range(20_000))
        for name in "abcd":
            world.drain(name, world.worker(name, paced(100.0)))
        await world.pass_s(10.0)
        world.ledger.away_until = 70.0
        await world.pass_s(65.0)
        assert world.rate_per_s(since=13.0, until=18.0) == pytest.approx(90.0, abs=10.0)
        assert world.rate_per_s(since=65.0, until=70.0) == pytest.approx(27.0, abs=5.0)
        assert world.rate_per_s(since=73.0, until=75.0) == pytest.approx(100.0, rel=0.05)

    play(main)


def test_a_drain_ends_though_the_ledger_is_away_for_a_minute() -> None:
    async def main(world: World) -> None:
        world.calls.extend(range(3_000))
        for name in "ab":
            world.drain(name, world.worker(name, paced(50.0)))
        world.loop.call_later(10.0, lambda: setattr(world.ledger, "away_until", 70.0))
        await world.pass_s(100.0)
        assert len(world.done_at) == 3_000

    play(main)


def test_a_dead_worker_s_share_goes_to_the_others() -> None:
    async def main(world: World) -> None:
        world.calls.extend(range(20_000))
        for name in "abcd":
            world.drain(name, world.worker(name, paced(100.0)))
        await world.pass_s(5.0)
        await world.kill("b")
        await world.pass_s(10.0)
        assert world.rate_per_s(since=8.0, until=15.0) == pytest.approx(100.0, rel=0.02)

    play(main)


def test_a_worker_that_closes_leaves_its_share_at_once() -> None:
    async def main(world: World) -> None:
        world.calls.extend(range(20_000))
        for name in "ab":
            world.drain(name, world.worker(name, paced(100.0)))
        await world.pass_s(5.0)
        for task in world.tasks.pop("b"):
            task.cancel()
        await world.workers["b"].close()
        await world.workers["b"].close()
        assert world.ledger.reports[-1].is_leaving
        await world.pass_s(2.0)
        assert world.rate_per_s(since=5.2, until=7.0) == pytest.approx(100.0, rel=0.02)

    play(main)


def test_a_restart_in_a_ramp_goes_on_at_the_last_rate(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        async def opened() -> SQLiteLedger:
            path = str(tmp_path / "governors.db")
            return await SQLiteLedger.open(path, InlineBlocking(), now=world.clock.now)

        world.calls.extend(range(1_000_000))
        world.ledger.inner = await opened()
        world.drain("before", world.worker("before", LEARNING))
        await world.pass_s(20.0)
        was = world.rate_per_s(since=19.0, until=20.0)
        assert was > 100.0, "far up the ramp"
        await world.kill("before")
        await world.ledger.close()
        await world.pass_s(3.0)
        world.ledger.inner = await opened()
        world.drain("after", world.worker("after", LEARNING))
        await world.pass_s(1.5)
        assert world.rate_per_s(since=23.5, until=24.5) >= 0.8 * was

    play(main)


def test_a_report_whose_answer_was_lost_is_not_brought_again() -> None:
    async def main(world: World) -> None:
        world.calls.extend(range(400))
        permits = world.worker("a", paced(100.0))
        world.drain("a", permits)
        await world.pass_s(1.0)
        world.ledger.answers_lost = 1
        await world.pass_s(9.0)
        assert len(world.done_at) == 400
        assert sum(report.evidence.ok for report in world.ledger.reports) == 400

    play(main)


def test_a_ledger_that_does_not_answer_holds_up_no_fresh_call() -> None:
    async def main(world: World) -> None:
        world.ledger.is_silent = True
        permits = world.worker("a", paced(100.0))
        for _ in range(100):
            answer = permits.ask((VM,), lane=Lane.FRESH)
            assert not isinstance(answer, Refusal)
            permits.report(answer[0], OK)
            await world.pass_s(0.1)

    play(main)


@pytest.mark.no_cover  # shorter runs trace the same
def test_twice_what_the_station_bears_tips_it() -> None:
    async def main(world: World) -> None:
        station = Station(COLLAPSING, world.clock, Random(7))
        world.serve = partial(serve, station)
        world.calls.extend(range(30_000))
        policy = replace(paced(400.0), breaker=None)
        world.drain("a", GovernedPermits(default=policy, clock=world.clock, chance=Random(1)))
        await world.pass_s(60.0)
        assert station.counts.crashes > 0

    play(main)


def test_a_refusal_of_one_takes_nothing_of_the_others() -> None:
    async def main(world: World) -> None:
        permits = world.worker("a", paced(100.0))
        permits.ask((VM,), lane=Lane.BACKLOG)
        await world.pass_s(0.01)
        disk = Dependency("disk@eastus")
        for _ in range(10):
            assert isinstance(permits.ask((VM, disk), lane=Lane.BACKLOG), Refusal)
        answer = permits.ask((VM,), lane=Lane.BACKLOG)
        assert not isinstance(answer, Refusal)
        permits.give_back(answer[0])

    play(main)


def test_all_workers_see_the_same_view_and_the_same_shut_door() -> None:
    async def main(world: World) -> None:
        first, second = (world.worker(name, paced(100.0)) for name in "ab")
        for permits in (first, second):
            permits.ask((VM,), lane=Lane.FRESH)
        await world.pass_s(0.1)
        for _ in range(8):
            for permits in (first, second):
                answer = permits.ask((VM,), lane=Lane.FRESH)
                if not isinstance(answer, Refusal):
                    permits.report(answer[0], FAULT)
            await world.pass_s(1.0)
        assert [each.views()[VM].phase for each in (first, second)] == [Phase.OPEN] * 2

    play(main)


def test_a_name_and_a_call_too_many_are_refused() -> None:
    async def main(world: World) -> None:
        for name in ("", "x" * (WORKER_CHARACTERS_MAX + 1)):
            with pytest.raises(InvalidInputError, match="worker"):
                world.worker(name, paced(1.0))
        permits = SharedPermits(
            world.ledger, worker="a", default=paced(1.0), clock=world.clock, chance=Random(1),
            dependencies_max=1,
        )  # fmt: skip
        with pytest.raises(InvalidInputError, match="100 calls at once"):
            permits.ask((VM,) * (WEIGHT_MAX + 1), lane=Lane.BACKLOG)
        permits.ask((VM,) * WEIGHT_MAX, lane=Lane.BACKLOG)
        with pytest.raises(QueueFullError):
            permits.ask((Dependency("disk@eastus"),), lane=Lane.FRESH)
        await permits.close()

    play(main)


def test_a_worker_that_closes_while_the_ledger_is_away_does_not_wait_for_it() -> None:
    async def main(world: World) -> None:
        permits = world.worker("a", paced(100.0))
        permits.ask((VM,), lane=Lane.FRESH)
        world.ledger.away_until = math.inf
        await world.pass_s(5.0)
        began_at = world.clock.now()
        await permits.close()
        assert world.clock.now() == began_at

    play(main)


def test_a_defect_that_ended_the_exchanges_is_raised_at_the_end() -> None:
    async def main(world: World) -> None:
        world.ledger.defect = ZeroDivisionError()
        permits = world.worker("a", paced(100.0))
        permits.ask((VM,), lane=Lane.FRESH)
        await world.pass_s(1.0)
        with pytest.raises(ZeroDivisionError):
            await permits.close()

    play(main)


def test_a_worker_that_nobody_asks_any_more_leaves_without_a_word() -> None:
    async def main(world: World) -> None:
        permits = world.worker("a", paced(100.0))
        permits.ask((VM,), lane=Lane.BACKLOG)
        await world.pass_s(10.0)
        exchanges = len(world.ledger.reports)
        await world.pass_s(1_000.0)
        await permits.close()
        assert len(world.ledger.reports) == exchanges

    play(main)
