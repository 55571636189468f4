"""Whoever watches a worker is told of every operation that it lets go of or ends, once."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from surgetank.core.operation import NewOperation, OperationState
from surgetank.core.value import OutcomeKind

if TYPE_CHECKING:
    from surgetank.safeguards.operations.record import Record

Play = Callable[..., None]
New = Callable[..., NewOperation]
EXPIRED, SUCCEEDED = OperationState.EXPIRED, OperationState.SUCCEEDED


def test_more_late_operations_than_a_batch_are_all_told_of(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        told: list[Record] = []
        worker = world.worker(watch=told.append)
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=5.0)
        at = world.clock.now() + 5.0
        for number in range(10):
            await worker.submit(new_operation(f"k{number}", "vm", deadline_at=at))
        await world.pass_s(60.0)
        assert sorted(record.key for record in told) == [f"k{number}" for number in range(10)]
        assert {record.state for record in told} == {EXPIRED}

    play(main, batch=2)


def test_an_operation_that_has_nothing_left_to_do_when_it_enters_is_told_of_once(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        told: list[Record] = []
        worker = world.worker(watch=told.append)
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=300.0)
        await worker.submit(new_operation("k", "vm", vm={"is_optional": True}))
        await world.pass_s(200.0)
        assert [record.state for record in told] == [SUCCEEDED]

    play(main, owed_s=10.0)


def test_an_operation_whose_end_is_found_by_its_heir_is_told_of(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.call_s = 30.0
        first = world.worker("w1")
        await first.submit(new_operation("k", "vm"))
        await world.pass_s(1.0)
        world.kill(first)
        told: list[Record] = []
        world.worker("w2", watch=told.append)
        await world.pass_s(300.0)
        assert [record.state for record in told] == [OperationState.UNKNOWN]

    play(main)


def test_a_call_that_is_to_be_tried_again_is_told_of_each_time(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        told: list[Record] = []
        worker = world.worker(watch=told.append)
        world.script("vm", OutcomeKind.TRANSIENT, OutcomeKind.TRANSIENT)
        await worker.submit(new_operation("k", "vm"))
        await world.pass_s(600.0)
        waiting = OperationState.WAITING
        assert [record.state for record in told] == [waiting, waiting, SUCCEEDED]

    play(main)
