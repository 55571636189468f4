import asyncio

import pytest

from surgetank.testing import InvalidInputError, ManualClock


def test_it_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(100.0)
    before = clock.now()
    clock.advance(2.5)
    assert (before, clock.now()) == (100.0, 102.5)


def test_sleepers_wake_in_the_order_of_their_instants() -> None:
    async def main() -> list[float]:
        clock, woken = ManualClock(), list[float]()

        async def sleep(at: float) -> None:
            await clock.sleep_until(at)
            woken.append(at)

        tasks = [asyncio.ensure_future(sleep(at)) for at in (3.0, 1.0, 2.0, 9.0)]
        await clock.sleep_until(0.0)
        clock.advance(5.0)
        await asyncio.wait(tasks[:3])
        assert not tasks[3].done()
        tasks[3].cancel()
        return woken

    assert asyncio.run(main()) == [1.0, 2.0, 3.0]


def test_who_gave_up_sleeping_is_not_woken() -> None:
    async def main() -> bool:
        clock = ManualClock()
        sleeper = asyncio.ensure_future(clock.sleep_until(1.0))
        await clock.sleep_until(0.0)
        sleeper.cancel()
        clock.advance(1.0)
        await asyncio.wait([sleeper])
        return sleeper.cancelled()

    assert asyncio.run(main())


def test_it_never_runs_backwards() -> None:
    with pytest.raises(InvalidInputError, match="0 seconds or more"):
        ManualClock().advance(-1.0)
