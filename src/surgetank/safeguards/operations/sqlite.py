"""Operations in one SQLite file: WAL, every commit synced, writes grouped.

One connection, used only through the Blocking port: a worker thread live, inline in virtual time.
Several processes may share the file; SQLite lets one write at a time.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Self, TypeVar, cast

from surgetank.core.errors import ConflictError, QueueFullError, SurgetankError
from surgetank.core.operation import OperationId, OperationState, Step, StepState
from surgetank.core.ports import Blocking
from surgetank.core.value import Lane
from surgetank.safeguards.operations.commit import (
    PENDING_WRITES_MAX,
    WRITES_PER_COMMIT,
    GroupCommit,
)
from surgetank.safeguards.operations.record import (
    OPEN_STATES,
    Change,
    Due,
    Progress,
    Record,
    Tally,
)
from surgetank.safeguards.operations.row import COLUMNS, DEADLINE_AT, OTHERS, RUN_AT, read_row
from surgetank.safeguards.operations.sqlite_error import translated
from surgetank.safeguards.operations.sqlite_schema import connect

T = TypeVar("T")
Write = Callable[[sqlite3.Connection], object]
"""Reads and writes inside a transaction; raises before it has written anything, or not at all."""

OPEN_OPERATIONS_MAX = 1_000_000
"""About 3 GB of operations of three steps."""
BUSY_S = 5.0
"""SQLite waits this long for another process that writes."""

_ON_FALLBACK, _GIVEN_UP = 1, 2
_ALWAYS = 1e18  # Later than any instant.

_RECORD = f"{COLUMNS}, o.detail, b.key, b.kind, b.region, b.steps"
_READ = f"select {_RECORD} from operation o join body b using (number) where o.id = ?"  # noqa: S608 - constants
_DUE = f"""select {_RECORD} from operation o join body b using (number)
 where o.queue = ? order by o.run_at, o.number limit ?"""  # noqa: S608 - constants
_LATE = f"""select {_RECORD} from operation o join body b using (number)
 where o.deadline_at is not null and o.state in ('ready', 'waiting')
 order by o.deadline_at, o.number limit ?"""  # noqa: S608 - constants
_STEPS = """select position, state, tries, sleeps, flags, checkpoint, detail
 from step where number = ?"""
_ADD = """insert into operation (id, lane, state, queue, run_at, deadline_at, created_at)
 values (?, ?, ?, ?, ?, ?, ?) on conflict (id) do nothing"""
_ADD_BODY = "insert into body (number, key, kind, region, steps) values (?, ?, ?, ?, ?)"
_SAVE = """update operation set lane = ?, state = ?, queue = ?, run_at = ?, worker = ?, owed = ?,
 finished_at = ?, detail = ?, fence = fence + 1
 where number = ? and fence = ? and run_at <= ?"""
_SAVE_STEP = """insert into step (number, position, state, tries, sleeps, flags, checkpoint, detail)
 values (?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set state = excluded.state,
 tries = excluded.tries, sleeps = excluded.sleeps, flags = excluded.flags,
 checkpoint = excluded.checkpoint, detail = excluded.detail"""
_RENEW = "update operation set run_at = ? where id = ? and fence = ?"
_QUEUES = """with recursive used (queue) as (
 select min(queue) from operation where queue is not null
 union all
 select (select min(queue) from operation where queue > used.queue)
 from used where used.queue is not null
) select queue, (select min(run_at) from operation where queue = used.queue)
 from used where queue is not null"""
_FORGET = """delete from operation where number in (
 select number from operation where finished_at < ? and queue is null
 order by finished_at limit ?)"""
_TALLY = "select lane, state, operations, owed from tally where operations > 0"


class SQLiteStore:
    """The `Store` on SQLite."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        blocking: Blocking,
        *,
        writes_per_commit: int = WRITES_PER_COMMIT,
        pending_writes_max: int = PENDING_WRITES_MAX,
        open_max: int = OPEN_OPERATIONS_MAX,
    ) -> None:
        self._connection = connection
        self._blocking = blocking
        self._open_max = open_max
        self._is_closed = False
        self.writes: GroupCommit[Write] = GroupCommit(
            self._transact, batch=writes_per_commit, pending_max=pending_writes_max
        )

    @classmethod
    async def open(
        cls,
        path: str,
        blocking: Blocking,
        *,
        busy_s: float = BUSY_S,
        writes_per_commit: int = WRITES_PER_COMMIT,
        pending_writes_max: int = PENDING_WRITES_MAX,
        open_max: int = OPEN_OPERATIONS_MAX,
    ) -> Self:
        """Open or create the file at `path` (`:memory:` for none), migrated.

        Raises:
            DependencyError: the file cannot be opened or written.
            IntegrityError: it is no store of ours, is damaged, or was written by a newer release.
        """
        connection = await blocking.run(partial(connect, path, busy_s=busy_s))
        return cls(
            connection,
            blocking,
            writes_per_commit=writes_per_commit,
            pending_writes_max=pending_writes_max,
            open_max=open_max,
        )

    async def submit(self, record: Record) -> bool:
        """Store a new operation; see `Store.submit`."""
        return await self._write(partial(_submit, record=record, open_max=self._open_max))

    async def read(self, operation_id: OperationId) -> Record | None:
        """Read one operation; see `Store.read`."""
        records = await self._read(_READ, (operation_id,))
        return records[0] if records else None

    async def save(self, changes: Sequence[Change]) -> tuple[bool, ...]:
        """Make each change that still holds; see `Store.save`."""
        return await self._write(partial(_save, changes=changes))

    async def renew(
        self, leases: Sequence[tuple[OperationId, int]], *, until: float
    ) -> tuple[bool, ...]:
        """Move the end of leases; see `Store.renew`."""
        return await self._write(partial(_renew, leases=leases, until=until))

    async def queues(self) -> Mapping[str, float]:
        """Read when each queue's first operation is due; see `Store.queues`."""
        return dict(await self._blocking.run(partial(_fetch, self._connection, _QUEUES, ())))

    async def due(self, queue: str, *, now: float, limit: int) -> Due:
        """Read what is due in a queue; see `Store.due`."""
        return await self._read_due(_DUE, (queue, limit + 1), column=RUN_AT, now=now, limit=limit)

    async def late(self, *, now: float, limit: int) -> Due:
        """Read operations whose deadline has passed; see `Store.late`."""
        return await self._read_due(_LATE, (limit + 1,), column=DEADLINE_AT, now=now, limit=limit)

    async def forget(self, *, before: float, limit: int) -> int:
        """Delete operations that ended long ago; see `Store.forget`."""
        return await self._write(partial(_forget, before=before, limit=limit))

    async def tally(self) -> tuple[Tally, ...]:
        """Count operations; see `Store.tally`."""
        rows = await self._blocking.run(partial(_fetch, self._connection, _TALLY, ()))
        return tuple(
            Tally(Lane(lane), OperationState(state), operations, owed)
            for lane, state, operations, owed in rows
        )

    async def close(self) -> None:
        """Write what waits and close the file; see `Store.close`."""
        if self._is_closed:
            return
        self._is_closed = True
        await self.writes.drain()
        await self._blocking.run(self._connection.close)

    async def _transact(self, writes: Sequence[Write]) -> Sequence[object]:
        return await self._blocking.run(partial(_transact, self._connection, writes))

    async def _write(self, write: Callable[[sqlite3.Connection], T]) -> T:
        return cast("T", await self.writes.run(write))

    async def _read(self, query: str, arguments: tuple[object, ...]) -> list[Record]:
        return await self._blocking.run(partial(_read_records, self._connection, query, arguments))

    async def _read_due(
        self, query: str, arguments: tuple[object, ...], *, column: int, now: float, limit: int
    ) -> Due:
        read = partial(_read_due, column=column, now=now, limit=limit)
        return await self._blocking.run(partial(read, self._connection, query, arguments))


