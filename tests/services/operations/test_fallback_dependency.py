"""A fallback that calls elsewhere asks for leave there."""

from collections.abc import Callable
from typing import Any

import pytest

from surgetank.core.errors import InvalidInputError
from surgetank.core.operation import NewOperation, OperationState, StepState
from surgetank.core.value import Dependency, Lane, OutcomeKind

Play = Callable[..., None]
New = Callable[..., NewOperation]
WEST = Dependency("vm@westus")
ELSEWHERE = {"fallback": "west", "fallback_dependency": WEST}
OWN, OTHER = ("vm", "vm of k"), ("vm", "west")


@pytest.mark.parametrize("kind", [OutcomeKind.BLOCKED, OutcomeKind.PERMANENT])
@pytest.mark.parametrize("lane", Lane)
def test_a_step_that_is_turned_away_calls_elsewhere_with_leave(
    play: Play, new_operation: New, kind: OutcomeKind, lane: Lane
) -> None:
    async def main(world: Any) -> None:
        world.script("vm", kind)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", lane=lane, vm=ELSEWHERE))
        ended = await world.ended(receipt.id)
        assert ended.progress[0].state is StepState.FALLEN_BACK
        assert world.calls == [OWN, OTHER]
        assert world.permits.reported == [("vm@eastus", kind), (WEST, OutcomeKind.OK)]

    play(main)


@pytest.mark.parametrize("lane", Lane)
def test_a_step_that_is_refused_by_a_breaker_calls_elsewhere(
    play: Play, new_operation: New, lane: Lane
) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=9_000)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", lane=lane, vm=ELSEWHERE))
        await world.ended(receipt.id, within_s=5)
        assert world.calls == [OTHER]

    play(main)


@pytest.mark.parametrize("lane", Lane)
def test_one_that_is_refused_there_too_waits_for_there(
    play: Play, new_operation: New, lane: Lane
) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=9_000)
        world.permits.refuse(WEST, reason="breaker_open", for_s=300)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", lane=lane, vm=ELSEWHERE))
        await world.pass_s(1)
        assert WEST in (await worker.get(receipt.id)).queue
        ended = await world.ended(receipt.id)
        assert ended.finished_at - ended.created_at == pytest.approx(300, abs=2)
        assert world.calls == [OTHER]

    play(main)


def test_an_optional_one_that_is_refused_there_too_is_owed(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        for name in ("vm@eastus", WEST):
            world.permits.refuse(name, reason="breaker_open", for_s=30)
        worker = world.worker()
        receipt = await worker.submit(
            new_operation("k", "vm", vm={**ELSEWHERE, "is_optional": True})
        )
        assert (await world.ended(receipt.id, within_s=5)).owed == 1
        await world.pass_s(120)
        assert world.calls == [OWN]
        assert await worker.owed() == 0

    play(main)


def test_one_blocked_there_too_wakes_with_its_own_call(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.script("vm", OutcomeKind.BLOCKED, OutcomeKind.BLOCKED)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", vm=ELSEWHERE))
        assert (await world.ended(receipt.id)).state is OperationState.SUCCEEDED
        assert world.calls == [OWN, OTHER, OWN]

    play(main)


def test_a_fallback_without_a_dependency_needs_no_leave(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=9_000)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", vm={"fallback": "west"}))
        await world.ended(receipt.id, within_s=5)
        assert world.permits.reported == []

    play(main)


@pytest.mark.parametrize("name", ["", "two words", "?mark", "x" * 101])
def test_what_is_no_dependency_is_refused(play: Play, new_operation: New, name: str) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        wrong = {"fallback": "west", "fallback_dependency": Dependency(name)}
        with pytest.raises(InvalidInputError):
            await worker.submit(new_operation("k", "vm", vm=wrong))

    play(main)


def test_a_dependency_without_a_fallback_is_refused(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        with pytest.raises(InvalidInputError, match="but has none"):
            await worker.submit(new_operation("k", "vm", vm={"fallback_dependency": WEST}))

    play(main)
