"""Many writes to SQLite in one transaction; a refusal of one leaves the others alone.

Whatever adds or moves an operation counts it in `tally`, once for the whole transaction. Nobody
else writes meanwhile: numbers and counts that were read stay true until the commit.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from json import dumps
from typing import Any

from surgetank.core.errors import ConflictError, QueueFullError, SurgetankError
from surgetank.core.operation import OperationState
from surgetank.safeguards.operations.hold import HOLDS_MAX, Hold
from surgetank.safeguards.operations.queue import LEASED, NEXT
from surgetank.safeguards.operations.record import OPEN_STATES, Change, Record, Saved
from surgetank.safeguards.operations.sqlite_error import translated
from surgetank.safeguards.operations.subject import Subject, place
from surgetank.safeguards.operations.text import (
    COLUMNS,
    read_record,
    write_content,
    write_progress,
)
from surgetank.safeguards.operations.write import (
    Forget,
    Release,
    Renew,
    Save,
    SetHold,
    Stop,
    Submit,
    Write,
)

_ALWAYS = 1e18  # Later than any instant.

_BY_NUMBER = f"""select {COLUMNS} from operation o join body b using (number)
 where o.number = ?"""  # noqa: S608 - constants
_KNOWN = """select o.id, b.kind, b.region, b.subject, b.content
 from operation o join body b using (number) where o.id in (select value from json_each(?))"""
_ADD = """insert into operation (number, id, lane, state, queue, run_at, deadline_at, created_at,
 finished_at, priority, progress) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_ADD_BODY = "insert into body (number, kind, region, subject, content) values (?, ?, ?, ?, ?)"
_SAVE = """update operation set lane = ?, state = ?, queue = ?, run_at = ?, worker = ?, owed = ?,
 finished_at = ?, deadline_at = ?, let_go = ?, progress = ?, fence = fence + 1,
 stop = case when ?3 is null then '' else stop end
 where number = ? and fence = ? and run_at <= ? returning stop"""
_RENEW = "update operation set run_at = ? where id = ? and fence = ?"
_STOP = "update operation set stop = ? where id = ? and queue = ?"
_COUNT = """insert into tally (lane, state, operations, owed) values (?, ?, ?, ?)
 on conflict do update set operations = operations + excluded.operations,
 owed = owed + excluded.owed"""
_OLD = """select number, lane, state, owed from operation
 where finished_at < ? and queue is null
 order by finished_at limit ?"""
_FORGET_SUBJECTS = """delete from subject where name in (
 select name from subject where changed_at < ?
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
        IntegrityError: the database is damaged.
    """
    with translated(may_have_acted=False):
        connection.execute("begin immediate")
        try:
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
            Save: self._save_all,
            Renew: self._renew,
            Stop: self._stop,
            Forget: self._forget,
            SetHold: self._hold,
            Release: self._release,
        }

    def make(self, writes: Sequence[Write]) -> list[object]:
        """Make them all."""
        submits = [write.record for write in writes if isinstance(write, Submit)]
        added = iter(self._submit(submits) if submits else [])
        results = [
            next(added) if isinstance(write, Submit) else self._make(write) for write in writes
        ]
        changed = self._counts.keys() | self._debts.keys()
        rows = [(*each, self._counts[each], self._debts[each]) for each in sorted(changed)]
        self._connection.executemany(_COUNT, rows)
        return results

    def _make(self, write: Write) -> object:
        make = self._makers[type(write)]
        try:
            return make(write)
        except SurgetankError as refusal:
            return refusal

    def _submit(self, records: Sequence[Record]) -> list[object]:
        run = self._connection.execute
        ids = dumps([record.id for record in records])
        known = {row[0]: tuple(row[1:]) for row in run(_KNOWN, (ids,)).fetchall()}
        open_count = _open_count(self._connection)
        numbered = run("select seq from sqlite_sequence where name = 'operation'").fetchone()
        number = 0 if numbered is None else numbered[0]
        results: list[object] = []
        new: list[Record] = []
        bodies: list[tuple[object, ...]] = []
        for record in records:
            body = (record.kind, record.region, record.subject, write_content(record))
            if record.id in known:
                is_same = known[record.id] == body
                results.append(False if is_same else _conflict(record))
                continue
            if open_count >= self._open_max:
                full = f"{self._open_max} operations are unfinished already"
                results.append(QueueFullError(full))
                continue
            known[record.id] = body
            number += 1
            open_count += 1
            placed = record._replace(number=number)
            if record.subject:
                self._add(new, bodies)  # What it may supersede is to be there.
                new, bodies = [], []
                placed = self._place(placed)
            new.append(placed)
            bodies.append((number, *body))
            results.append(True)
        self._add(new, bodies)
        return results

    def _add(self, records: Sequence[Record], bodies: Sequence[tuple[object, ...]]) -> None:
        self._connection.executemany(_ADD, [_new_row(record) for record in records])
        self._connection.executemany(_ADD_BODY, bodies)
        self._counts.update((record.lane.value, record.state.value) for record in records)

    def _place(self, record: Record) -> Record:
        """Let a new operation of a subject take the place of older ones, or end at once."""
        run, name = self._connection.execute, record.subject
        row = run("select generation, number, holder from subject where name = ?", (name,))
        found = next((Subject(*each) for each in row.fetchall()), None)
        rows = [] if found is None else run(_BY_NUMBER, (found.number,)).fetchall()
        older = next((read_record(each) for each in rows), None)
        placed = place(record, found, older)
        if placed.older is not None:
            self._save(placed.older)
        if placed.is_older_told and older is not None:
            run(_STOP, (OperationState.SUPERSEDED.value, older.id, LEASED))
        if placed.subject is not None:
            run(_SET_SUBJECT, (name, *placed.subject, record.created_at))
        return placed.record

    def _save(self, change: Change) -> Saved:
        before, after, due_by = change
        owed_before, owed = before.owed, after.owed
        row: tuple[str] | None = self._connection.execute(
            _SAVE,
            (
                after.lane.value,
                after.state.value,
                after.queue,
                after.run_at,
                after.worker,
                owed,
                after.finished_at,
                after.deadline_at,
                after.let_go,
                write_progress(after),
                before.number,
                before.fence,
                _ALWAYS if due_by is None else due_by,
            ),
        ).fetchone()
        if row is None:
            return Saved.LOST
        was, now = (before.lane.value, before.state.value), (after.lane.value, after.state.value)
        if was != now:
            self._counts[was] -= 1
            self._counts[now] += 1
        if owed or owed_before:
            self._debts[was] -= owed_before
            self._debts[now] += owed
        (is_stopped,) = row
        if after.queue is None and after.subject:
            self._let_next(after)
        return Saved.STOPPED if is_stopped else Saved.DONE

    def _let_next(self, record: Record) -> None:
        """Let the next of a subject begin, which waited for this one to end."""
        run = self._connection.execute
        for (number,) in run(_LET_NEXT, (record.subject, record.number)).fetchall():
            run(_BEGIN_NEXT, (number, NEXT))

    def _save_all(self, write: Save) -> tuple[Saved, ...]:
        return tuple([self._save(change) for change in write.changes])

    def _renew(self, write: Renew) -> tuple[bool, ...]:
        return tuple([self._did(_RENEW, (write.until, *lease)) for lease in write.leases])

    def _stop(self, write: Stop) -> bool:
        return self._did(_STOP, (write.state.value, write.operation_id, LEASED))

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


def _new_row(record: Record) -> tuple[object, ...]:
    return (
        record.number,
        record.id,
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