def write_steps(steps: Sequence[Step]) -> str:
    """Write steps as JSON; equal steps give equal text."""
    return json.dumps(steps, ensure_ascii=False, separators=(",", ":"))


def read_steps(text: str) -> tuple[Step, ...]:
    """Read steps from the text that `write_steps` made."""
    return tuple(Step(*fields) for fields in json.loads(text))


def _fetch(connection: sqlite3.Connection, query: str, arguments: tuple[object, ...]) -> list[Any]:
    with translated(may_have_acted=False):
        return connection.execute(query, arguments).fetchall()


def _read_records(
    connection: sqlite3.Connection, query: str, arguments: tuple[object, ...]
) -> list[Record]:
    with translated(may_have_acted=False):
        rows = connection.execute(query, arguments).fetchall()
        return [_record(connection, row) for row in rows]


def _read_due(
    connection: sqlite3.Connection,
    query: str,
    arguments: tuple[object, ...],
    *,
    column: int,
    now: float,
    limit: int,
) -> Due:
    """Read rows, in order of the instant in `column`, up to the first that is not due."""
    due = list[Any]()
    next_at: float | None = None
    with translated(may_have_acted=False), closing(connection.execute(query, arguments)) as rows:
        for row in rows:
            if len(due) == limit or row[column] > now:
                next_at = row[column]
                break
            due.append(row)
        return Due(tuple(_record(connection, row) for row in due), next_at)


