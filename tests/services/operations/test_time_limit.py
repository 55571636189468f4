"""One limit of time for many calls, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import run
from surgetank.safeguards.operations.time_limit import TimeLimit

T = TypeVar("T")
FOR_EVER_S = 1e6


def play(main: Callable[[VirtualClock, TimeLimit], Awaitable[T]]) -> T:
    """Play `main` from the instant 0, with a limit of ten seconds."""

    async def begin(loop: Any) -> T:
        return await main(VirtualClock(loop), TimeLimit(10.0))

    return run(begin)


def test_each_call_has_its_own_end() -> None:
    async def main(clock: VirtualClock, limit: TimeLimit) -> list[float]:
        async def call(at: float) -> float:
            await clock.sleep_until(at)
            with pytest.raises(TimeoutError, match="no end in 10 s"):
                await limit.run(clock.sleep_until(FOR_EVER_S))
            return clock.now()

        return await asyncio.gather(*map(call, (0.0, 3.0, 3.0, 25.0)))

    assert play(main) == pytest.approx([10.0, 13.0, 13.0, 35.0])


def test_a_call_that_ends_in_time_is_never_cut_off() -> None:
    async def main(clock: VirtualClock, limit: TimeLimit) -> list[float]:
        async def call(until: float) -> float:
            await clock.sleep_until(until)
            return clock.now()

        slow = asyncio.create_task(limit.run(call(9.9)))
        quick = [await limit.run(call(at)) for at in (1.0, 2.0)]
        await clock.sleep_until(30.0)
        return [*quick, await slow]

    assert play(main) == pytest.approx([1.0, 2.0, 9.9])


def test_what_others_end_is_not_called_late() -> None:
    async def main(clock: VirtualClock, limit: TimeLimit) -> None:
        task = asyncio.create_task(limit.run(clock.sleep_until(FOR_EVER_S)))
        task.get_loop().call_later(10.0, task.cancel)  # At the very same instant.
        with pytest.raises(asyncio.CancelledError):
            await task

    play(main)


def test_an_error_of_the_call_itself_is_left_alone() -> None:
    async def main(clock: VirtualClock, limit: TimeLimit) -> None:
        async def refuse() -> None:
            await clock.sleep_until(1.0)
            raise TimeoutError("the socket's own")

        with pytest.raises(TimeoutError, match="the socket's own"):
            await limit.run(refuse())

    play(main)


def test_a_call_that_ends_well_though_cut_off_leaves_its_task_whole() -> None:
    async def main(clock: VirtualClock, limit: TimeLimit) -> None:
        async def stubborn() -> str:
            try:
                await clock.sleep_until(FOR_EVER_S)
            except asyncio.CancelledError:
                return "done all the same"
            raise AssertionError("slept for ever")

        assert await limit.run(stubborn()) == "done all the same"
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    play(main)
