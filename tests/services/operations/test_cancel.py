"""What nobody wants any more ends before it costs another call."""

from collections.abc import Callable
from typing import Any

import pytest

from surgetank.core.errors import ConflictError
from surgetank.core.operation import NewOperation, OperationState
from surgetank.core.value import OutcomeKind
from surgetank.safeguards.operations.record import Record, identify

Play = Callable[..., None]
New = Callable[..., NewOperation]
CANCELLED, SUCCEEDED = OperationState.CANCELLED, OperationState.SUCCEEDED


def test_one_that_waits_ends_without_a_call(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=60)
        watched = list[Record]()
        worker = world.worker(watch=watched.append)
        receipt = await worker.submit(new_operation("k", "vm"))
        ended = await worker.cancel(receipt.id)
        assert ended == await worker.get(receipt.id)
        assert (ended.state, ended.queue, ended.finished_at) == (CANCELLED, None, ended.created_at)
        await world.pass_s(300)
        assert world.calls == []
        assert watched == [ended._replace(fence=0)]

    play(main)


def test_one_under_way_ends_its_call_and_makes_no_other(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.call_s = 10
        watched = list[Record]()
        worker = world.worker(watch=watched.append)
        receipt = await worker.submit(new_operation("k", "vm", "disk"))
        await world.pass_s(4)
        told = await worker.cancel(receipt.id)
        assert (told.state, told.stop) == (OperationState.RUNNING, CANCELLED)
        ended = await world.ended(receipt.id)
        assert ended.state is CANCELLED
        assert [each.state.value for each in ended.progress] == ["done", "pending"]
        assert world.calls == [("vm", "vm of k")]
        assert [each.state for each in watched] == [CANCELLED]

    play(main)


def test_one_under_way_can_be_spared(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", "disk"))
        await world.pass_s(0.05)
        spared = await worker.cancel(receipt.id, also_under_way=False)
        assert (spared.state, spared.stop) == (OperationState.RUNNING, "")
        assert (await world.ended(receipt.id)).state is SUCCEEDED

    play(main)


def test_one_whose_last_call_succeeds_has_succeeded(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm"))
        await world.pass_s(0.05)
        await worker.cancel(receipt.id)
        assert (await world.ended(receipt.id)).state is SUCCEEDED

    play(main)


def test_to_cancel_again_is_harmless(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=60)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm"))
        first = await worker.cancel(receipt.id)
        assert await worker.cancel(receipt.id) == first
        assert await worker.cancel(identify("nobody")) is None

    play(main)


def test_what_has_ended_stays_as_it_is(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm"))
        ended = await world.ended(receipt.id)
        assert await worker.cancel(receipt.id) == ended

    play(main)


def test_debts_of_what_has_succeeded_are_still_paid(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        for service in ("disk", "agent"):
            world.permits.refuse(f"{service}@eastus", reason="breaker_open", for_s=30)
        world.call_s = 10
        worker = world.worker()
        optional = {"disk": {"is_optional": True}, "agent": {"is_optional": True}}
        receipt = await worker.submit(new_operation("k", "vm", "disk", "agent", **optional))
        await world.ended(receipt.id)
        await worker.cancel(receipt.id)
        await world.pass_s(64)  # The debt's call is under way.
        assert world.calls[-1][0] == "disk"
        await worker.cancel(receipt.id)
        await world.pass_s(64)
        record = await worker.get(receipt.id)
        assert [each.state.value for each in record.progress] == ["done"] * 3

    play(main)


def test_another_worker_can_cancel_what_this_one_has_under_way(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.call_s = 10
        first, second = world.worker("w1"), world.worker("w2")
        receipt = await first.submit(new_operation("k", "vm", "disk"))
        await world.pass_s(4)
        await second.cancel(receipt.id)
        assert (await world.ended(receipt.id)).state is CANCELLED
        assert len(world.calls) == 1

    play(main)


def test_a_store_that_is_away_when_the_call_ends_delays_the_end_and_loses_nothing(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.call_s = 10
        worker = world.worker()
        store = world.store
        receipt = await worker.submit(new_operation("k", "vm", "disk"))
        await world.pass_s(4)
        await worker.cancel(receipt.id)
        save = store.save

        async def save_then_go_away(changes: Any) -> Any:
            saved = await save(changes)
            store.away_until = world.clock.now() + 20
            return saved

        store.save = save_then_go_away
        await world.pass_s(6.1)  # Its end was written, and what it is to become cannot be read.
        store.save = save
        ended = await world.ended(receipt.id)
        assert ended.state is CANCELLED
        assert ended.finished_at - ended.created_at < 35
        assert len(world.calls) == 1

    play(main)


def test_a_cancelled_one_that_was_to_be_tried_again_does_not_wait_for_that(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.call_s = 10
        world.script("vm", OutcomeKind.TRANSIENT)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm"))
        await world.pass_s(4)
        await worker.cancel(receipt.id)
        ended = await world.ended(receipt.id)
        assert ended.state is CANCELLED
        assert ended.finished_at - ended.created_at == pytest.approx(10, abs=0.1)

    play(main)


def test_one_that_others_move_again_and_again_is_a_conflict(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=60)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm"))

        async def lose(changes: Any) -> Any:
            return (0,) * len(changes)

        world.store.save = lose
        with pytest.raises(ConflictError, match="8 times"):
            await worker.cancel(receipt.id)
        del world.store.save

    play(main)
