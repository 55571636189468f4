"""A worker that went silent is taken over, and can write nothing when it comes back."""

from collections.abc import Callable
from typing import Any

import pytest

from surgetank.core.errors import ConflictError
from surgetank.core.operation import NewOperation, OperationState, StepState
from surgetank.core.value import Outcome, OutcomeKind
from surgetank.safeguards.operations.action import ActionResult, StepCall

Play = Callable[..., None]
New = Callable[..., NewOperation]
OK = ActionResult(Outcome(OutcomeKind.OK))


@pytest.mark.parametrize(
    ("is_repeatable", "state", "calls"),
    [(True, OperationState.SUCCEEDED, 2), (False, OperationState.UNKNOWN, 1)],
)
def test_a_call_cut_off_by_a_crash_is_repeated_only_if_it_may_be(
    play: Play, new_operation: New, *, is_repeatable: bool, state: OperationState, calls: int
) -> None:
    async def main(world: Any) -> None:
        first = world.worker("w1")
        world.call_s = 5
        new = new_operation("k", "vm", vm={"is_repeatable": is_repeatable})
        receipt = await first.submit(new)
        await world.pass_s(1)
        world.kill(first)
        world.worker("w2")
        record = await world.ended(receipt.id)
        assert (record.state, len(world.calls)) == (state, calls)
        assert record.finished_at - record.created_at >= 60

    play(main)


