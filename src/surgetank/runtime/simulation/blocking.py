"""Blocking work in virtual time: done at once, on the loop's own thread."""

from collections.abc import Callable
from typing import TypeVar

from surgetank.runtime.simulation.loop import yield_once

T = TypeVar("T")


class InlineBlocking:
    """The `Blocking` port of a drill. Work takes no virtual time."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` now, then let the others have a turn, as they would while a thread works."""
        try:
            return work()
        finally:
            await yield_once()
