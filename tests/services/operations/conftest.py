"""Operations in virtual time: a store in memory, calls that end as told, permits that refuse."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from surgetank.core.errors import DependencyError
from surgetank.core.operation import NewOperation, OperationId, OperationState, Step
from surgetank.core.ports import Permits
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit, Refusal
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.safeguards.operations.action import Action, ActionResult, StepCall
from surgetank.safeguards.operations.hold import Hold
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.record import Change, Due, Record, Saved, Tally
from surgetank.safeguards.operations.service import Operations
from surgetank.safeguards.operations.sqlite import SQLiteStore
from surgetank.safeguards.operations.store import (
    Decide,
    Filter,
    Page,
    Store,
    Survey,
    Taken,
)

START_AT = 1_770_055_380.0
OK = ActionResult(Outcome(OutcomeKind.OK))


@dataclass
class ScriptedPermits:
    """Gives leave, but for the dependencies that it was told to refuse."""

    clock: VirtualClock
    refusals: dict[tuple[str, Lane], tuple[str, float]] = field(
        default_factory=dict[tuple[str, Lane], tuple[str, float]]
    )
    asked: list[tuple[tuple[str, ...], Lane, bool]] = field(
        default_factory=list[tuple[tuple[str, ...], Lane, bool]]
    )
    out: list[Permit] = field(default_factory=list[Permit])
    reported: list[tuple[str, OutcomeKind]] = field(default_factory=list[tuple[str, OutcomeKind]])

    def refuse(
        self, dependency: str, *, reason: str, for_s: float, lane: Lane | None = None
    ) -> None:
        """Refuse until then; the reason is the governor's."""
        for each in (lane,) if lane else Lane:
            self.refusals[dependency, each] = (reason, self.clock.now() + for_s)

    def ask(
        self, dependencies: Sequence[Dependency], *, lane: Lane, retry: bool = False
    ) -> tuple[Permit, ...] | Refusal:
        now = self.clock.now()
        self.asked.append((tuple(dependencies), lane, retry))
        for dependency in dependencies:
            reason, until = self.refusals.get((dependency, lane), ("", 0.0))
            if now < until:
                return Refusal(dependency, reason, until)
        given = tuple(Permit(each, lane, 0, now, weight) for each, weight in _weights(dependencies))
        self.out.extend(given)
        return given

    def report(self, permit: Permit, outcome: Outcome) -> None:
        self._in(permit)
        self.reported.append((permit.dependency, outcome.kind))

    def give_back(self, permit: Permit) -> None:
        self._in(permit)

    def _in(self, permit: Permit) -> None:
        found = [each for each in self.out if each[:3] == permit[:3]]
        assert found, f"returned twice, or never given: {permit}"
        self.out.remove(found[0])


def _weights(dependencies: Sequence[Dependency]) -> Iterable[tuple[Dependency, int]]:
    """Each once, with how often it stands."""
    return Counter(dependencies).items()


@dataclass
class ClockBehind:
    """A clock that another machine set wrongly."""

    inner: VirtualClock
    behind_s: float

    def now(self) -> float:
        return self.inner.now() - self.behind_s

    async def sleep_until(self, at: float) -> None:
        await self.inner.sleep_until(at + self.behind_s)


@dataclass
class FlakyStore:
    """A store on a disk that fails, hangs or leaves its caller in doubt."""

    inner: Store
    clock: VirtualClock
    fails_until: float = 0.0
    """Nothing is begun or written down before."""
    away_until: float = 0.0
    """Nothing is answered before."""
    renews: bool = True
    doubts: int = 0
    """Writes to come that are made and then said to have failed."""
    losses: int = 0
    """Writes to come before each of which somebody else wrote."""

    @property
    def writes(self) -> Any:
        """The inner store's group commit."""
        assert isinstance(self.inner, SQLiteStore), "only this one groups commits"
        return self.inner.writes

    async def submit(self, record: Record) -> bool:
        self._answer()
        return await self.inner.submit(record)

    async def read(self, operation_id: OperationId) -> Record | None:
        self._answer()
        return await self.inner.read(operation_id)

    async def survey(self) -> Survey:
        self._answer()
        return await self.inner.survey()

    async def take(self, queue: str, *, now: float, limit: int, decide: Decide) -> Taken:
        self._fail()
        return await self.inner.take(queue, now=now, limit=limit, decide=decide)

    async def stop(self, operation_id: OperationId, state: OperationState) -> bool:
        self._answer()
        return await self.inner.stop(operation_id, state)

    async def find(self, wanted: Filter, *, after: int, limit: int) -> Page:
        self._answer()
        return await self.inner.find(wanted, after=after, limit=limit)

    async def generation(self, subject: str) -> int | None:
        self._answer()
        return await self.inner.generation(subject)

    async def hold(self, hold: Hold) -> Hold:
        self._answer()
        return await self.inner.hold(hold)

    async def release(self, number: int) -> bool:
        self._answer()
        return await self.inner.release(number)

    async def late(self, *, now: float, limit: int) -> Due:
        self._answer()
        return await self.inner.late(now=now, limit=limit)

    async def forget(self, *, before: float, limit: int) -> int:
        self._answer()
        return await self.inner.forget(before=before, limit=limit)

    async def tally(self) -> tuple[Tally, ...]:
        self._answer()
        return await self.inner.tally()

    def listen(self, told: Callable[[], None]) -> None:
        self.inner.listen(told)

    async def close(self) -> None:
        await self.inner.close()

    async def save(self, changes: Sequence[Change]) -> tuple[Saved, ...]:
        self._fail()
        if self.losses:
            self.losses -= 1
            return (Saved.LOST,) * len(changes)
        saved = await self.inner.save(changes)
        if self.doubts:
            self.doubts -= 1
            raise DependencyError("I/O error", may_have_acted=True)
        return saved

    async def due(self, queue: str, *, now: float, limit: int) -> Due:
        self._fail()
        return await self.inner.due(queue, now=now, limit=limit)

    async def renew(
        self, leases: Sequence[tuple[OperationId, int]], *, until: float
    ) -> tuple[bool, ...]:
        self._answer()
        if self.renews:
            return await self.inner.renew(leases, until=until)
        return (True,) * len(leases)

    def _answer(self) -> None:
        if self.clock.now() < self.away_until:
            raise DependencyError("connection refused", may_have_acted=False)

    def _fail(self) -> None:
        self._answer()
        if self.clock.now() < self.fails_until:
            raise DependencyError("disk full", may_have_acted=False)


