"""Operations in one SQLite file: WAL, every commit synced, writes grouped.

One connection, used only through the Blocking port: a worker thread live, inline in virtual time.
Several processes may share the file; SQLite lets one write at a time.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from json import dumps
from typing import Any, Self

from surgetank.core.operation import OperationId, OperationState
from surgetank.core.ports import Blocking
from surgetank.core.value import Lane
from surgetank.safeguards.operations.commit import (
    PENDING_WRITES_MAX,
    WRITES_PER_COMMIT,
    GroupCommit,
)
from surgetank.safeguards.operations.hold import Hold, HoldScope
from surgetank.safeguards.operations.record import Due, Record, Tally
from surgetank.safeguards.operations.sqlite_error import translated
from surgetank.safeguards.operations.sqlite_schema import connect
from surgetank.safeguards.operations.sqlite_text import SQLITE_COLUMNS, name_bytes
from surgetank.safeguards.operations.sqlite_write import transact
from surgetank.safeguards.operations.store import EXAMINED_MAX, Decide, Filter, Page, Survey, Taken
from surgetank.safeguards.operations.text import DEADLINE_AT, RUN_AT, read_record
from surgetank.safeguards.operations.write import Write
from surgetank.safeguards.operations.writer import GroupedWriter

OPEN_OPERATIONS_MAX = 1_000_000
"""About 3 GB of operations of three steps."""
BUSY_S = 5.0
"""SQLite waits this long for another process that writes."""

_READ = f"select {SQLITE_COLUMNS} from operation o join body b using (number) where o.id = ?"  # noqa: S608 - constants
_DUE = f"""select {SQLITE_COLUMNS} from operation o join body b using (number)
 where o.queue = ? order by o.run_at, o.number limit ?"""  # noqa: S608 - constants
_LATE = f"""select {SQLITE_COLUMNS} from operation o join body b using (number)
 where o.deadline_at is not null and o.state in ('ready', 'waiting')
 order by o.deadline_at, o.number limit ?"""  # noqa: S608 - constants
_EXAMINED = """select count(*), max(number) from (
 select number from operation where number > ? order by number limit ?)"""
_FIND = f"""select {SQLITE_COLUMNS} from operation o join body b using (number)
 where o.number > :after and o.number <= :last
 and (:states = '[]' or o.state in (select value from json_each(:states)))
 and (:lane is null or o.lane = :lane) and (:kind is null or b.kind = :kind)
 and (:region is null or b.region = :region) and (:subject is null or b.subject = :subject)
 order by o.number limit :limit"""  # noqa: S608 - constants
_HOLDS = "select scope, name, since, held_by, reason, number from hold order by number"
_QUEUES = """with recursive used (queue) as (
 select min(queue) from operation where queue is not null
 union all
 select (select min(queue) from operation where queue > used.queue)
 from used where used.queue is not null
) select queue, (select min(run_at) from operation where queue = used.queue)
 from used where queue is not null"""
_TALLY = "select lane, state, operations, owed from tally where operations > 0"


class SQLiteStore(GroupedWriter):
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
        super().__init__(
            GroupCommit(self._transact, batch=writes_per_commit, pending_max=pending_writes_max)
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

    async def read(self, operation_id: OperationId) -> Record | None:
        """Read one operation; see `Store.read`."""
        records = await self._read(_READ, (name_bytes(operation_id),))
        return records[0] if records else None

    async def take(self, queue: str, *, now: float, limit: int, decide: Decide) -> Taken:
        """Read what is due and save what is decided; see `Store.take`."""
        due = await self.due(queue, now=now, limit=limit)
        changes = decide(due.records)
        return Taken(due, await self.save(changes) if changes else ())

    async def survey(self) -> Survey:
        """Read what there is to do and what is held; see `Store.survey`."""
        return await self._blocking.run(partial(_survey, self._connection))

    async def due(self, queue: str, *, now: float, limit: int) -> Due:
        """Read what is due in a queue; see `Store.due`."""
        return await self._read_due(_DUE, (queue, limit + 1), column=RUN_AT, now=now, limit=limit)

    async def late(self, *, now: float, limit: int) -> Due:
        """Read operations whose deadline has passed; see `Store.late`."""
        return await self._read_due(_LATE, (limit + 1,), column=DEADLINE_AT, now=now, limit=limit)

    async def find(self, wanted: Filter, *, after: int, limit: int) -> Page:
        """Read a page of operations; see `Store.find`."""
        return await self._blocking.run(partial(_find, self._connection, wanted, after, limit))

    async def generation(self, subject: str) -> int | None:
        """Read a subject's newest generation; see `Store.generation`."""
        query = "select generation from subject where name = ?"
        rows = await self._blocking.run(partial(_fetch, self._connection, query, (subject,)))
        return int(rows[0][0]) if rows else None

    async def tally(self) -> tuple[Tally, ...]:
        """Count operations; see `Store.tally`."""
        rows = await self._blocking.run(partial(_fetch, self._connection, _TALLY, ()))
        return tuple(
            Tally(Lane(lane), OperationState(state), operations, owed)
            for lane, state, operations, owed in rows
        )

    def listen(self, told: Callable[[], None]) -> None:
        """SQLite tells nobody; see `Store.listen`."""

    async def close(self) -> None:
        """Write what waits and close the file; see `Store.close`."""
        if self._is_closed:
            return
        self._is_closed = True
        await self.writes.drain()
        await self._blocking.run(self._connection.close)

    async def _transact(self, writes: Sequence[Write]) -> Sequence[object]:
        work = partial(transact, self._connection, writes, open_max=self._open_max)
        return await self._blocking.run(work)

    async def _read(self, query: str, arguments: tuple[object, ...]) -> list[Record]:
        return await self._blocking.run(partial(_read_records, self._connection, query, arguments))

    async def _read_due(
        self, query: str, arguments: tuple[object, ...], *, column: int, now: float, limit: int
    ) -> Due:
        read = partial(_read_due, column=column, now=now, limit=limit)
        return await self._blocking.run(partial(read, self._connection, query, arguments))