def _record(connection: sqlite3.Connection, row: Any) -> Record:
    detail, key, kind, region, written = row[OTHERS:]
    steps = read_steps(written)
    progress = [Progress()] * len(steps)
    if row[6]:  # A fence of 0: nothing was written since it was submitted.
        for position, state, tries, sleeps, flags, *texts in connection.execute(_STEPS, (row[0],)):
            progress[position] = Progress(
                StepState(state),
                tries,
                sleeps,
                bool(flags & _ON_FALLBACK),
                bool(flags & _GIVEN_UP),
                *texts,
            )
    body = (key, kind, region, steps)
    return read_row(row, body=body, progress=tuple(progress), detail=detail)


def _submit(connection: sqlite3.Connection, *, record: Record, open_max: int) -> bool:
    steps = write_steps(record.steps)
    is_full = _open_count(connection) >= open_max
    known = connection.execute(
        "select b.kind, b.region, b.steps from operation join body b using (number) where id = ?",
        (record.id,),
    ).fetchone()
    if known is not None:
        if known != (record.kind, record.region, steps):
            raise ConflictError(f"key {record.key!r} is stored with another body: use another key")
        return False
    if is_full:
        raise QueueFullError(f"{open_max} operations are unfinished already")
    added = connection.execute(
        _ADD,
        (
            record.id,
            record.lane.value,
            record.state.value,
            record.queue,
            record.run_at,
            record.deadline_at,
            record.created_at,
        ),
    )
    body = (added.lastrowid, record.key, record.kind, record.region, steps)
    connection.execute(_ADD_BODY, body)
    return True


def _open_count(connection: sqlite3.Connection) -> int:
    rows = connection.execute("select state, operations from tally").fetchall()
    return sum(operations for state, operations in rows if state in OPEN_STATES)


def _save(connection: sqlite3.Connection, *, changes: Sequence[Change]) -> tuple[bool, ...]:
    return tuple(_save_one(connection, change) for change in changes)


def _save_one(connection: sqlite3.Connection, change: Change) -> bool:
    before, after, due_by = change
    written = connection.execute(
        _SAVE,
        (
            after.lane.value,
            after.state.value,
            after.queue,
            after.run_at,
            after.worker,
            after.owed,
            after.finished_at,
            after.detail,
            before.number,
            before.fence,
            _ALWAYS if due_by is None else due_by,
        ),
    )
    if written.rowcount == 0:
        return False
    pairs = zip(before.progress, after.progress, strict=True)
    for position, (was, now) in enumerate(pairs):
        if was is not now:
            connection.execute(_SAVE_STEP, _step_row(before.number, position, now))
    return True


def _step_row(number: int, position: int, progress: Progress) -> tuple[object, ...]:
    flags = _ON_FALLBACK * progress.is_fallback | _GIVEN_UP * progress.is_given_up
    return (
        number,
        position,
        progress.state.value,
        progress.tries,
        progress.sleeps,
        flags,
        progress.checkpoint,
        progress.detail,
    )


def _renew(
    connection: sqlite3.Connection, *, leases: Sequence[tuple[OperationId, int]], until: float
) -> tuple[bool, ...]:
    return tuple(
        connection.execute(_RENEW, (until, operation_id, fence)).rowcount == 1
        for operation_id, fence in leases
    )


def _forget(connection: sqlite3.Connection, *, before: float, limit: int) -> int:
    return connection.execute(_FORGET, (before, limit)).rowcount


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
