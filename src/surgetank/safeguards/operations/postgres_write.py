"""Many writes in one transaction, each kind in one statement, all sent at once.

No two transactions wait for each other in a circle: each takes a slot to count in, locks every row
that it changes in the order of their names, and only then adds new rows, in the same order.
What is deleted is what nobody holds.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from surgetank.core.errors import ConflictError, QueueFullError
from surgetank.core.operation import OperationId
from surgetank.safeguards.operations.postgres_session import Connection
from surgetank.safeguards.operations.postgres_text import digest_of, write_body, write_progress
from surgetank.safeguards.operations.record import Change, Record

T = TypeVar("T")
Row = tuple[Any, ...]

_ALWAYS = float("inf")  # Later than any instant.

# Long texts go as they are (`%b`): to quote them costs more than all the rest of a write.
_BEGIN = "begin isolation level read committed"
_SLOT = "select surgetank.tally_slot()"
_LOCK = """select from surgetank.operation where id = any(%s::text[])
 order by id for no key update"""
_SAVE = """update surgetank.operation o set lane = c.lane, state = c.state, queue = c.queue,
 run_at = c.run_at, worker = c.worker, owed = c.owed, finished_at = c.finished_at,
 progress = c.progress, fence = o.fence + 1
 from unnest(%s::bigint[], %s::bigint[], %s::float8[], %s::text[], %s::text[], %s::text[],
  %s::float8[], %s::text[], %s::integer[], %s::float8[], %b::text[])
 as c (number, fence, due_by, lane, state, queue, run_at, worker, owed, finished_at, progress)
 where o.number = c.number and o.fence = c.fence and o.run_at <= c.due_by
 returning o.number"""
_RENEW = """update surgetank.operation o set run_at = l.until
 from unnest(%s::text[], %s::bigint[], %s::float8[]) as l (id, fence, until)
 where o.id = l.id and o.fence = l.fence
 returning o.id"""
_ADD = """with given as (
 select * from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::float8[], %s::float8[],
  %s::float8[], %b::bytea[], %b::text[]) with ordinality
 as g (id, lane, state, queue, run_at, deadline_at, created_at, digest, content, place)
), fresh as (
 select * from given g where not exists (select from surgetank.operation o where o.id = g.id)
 order by place limit greatest(0, %s - (select coalesce(sum(operations), 0)::bigint
  from surgetank.tally where state in ('ready', 'waiting', 'running')))
), added as (
 insert into surgetank.operation (id, lane, state, queue, run_at, deadline_at, created_at)
 select id, lane, state, queue, run_at, deadline_at, created_at from fresh order by id
 on conflict (id) do nothing returning number, id
), bodies as (
 insert into surgetank.body (number, digest, content)
 select a.number, f.digest, f.content from added a join fresh f using (id)
) select id from added"""
_KNOWN = """select o.id, b.digest from surgetank.operation o
 join surgetank.body b using (number) where o.id = any(%s::text[])"""
_FORGET = """with old as (
 select number from surgetank.operation where finished_at < %s and queue is null
 order by finished_at limit %s for update skip locked
) delete from surgetank.operation o using old where o.number = old.number"""


class Submit(NamedTuple):
    """See `Store.submit`."""

    record: Record


class Save(NamedTuple):
    """See `Store.save`."""

    changes: Sequence[Change]


class Renew(NamedTuple):
    """See `Store.renew`."""

    leases: Sequence[tuple[OperationId, int]]
    until: float


class Forget(NamedTuple):
    """See `Store.forget`."""

    before: float
    limit: int


Write = Submit | Save | Renew | Forget
Answers = list[tuple[dict[int, Row], Any]]


async def transact(
    connection: Connection, writes: Sequence[Write], *, open_max: int
) -> Sequence[object]:
    """Make writes in one transaction; one result each, in order.

    Raises:
        psycopg.Error: the database failed; when it gave no answer, all may have been written.
    """
    submits = [each for each in writes if isinstance(each, Submit)]
    saves = [each for each in writes if isinstance(each, Save)]
    renews = [each for each in writes if isinstance(each, Renew)]
    changed = [change.before.id for each in saves for change in each.changes]
    changed += [name for each in renews for name, _ in each.leases]
    added = _Added([_new_row(each.record) for each in submits], open_max=open_max)
    saved = _Changed(_SAVE, [_change_row(change) for each in saves for change in each.changes])
    renewed = _Changed(
        _RENEW, [(*lease, float(each.until)) for each in renews for lease in each.leases]
    )
    async with connection.pipeline():
        await connection.execute(_BEGIN)
        await connection.execute(_SLOT)
        if changed:
            await connection.execute(_LOCK, (sorted(set(changed)),))
        await saved.send(connection)
        await renewed.send(connection)
        await added.send(connection)
        forgotten = [
            await connection.execute(_FORGET, (each.before, each.limit))
            for each in writes
            if isinstance(each, Forget)
        ]
        committed = await connection.execute("commit")
    assert committed.statusmessage == "COMMIT", "a failed statement raises"
    results: dict[type, Iterable[object]] = {
        Submit: iter(await added.results()),
        Save: _cut(await saved.results(), [len(each.changes) for each in saves]),
        Renew: _cut(await renewed.results(), [len(each.leases) for each in renews]),
        Forget: iter([each.rowcount for each in forgotten]),
    }
    return [next(iter(results[type(each)])) for each in writes]


class _Changed:
    """Rows changed by one statement; those of one operation by one each, in order."""

    def __init__(self, statement: str, rows: Sequence[Row]) -> None:
        self._statement: Any = statement
        self._rows = rows
        self._sent: Answers = []

    async def send(self, connection: Connection) -> None:
        for rows in _rounds(self._rows, key=lambda row: row[0]):
            answer = await connection.execute(self._statement, _columns(rows.values()))
            self._sent.append((rows, answer))

    async def results(self) -> list[bool]:
        """Whether each was changed, in order."""
        done = [False] * len(self._rows)
        for rows, answer in self._sent:
            found = {name for (name,) in await answer.fetchall()}
            for place, row in rows.items():
                done[place] = row[0] in found
        return done


class _Added:
    """New operations, added by one statement; those of one key by one each, in order."""

    def __init__(self, rows: Sequence[Row], *, open_max: int) -> None:
        self._rows = rows
        self._open_max = open_max
        self._sent: Answers = []

    async def send(self, connection: Connection) -> None:
        for rows in _rounds(self._rows, key=lambda row: row[0]):
            columns = _columns(rows.values())
            added = await connection.execute(_ADD, (*columns, self._open_max))
            # A statement of its own: it sees what another node added while ours waited for it.
            known = await connection.execute(_KNOWN, (columns[0],))
            self._sent.append((rows, (added, known)))

    async def results(self) -> list[object]:
        """True, False or the refusal for each, in order."""
        done: list[object] = [None] * len(self._rows)
        for rows, (added, known) in self._sent:
            new = {name for (name,) in await added.fetchall()}
            digests = dict(await known.fetchall())
            for place, row in rows.items():
                done[place] = row[0] in new or self._refusal(row, digests.get(row[0]))
        return done

    def _refusal(self, row: Row, stored: bytes | None) -> object:
        if stored is None:
            return QueueFullError(f"{self._open_max} operations are unfinished already")
        if stored != row[7]:
            return ConflictError(f"key of {row[0]} is stored with another body: use another key")
        return False


def _rounds(rows: Sequence[Row], *, key: Callable[[Row], Hashable]) -> list[dict[int, Row]]:
    """Share out rows so that no share has two of one key; by their place, in order."""
    seen = Counter[Hashable]()
    rounds = list[dict[int, Row]]()
    for place, row in enumerate(rows):
        turn = seen[key(row)]
        seen[key(row)] += 1
        if turn == len(rounds):
            rounds.append({})
        rounds[turn][place] = row
    return rounds


def _columns(rows: Iterable[Row]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _cut(results: Sequence[T], lengths: Sequence[int]) -> Iterable[tuple[T, ...]]:
    rest = iter(results)
    return iter([tuple(islice(rest, length)) for length in lengths])


def _new_row(record: Record) -> Row:
    body = write_body(record)
    return (
        record.id,
        record.lane.value,
        record.state.value,
        record.queue,
        float(record.run_at),
        _instant(record.deadline_at),
        float(record.created_at),
        digest_of(body),
        body,
    )


def _change_row(change: Change) -> Row:
    before, after, due_by = change
    return (
        before.number,
        before.fence,
        _ALWAYS if due_by is None else float(due_by),
        after.lane.value,
        after.state.value,
        after.queue,
        float(after.run_at),
        after.worker,
        after.owed,
        _instant(after.finished_at),
        write_progress(after),
    )


def _instant(at: float | None) -> float | None:
    return None if at is None else float(at)
