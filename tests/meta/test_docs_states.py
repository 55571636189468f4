"""What the page of states walks is what workers do: no change is stored that it does not show."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from types import ModuleType

import pytest

from surgetank.core.errors import ConflictError
from surgetank.core.operation import NewOperation, OperationId, Step
from surgetank.core.ports import Clock
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit, Refusal
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.safeguards.operations.action import ActionResult, StepCall
from surgetank.safeguards.operations.hold import Hold, HoldScope
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.record import Change, Record, Saved
from surgetank.safeguards.operations.service import Operations
from surgetank.safeguards.operations.sqlite import SQLiteStore
from surgetank.safeguards.operations.store import Decide, Taken

Import = Callable[[str], ModuleType]
OPERATIONS = 30


class NotingStore(SQLiteStore):
    """Notes every change that it makes."""

    noted: list[Change]

    async def save(self, changes: Sequence[Change]) -> tuple[Saved, ...]:
        saved = await super().save(changes)
        self.noted += [each for each, made in zip(changes, saved, strict=True) if made]
        return saved

    async def take(self, queue: str, *, now: float, limit: int, decide: Decide) -> Taken:
        decided = list[Change]()

        def noting(records: Sequence[Record]) -> Sequence[Change]:
            decided.extend(decide(records))
            return decided

        taken = await super().take(queue, now=now, limit=limit, decide=noting)
        self.noted += [each for each, made in zip(decided, taken.saved, strict=True) if made]
        return taken


class Whim:
    """Gives leave and answers by chance."""

    def __init__(self, chance: Random, clock: Clock) -> None:
        self.chance = chance
        self.clock = clock

    def ask(
        self, dependencies: Sequence[Dependency], *, lane: Lane, retry: bool = False
    ) -> tuple[Permit, ...] | Refusal:
        del retry
        now = self.clock.now()
        if self.chance.random() < 0.4:
            reason = self.chance.choice(["breaker_open", "release_held"])
            return Refusal(dependencies[0], reason, now + self.chance.choice([1.0, 90.0]))
        return tuple(Permit(each, lane, 0, now) for each in dict.fromkeys(dependencies))

    def report(self, permit: Permit, outcome: Outcome) -> None:
        """Learn nothing."""

    def give_back(self, permit: Permit) -> None:
        """Learn nothing."""

    async def answer(self, call: StepCall) -> ActionResult:
        await self.clock.sleep_until(self.clock.now() + self.chance.choice([0.1, 5.0]))
        if self.chance.random() < 0.2:
            await call.save("saved")
        kind = self.chance.choice([OutcomeKind.OK, *OutcomeKind])
        return ActionResult(Outcome(kind), "", self.chance.random() < 0.5)


def some_operation(number: int, chance: Random, *, now: float) -> NewOperation:
    def flag() -> bool:
        return chance.random() < 0.5

    steps = tuple(
        Step(
            name,
            Dependency(name),
            "whim",
            "{}",
            is_optional=flag(),
            is_repeatable=flag(),
            fallback="{}" if flag() else None,
            probe="{}" if flag() else None,
        )
        for name in ("a", "b")[: chance.choice([1, 2])]
    )
    deadline_at = now + chance.choice([2.0, 40.0]) if chance.random() < 0.3 else None
    subject = "s" if chance.random() < 0.3 else ""
    return NewOperation(
        f"k{number}", "kind", "region", steps, deadline_at=deadline_at, subject=subject,
        generation=number if subject else 0,
    )  # fmt: skip


def noted_changes(seed: int) -> list[Change]:
    """Let a worker live through random days, and note what is stored."""

    async def main(loop: VirtualLoop) -> list[Change]:
        clock, chance = VirtualClock(loop), Random(seed)
        whim = Whim(chance, clock)
        store = await NotingStore.open(":memory:", InlineBlocking())
        store.noted = []
        policy = OperationsPolicy(tries_max=2, owed_s=1.0, fresh_s=5.0, scan_s=5.0)
        service = Operations(
            store=store, permits=whim, actions={"whim": whim.answer}, clock=clock, chance=chance,
            policy=policy, worker="w",
        )  # fmt: skip
        running = loop.create_task(service.run())
        ids = list[OperationId]()
        for number in range(OPERATIONS):
            new = some_operation(number, chance, now=clock.now())
            ids.append((await service.submit(new)).id)
            await clock.sleep_until(clock.now() + chance.choice([0.05, 3.0, 300.0]))
            await _act(service, chance, chance.choice(ids), now=clock.now())
        await service.close()
        await running
        await store.close()
        return store.noted

    return run(main)


async def _act(service: Operations, chance: Random, name: OperationId, *, now: float) -> None:
    match chance.randrange(5):
        case 0:
            await service.cancel(name)
        case 1 | 2:
            with suppress(ConflictError):  # It may not be one that can begin again.
                await service.redrive(name, is_done=chance.choice([None, True, False]))
        case 3:
            await service.hold(Hold(HoldScope.KIND, "kind", now))
        case _:
            if await service.holds():
                await service.release(HoldScope.KIND, "kind", limit=chance.choice([None, 2]))


@pytest.mark.parametrize("seed", range(8))
def test_no_change_is_stored_that_the_page_does_not_show(tool: Import, seed: int) -> None:
    states, found = tool("states"), noted_changes(seed)
    stored = {(each.before.state.value, each.after.state.value) for each in found}
    assert len(stored) > 5, "much happened"
    assert stored <= states.OPERATION.keys()


@pytest.mark.parametrize("seed", range(8))
def test_no_change_of_a_step_is_stored_that_the_page_does_not_show(tool: Import, seed: int) -> None:
    states = tool("states")
    stored = {
        (was.state.value, now.state.value)
        for each in noted_changes(seed)
        for was, now in zip(each.before.progress, each.after.progress, strict=True)
        if was != now
    }
    assert len(stored) > 3, "much happened"
    assert stored <= states.STEP.keys()
