"""What ended badly can begin again, where it ended and behind the release."""

from collections.abc import Callable
from typing import Any

import pytest

from surgetank.core.errors import ConflictError
from surgetank.core.operation import NewOperation, OperationState, StepState
from surgetank.core.value import Lane, Outcome, OutcomeKind
from surgetank.safeguards.operations.action import ActionResult, StepCall
from surgetank.safeguards.operations.record import identify

Play = Callable[..., None]
New = Callable[..., NewOperation]
OK = ActionResult(Outcome(OutcomeKind.OK))


def test_one_that_failed_goes_on_at_the_step_that_failed(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.script("disk", OutcomeKind.PERMANENT)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", "disk"))
        assert (await world.ended(receipt.id)).state is OperationState.FAILED
        again = await worker.redrive(receipt.id)
        assert (again.state, again.lane) == (OperationState.WAITING, Lane.BACKLOG)
        assert (await world.ended(receipt.id)).state is OperationState.SUCCEEDED
        assert [step for step, _ in world.calls] == ["vm", "disk", "disk"]

    play(main)


def test_one_that_expired_is_no_longer_bound_by_its_deadline(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=60)
        worker = world.worker()
        deadline_at = world.clock.now() + 10
        receipt = await worker.submit(new_operation("k", "vm", deadline_at=deadline_at))
        assert (await world.ended(receipt.id)).state is OperationState.EXPIRED
        await worker.redrive(receipt.id)
        assert (await world.ended(receipt.id)).state is OperationState.SUCCEEDED

    play(main)


def test_tries_are_given_back(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.script("vm", *[OutcomeKind.TRANSIENT] * 5)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm"))
        assert (await world.ended(receipt.id)).state is OperationState.FAILED
        await worker.redrive(receipt.id)
        assert (await world.ended(receipt.id)).state is OperationState.SUCCEEDED
        assert len(world.calls) == 6

    play(main, tries_max=3)


@pytest.mark.parametrize(("is_done", "calls"), [(True, ["vm", "disk"]), (False, ["vm"] * 2)])
def test_one_that_is_unknown_goes_on_as_it_is_told(
    play: Play, new_operation: New, *, is_done: bool, calls: list[str]
) -> None:
    async def main(world: Any) -> None:
        world.script("vm", OutcomeKind.TIMEOUT, may_have_acted=True)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", "disk"))
        assert (await world.ended(receipt.id)).state is OperationState.UNKNOWN
        with pytest.raises(ConflictError, match="whether the call was made"):
            await worker.redrive(receipt.id)
        await worker.redrive(receipt.id, is_done=is_done)
        assert (await world.ended(receipt.id)).state is OperationState.SUCCEEDED
        assert [step for step, _ in world.calls][:2] == calls

    play(main)


def test_one_whose_last_call_was_made_has_succeeded(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.script("vm", OutcomeKind.TIMEOUT, may_have_acted=True)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm"))
        await world.ended(receipt.id)
        again = await worker.redrive(receipt.id, is_done=True)
        assert again == await worker.get(receipt.id)
        assert (again.state, again.queue) == (OperationState.SUCCEEDED, None)
        assert again.finished_at is not None

    play(main)


def test_a_fallback_that_was_made_is_told_from_the_step_itself(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.script("vm", OutcomeKind.PERMANENT)
        world.script("vm", OutcomeKind.TIMEOUT, may_have_acted=True)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", vm={"fallback": "{}"}))
        await world.ended(receipt.id)
        again = await worker.redrive(receipt.id, is_done=True)
        assert again.progress[0].state is StepState.FALLEN_BACK

    play(main)


def test_one_that_expired_in_doubt_is_probed_before_it_is_called_again(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.script("vm", OutcomeKind.TIMEOUT, may_have_acted=True)
        worker = world.worker()
        deadline_at = world.clock.now() + 0.3
        new = new_operation("k", "vm", vm={"probe": "was it?"}, deadline_at=deadline_at)
        receipt = await worker.submit(new)
        assert (await world.ended(receipt.id)).state is OperationState.EXPIRED
        await worker.redrive(receipt.id)
        await world.ended(receipt.id)
        assert world.calls == [("vm", "vm of k"), ("vm", "was it?")]

    play(main)


@pytest.mark.parametrize(("is_done", "calls"), [(True, 1), (False, 2)])
def test_who_knows_what_became_of_a_call_in_doubt_spares_the_probe(
    play: Play, new_operation: New, *, is_done: bool, calls: int
) -> None:
    async def main(world: Any) -> None:
        world.script("vm", OutcomeKind.TIMEOUT, may_have_acted=True)
        worker = world.worker()
        deadline_at = world.clock.now() + 0.3
        new = new_operation("k", "vm", vm={"probe": "was it?"}, deadline_at=deadline_at)
        receipt = await worker.submit(new)
        await world.ended(receipt.id)
        await worker.redrive(receipt.id, is_done=is_done)
        await world.ended(receipt.id)
        assert world.calls == [("vm", "vm of k")] * calls

    play(main)


def test_one_that_expired_after_a_checkpoint_goes_on_from_it(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        began = list[str]()

        async def act(call: StepCall) -> ActionResult:
            began.append(call.checkpoint)
            await call.save("here")
            kind = OutcomeKind.TIMEOUT if len(began) == 1 else OutcomeKind.OK
            return ActionResult(Outcome(kind), "here")

        world.actions["do"] = act
        worker = world.worker()
        deadline_at = world.clock.now() + 0.2
        receipt = await worker.submit(new_operation("k", "vm", deadline_at=deadline_at))
        assert (await world.ended(receipt.id)).state is OperationState.EXPIRED
        await worker.redrive(receipt.id)
        assert (await world.ended(receipt.id)).state is OperationState.SUCCEEDED
        assert began == ["", "here"]

    play(main)


def test_debts_that_were_given_up_are_tried_again(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.script("disk", OutcomeKind.PERMANENT, OutcomeKind.PERMANENT)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", "disk", disk={"is_optional": True}))
        await world.pass_s(120)
        assert await worker.owed() == 0
        await worker.redrive(receipt.id)
        assert await worker.owed() == 1
        await world.pass_s(120)
        record = await worker.get(receipt.id)
        assert [each.state for each in record.progress] == [StepState.DONE] * 2
        with pytest.raises(ConflictError, match="owes nothing"):
            await worker.redrive(receipt.id)

    play(main)


def test_what_goes_on_or_was_cancelled_does_not_begin_again(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=60)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm"))
        with pytest.raises(ConflictError):
            await worker.redrive(receipt.id)
        await worker.cancel(receipt.id)
        with pytest.raises(ConflictError):
            await worker.redrive(receipt.id)
        assert await worker.redrive(identify("nobody")) is None

    play(main)


def test_one_that_another_redrives_at_once_begins_once(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.script("vm", OutcomeKind.PERMANENT)
        first, second = world.worker("w1"), world.worker("w2")
        receipt = await first.submit(new_operation("k", "vm"))
        await world.ended(receipt.id)
        await first.redrive(receipt.id)
        with pytest.raises(ConflictError):
            await second.redrive(receipt.id)
        await world.ended(receipt.id)
        assert len(world.calls) == 2

    play(main)
