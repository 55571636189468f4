"""Within a lane higher priorities go first; lanes come before priorities."""

from collections.abc import Callable
from typing import Any

import pytest

from surgetank.core.errors import InvalidInputError
from surgetank.core.operation import NewOperation
from surgetank.core.value import Lane

Play = Callable[..., None]
New = Callable[..., NewOperation]


async def submitted(world: Any, news: list[NewOperation]) -> list[str]:
    """Submit while nothing may begin; the order in which they are called afterwards."""
    world.permits.refuse("vm@eastus", reason="breaker_open", for_s=30)
    worker = world.worker()
    for new in news:
        await worker.submit(new)
    await world.pass_s(60)
    return [argument.removeprefix("vm of ") for _, argument in world.calls]


@pytest.mark.parametrize("lane", Lane)
def test_the_highest_goes_first_and_equals_in_order(
    play: Play, new_operation: New, lane: Lane
) -> None:
    async def main(world: Any) -> None:
        wanted = [("a", 0), ("b", -9), ("c", 9), ("d", 0), ("e", 9), ("f", 3)]
        news = [new_operation(key, "vm", lane=lane, priority=each) for key, each in wanted]
        assert await submitted(world, news) == ["c", "e", "f", "a", "d", "b"]

    play(main, in_flight_max=1)


def test_backlog_of_the_highest_priority_goes_after_fresh_of_the_lowest(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        news = [
            new_operation("backlog", "vm", lane=Lane.BACKLOG, priority=9),
            new_operation("fresh", "vm", priority=-9),
        ]
        assert await submitted(world, news) == ["fresh", "backlog"]

    play(main, in_flight_max=1)


def test_the_same_key_with_another_priority_is_the_same(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        assert (await worker.submit(new_operation("k", "vm", priority=1))).is_new
        assert not (await worker.submit(new_operation("k", "vm", priority=2))).is_new

    play(main)


@pytest.mark.parametrize("priority", [-10, 10])
def test_a_priority_out_of_range_is_refused(play: Play, new_operation: New, priority: int) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        with pytest.raises(InvalidInputError, match="priority from -9 to 9"):
            await worker.submit(new_operation("k", "vm", priority=priority))

    play(main)
