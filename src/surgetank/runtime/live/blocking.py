"""Blocking work on a thread of its own, one piece at a time and in order."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog

from surgetank.core.errors import QueueFullError, RefusedError

T = TypeVar("T")

QUEUE_LIMIT = 1_000
"""Some seconds of commits: who waits longer is better told at once."""


class WorkerThread:
    """The `Blocking` port of a running service.

    Work that was taken in is done, even when its caller has gone: half of a group of commits
    would be worse than one that nobody waits for.
    """

    def __init__(self, *, name: str = "surgetank-blocking", queue_limit: int = QUEUE_LIMIT) -> None:
        """Make the thread; it starts with the first work.

        Args:
            name: Of the thread, for people.
            queue_limit: Pieces of work taken in and not yet done; at least 1.
        """
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._queue_limit = queue_limit
        self._pending = 0
        self._is_closed = False

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` after all that was taken in before, and return or raise what it does.

        Raises:
            QueueFullError: `queue_limit` was reached; nothing was taken in.
            RefusedError: It was closed.
        """
        if self._is_closed:
            raise RefusedError("the worker thread is closed")
        if self._pending >= self._queue_limit:
            raise QueueFullError(f"{self._pending} pieces of work wait for the worker thread")
        return await self._hand_over(work)

    async def close(self) -> None:
        """Refuse more, finish what was taken in, end the thread. Safe to repeat."""
        if not self._is_closed:
            self._is_closed = True
            await self._hand_over(lambda: None)
        self._executor.shutdown()  # at once: the last work is done

    async def _hand_over(self, work: Callable[[], T]) -> T:
        self._pending += 1
        future = asyncio.wrap_future(self._executor.submit(work))
        waiter = asyncio.shield(future)
        future.add_done_callback(self._finish)
        try:
            return await waiter
        except asyncio.CancelledError:
            future.add_done_callback(_report_unseen)
            raise

    def _finish(self, _: "asyncio.Future[Any]") -> None:
        self._pending -= 1


def _report_unseen(future: "asyncio.Future[Any]") -> None:
    """Say that work failed whose caller had gone."""
    error = None if future.cancelled() else future.exception()
    if error is not None:
        structlog.get_logger().warning("blocking.failed_unseen", error=repr(error))
