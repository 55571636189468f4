"""Many writes to SQLite in one transaction; a refusal of one leaves the others alone.

Whatever adds or moves an operation counts it in `tally`, once for the whole transaction. Nobody
else writes meanwhile: numbers and counts that were read stay true until the commit.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, islice
from typing import Any

from surgetank.core.errors import ConflictError, QueueFullError, SurgetankError
from surgetank.core.operation import OperationState
from surgetank.safeguards.operations.hold import HOLDS_MAX, Hold
from surgetank.safeguards.operations.queue import LEASED, NEXT
from surgetank.safeguards.operations.record import OPEN_STATES, Change, Record, Saved
from surgetank.safeguards.operations.sqlite_error import translated
from surgetank.safeguards.operations.sqlite_schema import check_schema
from surgetank.safeguards.operations.sqlite_text import SQLITE_COLUMNS, name_bytes
from surgetank.safeguards.operations.subject import Subject, begins_again, place, place_again
from surgetank.safeguards.operations.text import read_record, write_content, write_progress
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

Row = tuple[object, ...]

_ALWAYS = 1e18  # Later than any instant.

_BY_NUMBER = f"""select {SQLITE_COLUMNS} from operation o join body b using (number)
 where o.number = ?"""  # noqa: S608 - constants
_KNOWN = """select o.id, b.kind, b.region, b.subject, b.content from (values {rows}) as v
 join operation o on o.id = v.column1 join body b using (number)"""
_SAVED_COLUMNS = 13
_SAVE = """with c (number, fence, due_by, lane, state, queue, run_at, worker, owed, finished_at,
  deadline_at, let_go, progress) as (values {rows})
 update operation set lane = c.lane, state = c.state, queue = c.queue, run_at = c.run_at,
 worker = c.worker, owed = c.owed, finished_at = c.finished_at, deadline_at = c.deadline_at,
 let_go = c.let_go, progress = c.progress, fence = operation.fence + 1,
 stop = case when c.queue is null then '' else stop end from c
 where operation.number = c.number and operation.fence = c.fence
 and operation.run_at <= c.due_by returning number, stop"""
_ADDED_COLUMNS, _BODY_COLUMNS = 11, 5
_ADD = """insert into operation (number, id, lane, state, queue, run_at, deadline_at, created_at,
 finished_at, priority, progress) select * from (values {rows}) where column1 > 0"""
_ADD_BODY = """insert into body (number, kind, region, subject, content)
 select * from (values {rows}) where column1 > 0"""
_ROWS_MAX = 256
"""Rows of one statement. One that does much lets other threads of Python run meanwhile."""
_NO_ROW = -1
_RENEW = "update operation set run_at = ? where id = ? and fence = ?"
_STOP = "update operation set stop = ? where id = ? and queue = ?"
_COUNT = """insert into tally (lane, state, operations, owed) values (?, ?, ?, ?)
 on conflict do update set operations = operations + excluded.operations,
 owed = owed + excluded.owed"""
_OLD = """select number, lane, state, owed from operation
 where finished_at < ? and queue is null
 order by finished_at limit ?"""
_FORGET_SUBJECTS = """delete from subject where name in (
 select name from subject where changed_at < ? and holder is null
 and not exists (select 1 from operation where operation.number = subject.number)
 order by changed_at limit ?)"""
_SET_SUBJECT = """insert into subject (name, generation, number, holder, changed_at)
 values (?, ?, ?, ?, ?) on conflict do update set generation = excluded.generation,
 number = excluded.number, holder = excluded.holder, changed_at = excluded.changed_at"""
_LET_NEXT = "update subject set holder = null where name = ? and holder = ? returning number"
_BEGIN_NEXT = """update operation set queue = substr(queue, 2)
 where number = ? and substr(queue, 1, 1) = ?"""


def transact(
    connection: sqlite3.Connection, writes: Sequence[Write], *, open_max: int
) -> list[object]:
    """Make writes in one transaction; one result each, in order, an exception where refused.

    Raises:
        DependencyError: the database failed; nothing was written, unless the error says so.
        IntegrityError: the database is damaged, or a newer release keeps it for itself.
    """
    with translated(may_have_acted=False):
        connection.execute("begin immediate")
        try:
            check_schema(connection)
            results = _Transaction(connection, open_max=open_max).make(writes)
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


class _Transaction:
    """One transaction's writes, and what they count."""

    def __init__(self, connection: sqlite3.Connection, *, open_max: int) -> None:
        self._connection = connection
        self._open_max = open_max
        self._counts = Counter[tuple[str, str]]()
        self._debts = Counter[tuple[str, str]]()
        self._makers: Mapping[type, Callable[[Any], object]] = {
            Renew: self._renew,
            Stop: self._stop,
            Forget: self._forget,
            SetHold: self._hold,
            Release: self._release,
        }

    def make(self, writes: Sequence[Write]) -> list[object]:
        """Make them all."""
        submits = [write.record for write in writes if isinstance(write, Submit)]
        changes = [each for write in writes if isinstance(write, Save) for each in write.changes]
        changes = [self._begin_again(each) for each in changes]
        added = iter(self._submit(submits) if submits else [])
        saved = iter(self._save(changes))
        results = [self._result(write, added, saved) for write in writes]
        changed = self._counts.keys() | self._debts.keys()
        rows = [(*each, self._counts[each], self._debts[each]) for each in sorted(changed)]
        self._connection.executemany(_COUNT, rows)
        return results

    def _result(self, write: Write, added: Iterator[object], saved: Iterator[Saved]) -> object:
        """What became of a write; those that are not made together are made now."""
        match write:
            case Submit():
                return next(added)
            case Save(changes):
                return tuple(islice(saved, len(changes)))
            case _:
                return self._make(write)

    def _make(self, write: Write) -> object:
        make = self._makers[type(write)]
        try:
            return make(write)
        except SurgetankError as refusal:
            return refusal

    def _submit(self, records: Sequence[Record]) -> list[object]:
        run = self._connection.execute
        ids = [name_bytes(record.id) for record in records]
        found = self._change(_KNOWN, [(each,) for each in ids], columns=1)
        known = {row[0]: tuple(row[1:]) for row in found}
        open_count = _open_count(self._connection)
        numbered = run("select seq from sqlite_sequence where name = 'operation'").fetchone()
        number = 0 if numbered is None else numbered[0]
        results: list[object] = []
        new: list[tuple[int, Record]] = []
        bodies: list[Row] = []
        for name, record in zip(ids, records, strict=True):
            body = (record.kind, record.region, record.subject, write_content(record))
            if name in known:
                is_same = known[name] == body
                results.append(False if is_same else _conflict(record))
                continue
            if open_count >= self._open_max:
                full = f"{self._open_max} operations are unfinished already"
                results.append(QueueFullError(full))
                continue
            known[name] = body
            number += 1
            open_count += 1
            if record.subject:
                self._add(new, bodies)  # What it may supersede is to be there.
                new, bodies = [], []
                new.append((number, self._place(record._replace(number=number))))
            else:
                new.append((number, record))
            bodies.append((number, *body))
            results.append(True)
        self._add(new, bodies)
        return results

    def _add(self, records: Sequence[tuple[int, Record]], bodies: Sequence[Row]) -> None:
        self._change(_ADD, [_new_row(*each) for each in records], columns=_ADDED_COLUMNS)
        self._change(_ADD_BODY, bodies, columns=_BODY_COLUMNS)
        self._counts.update([(record.lane.value, record.state.value) for _, record in records])

    def _change(self, statement: str, rows: Sequence[Row], *, columns: int) -> list[Any]:
        """Run a statement for many rows, in as few calls as may be; what it returned of all."""
        answers = list[Any]()
        for first in range(0, len(rows), _ROWS_MAX):
            some = rows[first : first + _ROWS_MAX]
            size = 1 << (len(some) - 1).bit_length()  # Few sizes, so that statements are kept.
            values = list(chain.from_iterable(some))
            values += (_NO_ROW, *(None,) * (columns - 1)) * (size - len(some))
            text = _for_rows(statement, rows=size, columns=columns)
            answers += self._connection.execute(text, values).fetchall()
        return answers

    def _place(self, record: Record) -> Record:
        """Let a new operation of a subject take the place of older ones, or end at once."""
        run, name = self._connection.execute, record.subject
        found = self._find_subject(name)
        rows = [] if found is None else run(_BY_NUMBER, (found.number,)).fetchall()
        older = next((read_record(each) for each in rows), None)
        placed = place(record, found, older)
        if placed.older is not None:
            self._save([placed.older])
        if placed.is_older_told and older is not None:
            run(_STOP, (OperationState.SUPERSEDED.value, name_bytes(older.id), LEASED))
        if placed.subject is not None:
            run(_SET_SUBJECT, (name, *placed.subject, record.created_at))
        return placed.record

    def _find_subject(self, name: str) -> Subject | None:
        query = "select generation, number, holder from subject where name = ?"
        row = self._connection.execute(query, (name,)).fetchone()
        return None if row is None else Subject(*row)

    def _begin_again(self, change: Change) -> Change:
        """Find the place of an operation that begins again; as it is for all others.

        When a newer one took its place, the change is one that cannot be made.
        """
        if not begins_again(change):
            return change
        record = change.after
        placed = place_again(record, self._find_subject(record.subject))
        if placed is None:
            return change._replace(due_by=-_ALWAYS)
        if placed.subject is not None:
            row = (record.subject, *placed.subject, record.run_at)
            self._connection.execute(_SET_SUBJECT, row)
        return change._replace(after=placed.record)

    def _save(self, changes: Sequence[Change]) -> list[Saved]:
        """Make changes; those of one operation one after another."""
        results = [Saved.LOST] * len(changes)
        for changed in rounds(changes, key=_number_of):
            rows = [_change_row(change) for change in changed.values()]
            stops = dict(self._change(_SAVE, rows, columns=_SAVED_COLUMNS))
            for at, change in changed.items():
                stop = stops.get(change.before.number)
                if stop is not None:
                    results[at] = Saved.STOPPED if stop else Saved.DONE
                    self._count(change)
        return results

    def _count(self, change: Change) -> None:
        """Count a change that was made, and let begin what waited for its end."""
        before, after, _ = change
        was, now = (before.lane.value, before.state.value), (after.lane.value, after.state.value)
        if was != now:
            self._counts[was] -= 1
            self._counts[now] += 1
        owed_before, owed = before.owed, after.owed
        if owed or owed_before:
            self._debts[was] -= owed_before
            self._debts[now] += owed
        if after.queue is None and after.subject:
            self._let_next(after)

    def _let_next(self, record: Record) -> None:
        """Let the next of a subject begin, which waited for this one to end."""
        run = self._connection.execute
        for (number,) in run(_LET_NEXT, (record.subject, record.number)).fetchall():
            run(_BEGIN_NEXT, (number, NEXT))

    def _renew(self, write: Renew) -> tuple[bool, ...]:
        return tuple(
            self._did(_RENEW, (write.until, name_bytes(name), fence))
            for name, fence in write.leases
        )

    def _stop(self, write: Stop) -> bool:
        return self._did(_STOP, (write.state.value, name_bytes(write.operation_id), LEASED))

    def _release(self, write: Release) -> bool:
        return self._did("delete from hold where number = ?", (write.number,))

    def _forget(self, write: Forget) -> int:
        run, (before, limit) = self._connection.execute, write
        old = run(_OLD, (before, limit)).fetchall()
        for number, lane, state, owed in old:
            run("delete from operation where number = ?", (number,))
            self._counts[lane, state] -= 1
            self._debts[lane, state] -= owed
        run(_FORGET_SUBJECTS, (before, limit))
        return len(old)

    def _hold(self, write: SetHold) -> Hold:
        run, hold = self._connection.execute, write.hold
        run("delete from hold where scope = ? and name = ?", (hold.scope.value, hold.name))
        (holds,) = run("select count(*) from hold").fetchone()
        if holds >= HOLDS_MAX:
            raise QueueFullError(f"there are {HOLDS_MAX} holds already: release some")
        row = (hold.scope.value, hold.name, hold.since, hold.by, hold.reason)
        added = run(
            "insert into hold (scope, name, since, held_by, reason) values (?, ?, ?, ?, ?)", row
        )
        return hold._replace(number=added.lastrowid or 0)

    def _did(self, statement: str, arguments: tuple[object, ...]) -> bool:
        return self._connection.execute(statement, arguments).rowcount == 1


def _conflict(record: Record) -> ConflictError:
    return ConflictError(f"key {record.key!r} is stored with another body: use another key")


@cache
def _for_rows(statement: str, *, rows: int, columns: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return statement.format(rows=", ".join([row] * rows))


def _number_of(change: Change) -> int:
    return change.before.number


def _change_row(change: Change) -> Row:
    before, after, due_by = change
    return (
        before.number,
        before.fence,
        _ALWAYS if due_by is None else due_by,
        after.lane.value,
        after.state.value,
        after.queue,
        after.run_at,
        after.worker,
        after.owed,
        after.finished_at,
        after.deadline_at,
        after.let_go,
        write_progress(after),
    )


def _new_row(number: int, record: Record) -> Row:
    return (
        number,
        name_bytes(record.id),
        record.lane.value,
        record.state.value,
        record.queue,
        record.run_at,
        record.deadline_at,
        record.created_at,
        record.finished_at,
        record.priority,
        write_progress(record) if record.detail else "",
    )


def _open_count(connection: sqlite3.Connection) -> int:
    rows = connection.execute("select state, operations from tally").fetchall()
    return sum(operations for state, operations in rows if state in OPEN_STATES)


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # SQLite has rolled back by itself after some errors.
        connection.execute("rollback")
