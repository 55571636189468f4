"""Subjects in PostgreSQL: who is newest, and who waits for whom; locked before operations are."""

import math
from collections.abc import Sequence
from typing import Any

from surgetank.core.operation import OperationState
from surgetank.safeguards.operations.postgres_session import Connection
from surgetank.safeguards.operations.record import Change, Record
from surgetank.safeguards.operations.subject import (
    Subject,
    begins_again,
    place,
    place_again,
)
from surgetank.safeguards.operations.text import COLUMNS, read_record

_NEVER = -1
"""Generation of a subject whose first operation is not there yet."""

_TOUCH = """insert into surgetank.subject (name, generation, number, changed_at)
 select name, -1, 0, 0 from unnest(%s::text[]) as given (name) order by name
 on conflict (name) do nothing"""
_LOCK = "select from surgetank.subject where name = any(%s::text[]) order by name for update"
_READ = "select generation, number, holder from surgetank.subject where name = %s"
_BY_NUMBER = f"""select {COLUMNS} from surgetank.operation o join surgetank.body b using (number)
 where o.number = %s"""  # noqa: S608 - constants
_STOP = "update surgetank.operation set stop = %s where number = %s and queue = '!'"
_SET = """update surgetank.subject set generation = %s, number = %s, holder = %s, changed_at = %s
 where name = %s"""
_LET_NEXT = """with ended as (
 select e.name, e.number from unnest(%s::text[], %s::bigint[]) as e (name, number)
 join surgetank.operation o using (number) where o.queue is null
), freed as (
 update surgetank.subject s set holder = null from ended e
 where s.name = e.name and s.holder = e.number returning s.number
) update surgetank.operation o set queue = substr(o.queue, 2) from freed
 where o.number = freed.number and left(o.queue, 1) = '='"""


async def lock_subjects(connection: Connection, names: Sequence[str]) -> None:
    """Lock subjects, in order; those that are new are made."""
    await connection.execute(_TOUCH, (names,))
    await connection.execute(_LOCK, (names,))


async def let_next(connection: Connection, ended: Sequence[tuple[str, int]]) -> None:
    """Let begin what waited for these to end, given by subject and number, if they have."""
    names, numbers = zip(*ended, strict=True)
    await connection.execute(_LET_NEXT, (list(names), list(numbers)))


async def place_subject(connection: Connection, record: Record) -> list[Change]:
    """Find the place of an operation that was added, and mark its subject; see `subject.place`.

    Returns:
        What is to be saved: the end of the one before it, and where this one stands.
    """
    subject = await _find(connection, record.subject)
    rows = [] if subject is None else await _fetch(connection, _BY_NUMBER, (subject.number,))
    older = next((read_record(row) for row in rows), None)
    placed = place(record, subject, older)
    if placed.is_older_told and older is not None:
        await connection.execute(_STOP, (OperationState.SUPERSEDED.value, older.number))
    if placed.subject is not None:
        row = (*placed.subject, float(record.created_at), record.subject)
        await connection.execute(_SET, row)
    changes = [] if placed.older is None else [placed.older]
    if placed.record != record:
        changes.append(Change(record, placed.record))
    return changes


async def begin_again(connection: Connection, change: Change) -> Change:
    """Find the place of an operation that begins again; as it is for all others.

    When a newer one took its place, the change is one that cannot be made.
    """
    if not begins_again(change):
        return change
    record = change.after
    placed = place_again(record, await _find(connection, record.subject))
    if placed is None:
        return change._replace(due_by=-math.inf)
    if placed.subject is not None:
        row = (*placed.subject, float(record.run_at), record.subject)
        await connection.execute(_SET, row)
    return change._replace(after=placed.record)


async def _find(connection: Connection, name: str) -> Subject | None:
    rows = await _fetch(connection, _READ, (name,))
    return next((Subject(*row) for row in rows if row[0] != _NEVER), None)


async def _fetch(connection: Connection, query: Any, arguments: tuple[object, ...]) -> list[Any]:
    return await (await connection.execute(query, arguments)).fetchall()