@dataclass
class World:
    """One worker and what is around it."""

    loop: VirtualLoop
    clock: VirtualClock
    store: FlakyStore
    permits: ScriptedPermits
    policy: OperationsPolicy
    actions: dict[str, Action] = field(default_factory=dict[str, Action])
    scripts: dict[str, deque[ActionResult]] = field(default_factory=dict[str, deque[ActionResult]])
    calls: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Step and arguments of every call, in order."""
    call_s: float = 0.1
    workers: list[Operations] = field(default_factory=list[Operations])
    running: dict[Operations, asyncio.Task[None]] = field(
        default_factory=dict[Operations, "asyncio.Task[None]"]
    )

    def worker(
        self,
        name: str = "w1",
        *,
        behind_s: float = 0.0,
        watch: Callable[[Record], None] | None = None,
        permits: Permits | None = None,
    ) -> Operations:
        """Start a worker on the store, perhaps with a clock that is behind or other permits."""
        self.store = FlakyStore(self.store.inner, self.clock)
        service = Operations(
            store=self.store,
            permits=permits or self.permits,
            actions={"do": self.do, **self.actions},
            clock=ClockBehind(self.clock, behind_s) if behind_s else self.clock,
            chance=Random(1),
            policy=self.policy,
            worker=name,
            watch=watch,
        )
        self.workers.append(service)
        self.running[service] = self.loop.create_task(service.run(), name=name)
        return service

    def kill(self, service: Any) -> None:
        """Stop everything that a worker does, as a power cut would."""
        self.workers.remove(service)
        self.running.pop(service).cancel()
        for flight in service._runner._engine.flights.values():
            flight.task.cancel()

    async def do(self, call: StepCall) -> ActionResult:
        """End as scripted for the step, else well."""
        self.calls.append((call.step_name, call.arguments))
        await self.pass_s(self.call_s)
        script = self.scripts.get(call.step_name)
        return script.popleft() if script else OK

    def script(
        self,
        step: str,
        *kinds: OutcomeKind,
        may_have_acted: bool = False,
        is_absent: bool = False,
    ) -> None:
        """Let the next calls of a step end so."""
        results = (ActionResult(Outcome(kind), "", may_have_acted, is_absent) for kind in kinds)
        self.scripts.setdefault(step, deque()).extend(results)

    async def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        await self.clock.sleep_until(self.clock.now() + seconds)

    async def ended(self, record_id: Any, *, within_s: float = 86_400.0) -> Record:
        """Wait for an operation's end."""
        until = self.clock.now() + within_s
        while self.clock.now() < until:
            record = await self.store.inner.read(record_id)
            assert record is not None, "what was acknowledged is not lost"
            if record.finished_at is not None:
                return record
            await self.pass_s(0.5)
        raise AssertionError(f"did not end within {within_s} s")

    async def state(self, record_id: Any) -> OperationState:
        """Where an operation stands."""
        record = await self.store.inner.read(record_id)
        assert record is not None, "what was acknowledged is not lost"
        return record.state


Play = Callable[..., None]


@pytest.fixture
def play() -> Play:
    """Play a coroutine in virtual time: it is handed a world."""

    def play(main: Callable[[Any], Coroutine[Any, Any, None]], **limits: Any) -> None:
        open_max = limits.pop("open_max", 100_000)
        policy = OperationsPolicy(**limits)

        async def whole(loop: VirtualLoop) -> None:
            async with _world(loop, open_max, policy) as world:
                await main(world)

        run(whole, start_at=START_AT)

    return play


@asynccontextmanager
async def _world(
    loop: VirtualLoop, open_max: int, policy: OperationsPolicy
) -> AsyncGenerator[World, None]:
    clock = VirtualClock(loop)
    store = await SQLiteStore.open(":memory:", InlineBlocking(), open_max=open_max)
    world = World(loop, clock, FlakyStore(store, clock), ScriptedPermits(clock), policy)
    yield world
    for service in world.workers:
        await service.close()
    assert world.permits.out == [], "every permit was reported or given back"
    await store.close()


@pytest.fixture
def new_operation() -> Callable[..., NewOperation]:
    """Make an operation whose steps are named after their service: `vm` calls `vm@eastus`.

    Other names are of steps, with what is altered in them, or of fields of the operation.
    """

    def make(key: str, *steps: str, lane: Lane = Lane.FRESH, **changes: Any) -> NewOperation:
        deadline_at: float | None = changes.pop("deadline_at", None)
        made = tuple(
            Step(name, Dependency(f"{name}@eastus"), "do", f"{name} of {key}") for name in steps
        )
        altered = tuple(step._replace(**changes.pop(step.name, {})) for step in made)
        new = NewOperation(key, "create_vm", "eastus", altered, lane, deadline_at)
        return new._replace(**changes)

    return make
