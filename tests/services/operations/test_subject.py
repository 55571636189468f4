"""Of one subject only the newest generation runs, one operation at a time."""

from collections.abc import Callable
from typing import Any

import pytest

from surgetank.core.errors import ConflictError, InvalidInputError
from surgetank.core.operation import NewOperation, OperationState
from surgetank.core.value import OutcomeKind
from surgetank.safeguards.operations.record import GENERATION_MAX, SUBJECT_CHARACTERS_MAX

Play = Callable[..., None]
New = Callable[..., NewOperation]
SUPERSEDED, SUCCEEDED = OperationState.SUPERSEDED, OperationState.SUCCEEDED


@pytest.fixture
def wanted(new_operation: New) -> New:
    """Make a generation of the subject `blue`, with the steps vm and disk."""

    def make(generation: int, **changes: Any) -> NewOperation:
        return new_operation(
            f"g{generation}", "vm", "disk", subject="blue", generation=generation, **changes
        )

    return make


def test_of_what_waits_only_the_newest_costs_a_call(play: Play, wanted: New) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=300)
        worker = world.worker()
        receipts = [await worker.submit(wanted(generation)) for generation in range(1, 6)]
        ends = [(await world.ended(receipt.id)).state for receipt in receipts]
        assert ends == [SUPERSEDED] * 4 + [SUCCEEDED]
        assert world.calls == [("vm", "vm of g5"), ("disk", "disk of g5")]

    play(main)


def test_one_under_way_makes_no_further_call_and_the_newer_follows_at_once(
    play: Play, wanted: New
) -> None:
    async def main(world: Any) -> None:
        world.call_s = 10
        worker = world.worker()
        older = await worker.submit(wanted(1))
        await world.pass_s(4)
        newer = await worker.submit(wanted(2))
        ended = await world.ended(newer.id)
        assert world.calls == [("vm", "vm of g1"), ("vm", "vm of g2"), ("disk", "disk of g2")]
        assert await world.state(older.id) is SUPERSEDED
        assert ended.finished_at - ended.created_at == pytest.approx(6 + 20, abs=1)

    play(main, scan_s=3_600)


@pytest.mark.parametrize(
    "kind", [OutcomeKind.TRANSIENT, OutcomeKind.BLOCKED, OutcomeKind.THROTTLED]
)
def test_one_that_would_be_tried_again_is_not(play: Play, wanted: New, kind: OutcomeKind) -> None:
    async def main(world: Any) -> None:
        world.call_s = 10
        world.script("vm", kind)
        worker = world.worker()
        older = await worker.submit(wanted(1))
        await world.pass_s(4)
        newer = await worker.submit(wanted(2))
        ended = await world.ended(newer.id)
        assert await world.state(older.id) is SUPERSEDED
        assert ended.finished_at - ended.created_at == pytest.approx(6 + 20, abs=1)

    play(main, scan_s=3_600)


def test_one_that_ends_by_itself_meanwhile_keeps_its_end(play: Play, wanted: New) -> None:
    async def main(world: Any) -> None:
        world.call_s = 10
        worker = world.worker()
        older = await worker.submit(wanted(1))
        await world.pass_s(14)
        newer = await worker.submit(wanted(2))
        await world.ended(newer.id)
        assert await world.state(older.id) is SUCCEEDED

    play(main)


def test_a_newer_one_waits_for_the_lease_of_a_worker_that_went_silent(
    play: Play, wanted: New
) -> None:
    async def main(world: Any) -> None:
        world.call_s = 10
        first = world.worker("w1")
        older = await first.submit(wanted(1, vm={"is_repeatable": True}))
        await world.pass_s(4)
        world.kill(first)
        second = world.worker("w2")
        newer = await second.submit(wanted(2))
        await world.pass_s(50)
        assert world.calls == [("vm", "vm of g1")]
        await world.ended(newer.id)
        assert await world.state(older.id) is SUPERSEDED
        assert world.calls[1:] == [("vm", "vm of g2"), ("disk", "disk of g2")]

    play(main)


