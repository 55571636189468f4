"""Faults of what is around a worker, in the middle of a drain."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from surgetank.core.errors import DependencyError
from surgetank.core.operation import NewOperation, OperationState
from surgetank.core.value import Lane, Outcome, OutcomeKind
from surgetank.safeguards.operations.action import ActionResult, StepCall

Play = Callable[..., None]
New = Callable[..., NewOperation]
HOUR_S = 3_600.0
OK = ActionResult(Outcome(OutcomeKind.OK))
REPEATABLE = {"vm": {"is_repeatable": True}}


def times(world: Any) -> Counter[tuple[str, str]]:
    """How often each call was made."""
    return Counter(world.calls)


def test_a_poison_operation_ends_after_its_tries_and_holds_up_nobody(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        async def act(call: StepCall) -> ActionResult:
            world.calls.append((call.step_name, call.arguments))
            await world.pass_s(0.1)
            if call.arguments.endswith("poison"):
                raise ZeroDivisionError
            return OK

        world.actions["do"] = act
        worker = world.worker()
        poison = await worker.submit(new_operation("poison", "vm", **REPEATABLE))
        others = [await worker.submit(new_operation(f"k{each}", "vm")) for each in range(20)]
        for other in others:
            await world.ended(other.id, within_s=5)
        ended = await world.ended(poison.id)
        assert ended.state is OperationState.FAILED
        assert "ZeroDivisionError" in ended.detail
        assert Counter(world.calls)["vm", "vm of poison"] == 8

    play(main, in_flight_max=2)


def test_a_poison_operation_that_kills_its_worker_ends_after_its_tries(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.call_s = 1
        worker = world.worker("w0")
        poison = await worker.submit(new_operation("poison", "vm", **REPEATABLE))
        lives = 0
        while (await world.store.inner.read(poison.id)).finished_at is None:
            await world.pass_s(0.5)
            if worker.in_flight:
                world.kill(worker)
                lives += 1
                worker = world.worker(f"w{lives}")
                other = await worker.submit(new_operation(f"k{lives}", "disk"))
                await world.ended(other.id, within_s=30)
        assert (await world.ended(poison.id)).state is OperationState.FAILED
        assert Counter(world.calls)["vm", "vm of poison"] == lives == 3

    play(main, tries_max=3)


@pytest.mark.parametrize("behind_s", [-HOUR_S, HOUR_S])
def test_a_clock_that_jumps_an_hour_in_a_restart_loses_and_repeats_nothing(
    play: Play, new_operation: New, behind_s: float
) -> None:
    async def main(world: Any) -> None:
        world.call_s = 1
        worker = world.worker("w1")
        receipts = [
            await worker.submit(new_operation(f"k{number}", "vm", "disk", lane=Lane.BACKLOG))
            for number in range(40)
        ]
        await world.pass_s(5.5)
        await worker.close()
        world.workers.remove(worker)
        world.worker("w2", behind_s=behind_s)
        ends = [await world.ended(receipt.id, within_s=3 * HOUR_S) for receipt in receipts]
        assert {each.state for each in ends} == {OperationState.SUCCEEDED}
        assert set(times(world).values()) == {1}

    play(main, in_flight_max=4)


@pytest.mark.parametrize("behind_s", [-HOUR_S, HOUR_S])
def test_workers_whose_clocks_are_an_hour_apart_lose_nothing_and_finish_no_step_twice(
    play: Play, new_operation: New, behind_s: float
) -> None:
    async def main(world: Any) -> None:
        world.call_s = 1
        first = world.worker("w1")
        world.worker("w2", behind_s=behind_s)
        receipts = [
            await first.submit(new_operation(f"k{number}", "vm", **REPEATABLE))
            for number in range(40)
        ]
        ends = [await world.ended(receipt.id, within_s=3 * HOUR_S) for receipt in receipts]
        assert {each.state for each in ends} == {OperationState.SUCCEEDED}
        # One is before the other's lease, as its clock has it: it takes over, and its fence wins.
        assert max(times(world).values()) <= 2

    play(main, in_flight_max=4)


def test_a_store_that_is_away_for_a_minute_delays_and_loses_nothing(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.call_s = 1
        worker = world.worker()
        receipts = [
            await worker.submit(new_operation(f"k{number}", "vm", "disk")) for number in range(40)
        ]
        await world.pass_s(5.5)
        world.store.away_until = world.clock.now() + 59
        so_far = len(world.calls)
        with pytest.raises(DependencyError):
            await worker.submit(new_operation("refused", "vm"))
        await world.pass_s(58)
        assert len(world.calls) == so_far, "nothing begins that cannot be written down"
        ends = [await world.ended(receipt.id, within_s=120) for receipt in receipts]
        assert {each.state for each in ends} == {OperationState.SUCCEEDED}
        assert set(times(world).values()) == {1}
        assert "refused" not in {end.key for end in ends}

    play(main, in_flight_max=4)


def test_a_store_that_is_away_for_longer_than_a_lease_repeats_nothing_unasked(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.call_s = 1
        worker = world.worker()
        receipts = [await worker.submit(new_operation(f"k{each}", "vm")) for each in range(10)]
        await world.pass_s(0.5)
        world.store.away_until = world.clock.now() + 600
        ends = [await world.ended(receipt.id, within_s=900) for receipt in receipts]
        assert {each.state for each in ends} == {OperationState.SUCCEEDED}
        assert set(times(world).values()) == {1}

    play(main, in_flight_max=4)
