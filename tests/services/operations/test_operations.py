"""What becomes of an operation: one fact of the table in `progress.py` per test."""

from collections.abc import Callable
from typing import Any

import pytest

from surgetank.core.errors import ConflictError, InvalidInputError, QueueFullError, RefusedError
from surgetank.core.operation import NewOperation, OperationState, StepState
from surgetank.core.value import Lane, Outcome, OutcomeKind
from surgetank.safeguards.operations.action import ActionResult, StepCall
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.progress import CANCELLED
from surgetank.safeguards.operations.record import Record, identify

Play = Callable[..., None]
New = Callable[..., NewOperation]
BLOCKED, PERMANENT = OutcomeKind.BLOCKED, OutcomeKind.PERMANENT
TRANSIENT, TIMEOUT, THROTTLED = OutcomeKind.TRANSIENT, OutcomeKind.TIMEOUT, OutcomeKind.THROTTLED
REPEATABLE: dict[str, Any] = {"is_repeatable": True}
OPTIONAL: dict[str, Any] = {"is_optional": True}


def test_makes_the_calls_of_its_steps_once_and_in_order(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        receipt = await world.worker().submit(new_operation("k", "vm", "disk", "extension"))
        record = await world.ended(receipt.id)
        assert record.state is OperationState.SUCCEEDED
        assert [step for step, _ in world.calls] == ["vm", "disk", "extension"]
        assert world.clock.now() - record.created_at < 1.0

    play(main)


def test_one_key_and_body_is_one_operation(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        first = await worker.submit(new_operation("k", "vm"))
        again = await worker.submit(new_operation("k", "vm", deadline_at=9e9))
        assert (first.is_new, again.is_new) == (True, False)
        assert first.id == again.id == identify("k")
        await world.pass_s(60)
        assert len(world.calls) == 1

    play(main)


def test_one_key_with_another_body_is_a_conflict(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        await worker.submit(new_operation("k", "vm"))
        with pytest.raises(ConflictError, match="another body"):
            await worker.submit(new_operation("k", "vm", "disk"))

    play(main)


@pytest.mark.parametrize("kind", [TRANSIENT, TIMEOUT, THROTTLED])
def test_tries_again_what_time_may_heal(play: Play, new_operation: New, kind: OutcomeKind) -> None:
    async def main(world: Any) -> None:
        world.script("vm", kind, kind)
        receipt = await world.worker().submit(new_operation("k", "vm", vm=REPEATABLE))
        assert (await world.ended(receipt.id)).state is OperationState.SUCCEEDED
        assert len(world.calls) == 3
        assert [retry for _, _, retry in world.permits.asked] == [False, True, True]

    play(main)


def test_waits_as_long_as_the_dependency_asked(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        retry_at = world.clock.now() + 1_000

        async def act(call: StepCall) -> ActionResult:
            del call
            is_early = world.clock.now() < retry_at
            return ActionResult(Outcome(THROTTLED if is_early else OutcomeKind.OK, "", retry_at))

        world.actions["do"] = act
        receipt = await world.worker().submit(new_operation("k", "vm"))
        record = await world.ended(receipt.id)
        assert record.finished_at == pytest.approx(retry_at, abs=1.0)

    play(main)


def test_fails_when_its_tries_are_spent(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.script("vm", *[TRANSIENT] * 3)
        receipt = await world.worker().submit(new_operation("k", "vm", "disk"))
        record = await world.ended(receipt.id)
        assert (record.state, len(world.calls)) == (OperationState.FAILED, 3)
        assert record.detail.startswith("vm:")

    play(main, tries_max=3)


def test_a_permanent_answer_fails_it_at_once(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.script("disk", PERMANENT)
        receipt = await world.worker().submit(new_operation("k", "vm", "disk", "extension"))
        assert (await world.ended(receipt.id)).state is OperationState.FAILED
        assert [step for step, _ in world.calls] == ["vm", "disk"]

    play(main)


@pytest.mark.parametrize("kind", [BLOCKED, PERMANENT])
def test_a_fallback_is_done_instead(play: Play, new_operation: New, kind: OutcomeKind) -> None:
    async def main(world: Any) -> None:
        world.script("disk", kind)
        new = new_operation("k", "vm", "disk", disk={"fallback": "elsewhere"})
        record = await world.ended((await world.worker().submit(new)).id)
        assert record.state is OperationState.SUCCEEDED
        assert record.progress[1].state is StepState.FALLEN_BACK
        assert world.calls[1:] == [("disk", "disk of k"), ("disk", "elsewhere")]
        assert world.permits.reported == [("vm@eastus", OutcomeKind.OK), ("disk@eastus", kind)]

    play(main)


def test_a_refused_call_with_a_fallback_is_never_made(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=3_600)
        new = new_operation("k", "vm", vm={"fallback": "elsewhere"})
        record = await world.ended((await world.worker().submit(new)).id, within_s=5)
        assert world.calls == [("vm", "elsewhere")]
        assert record.progress[0].state is StepState.FALLEN_BACK

    play(main)


def test_blocked_without_fallback_sleeps_as_backlog_and_keeps_its_tries(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.script("vm", *[BLOCKED] * 5)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm"))
        await world.pass_s(1)
        asleep = await worker.get(receipt.id)
        assert (asleep.state, asleep.lane) == (OperationState.WAITING, Lane.BACKLOG)
        assert 15 <= asleep.run_at - asleep.created_at - 0.1 <= 30
        assert (asleep.progress[0].tries, asleep.progress[0].sleeps) == (0, 1)
        assert (await world.ended(receipt.id)).state is OperationState.SUCCEEDED
        assert [lane for _, lane, _ in world.permits.asked] == [Lane.FRESH, *[Lane.BACKLOG] * 5]
        assert not any(retry for _, _, retry in world.permits.asked)

    play(main, tries_max=2)


@pytest.mark.parametrize("kinds", [[BLOCKED], [PERMANENT], [TRANSIENT] * 2])
def test_an_optional_step_is_owed_and_done_later(
    play: Play, new_operation: New, kinds: list[OutcomeKind]
) -> None:
    async def main(world: Any) -> None:
        world.script("agent", *kinds)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", "agent", "disk", agent=OPTIONAL))
        record = await world.ended(receipt.id)
        assert record.state is OperationState.SUCCEEDED
        assert [each.state for each in record.progress] == ["done", "owed", "done"]
        assert await worker.owed() == 1
        await world.pass_s(120)
        record = await worker.get(receipt.id)
        assert [each.state for each in record.progress] == ["done"] * 3
        assert (await worker.owed(), record.queue) == (0, None)
        assert world.permits.asked[-1] == (("agent@eastus",), Lane.BACKLOG, False)

    play(main, tries_max=2)


def test_an_optional_step_whose_breaker_is_open_is_owed_without_a_call(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("agent@eastus", reason="breaker_open", for_s=600)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "agent", "vm", agent=OPTIONAL))
        await world.ended(receipt.id, within_s=5)
        assert [step for step, _ in world.calls] == ["vm"]
        await world.pass_s(700)
        assert [step for step, _ in world.calls] == ["vm", "agent"]

    play(main)


def test_fresh_work_waits_for_an_optional_step_that_is_merely_held(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("agent@eastus", reason="in_flight", for_s=20)
        receipt = await world.worker().submit(new_operation("k", "agent", "vm", agent=OPTIONAL))
        record = await world.ended(receipt.id)
        assert [each.state for each in record.progress] == ["done", "done"]
        assert record.finished_at - record.created_at == pytest.approx(20.2, abs=0.5)

    play(main)


def test_a_security_step_is_never_skipped(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.script("agent", BLOCKED, PERMANENT)
        security = {"is_optional": True, "is_security": True}
        receipt = await world.worker().submit(new_operation("k", "agent", agent=security))
        await world.pass_s(1)
        assert await world.state(receipt.id) is OperationState.WAITING
        assert (await world.ended(receipt.id)).state is OperationState.FAILED

    play(main)


def test_a_debt_that_cannot_be_paid_is_given_up_and_stays_on_record(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.script("agent", PERMANENT, PERMANENT)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "agent", agent=OPTIONAL))
        await world.pass_s(3_600)
        record = await worker.get(receipt.id)
        assert (record.state, record.queue) == (OperationState.SUCCEEDED, None)
        assert record.progress[0].state is StepState.OWED
        assert record.progress[0].is_given_up
        assert len(world.calls) == 2

    play(main)


@pytest.mark.parametrize("kind", [TRANSIENT, TIMEOUT])
def test_a_call_that_may_have_acted_is_not_repeated_unasked(
    play: Play, new_operation: New, kind: OutcomeKind
) -> None:
    async def main(world: Any) -> None:
        world.script("vm", kind, may_have_acted=True)
        receipt = await world.worker().submit(new_operation("k", "vm"))
        record = await world.ended(receipt.id)
        assert (record.state, len(world.calls)) == (OperationState.UNKNOWN, 1)
        assert record.progress[0].state is StepState.STARTED

    play(main)


def test_an_owed_call_that_may_have_acted_leaves_the_other_debts(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        new = new_operation("k", "agent", "probe", agent=OPTIONAL, probe=OPTIONAL)
        world.script("agent", BLOCKED)
        world.script("agent", TIMEOUT, may_have_acted=True)
        world.script("probe", BLOCKED)
        worker = world.worker()
        receipt = await worker.submit(new)
        await world.pass_s(3_600)
        record = await worker.get(receipt.id)
        assert record.state is OperationState.SUCCEEDED
        assert [each.state for each in record.progress] == ["started", "done"]
        assert record.detail.startswith("agent: may have been done")

    play(main)


def test_a_defect_of_an_action_ends_one_call(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        async def crash(call: StepCall) -> ActionResult:
            raise ZeroDivisionError(call.step_name)

        world.actions["do"] = crash
        receipt = await world.worker().submit(new_operation("k", "vm"))
        assert (await world.ended(receipt.id)).state is OperationState.UNKNOWN

    play(main)


def test_a_call_is_cut_off_at_step_s_max(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.call_s = 1e6
        receipt = await world.worker().submit(new_operation("k", "vm"))
        record = await world.ended(receipt.id)
        assert record.state is OperationState.UNKNOWN
        assert record.finished_at - record.created_at == pytest.approx(500, abs=1)

    play(main, step_s_max=500)


def test_an_expired_operation_costs_nothing(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("vm@eastus", reason="release_held", for_s=100)
        deadline_at = world.clock.now() + 50
        new = new_operation("k", "vm", deadline_at=deadline_at)
        record = await world.ended((await world.worker().submit(new)).id)
        assert (record.state, world.calls) == (OperationState.EXPIRED, [])
        assert record.finished_at == pytest.approx(deadline_at, abs=1e-6)

    play(main)


def test_a_deadline_that_passes_during_a_call_stops_the_next(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.call_s = 60
        new = new_operation("k", "vm", "disk", deadline_at=world.clock.now() + 50)
        record = await world.ended((await world.worker().submit(new)).id)
        assert (record.state, len(world.calls)) == (OperationState.EXPIRED, 1)
        assert record.progress[0].state is StepState.DONE

    play(main)


def test_more_late_operations_than_a_batch_all_expire(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("vm@eastus", reason="release_held", for_s=100)
        worker = world.worker()
        for number in range(25):
            await worker.submit(
                new_operation(f"k{number}", "vm", deadline_at=world.clock.now() + 50)
            )
        await world.pass_s(50.01)
        assert (await worker.counts())[OperationState.EXPIRED] == 25

    play(main, batch=10)


def test_an_operation_that_names_an_unknown_action_is_refused(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        with pytest.raises(InvalidInputError, match="no action"):
            await world.worker().submit(new_operation("k", "vm", vm={"action": "dance"}))

    play(main)


def test_a_full_store_takes_nothing_in(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        for number in range(3):
            await worker.submit(new_operation(f"k{number}", "vm"))
        with pytest.raises(QueueFullError):
            await worker.submit(new_operation("k3", "vm"))
        assert not (await worker.submit(new_operation("k0", "vm"))).is_new
        await world.pass_s(1)
        assert (await worker.submit(new_operation("k3", "vm"))).is_new

    play(main, open_max=3)


def test_closing_lets_calls_end_and_begins_no_more(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.call_s = 5
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", "disk"))
        await world.pass_s(1)
        await worker.close()
        assert [step for step, _ in world.calls] == ["vm"]
        assert await world.state(receipt.id) is OperationState.WAITING
        with pytest.raises(RefusedError, match="closing"):
            await worker.submit(new_operation("k2", "vm"))

    play(main)


def test_finished_operations_are_forgotten_after_keep_s(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm"))
        await world.pass_s(990)
        assert await worker.get(receipt.id) is not None
        await world.pass_s(100)
        assert await worker.get(receipt.id) is None
        assert (await worker.submit(new_operation("k", "vm"))).is_new

    play(main, keep_s=1_000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch": 0},
        {"in_flight_max": 0},
        {"tries_max": 0},
        {"lease_s": 0},
        {"keep_s": float("nan")},
        {"close_s": -1},
    ],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        OperationsPolicy(**wrong)


def test_what_nobody_wants_any_more_ends_before_it_costs_more(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        told: list[OperationState] = []

        def tell(record: Record) -> None:
            told.append(record.state)

        worker = world.worker(watch=tell)
        world.script("vm", BLOCKED)
        receipt = await worker.submit(new_operation("k", "vm"))
        await world.pass_s(1.0)
        assert (await worker.cancel(receipt.id)).state is OperationState.CANCELLED
        assert (await worker.cancel(receipt.id)).state is OperationState.CANCELLED
        await world.pass_s(86_400.0)
        assert len(world.calls) == 1
        record = await worker.get(receipt.id)
        assert (record.state, record.detail) == (OperationState.CANCELLED, CANCELLED)
        assert told == [OperationState.WAITING, OperationState.CANCELLED]

    play(main)


def test_a_call_under_way_is_not_cancelled_by_who_spares_it(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        world.call_s = 10.0
        receipt = await worker.submit(new_operation("k", "vm"))
        await world.pass_s(1.0)
        spared = await worker.cancel(receipt.id, also_under_way=False)
        assert (spared.state, spared.stop) == (OperationState.RUNNING, "")
        assert (await world.ended(receipt.id)).state is OperationState.SUCCEEDED

    play(main)


def test_what_was_never_submitted_cannot_be_cancelled(play: Play) -> None:
    async def main(world: Any) -> None:
        assert await world.worker().cancel(identify("k")) is None

    play(main)


def test_whoever_watches_is_told_of_what_expired(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        told: list[OperationState] = []

        def tell(record: Record) -> None:
            told.append(record.state)

        worker = world.worker(watch=tell)
        world.script("vm", BLOCKED)
        await worker.submit(new_operation("k", "vm", deadline_at=world.clock.now() + 5.0))
        await world.pass_s(60.0)
        assert told == [OperationState.WAITING, OperationState.EXPIRED]

    play(main)