def _fetch(connection: sqlite3.Connection, query: str, arguments: tuple[object, ...]) -> list[Any]:
    with translated(may_have_acted=False):
        return connection.execute(query, arguments).fetchall()


def _survey(connection: sqlite3.Connection) -> Survey:
    with translated(may_have_acted=False):
        queues = dict(connection.execute(_QUEUES).fetchall())
        holds = connection.execute(_HOLDS).fetchall()
    return Survey(queues, tuple(Hold(HoldScope(scope), *others) for scope, *others in holds))


def _find(connection: sqlite3.Connection, wanted: Filter, after: int, limit: int) -> Page:
    with translated(may_have_acted=False):
        (examined, last) = connection.execute(_EXAMINED, (after, EXAMINED_MAX)).fetchone()
        if not examined:
            return Page((), None)
        arguments = {
            "after": after,
            "last": last,
            "states": dumps([state.value for state in wanted.states]),
            "lane": None if wanted.lane is None else wanted.lane.value,
            "kind": wanted.kind,
            "region": wanted.region,
            "subject": wanted.subject,
            "limit": limit,
        }
        records = [read_record(row) for row in connection.execute(_FIND, arguments)]
    if len(records) == limit:
        last = records[-1].number
    elif examined < EXAMINED_MAX:
        return Page(tuple(records), None)
    return Page(tuple(records), last)


def _read_records(
    connection: sqlite3.Connection, query: str, arguments: tuple[object, ...]
) -> list[Record]:
    with translated(may_have_acted=False):
        rows = connection.execute(query, arguments).fetchall()
        return [read_record(row) for row in rows]


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
        return Due(tuple([read_record(row) for row in due]), next_at)