def test_a_finished_step_is_not_run_by_who_takes_over(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        first = world.worker("w1")
        world.call_s = 5
        receipt = await first.submit(new_operation("k", "vm", "disk", disk={"is_repeatable": True}))
        await world.pass_s(6)
        world.kill(first)
        world.worker("w2")
        await world.ended(receipt.id)
        assert [step for step, _ in world.calls] == ["vm", "disk", "disk"]

    play(main)


def test_crashes_in_one_step_spend_its_tries(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.call_s = 5
        first = world.worker("w0")
        receipt = await first.submit(new_operation("k", "vm", vm={"is_repeatable": True}))
        await world.pass_s(1)
        world.kill(first)
        for number in range(1, 4):
            worker = world.worker(f"w{number}")
            await world.pass_s(61)
            world.kill(worker)
        assert await world.state(receipt.id) is OperationState.FAILED
        assert len(world.calls) == 3

    play(main, tries_max=3)


def test_an_optional_step_that_crashes_its_workers_is_owed(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.call_s = 5
        first = world.worker("w0")
        step = {"is_repeatable": True, "is_optional": True}
        receipt = await first.submit(new_operation("k", "agent", agent=step))
        await world.pass_s(1)
        world.kill(first)
        world.worker("w1")
        await world.pass_s(64)
        record = await world.store.read(receipt.id)
        assert (record.state, record.owed) == (OperationState.SUCCEEDED, 1)

    play(main, tries_max=1)


def test_leases_of_long_calls_are_renewed(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        first, _second = world.worker("w1"), world.worker("w2")
        world.call_s = 1_000
        receipt = await first.submit(new_operation("k", "vm"))
        assert (await world.ended(receipt.id)).state is OperationState.SUCCEEDED
        assert len(world.calls) == 1

    play(main, scan_s=3_600)


def test_a_lease_that_cannot_be_renewed_does_not_make_the_worker_spin(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", "disk"))
        await world.pass_s(0.05)
        world.store.fails_until = world.clock.now() + 900
        assert (await world.ended(receipt.id)).state is OperationState.SUCCEEDED

    play(main)


def test_who_lost_its_lease_can_write_nothing(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        first = world.worker("w1")
        world.call_s = 200
        receipt = await first.submit(new_operation("k", "vm", vm={"is_repeatable": True}))
        await world.pass_s(1)
        world.store.renews = False
        second = world.worker("w2")
        await world.pass_s(100)
        assert second.in_flight == 1
        world.call_s = 0.1
        await world.pass_s(101)  # The first one's call ends, and is not taken in.
        record = await world.store.read(receipt.id)
        assert record.progress[0].state is StepState.STARTED
        assert record.worker == "w2"
        assert first.in_flight == 0
        assert (await world.ended(receipt.id)).state is OperationState.SUCCEEDED

    play(main)


def test_two_workers_share_a_store_and_run_each_step_once(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        workers = [world.worker("w1"), world.worker("w2")]
        for number in range(100):
            await workers[number % 2].submit(new_operation(f"k{number}", "vm", "disk"))
        await world.pass_s(60)
        assert (await workers[0].counts())[OperationState.SUCCEEDED] == 100
        assert len(world.calls) == len(set(world.calls)) == 200

    play(main, scan_s=1, in_flight_max=7, batch=5)


def test_a_saved_checkpoint_is_gone_on_from_even_where_the_step_may_not_be_repeated(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        seen = list[str]()

        async def act(call: StepCall) -> ActionResult:
            seen.append(call.checkpoint)
            if not call.checkpoint:
                await call.save("https://management/operations/7")
                await world.pass_s(1_000)
            return OK

        world.actions["do"] = act
        first = world.worker("w1")
        receipt = await first.submit(new_operation("k", "vm"))
        await world.pass_s(100)
        world.kill(first)
        world.worker("w2")
        assert (await world.ended(receipt.id)).state is OperationState.SUCCEEDED
        assert seen == ["", "https://management/operations/7"]

    play(main)


def test_saving_a_checkpoint_without_the_lease_is_a_conflict(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        conflicts = list[str]()

        async def act(call: StepCall) -> ActionResult:
            await world.pass_s(100)
            try:
                await call.save("here")
            except ConflictError as error:
                conflicts.append(str(error))
                raise
            return OK

        world.actions["do"] = act
        first = world.worker("w1")
        await first.submit(new_operation("k", "vm"))
        await world.pass_s(1)
        world.store.renews = False
        world.worker("w2")
        await world.pass_s(150)
        assert len(conflicts) == 1

    play(main)


def test_an_outcome_is_written_down_once_the_store_works_again(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", "disk"))
        await world.pass_s(0.05)
        world.store.fails_until = world.clock.now() + 20
        assert (await world.ended(receipt.id)).state is OperationState.SUCCEEDED
        assert [step for step, _ in world.calls] == ["vm", "disk"]

    play(main)


def test_a_write_that_the_store_could_not_vouch_for_is_recognised(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", "disk"))
        await world.pass_s(0.05)
        world.store.doubts = 1
        assert (await world.ended(receipt.id)).state is OperationState.SUCCEEDED
        assert [step for step, _ in world.calls] == ["vm", "disk"]

    play(main)


@pytest.mark.parametrize("doubts", [0, 1])
def test_a_begin_that_is_saved_late_does_not_carry_its_old_lease(
    play: Play, new_operation: New, doubts: int
) -> None:
    async def main(world: Any) -> None:
        left_s = list[float]()

        async def act(call: StepCall) -> ActionResult:
            record = await world.store.inner.read(call.operation_id)
            left_s.append(record.run_at - world.clock.now())
            await world.pass_s(5)
            return OK

        world.actions["do"] = act
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", "disk"))
        await world.pass_s(4)
        # The first step ends and the second begins in one write, which comes after the lease's end.
        # Where the store is in doubt, it wrote at once and says so only then.
        world.store.doubts = doubts
        world.store.away_until = 0.0 if doubts else world.clock.now() + 300
        await world.pass_s(1.5)
        world.store.away_until = world.clock.now() + 300
        assert (await world.ended(receipt.id)).state is OperationState.SUCCEEDED
        assert left_s == [60, 60]

    play(main, lease_s=60)


def test_who_is_told_to_stop_while_the_store_is_in_doubt_makes_no_further_call(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        world.call_s = 5
        receipt = await worker.submit(new_operation("k", "vm", "disk"))
        await world.pass_s(1)
        world.store.doubts = 1
        await world.pass_s(4.5)
        await worker.cancel(receipt.id)
        assert (await world.ended(receipt.id)).state is OperationState.CANCELLED
        assert [step for step, _ in world.calls] == ["vm"]

    play(main)


def test_a_store_that_fails_during_a_step_delays_and_loses_nothing(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        world.store.fails_until = world.clock.now() + 20
        receipt = await worker.submit(new_operation("k", "vm"))
        record = await world.ended(receipt.id)
        assert record.state is OperationState.SUCCEEDED
        assert record.finished_at - record.created_at == pytest.approx(20, abs=2)

    play(main)


def test_a_clock_that_starts_earlier_after_a_restart_only_waits(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        first = world.worker("w1")
        world.script("vm", OutcomeKind.BLOCKED)
        receipt = await first.submit(new_operation("k", "vm"))
        await world.pass_s(1)
        world.kill(first)
        world.worker("w2", behind_s=100)
        record = await world.ended(receipt.id)
        assert record.state is OperationState.SUCCEEDED
        assert len(world.calls) == 2

    play(main)
