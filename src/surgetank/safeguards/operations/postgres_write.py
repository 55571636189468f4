"""Many writes in one transaction, each kind in one statement, all sent at once.

No two transactions wait for each other in a circle: each takes a slot to count in, locks its
subjects and then every row that it changes, in the order of their names, and only then adds new
rows, in the same order. (What ends in a `take` may meet another at a subject: the server sees it.)
What is deleted is what nobody holds.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from surgetank.core.errors import ConflictError, QueueFullError
from surgetank.safeguards.operations.hold import HOLDS_MAX
from surgetank.safeguards.operations.postgres_session import Connection
from surgetank.safeguards.operations.postgres_subject import (
    begin_again,
    let_next,
    lock_subjects,
    place_subject,
)
from surgetank.safeguards.operations.record import Change, Record, Saved
from surgetank.safeguards.operations.subject import begins_again
from surgetank.safeguards.operations.text import write_content, write_progress
from surgetank.safeguards.operations.write import (
    Forget,
    Release,
    Renew,
    Save,
    SetHold,
    Stop,
    Submit,
    Write,
    rounds,
)

T = TypeVar("T")
Row = tuple[Any, ...]

_ALWAYS = float("inf")  # Later than any instant.
_DIGEST = 8  # Where it stands in a new row.

_BEGIN = "begin isolation level read committed"
_SLOT = "select surgetank.tally_slot()"
_LOCK = """select from surgetank.operation where id = any(%s::text[])
 order by id for no key update"""
_LATEST = """select o.id from surgetank.subject s join surgetank.operation o using (number)
 where s.name = any(%s::text[])"""
_SAVE = """update surgetank.operation o set lane = c.lane, state = c.state, queue = c.queue,
 run_at = c.run_at, worker = c.worker, owed = c.owed, finished_at = c.finished_at,
 deadline_at = c.deadline_at, let_go = c.let_go, progress = c.progress, fence = o.fence + 1,
 stop = case when c.queue is null then '' else o.stop end
 from unnest(%s::bigint[], %s::bigint[], %s::float8[], %s::text[], %s::text[], %s::text[],
  %s::float8[], %s::text[], %s::integer[], %s::float8[], %s::float8[], %s::bigint[], %s::text[])
 as c (number, fence, due_by, lane, state, queue, run_at, worker, owed, finished_at, deadline_at,
  let_go, progress)
 where o.number = c.number and o.fence = c.fence and o.run_at <= c.due_by
 returning o.number, o.stop"""
_RENEW = """update surgetank.operation o set run_at = l.until
 from unnest(%s::text[], %s::bigint[], %s::float8[]) as l (id, fence, until)
 where o.id = l.id and o.fence = l.fence
 returning o.id, ''"""
_STOP = """update surgetank.operation set stop = %s where id = %s and queue = '!'"""
_ADD = """with given as (
 select * from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::float8[], %s::float8[],
  %s::float8[], %s::integer[], %s::bytea[], %s::text[], %s::text[], %s::text[], %s::text[])
  with ordinality as g (id, lane, state, queue, run_at, deadline_at, created_at, priority,
  digest, kind, region, subject, content, place)
), fresh as (
 select * from given g where not exists (select from surgetank.operation o where o.id = g.id)
 order by place limit greatest(0, %s - (select coalesce(sum(operations), 0)::bigint
  from surgetank.tally where state in ('ready', 'waiting', 'running')))
), added as (
 insert into surgetank.operation (id, lane, state, queue, run_at, deadline_at, created_at, priority)
 select id, lane, state, queue, run_at, deadline_at, created_at, priority from fresh order by id
 on conflict (id) do nothing returning number, id
), bodies as (
 insert into surgetank.body (number, digest, kind, region, subject, content)
 select a.number, f.digest, f.kind, f.region, f.subject, f.content
 from added a join fresh f using (id)
) select id, number from added"""
_KNOWN = """select o.id, b.digest from surgetank.operation o
 join surgetank.body b using (number) where o.id = any(%s::text[])"""
_FORGET = """with old as (
 select number from surgetank.operation where finished_at < %s and queue is null
 order by finished_at limit %s for update skip locked
) delete from surgetank.operation o using old where o.number = old.number"""


_FORGET_SUBJECTS = """delete from surgetank.subject where name in (
 select name from surgetank.subject s where changed_at < %s and holder is null
 and not exists (
  select from surgetank.operation o where o.number = s.number)
 order by changed_at limit %s for update skip locked)"""
_HOLD = """insert into surgetank.hold (scope, name, since, held_by, reason)
 select %(scope)s, %(name)s, %(since)s, %(by)s, %(reason)s
 where (select count(*) from surgetank.hold) < %(holds)s returning number"""

Answers = list[tuple[dict[int, Row], Any]]


async def transact(
    connection: Connection, writes: Sequence[Write], *, open_max: int
) -> Sequence[object]:
    """Make writes in one transaction; one result each, in order.

    Raises:
        psycopg.Error: the database failed; when it gave no answer, all may have been written.
    """
    kinds = _by_kind(writes)
    submits, changes = kinds[Submit], [each for save in kinds[Save] for each in save.changes]
    named = {each.record.subject for each in submits}
    named |= {each.before.subject for each in changes if _is_placed(each)}
    subjects = sorted(named - {""})
    changed = [change.before.id for change in changes]
    changed += [name for each in kinds[Renew] for name, _ in each.leases]
    changed += [each.operation_id for each in kinds[Stop]]
    added = _Added([_new_row(each.record) for each in submits], open_max=open_max)
    renewed = Changed(
        _RENEW, [(*lease, float(each.until)) for each in kinds[Renew] for lease in each.leases]
    )
    async with connection.pipeline():
        await connection.execute(_BEGIN)
        await connection.execute(_SLOT)
        if subjects:
            await lock_subjects(connection, subjects)
            latest = await connection.execute(_LATEST, (subjects,))
            changed += [name for (name,) in await latest.fetchall()]
        if changed:
            await connection.execute(_LOCK, (sorted(set(changed)),))
        saved = Saving([await begin_again(connection, each) for each in changes])
        await saved.send(connection)
        await renewed.send(connection)
        await added.send(connection)
        others = [await _send(connection, each) for each in writes if type(each) in _OTHERS]
        await _place_all(connection, submits, added)
        committed = await connection.execute("commit")
    assert committed.statusmessage == "COMMIT", "a failed statement raises"
    results: dict[type, Iterator[object]] = {
        Submit: iter(await added.results()),
        Save: _cut(await saved.results(), [len(each.changes) for each in kinds[Save]]),
        Renew: _cut(
            [bool(each) for each in await renewed.results()],
            [len(each.leases) for each in kinds[Renew]],
        ),
    }
    rest = iter([await _result(*pair) for pair in zip(_others_of(writes), others, strict=True)])
    return [next(results.get(type(each), rest)) for each in writes]


def _is_placed(change: Change) -> bool:
    """Whether it may change who is next of its subject."""
    return change.after.queue is None or begins_again(change)


def _by_kind(writes: Sequence[Write]) -> defaultdict[type, list[Any]]:
    kinds = defaultdict[type, list[Any]](list)
    for write in writes:
        kinds[type(write)].append(write)
    return kinds


_OTHERS = (Stop, Forget, SetHold, Release)


def _others_of(writes: Sequence[Write]) -> list[Write]:
    return [each for each in writes if type(each) in _OTHERS]


async def _send(connection: Connection, write: Write) -> Any:
    """Send a write that is not made together with others of its kind."""
    run = connection.execute
    match write:
        case Stop(operation_id, state):
            return await run(_STOP, (state.value, operation_id))
        case Forget(before, limit):
            forgotten = await run(_FORGET, (before, limit))
            await run(_FORGET_SUBJECTS, (before, limit))
            return forgotten
        case Release(number):
            return await run("delete from surgetank.hold where number = %s", (number,))
        case SetHold(hold):
            # Two nodes that hold the same at once leave one hold.
            await run("lock table surgetank.hold in share row exclusive mode")
            name = (hold.scope.value, hold.name)
            await run("delete from surgetank.hold where scope = %s and name = %s", name)
            row = {**hold._asdict(), "scope": hold.scope.value, "holds": HOLDS_MAX}
            return await run(_HOLD, row)
        case _:
            raise AssertionError("these are made together")


async def _result(write: Write, answer: Any) -> object:
    match write:
        case Stop() | Release():
            return answer.rowcount == 1
        case SetHold(hold):
            row = await answer.fetchone()
            if row is None:
                return QueueFullError(f"there are {HOLDS_MAX} holds already: release some")
            return hold._replace(number=row[0])
        case _:
            return answer.rowcount


async def _place_all(connection: Connection, submits: Sequence[Submit], added: "_Added") -> None:
    """Find the place of each new operation that has a subject."""
    if not any(each.record.subject for each in submits):
        return
    await added.results()
    for place, each in enumerate(submits):
        number = added.numbers.get(place)
        if each.record.subject and number is not None:
            record = each.record._replace(number=number)
            for change in await place_subject(connection, record):
                await Saving([change]).send(connection)


class Changed:
    """Rows changed by one statement; those of one operation by one each, in order."""

    def __init__(self, statement: str, rows: Sequence[Row]) -> None:
        self._statement: Any = statement
        self._rows = rows
        self._sent: Answers = []

    async def send(self, connection: Connection) -> None:
        """Send the statements."""
        for rows in rounds(self._rows, key=lambda row: row[0]):
            answer = await connection.execute(self._statement, _columns(rows.values()))
            self._sent.append((rows, answer))

    async def results(self) -> list[Saved]:
        """What became of each, in order."""
        done = [Saved.LOST] * len(self._rows)
        for rows, answer in self._sent:
            found = dict(await answer.fetchall())
            for place, row in rows.items():
                if row[0] in found:
                    done[place] = Saved.STOPPED if found[row[0]] else Saved.DONE
        return done


class Saving(Changed):
    """Changes of operations; those that end let the next of their subject begin."""

    def __init__(self, changes: Sequence[Change]) -> None:
        super().__init__(_SAVE, [_change_row(change) for change in changes])
        self._ended = [
            (each.after.subject, each.before.number)
            for each in changes
            if each.after.subject and each.after.queue is None
        ]

    async def send(self, connection: Connection) -> None:
        """Send the statements."""
        await super().send(connection)
        if self._ended:
            await let_next(connection, self._ended)


class _Added:
    """New operations, added by one statement; those of one key by one each, in order."""

    def __init__(self, rows: Sequence[Row], *, open_max: int) -> None:
        self._rows = rows
        self._open_max = open_max
        self._sent: Answers = []
        self._done: list[object] | None = None
        self.numbers: dict[int, int] = {}
        """What the new ones were numbered, by place; known once there are results."""

    async def send(self, connection: Connection) -> None:
        for rows in rounds(self._rows, key=lambda row: row[0]):
            columns = _columns(rows.values())
            added = await connection.execute(_ADD, (*columns, self._open_max))
            # A statement of its own: it sees what another node added while ours waited for it.
            known = await connection.execute(_KNOWN, (columns[0],))
            self._sent.append((rows, (added, known)))

    async def results(self) -> list[object]:
        """True, False or the refusal for each, in order."""
        if self._done is not None:
            return self._done
        done: list[object] = [None] * len(self._rows)
        for rows, (added, known) in self._sent:
            new = dict(await added.fetchall())
            digests = dict(await known.fetchall())
            for place, row in rows.items():
                if row[0] in new:
                    self.numbers[place] = new[row[0]]
                done[place] = row[0] in new or self._refusal(row, digests.get(row[0]))
        self._done = done
        return done

    def _refusal(self, row: Row, stored: bytes | None) -> object:
        if stored is None:
            return QueueFullError(f"{self._open_max} operations are unfinished already")
        if stored != row[_DIGEST]:
            return ConflictError(f"key of {row[0]} is stored with another body: use another key")
        return False


def _columns(rows: Iterable[Row]) -> list[str]:
    """Columns of rows as arrays in PostgreSQL's own text.

    To let the driver write them costs more than all the rest of a transaction.
    Source: https://www.postgresql.org/docs/current/arrays.html, section 8.15.6.
    """
    return ["{" + ",".join(map(_element, column)) + "}" for column in zip(*rows, strict=True)]


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, bytes):
        return f'"\\\\x{value.hex()}"'
    return str(value)


def _cut(results: Sequence[T], lengths: Sequence[int]) -> Iterator[tuple[T, ...]]:
    rest = iter(results)
    return iter([tuple(islice(rest, length)) for length in lengths])


def _new_row(record: Record) -> Row:
    body = (record.kind, record.region, record.subject, write_content(record))
    return (
        record.id,
        record.lane.value,
        record.state.value,
        record.queue,
        float(record.run_at),
        _instant(record.deadline_at),
        float(record.created_at),
        record.priority,
        hashlib.sha256("\0".join(body).encode()).digest(),
        *body,
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
        _instant(after.deadline_at),
        after.let_go,
        write_progress(after),
    )


def _instant(at: float | None) -> float | None:
    return None if at is None else float(at)
