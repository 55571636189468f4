"""What is to run later does not begin before its instant."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from surgetank.core.errors import InvalidInputError
from surgetank.core.operation import NewOperation, OperationState
from surgetank.core.value import Lane

Play = Callable[..., None]
New = Callable[..., NewOperation]


@pytest.mark.parametrize("lane", Lane)
def test_begins_at_its_instant_and_not_before(play: Play, new_operation: New, lane: Lane) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        run_at = world.clock.now() + 1_000
        receipt = await worker.submit(new_operation("k", "vm", lane=lane, run_at=run_at))
        await world.pass_s(999.9)
        assert world.calls == []
        ended = await world.ended(receipt.id)
        assert ended.finished_at == pytest.approx(run_at + 0.1, abs=0.05)

    play(main)


def test_an_instant_that_is_past_is_at_once(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", run_at=5.0))
        ended = await world.ended(receipt.id, within_s=2)
        assert ended.finished_at == pytest.approx(ended.created_at + 0.1)

    play(main)


def test_what_runs_later_holds_up_nobody(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        later = world.clock.now() + 1_000
        await worker.submit(new_operation("later", "vm", run_at=later))
        await world.ended((await worker.submit(new_operation("now", "vm"))).id, within_s=2)

    play(main)


def test_fresh_work_grows_old_from_its_instant_on(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("vm@eastus", reason="release_held", for_s=1_030, lane=Lane.FRESH)
        worker = world.worker()
        run_at = world.clock.now() + 1_000
        receipt = await worker.submit(new_operation("k", "vm", run_at=run_at))
        assert (await world.ended(receipt.id)).lane is Lane.FRESH

    play(main)


def test_a_deadline_before_its_instant_ends_it(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        now = world.clock.now()
        new = new_operation("k", "vm", run_at=now + 1_000, deadline_at=now + 500)
        ended = await world.ended((await worker.submit(new)).id)
        assert ended.state is OperationState.EXPIRED
        assert ended.finished_at == pytest.approx(now + 500, abs=1)

    play(main)


def test_another_worker_begins_it_when_this_one_is_gone(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        first = world.worker("w1")
        run_at = world.clock.now() + 1_000
        receipt = await first.submit(new_operation("k", "vm", run_at=run_at))
        world.kill(first)
        world.worker("w2")
        ended = await world.ended(receipt.id)
        assert ended.finished_at == pytest.approx(run_at + 0.1, abs=0.05)

    play(main)


@pytest.mark.parametrize("run_at", [math.inf, -math.inf, math.nan])
def test_what_is_no_instant_is_refused(play: Play, new_operation: New, run_at: float) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        with pytest.raises(InvalidInputError, match="no instant"):
            await worker.submit(new_operation("k", "vm", run_at=run_at))

    play(main)
