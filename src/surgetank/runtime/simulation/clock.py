"""The clock of a drill: the virtual loop's time, counted from an instant in history."""

from math import inf, nextafter

from surgetank.runtime.simulation.loop import VirtualLoop, wake


class VirtualClock:
    """The `Clock` port of a drill."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._start_at = loop.start_at

    def now(self) -> float:
        """The present instant, in seconds since 1970 UTC; moves only while all tasks wait."""
        return self._start_at + self._loop.time()

    async def sleep_until(self, at: float) -> None:
        """Return when `now()` has reached `at`; after one turn of the others if it is past."""
        start_at = self._start_at
        when = at - start_at
        while start_at + when < at:  # rounding must not wake anybody early
            when = nextafter(when, inf)
        loop = self._loop
        future = loop.create_future()
        timer = loop.call_at(when, wake, future)
        try:
            await future
        finally:
            timer.cancel()
