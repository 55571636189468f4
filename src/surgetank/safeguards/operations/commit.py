"""Group commit: writes that arrive while transactions run share the next one.

A write is acknowledged after the commit that holds it, never before. In virtual time the same code
groups the writes of one instant.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar, cast

from surgetank.core.errors import QueueFullError

W = TypeVar("W")

WRITES_PER_COMMIT = 256
"""Writes in one transaction: past some hundreds a longer one only delays its callers."""
PENDING_WRITES_MAX = 10_000
"""Writes that may wait."""


class GroupCommit(Generic[W]):
    """Makes writes, many to a transaction, few transactions at a time."""

    def __init__(
        self,
        transact: Callable[[Sequence[W]], Awaitable[Sequence[object]]],
        *,
        batch: int,
        pending_max: int,
        lanes: int = 1,
    ) -> None:
        """Stand ready.

        Args:
            transact: Makes writes in one transaction and returns once it is durable: one result
                each, in order, an exception where one was refused and the others were made.
            batch: Writes in one transaction; at least 1.
            pending_max: Writes that may wait; at least 1.
            lanes: Transactions at once; at least 1. With two, the next one is made ready while the
                database works on the one before.
        """
        assert batch >= 1, "a transaction holds something"
        assert pending_max >= 1, "something may wait"
        self._transact = transact
        self._batch = batch
        self._pending_max = pending_max
        self._pending: deque[tuple[W, asyncio.Future[object]]] = deque()
        self._lanes = lanes
        self._committing = set[asyncio.Task[None]]()
        self.commits = 0
        """Transactions committed, for operators and tests."""

    async def run(self, write: W) -> Any:
        """Make a write and return its result, once that is durable.

        Raises:
            QueueFullError: `pending_max` writes wait already; nothing was written.
            DependencyError: the database failed; nothing was written unless the error says so.
            IntegrityError: the database is damaged.
        """
        if len(self._pending) >= self._pending_max:
            raise QueueFullError(f"{self._pending_max} writes wait for the store already")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[object] = loop.create_future()
        self._pending.append((write, done))
        if len(self._committing) < self._lanes:
            task = loop.create_task(self._commit_all(), name="operations.commit")
            self._committing.add(task)
        return await done

    async def drain(self) -> None:
        """Return when nothing waits to be written."""
        while self._committing:
            await asyncio.shield(next(iter(self._committing)))

    async def _commit_all(self) -> None:
        try:
            while self._pending:
                size = min(self._batch, len(self._pending))
                await self._commit([self._pending.popleft() for _ in range(size)])
        finally:
            self._committing.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            if not self._committing:
                for _, done in self._pending:  # Only when cancelled: nobody will write these.
                    done.cancel()
                self._pending.clear()

    async def _commit(self, batch: Sequence[tuple[W, asyncio.Future[object]]]) -> None:
        writes = [write for write, _ in batch]
        try:
            results = await self._transact(writes)
            self.commits += 1
        except Exception as error:  # noqa: BLE001 - each caller gets it; none may wait for ever
            results = [error] * len(batch)
        except BaseException:
            for _, done in batch:
                done.cancel()
            raise
        for (_, done), result in zip(batch, results, strict=True):
            if done.done():
                continue  # Its caller has gone; the write stands.
            if isinstance(result, Exception):
                done.set_exception(result)
            else:
                done.set_result(result)
