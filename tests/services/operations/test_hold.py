"""Work that people have stopped does not begin, and goes through the release when let go."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from surgetank.control.governor import GovernorPolicy
from surgetank.control.peer.sdk import Sdk, State
from surgetank.core.errors import InvalidInputError
from surgetank.core.operation import NewOperation, OperationState
from surgetank.core.value import Lane
from surgetank.safeguards.operations.hold import TEXT_CHARACTERS_MAX, Hold, HoldScope
from surgetank.safeguards.operations.permits import GovernedPermits
from surgetank.safeguards.operations.record import NAME_CHARACTERS_MAX

Play = Callable[..., None]
New = Callable[..., NewOperation]
SUCCEEDED = OperationState.SUCCEEDED
PACE_PER_S = 2.0
SCOPES = [
    (HoldScope.ALL, ""),
    (HoldScope.DEPENDENCY, "vm@eastus"),
    (HoldScope.REGION, "eastus"),
    (HoldScope.KIND, "create_vm"),
]


@dataclass(frozen=True, kw_only=True)
class Paced(Sdk):
    """A law of one pace."""

    rate_per_s: float

    def start(self, *, now: float) -> State:
        return Sdk.start(self, now=now)._replace(rate_per_s=self.rate_per_s)


def hold_of(world: Any, scope: HoldScope, name: str) -> Hold:
    return Hold(scope, name, world.clock.now(), "a test")


async def lanes(world: Any) -> Counter[Lane]:
    """Operations that have not ended, by lane."""
    tallies = await world.store.tally()
    return Counter(
        {
            each.lane: each.operations
            for each in tallies
            if each.state in (OperationState.READY, OperationState.WAITING)
        }
    )


@pytest.mark.parametrize(("scope", "name"), SCOPES)
@pytest.mark.parametrize("lane", Lane)
def test_what_is_held_does_not_begin_until_it_is_released(
    play: Play, new_operation: New, scope: HoldScope, name: str, lane: Lane
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        await worker.hold(hold_of(world, scope, name))
        receipt = await worker.submit(new_operation("k", "vm", lane=lane))
        await world.pass_s(600)
        assert world.calls == []
        assert [each[:2] for each in await worker.holds()] == [(scope, name)]
        assert (await worker.release(scope, name)).operations == 0
        await world.ended(receipt.id, within_s=5)
        assert await worker.holds() == ()

    play(main)


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        (HoldScope.DEPENDENCY, "vm@westus"),
        (HoldScope.REGION, "westus"),
        (HoldScope.KIND, "create_disk"),
        (HoldScope.REGION, "create_vm"),
    ],
)
def test_what_is_not_named_goes_on(
    play: Play, new_operation: New, scope: HoldScope, name: str
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        await worker.hold(hold_of(world, scope, name))
        receipt = await worker.submit(new_operation("k", "vm"))
        await world.ended(receipt.id, within_s=5)

    play(main)


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize(("scope", "name"), [*SCOPES, (HoldScope.DEPENDENCY, "disk@eastus")])
def test_a_call_under_way_goes_on_and_the_next_does_not_begin(
    play: Play, new_operation: New, scope: HoldScope, name: str, lane: Lane
) -> None:
    async def main(world: Any) -> None:
        world.call_s = 10
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", "disk", lane=lane))
        await world.pass_s(4)
        await worker.hold(hold_of(world, scope, name))
        await world.pass_s(600)
        if (scope, name) == (HoldScope.DEPENDENCY, "vm@eastus"):
            assert await world.state(receipt.id) is SUCCEEDED
            return
        assert [step for step, _ in world.calls] == ["vm"]
        assert (await worker.get(receipt.id)).progress[0].state.value == "done"
        await worker.release(scope, name)
        await world.ended(receipt.id, within_s=30)
        assert [step for step, _ in world.calls] == ["vm", "disk"]

    play(main)


def test_a_held_dependency_is_not_called_as_the_second_step_of_what_begins_elsewhere(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        await worker.hold(hold_of(world, HoldScope.DEPENDENCY, "disk@eastus"))
        optional = {"disk": {"is_optional": True}}
        fresh = await worker.submit(new_operation("a", "vm", "disk"))
        await worker.submit(new_operation("b", "vm", "disk", lane=Lane.BACKLOG))
        skips = await worker.submit(new_operation("c", "vm", "disk", lane=Lane.BACKLOG, **optional))
        await world.pass_s(600)
        assert "disk" not in {step for step, _ in world.calls}
        assert (await worker.get(skips.id)).owed == 1
        await worker.release(HoldScope.DEPENDENCY, "disk@eastus")
        await world.ended(fresh.id, within_s=5)

    play(main)


@pytest.mark.parametrize(("scope", "name"), SCOPES)
def test_fresh_work_that_is_held_becomes_backlog(
    play: Play, new_operation: New, scope: HoldScope, name: str
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        await worker.hold(hold_of(world, scope, name))
        for number in range(3):
            await worker.submit(new_operation(f"k{number}", "vm"))
        await world.pass_s(60 + 30 + 1)
        assert await lanes(world) == {Lane.BACKLOG: 3}

    play(main, batch=2)


def test_all_fresh_work_that_is_held_becomes_backlog_however_much_it_is(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        await worker.hold(hold_of(world, HoldScope.ALL, ""))
        for number in range(100):
            await worker.submit(new_operation(f"k{number}", "vm"))
        await world.pass_s(60 + 30 + 1)
        assert await lanes(world) == {Lane.BACKLOG: 100}

    play(main, batch=2)


def test_a_hold_by_one_worker_is_learnt_by_another_within_a_scan(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        first, second = world.worker("w1"), world.worker("w2")
        await world.pass_s(1)
        await first.hold(hold_of(world, HoldScope.ALL, ""))
        await world.pass_s(30)
        await second.submit(new_operation("k", "vm"))
        await world.pass_s(600)
        assert world.calls == []
        await first.release(HoldScope.ALL)
        await world.pass_s(30)
        assert len(world.calls) == 1

    play(main)


def test_a_hold_is_not_said_to_be_lifted_when_others_moved_what_it_stops(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        await worker.hold(hold_of(world, HoldScope.ALL, ""))
        await worker.submit(new_operation("k", "vm", lane=Lane.BACKLOG))
        await world.pass_s(5)
        world.store.losses = 1
        assert await worker.release(HoldScope.ALL, limit=3) == (0, False)
        assert len(await worker.holds()) == 1
        assert await worker.release(HoldScope.ALL, limit=3) == (1, True)
        assert await worker.holds() == ()

    play(main)


@pytest.mark.parametrize(("scope", "name"), SCOPES)
def test_a_release_by_steps_lets_go_so_many_and_no_more(
    play: Play, new_operation: New, scope: HoldScope, name: str
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        await worker.hold(hold_of(world, scope, name))
        for number in range(10):
            await worker.submit(new_operation(f"k{number}", "vm"))
        await world.pass_s(5)
        assert (await worker.release(scope, name, limit=3)).operations == 3
        await world.pass_s(600)
        assert [argument for _, argument in world.calls] == [f"vm of k{each}" for each in range(3)]
        assert (await worker.release(scope, name, limit=7)).operations == 7
        assert len(await worker.holds()) == 1
        assert (await worker.release(scope, name, limit=1)).operations == 0
        assert await worker.holds() == ()
        await world.pass_s(60)
        assert len(world.calls) == 10

    play(main, batch=2)


@pytest.mark.parametrize(("scope", "name"), SCOPES)
def test_a_release_by_steps_counts_what_no_worker_has_looked_at_yet(
    play: Play, new_operation: New, scope: HoldScope, name: str
) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=30)
        worker = world.worker()
        for number in range(10):
            await worker.submit(new_operation(f"k{number}", "vm"))
        await world.pass_s(5)
        await worker.hold(hold_of(world, scope, name))
        assert (await worker.release(scope, name, limit=3)).operations == 3
        assert len(await worker.holds()) == 1
        await world.pass_s(600)
        assert len(world.calls) == 3

    play(main)


@pytest.mark.parametrize(("scope", "name"), SCOPES)
def test_a_hold_set_again_keeps_what_the_first_one_held(
    play: Play, new_operation: New, scope: HoldScope, name: str
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        await worker.hold(hold_of(world, scope, name))
        for number in range(5):
            await worker.submit(new_operation(f"k{number}", "vm"))
        await world.pass_s(5)
        await worker.hold(hold_of(world, scope, name))
        assert (await worker.release(scope, name, limit=2)).operations == 2
        await world.pass_s(600)
        assert len(world.calls) == 2

    play(main)


def test_a_later_hold_stops_again_what_was_let_go(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        await worker.hold(hold_of(world, HoldScope.ALL, ""))
        for number in range(4):
            await worker.submit(new_operation(f"k{number}", "vm"))
        world.permits.refuse("vm@eastus", reason="release_held", for_s=100)
        assert (await worker.release(HoldScope.ALL, limit=2)).operations == 2
        await worker.hold(hold_of(world, HoldScope.ALL, ""))
        await world.pass_s(600)
        assert world.calls == []
        assert (await worker.release(HoldScope.ALL, limit=9)).operations == 4
        await world.pass_s(10)
        assert len(world.calls) == 4

    play(main)


def test_what_one_hold_lets_go_a_later_one_of_another_scope_still_holds(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        await worker.hold(hold_of(world, HoldScope.REGION, "eastus"))
        await worker.submit(new_operation("k", "vm"))
        await world.pass_s(5)
        await worker.hold(hold_of(world, HoldScope.ALL, ""))
        assert (await worker.release(HoldScope.REGION, "eastus", limit=1)).operations == 1
        await world.pass_s(600)
        assert world.calls == []
        await worker.release(HoldScope.ALL)
        await world.pass_s(5)
        assert len(world.calls) == 1

    play(main)


def test_a_release_by_steps_lets_the_highest_priority_go_first(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        await worker.hold(hold_of(world, HoldScope.ALL, ""))
        for priority in (0, -5, 5, 9, -9):
            await worker.submit(new_operation(f"p{priority}", "vm", priority=priority))
        for limit in (1, 2):
            await worker.release(HoldScope.ALL, limit=limit)
            await world.pass_s(20)
        assert [argument for _, argument in world.calls] == ["vm of p9", "vm of p5", "vm of p0"]

    play(main)


@pytest.mark.parametrize(("scope", "name"), SCOPES)
def test_what_was_held_for_long_goes_through_the_release_and_not_at_once(
    play: Play, new_operation: New, scope: HoldScope, name: str
) -> None:
    async def main(world: Any) -> None:
        permits = GovernedPermits(
            default=GovernorPolicy(law=Paced(rate_per_s=PACE_PER_S)),
            clock=world.clock,
            chance=Random(1),
        )
        worker = world.worker(permits=permits)
        await worker.hold(hold_of(world, scope, name))
        for number in range(200):
            await worker.submit(new_operation(f"k{number}", "vm"))
        await world.pass_s(120)
        await worker.release(scope, name)
        await world.pass_s(20)
        assert len(world.calls) == pytest.approx(20 * PACE_PER_S, abs=3)

    play(main)


def test_deadlines_pass_also_while_held(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        await worker.hold(hold_of(world, HoldScope.KIND, "create_vm"))
        deadline_at = world.clock.now() + 100
        receipt = await worker.submit(new_operation("k", "vm", deadline_at=deadline_at))
        ended = await world.ended(receipt.id)
        assert ended.state is OperationState.EXPIRED
        assert ended.finished_at == pytest.approx(deadline_at, abs=1)

    play(main)


def test_what_is_held_can_be_cancelled(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        await worker.hold(hold_of(world, HoldScope.KIND, "create_vm"))
        receipt = await worker.submit(new_operation("k", "vm"))
        await world.pass_s(5)
        assert (await worker.cancel(receipt.id)).state is OperationState.CANCELLED

    play(main)


def test_there_is_nothing_to_release_without_a_hold(play: Play) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        with pytest.raises(InvalidInputError, match="no hold of region eastus"):
            await worker.release(HoldScope.REGION, "eastus")

    play(main)


@pytest.mark.parametrize(
    ("scope", "name", "text"),
    [
        (HoldScope.ALL, "eastus", ""),
        (HoldScope.REGION, "", ""),
        (HoldScope.REGION, "x" * (NAME_CHARACTERS_MAX + 1), ""),
        (HoldScope.REGION, "east\nus", ""),
        (HoldScope.REGION, "eastus", "x" * (TEXT_CHARACTERS_MAX + 1)),
        (HoldScope.REGION, "eastus", "\0"),
    ],
)
def test_what_cannot_be_a_hold_is_refused(
    play: Play, scope: HoldScope, name: str, text: str
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        for hold in (Hold(scope, name, 1.0, by=text), Hold(scope, name, 1.0, reason=text)):
            with pytest.raises(InvalidInputError):
                await worker.hold(hold)
        assert await worker.holds() == ()

    play(main)
