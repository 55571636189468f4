"""A call whose answer never came is asked after before it is made again."""

from collections.abc import Callable
from typing import Any

import pytest

from surgetank.core.operation import NewOperation, OperationState, StepState
from surgetank.core.value import OutcomeKind

Play = Callable[..., None]
New = Callable[..., NewOperation]
PROBE = {"probe": "was it?"}
CALL, ASKED = ("vm", "vm of k"), ("vm", "was it?")
UNKNOWN, SUCCEEDED = OperationState.UNKNOWN, OperationState.SUCCEEDED


def doubt(world: Any, *then: OutcomeKind) -> None:
    """Let the first call's answer never come, and the next ones end so: nothing is there."""
    world.script("vm", OutcomeKind.TIMEOUT, may_have_acted=True)
    world.script("vm", *then, is_absent=True)


@pytest.mark.parametrize(
    ("answers", "state", "calls"),
    [
        ([OutcomeKind.OK], SUCCEEDED, [CALL, ASKED]),
        ([OutcomeKind.PERMANENT], SUCCEEDED, [CALL, ASKED, CALL]),
        ([OutcomeKind.TIMEOUT, OutcomeKind.OK], SUCCEEDED, [CALL, ASKED, ASKED]),
        ([OutcomeKind.THROTTLED, OutcomeKind.PERMANENT], SUCCEEDED, [CALL, ASKED, ASKED, CALL]),
        ([OutcomeKind.BLOCKED, OutcomeKind.OK], SUCCEEDED, [CALL, ASKED, ASKED]),
        ([OutcomeKind.TRANSIENT] * 3, UNKNOWN, [CALL, ASKED, ASKED, ASKED]),
    ],
)
def test_what_the_probe_says_is_what_happens(
    play: Play,
    new_operation: New,
    answers: list[OutcomeKind],
    state: OperationState,
    calls: list[tuple[str, str]],
) -> None:
    async def main(world: Any) -> None:
        doubt(world, *answers)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", vm=PROBE))
        ended = await world.ended(receipt.id)
        assert (ended.state, world.calls) == (state, calls)

    play(main, tries_max=4)


def test_a_probe_that_may_not_look_says_nothing(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        doubt(world)
        world.script("vm", OutcomeKind.PERMANENT, OutcomeKind.OK)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", vm=PROBE))
        assert (await world.ended(receipt.id)).state is SUCCEEDED
        assert world.calls == [CALL, ASKED, ASKED]

    play(main)


def test_each_probe_waits_as_another_try_does(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        doubt(world)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", vm=PROBE))
        await world.pass_s(0.15)
        record = await worker.get(receipt.id)
        assert record.progress[0].is_probing
        assert record.progress[0].state is StepState.PENDING
        assert record.run_at > world.clock.now()
        await world.ended(receipt.id)

    play(main)


def test_a_call_that_may_be_repeated_is_not_probed(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        doubt(world)
        worker = world.worker()
        new = new_operation("k", "vm", vm={**PROBE, "is_repeatable": True})
        await world.ended((await worker.submit(new)).id)
        assert world.calls == [CALL, CALL]

    play(main)


def test_a_call_that_was_not_made_is_not_probed(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.script("vm", OutcomeKind.TIMEOUT)
        worker = world.worker()
        await world.ended((await worker.submit(new_operation("k", "vm", vm=PROBE))).id)
        assert world.calls == [CALL, CALL]

    play(main)


def test_a_call_whose_worker_went_silent_is_probed(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.call_s = 10
        first = world.worker("w1")
        receipt = await first.submit(new_operation("k", "vm", vm=PROBE))
        await world.pass_s(4)
        world.kill(first)
        world.worker("w2")
        assert (await world.ended(receipt.id)).state is SUCCEEDED
        assert world.calls == [CALL, ASKED]

    play(main)


def test_a_probe_whose_worker_went_silent_is_asked_again(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        doubt(world)
        world.call_s = 10
        first = world.worker("w1")
        receipt = await first.submit(new_operation("k", "vm", vm=PROBE))
        await world.pass_s(15)
        assert world.calls == [CALL, ASKED]
        world.kill(first)
        world.worker("w2")
        assert (await world.ended(receipt.id)).state is SUCCEEDED
        assert world.calls == [CALL, ASKED, ASKED]

    play(main)


def test_a_probe_takes_no_way_round(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        doubt(world)
        worker = world.worker()
        new = new_operation("k", "vm", vm={**PROBE, "is_optional": True, "fallback": "other"})
        receipt = await worker.submit(new)
        await world.pass_s(0.15)
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=300)
        assert (await world.ended(receipt.id)).state is SUCCEEDED
        assert world.calls == [CALL, ASKED]

    play(main)


def test_what_was_not_made_in_the_last_try_fails(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        doubt(world, OutcomeKind.PERMANENT)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", vm=PROBE))
        assert (await world.ended(receipt.id)).state is OperationState.FAILED
        assert world.calls == [CALL, ASKED]

    play(main, tries_max=2)


def test_a_debt_in_doubt_is_probed_too(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=30)
        doubt(world)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", vm={**PROBE, "is_optional": True}))
        await world.pass_s(300)
        record = await worker.get(receipt.id)
        assert (record.state, record.progress[0].state) == (SUCCEEDED, StepState.DONE)
        assert world.calls == [CALL, ASKED]

    play(main)