def test_a_stop_that_a_silent_worker_did_not_hear_is_obeyed_though_its_dependency_is_blocked(
    play: Play, wanted: New, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.call_s = 10
        first = world.worker("w1")
        older = await first.submit(wanted(1, vm={"is_repeatable": True}))
        await world.pass_s(4)
        world.kill(first)
        await world.pass_s(0)
        world.permits.out.clear()
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=80_000)
        second = world.worker("w2")
        await second.submit(new_operation("refused", "vm"))
        await second.submit(wanted(2))
        assert (await world.ended(older.id, within_s=200)).state is SUPERSEDED

    play(main)


def test_workers_that_share_a_store_run_one_at_a_time_and_never_an_older_after_a_newer(
    play: Play, wanted: New
) -> None:
    async def main(world: Any) -> None:
        world.call_s = 1
        workers = [world.worker(f"w{number}") for number in range(3)]
        receipts = list[Any]()
        for generation in range(1, 30):
            receipts.append(await workers[generation % 3].submit(wanted(generation)))
            await world.pass_s(0.3)
        ends = [(await world.ended(receipt.id)).state for receipt in receipts]
        assert ends[-1] is SUCCEEDED
        begun = [int(arguments.rpartition("g")[2]) for _, arguments in world.calls]
        assert begun == sorted(begun)

    play(main, scan_s=1)


def test_one_that_came_too_late_is_acknowledged_and_superseded(play: Play, wanted: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        await worker.submit(wanted(2))
        late = await worker.submit(wanted(1))
        assert late.is_new
        assert await world.state(late.id) is SUPERSEDED

    play(main)


def test_one_whose_place_was_taken_is_not_redriven(play: Play, wanted: New) -> None:
    async def main(world: Any) -> None:
        world.script("vm", OutcomeKind.PERMANENT)
        worker = world.worker()
        older = await worker.submit(wanted(1))
        assert (await world.ended(older.id)).state is OperationState.FAILED
        await worker.submit(wanted(2))
        with pytest.raises(ConflictError, match="generation 2"):
            await worker.redrive(older.id)

    play(main)


def test_one_that_is_cancelled_while_it_waits_for_an_older_does_not_bring_that_back(
    play: Play, wanted: New
) -> None:
    async def main(world: Any) -> None:
        world.call_s = 10
        worker = world.worker()
        older = await worker.submit(wanted(1))
        await world.pass_s(4)
        newer = await worker.submit(wanted(2))
        cancelled = await worker.cancel(newer.id)
        assert cancelled is not None
        assert cancelled.state is OperationState.CANCELLED
        await world.pass_s(100)
        assert await world.state(older.id) is SUPERSEDED
        assert len(world.calls) == 1

    play(main)


def test_one_with_debts_is_superseded_in_them_and_has_succeeded(play: Play, wanted: New) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("disk@eastus", reason="breaker_open", for_s=300)
        worker = world.worker()
        older = await worker.submit(wanted(1, disk={"is_optional": True}))
        assert (await world.ended(older.id)).owed == 1
        newer = await worker.submit(wanted(2))
        await world.ended(newer.id)
        await world.pass_s(600)
        assert await world.state(older.id) is SUCCEEDED
        assert await worker.owed() == 0
        assert ("disk", "disk of g1") not in world.calls

    play(main)


def test_one_told_to_stop_that_succeeds_with_debts_has_succeeded(play: Play, wanted: New) -> None:
    async def main(world: Any) -> None:
        world.call_s = 10
        world.permits.refuse("disk@eastus", reason="breaker_open", for_s=300)
        worker = world.worker()
        older = await worker.submit(wanted(1, disk={"is_optional": True}))
        await world.pass_s(4)
        newer = await worker.submit(wanted(2))
        await world.ended(newer.id)
        await world.pass_s(600)
        assert await world.state(older.id) is SUCCEEDED
        assert await worker.owed() == 0
        assert ("disk", "disk of g1") not in world.calls

    play(main)


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "x" * (SUBJECT_CHARACTERS_MAX + 1)},
        {"subject": "new\nline"},
        {"generation": -1},
        {"generation": GENERATION_MAX + 1},
        {"subject": "", "generation": 1},
    ],
)
def test_what_cannot_be_a_subject_is_refused(
    play: Play, new_operation: New, changes: dict[str, Any]
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        with pytest.raises(InvalidInputError):
            await worker.submit(new_operation("k", "vm", **{"subject": "blue", **changes}))

    play(main)
