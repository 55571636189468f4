"""One limit of time for many calls: a single timer, set for whichever began first.

A timer for each call would cost more than all else that a short call needs of the loop.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable
from typing import Any, TypeVar, cast

T = TypeVar("T")


class TimeLimit:
    """Cuts off what takes longer than `limit_s` seconds; above 0."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._ends_at: OrderedDict[asyncio.Task[Any], float] = OrderedDict()  # first to end first
        self._cut = set[asyncio.Task[Any]]()
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, call: Awaitable[T]) -> T:
        """Make a call in the present task, which makes no other meanwhile.

        Raises:
            TimeoutError: it was cut off, and nobody else wanted the task to end.
        """
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        loop = task.get_loop()
        ends_at = self._ends_at[task] = loop.time() + self._limit_s
        if self._timer is None:
            self._timer = loop.call_at(ends_at, self._cut_off)
        try:
            result = await call
        except BaseException as error:
            was_cut_off = self._end(task) and not task.cancelling()
            if was_cut_off and isinstance(error, asyncio.CancelledError):
                raise TimeoutError(f"no end in {self._limit_s:g} s") from None
            raise
        self._end(task)
        return result

    def _end(self, task: "asyncio.Task[Any]") -> bool:
        """Whether it had been cut off."""
        self._ends_at.pop(task, None)
        if task not in self._cut:
            return False
        self._cut.remove(task)
        task.uncancel()
        return True

    def _cut_off(self) -> None:
        """Cut off what has had its time; look again when the next has."""
        self._timer = None
        while self._ends_at:
            task, ends_at = next(iter(self._ends_at.items()))
            loop = task.get_loop()
            if ends_at > loop.time():
                self._timer = loop.call_at(ends_at, self._cut_off)
                return
            del self._ends_at[task]
            self._cut.add(task)
            task.cancel()
