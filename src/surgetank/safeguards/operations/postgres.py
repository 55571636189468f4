"""Operations in PostgreSQL, for several nodes: every commit durable, writes grouped.

Five connections a node, in the event loop: two write, each one transaction at a time, in which all
that waits is written: one is made ready while the server works on the other; one takes what is due;
one reads; one listens. More would help none: the commit is what takes time, and what waits shares the next one.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

from surgetank.core.errors import DependencyError
from surgetank.core.operation import OperationId, OperationState
from surgetank.core.value import Lane
from surgetank.safeguards.operations.commit import (
    PENDING_WRITES_MAX,
    WRITES_PER_COMMIT,
    GroupCommit,
)
from surgetank.safeguards.operations.hold import Hold, HoldScope
from surgetank.safeguards.operations.postgres_error import was_rolled_back
from surgetank.safeguards.operations.postgres_listen import Listener, Teller
from surgetank.safeguards.operations.postgres_schema import enter, migrate
from surgetank.safeguards.operations.postgres_session import Connection, Limits, Session
from surgetank.safeguards.operations.postgres_take import take
from surgetank.safeguards.operations.postgres_write import transact
from surgetank.safeguards.operations.record import Due, Record, Tally
from surgetank.safeguards.operations.store import EXAMINED_MAX, Decide, Filter, Page, Survey, Taken
from surgetank.safeguards.operations.text import COLUMNS, DEADLINE_AT, RUN_AT, read_record
from surgetank.safeguards.operations.write import Release, SetHold, Submit, Write
from surgetank.safeguards.operations.writer import GroupedWriter

OPEN_OPERATIONS_MAX = 1_000_000
"""Of all nodes. Each sees what the others have committed: they may exceed it by a batch each."""
_TOLD = (Submit, SetHold, Release)
"""What other nodes are told of."""
MIGRATION_S = 86_400.0
"""Seconds that a migration may take: an index over ten million operations takes minutes."""
TRIES_MAX = 4
"""Of a transaction that the server undid because another was in its way."""

_READ = f"""select {COLUMNS} from surgetank.operation o join surgetank.body b using (number)
 where o.id = %s"""  # noqa: S608 - constants
# What is at hand by an instant and the first that is not, which comes without its body; in one look
# at the table.
_BY_INSTANT = """select {record} from (
 (select * from surgetank.operation where {where} and {instant} <= %(now)s
  order by {instant}, number limit %(rows)s)
 union all
 (select * from surgetank.operation where {where} and {instant} > %(now)s
  order by {instant}, number limit 1)
) o left join surgetank.body b on b.number = o.number and o.{instant} <= %(now)s
 order by o.{instant}, o.number"""
_DUE = _BY_INSTANT.format(record=COLUMNS, instant="run_at", where="queue = %(queue)s")
_LATE = _BY_INSTANT.format(
    record=COLUMNS,
    instant="deadline_at",
    where="deadline_at is not null and state in ('ready', 'waiting')",
)
_QUEUES = """with recursive used (queue) as (
 select min(queue) from surgetank.operation where queue is not null
 union all
 select (select min(queue) from surgetank.operation where queue > used.queue)
 from used where used.queue is not null
) select queue, (select min(run_at) from surgetank.operation where queue = used.queue)
 from used where queue is not null"""
_HOLDS = "select scope, name, since, held_by, reason, number from surgetank.hold order by number"
_EXAMINED = """select count(*), max(number) from (select number from surgetank.operation
 where number > %s order by number limit %s) as examined"""
_FIND = f"""select {COLUMNS} from surgetank.operation o join surgetank.body b using (number)
 where o.number > %(after)s and o.number <= %(last)s
 and (cardinality(%(states)s::text[]) = 0 or o.state = any(%(states)s::text[]))
 and (%(lane)s::text is null or o.lane = %(lane)s) and (%(kind)s::text is null or b.kind = %(kind)s)
 and (%(region)s::text is null or b.region = %(region)s)
 and (%(subject)s::text is null or b.subject = %(subject)s)
 order by o.number limit %(limit)s"""  # noqa: S608 - constants
_TALLY = """select lane, state, sum(operations)::bigint, sum(owed)::bigint from surgetank.tally
 group by lane, state having sum(operations) > 0"""


class PostgresStore(GroupedWriter):
    """The `Store` on PostgreSQL."""

    def __init__(
        self,
        writing: Sequence[Session],
        reading: Session,
        taking: Session,
        hearing: Session,
        *,
        writes_per_commit: int = WRITES_PER_COMMIT,
        pending_writes_max: int = PENDING_WRITES_MAX,
        open_max: int = OPEN_OPERATIONS_MAX,
    ) -> None:
        self._writing = list(writing)
        self._reading = reading
        self._taking = taking
        self._hearing = hearing
        self._teller = Teller(taking)
        self._listener: Listener | None = None
        self._open_max = open_max
        super().__init__(
            GroupCommit(
                self._transact,
                batch=writes_per_commit,
                pending_max=pending_writes_max,
                lanes=len(writing),
            )
        )
        self.repeats = 0
        """Transactions that the server undid and that were made again, for operators and tests."""

    @classmethod
    async def open(
        cls,
        address: str,
        *,
        limits: Limits = Limits(),  # noqa: B008 - a value
        writes_per_commit: int = WRITES_PER_COMMIT,
        pending_writes_max: int = PENDING_WRITES_MAX,
        open_max: int = OPEN_OPERATIONS_MAX,
    ) -> Self:
        """Open the database at `address`, migrated.

        Args:
            address: As libpq reads it. It must lead to PostgreSQL itself, or to a pooler that
                gives each client a connection of its own: ours have settings.
            limits: How long to wait for the server.
            writes_per_commit: Writes in one transaction; at least 1.
            pending_writes_max: Writes that may wait; at least 1.
            open_max: Unfinished operations in the database, of all nodes.

        Raises:
            InvalidInputError: `address` cannot be read.
            DependencyError: the database cannot be reached or written.
            IntegrityError: its schema is not ours, is damaged, or a newer release keeps it.
            ConflictError: this release shuts out an older one that still uses the database.
        """
        patient = Session(address, limits._replace(answer_s=MIGRATION_S), enter=enter)
        try:
            await patient.run(migrate, is_repeatable=True)
        finally:
            await patient.close()
        first, second, *others = [Session(address, limits, enter=enter) for _ in range(5)]
        return cls(
            (first, second),
            *others,
            writes_per_commit=writes_per_commit,
            pending_writes_max=pending_writes_max,
            open_max=open_max,
        )

    async def read(self, operation_id: OperationId) -> Record | None:
        """Read one operation; see `Store.read`."""
        rows = await self._read(_READ, (operation_id,))
        return read_record(rows[0]) if rows else None

    async def take(self, queue: str, *, now: float, limit: int, decide: Decide) -> Taken:
        """Read what is due and no other looks at, and save what is decided; see `Store.take`."""
        work = partial(take, queue=queue, now=now, limit=limit, decide=decide)
        return await self._taking.run(work, is_repeatable=False)

    async def survey(self) -> Survey:
        """Read what there is to do and what is held; see `Store.survey`."""
        queues = dict(await self._read(_QUEUES, ()))
        holds = [Hold(HoldScope(scope), *others) for scope, *others in await self._read(_HOLDS, ())]
        return Survey(queues, tuple(holds))

    async def due(self, queue: str, *, now: float, limit: int) -> Due:
        """Read what is due in a queue; see `Store.due`."""
        arguments = {"queue": queue, "now": float(now), "rows": limit + 1}
        rows = await self._read(_DUE, arguments)
        return _due(rows, column=RUN_AT, now=now, limit=limit)

    async def late(self, *, now: float, limit: int) -> Due:
        """Read operations whose deadline has passed; see `Store.late`."""
        rows = await self._read(_LATE, {"now": float(now), "rows": limit + 1})
        return _due(rows, column=DEADLINE_AT, now=now, limit=limit)

    async def find(self, wanted: Filter, *, after: int, limit: int) -> Page:
        """Read a page of operations; see `Store.find`."""
        ((examined, last),) = await self._read(_EXAMINED, (after, EXAMINED_MAX))
        if not examined:
            return Page((), None)
        states = [state.value for state in wanted.states]
        lane = None if wanted.lane is None else wanted.lane.value
        place = {"after": after, "last": last, "limit": limit}
        rows = await self._read(
            _FIND, {**wanted._asdict(), **place, "states": states, "lane": lane}
        )
        records = tuple(read_record(row) for row in rows)
        if len(records) == limit:
            return Page(records, records[-1].number)
        return Page(records, last if examined == EXAMINED_MAX else None)

    async def generation(self, subject: str) -> int | None:
        """Read a subject's newest generation; see `Store.generation`."""
        query = "select generation from surgetank.subject where name = %s and generation >= 0"
        rows = await self._read(query, (subject,))
        return int(rows[0][0]) if rows else None

    async def tally(self) -> tuple[Tally, ...]:
        """Count operations; see `Store.tally`."""
        return tuple(
            Tally(Lane(lane), OperationState(state), operations, owed)
            for lane, state, operations, owed in await self._read(_TALLY, ())
        )

    def listen(self, told: Callable[[], None]) -> None:
        """Hear what other nodes put in; see `Store.listen`."""
        assert self._listener is None, "one listens"
        self._listener = Listener(self._hearing, told)

    async def close(self) -> None:
        """Write what waits and hang up; see `Store.close`."""
        await self.writes.drain()
        await self._teller.close()
        if self._listener is not None:
            await self._listener.close()
        for session in self._writing:
            await session.close()
        await self._reading.close()
        await self._taking.close()
        await self._hearing.close()

    async def _transact(self, writes: Sequence[Write]) -> Sequence[object]:
        results = await self._make(writes)
        if any(isinstance(each, _TOLD) for each in writes):
            self._teller.tell()
        return results

    async def _make(self, writes: Sequence[Write]) -> Sequence[object]:
        work = partial(transact, writes=writes, open_max=self._open_max)
        session = self._writing.pop()
        try:
            for _ in range(TRIES_MAX - 1):
                try:
                    return await session.run(work, is_repeatable=False)
                except DependencyError as error:
                    if not was_rolled_back(error):
                        raise
                    self.repeats += 1
            return await session.run(work, is_repeatable=False)
        finally:
            self._writing.append(session)

    async def _read(self, query: str, arguments: Any) -> list[Any]:
        work = partial(_fetch, query=query, arguments=arguments)
        return await self._reading.run(work, is_repeatable=True)


async def _fetch(connection: Connection, *, query: Any, arguments: Any) -> list[Any]:
    return await (await connection.execute(query, arguments)).fetchall()


def _due(rows: Sequence[Any], *, column: int, now: float, limit: int) -> Due:
    """Divide rows, in order of the instant in `column`, where they are not due or too many."""
    due = [row for row in rows[:limit] if row[column] <= now]
    next_at = rows[len(due)][column] if len(rows) > len(due) else None
    return Due(tuple(read_record(row) for row in due), next_at)
