"""Time for threads: what the `Clock` port is to asyncio."""

import time
from typing import Protocol


class BlockingClock(Protocol):
    """Time, in seconds since 1970 UTC; never runs backwards within a process."""

    def now(self) -> float:
        """The present instant."""
        ...

    def sleep_until(self, at: float) -> None:
        """Block this thread until `at`; not at all if it is past."""
        ...


class SystemBlockingClock:
    """The system's clock: wall time at the start plus monotonic time since."""

    def __init__(self) -> None:
        self._anchor = time.time() - time.monotonic()  # noqa: TID251 - the adapter itself

    def now(self) -> float:
        """The present instant, in seconds since 1970 UTC."""
        return self._anchor + time.monotonic()  # noqa: TID251 - the adapter itself

    def sleep_until(self, at: float) -> None:
        """Block this thread until `at`; not at all if it is past."""
        while (left_s := at - self.now()) > 0:
            time.sleep(left_s)  # noqa: TID251 - the adapter itself
