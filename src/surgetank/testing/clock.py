"""A clock that a test moves by hand, for code on the `Clock` port that runs on any loop."""

import asyncio
from heapq import heappop, heappush

from surgetank.core.errors import InvalidInputError
from surgetank.runtime.simulation.loop import wake, yield_once


class ManualClock:
    """The `Clock` port, standing still until `advance` is called.

    On a stage time moves by itself and `Stage.clock` is the one to hand over.
    """

    def __init__(self, now: float = 0.0) -> None:
        """Stand at `now`, in seconds since 1970 UTC."""
        self._now = now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._number = 0

    def now(self) -> float:
        """The present instant."""
        return self._now

    async def sleep_until(self, at: float) -> None:
        """Return once the clock was moved to `at`; after one turn of the others if it is past."""
        if at <= self._now:
            await yield_once()
            return
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._number += 1
        heappush(self._sleepers, (at, self._number, sleeper))
        await sleeper

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`, 0 or more, and wake who slept until then, earliest first.

        They run when the caller next waits for something.

        Raises:
            InvalidInputError: `seconds` is below 0: a clock never runs backwards.
        """
        if not seconds >= 0:
            raise InvalidInputError(f"a clock moves on by 0 seconds or more, not {seconds}")
        self._now += seconds
        while self._sleepers and self._sleepers[0][0] <= self._now:
            wake(heappop(self._sleepers)[2])
