"""Where operations are kept: the contract of a store, whatever database is behind it.

A write is durable when its method returns; a write that raised was not made, unless the error
says that it may have been. Every adapter passes the suite in `tests/contracts/store`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from surgetank.core.operation import OperationId, OperationState
from surgetank.core.value import Lane
from surgetank.safeguards.operations.hold import Hold
from surgetank.safeguards.operations.record import Change, Due, Record, Saved, Tally

PAGE_MAX = 200
"""Operations on a page."""
EXAMINED_MAX = 10_000
"""Operations that are looked at for a page: a filter that few pass gives short pages."""

Decide = Callable[[Sequence[Record]], Sequence[Change]]
"""Says what is to become of records, without waiting: of some of them, one change each at most."""


class Filter(NamedTuple):
    """Which operations to list; None and an empty tuple let all pass."""

    states: tuple[OperationState, ...] = ()
    lane: Lane | None = None
    kind: str | None = None
    region: str | None = None
    subject: str | None = None


class Page(NamedTuple):
    """Some operations, in order of submission."""

    records: tuple[Record, ...]
    next_after: int | None
    """Where the next page begins; None when there is no more."""


class Taken(NamedTuple):
    """What became of operations that were due in a queue."""

    due: Due
    saved: tuple[Saved, ...]
    """One for each change that was decided on."""


class Survey(NamedTuple):
    """What waits, all in all."""

    queues: Mapping[str, float]
    """When the first operation of each is due."""
    holds: tuple[Hold, ...]
    """Oldest first."""


class Store(Protocol):
    """Keeps operations.

    All methods raise `DependencyError` when the database fails (disk full, read-only, locked),
    with `may_have_acted` False when nothing was written, and `IntegrityError` when the data is
    damaged. Writes raise `QueueFullError` when too many wait to be written.
    """

    async def submit(self, record: Record) -> bool:
        """Store a new operation; safe to repeat.

        Of a subject, an operation that waits ends as superseded when a newer generation comes, one
        whose call is under way is told to stop and the newer waits for it, and one that is no newer
        than what came before is stored as superseded.

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

    async def save(self, changes: Sequence[Change]) -> tuple[Saved, ...]:
        """Make each change whose `before` is still what is stored.

        One that ends lets the next of its subject begin. One that begins again waits for an older
        of its subject as a new one does, and is not made when a newer one took its place.

        Returns:
            One a change, in order. The stored fence is then `before.fence + 1` where one was made.
        """
        ...

    async def take(self, queue: str, *, now: float, limit: int, decide: Decide) -> Taken:
        """Read what `due` reads and save what `decide` makes of it, as far as nobody else did.

        Workers that take from one queue at once may be given different operations, each longest
        due first among those that no other is looking at.
        """
        ...

    async def stop(self, operation_id: OperationId, state: OperationState) -> bool:
        """Tell an operation whose call is under way what it is to become before the next.

        Returns:
            False when it is not leased: then it can be changed.
        """
        ...

    async def renew(
        self, leases: Sequence[tuple[OperationId, int]], *, until: float
    ) -> tuple[bool, ...]:
        """Move the end of leases, given with their fences, which stay; False where one is lost."""
        ...

    async def survey(self) -> Survey:
        """Read what there is to do and what is held; no more entries than queues in use."""
        ...

    async def due(self, queue: str, *, now: float, limit: int) -> Due:
        """Read at most `limit` operations of a queue that are due, longest due first."""
        ...

    async def late(self, *, now: float, limit: int) -> Due:
        """Read at most `limit` ready or waiting operations whose deadline has passed.

        `next_at` is the deadline that comes next.
        """
        ...

    async def find(self, wanted: Filter, *, after: int, limit: int) -> Page:
        """Read operations in order of submission, those numbered above `after`.

        At most `limit`, and no more than `EXAMINED_MAX` are looked at: a page may be short, or
        empty, and still have a next.
        """
        ...

    async def generation(self, subject: str) -> int | None:
        """The newest generation of a subject; None when it has none, or none any more."""
        ...

    async def hold(self, hold: Hold) -> Hold:
        """Store a hold, with a number higher than all before; one of the same name is replaced.

        Raises:
            QueueFullError: there are `HOLDS_MAX` already.
        """
        ...

    async def release(self, number: int) -> bool:
        """Delete a hold; False when it is not there."""
        ...

    async def forget(self, *, before: float, limit: int) -> int:
        """Delete at most `limit` operations that ended before an instant and owe nothing."""
        ...

    async def tally(self) -> tuple[Tally, ...]:
        """Count operations; the cost does not grow with their number."""
        ...

    def listen(self, told: Callable[[], None]) -> None:
        """Call `told` when another worker may have put something in or let something go.

        A hint, where the store has any: some are for nothing, some are missed. Called at most once.
        """
        ...

    async def close(self) -> None:
        """Write what waits, then let go of the database; safe to repeat."""
        ...
