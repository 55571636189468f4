"""The system's clock, anchored so that it never runs backwards, and the clock of the host."""

import asyncio
import time


class SystemClock:
    """The `Clock` port of a running service: wall time at the start plus monotonic time since.

    It does not follow later corrections of the wall clock; no correctness rests on two machines
    agreeing on the time.
    """

    def __init__(self) -> None:
        self._anchor = time.time() - time.monotonic()  # noqa: TID251 - the adapter itself

    def now(self) -> float:
        """The present instant, in seconds since 1970 UTC."""
        return self._anchor + time.monotonic()  # noqa: TID251 - the adapter itself

    async def sleep_until(self, at: float) -> None:
        """Return at `at` or as soon after as can be; after one turn of the others if it is past."""
        await asyncio.sleep(at - self.now())  # noqa: TID251 - the adapter itself
        while (left_s := at - self.now()) > 0:  # noqa: ASYNC110 - a timer may be a tick early
            await asyncio.sleep(left_s)  # noqa: TID251 - the adapter itself


def host_now() -> float:
    """Seconds on a clock that all processes of this host read alike; set back by a restart of it.

    Nobody sets it, so that what processes agree on by it does not move with the wall clock.
    """
    return time.clock_gettime(time.CLOCK_MONOTONIC)
