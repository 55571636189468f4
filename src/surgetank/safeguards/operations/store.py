"""Where operations are kept: the contract of a store, whatever database is behind it.

A write is durable when its method returns; a write that raised was not made, unless the error
says that it may have been. Every adapter passes the suite in `tests/contracts/store`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from surgetank.core.operation import OperationId
from surgetank.safeguards.operations.record import Change, Due, Record, Tally


class Store(Protocol):
    """Keeps operations.

    All methods raise `DependencyError` when the database fails (disk full, read-only, locked),
    with `may_have_acted` False when nothing was written, and `IntegrityError` when the data is
    damaged. Writes raise `QueueFullError` when too many wait to be written.
    """

    async def submit(self, record: Record) -> bool:
        """Store a new operation; safe to repeat.

        Returns:
            True when it is new; False when the same key and body was stored before.

        Raises:
            ConflictError: the key is stored with another body (kind, region, steps).
            QueueFullError: the store holds as many unfinished operations as it may.
        """
        ...

    async def read(self, operation_id: OperationId) -> Record | None:
        """Read one operation; None when it is not (or no longer) stored."""
        ...

    async def save(self, changes: Sequence[Change]) -> tuple[bool, ...]:
        """Make each change whose `before` is still what is stored.

        Returns:
            One a change, in order: False when somebody else wrote in between, and nothing of this
            change was written. The stored fence is then `before.fence + 1` for each True.
        """
        ...

    async def renew(
        self, leases: Sequence[tuple[OperationId, int]], *, until: float
    ) -> tuple[bool, ...]:
        """Move the end of leases, given with their fences, which stay; False where one is lost."""
        ...

    async def queues(self) -> Mapping[str, float]:
        """Read when each queue's first operation is due; no more entries than queues in use."""
        ...

    async def due(self, queue: str, *, now: float, limit: int) -> Due:
        """Read at most `limit` operations of a queue that are due, longest due first."""
        ...

    async def late(self, *, now: float, limit: int) -> Due:
        """Read at most `limit` ready or waiting operations whose deadline has passed.

        `next_at` is the deadline that comes next.
        """
        ...

    async def forget(self, *, before: float, limit: int) -> int:
        """Delete at most `limit` operations that ended before an instant and owe nothing."""
        ...

    async def tally(self) -> tuple[Tally, ...]:
        """Count operations; the cost does not grow with their number."""
        ...

    async def close(self) -> None:
        """Write what waits, then let go of the database; safe to repeat."""
        ...
