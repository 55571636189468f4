"""Group commit: writes that arrive while a transaction runs share the next one.

A write is acknowledged after the commit that holds it, never before. In virtual time the same code
groups the writes of one instant.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from surgetank.core.errors import QueueFullError, SurgetankError
from surgetank.core.ports import Blocking
from surgetank.safeguards.operations.sqlite_error import translated

T = TypeVar("T")
Write = Callable[[sqlite3.Connection], object]
"""Reads and writes inside a transaction; raises before it has written anything, or not at all."""


class GroupCommit:
    """Runs writes in order, many to a transaction."""

    def __init__(
        self, connection: sqlite3.Connection, blocking: Blocking, *, batch: int, pending_max: int
    ) -> None:
        assert batch >= 1, "a transaction holds something"
        assert pending_max >= 1, "something may wait"
        self._connection = connection
        self._blocking = blocking
        self._batch = batch
        self._pending_max = pending_max
        self._pending: deque[tuple[Write, asyncio.Future[object]]] = deque()
        self._committing: asyncio.Task[None] | None = None
        self.commits = 0
        """Transactions committed, for operators and tests."""

    async def run(self, write: Callable[[sqlite3.Connection], T]) -> T:
        """Run a write and return what it returned, once that is durable.

        Raises:
            QueueFullError: `pending_max` writes wait already; nothing was written.
            DependencyError: the database failed; nothing was written unless the error says so.
            IntegrityError: the database is damaged.
        """
        if len(self._pending) >= self._pending_max:
            raise QueueFullError(f"{self._pending_max} writes wait for the store already")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._pending.append((write, done))  # type: ignore[arg-type]  # its own write fills it
        if self._committing is None:
            self._committing = loop.create_task(self._commit_all(), name="operations.commit")
        return await done

    async def drain(self) -> None:
        """Return when nothing waits to be written."""
        while self._committing is not None:
            await asyncio.shield(self._committing)

    async def _commit_all(self) -> None:
        try:
            while self._pending:
                size = min(self._batch, len(self._pending))
                await self._commit([self._pending.popleft() for _ in range(size)])
        finally:
            self._committing = None
            for _, done in self._pending:  # Only when cancelled: nobody will write these.
                done.cancel()
            self._pending.clear()

    async def _commit(self, batch: Sequence[tuple[Write, asyncio.Future[object]]]) -> None:
        writes = [write for write, _ in batch]
        try:
            results = await self._blocking.run(lambda: _transact(self._connection, writes))
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


def _transact(connection: sqlite3.Connection, writes: Sequence[Write]) -> list[object]:
    """Run all in one transaction; a refusal of one leaves the others alone."""
    results: list[object] = []
    with translated(may_have_acted=False):
        connection.execute("begin immediate")
        try:
            for write in writes:
                try:
                    results.append(write(connection))
                except SurgetankError as refusal:
                    results.append(refusal)
        except BaseException:
            _roll_back(connection)
            raise
    # A commit that fails with an I/O error may or may not be on disk.
    with translated(may_have_acted=True):
        try:
            connection.execute("commit")
        except sqlite3.Error:
            _roll_back(connection)
            raise
    return results


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # SQLite has rolled back by itself after some errors.
        connection.execute("rollback")
