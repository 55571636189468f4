"""Of one subject only the newest generation runs: where a new operation finds its place, pure."""

from typing import NamedTuple

from surgetank.core.operation import OperationState
from surgetank.safeguards.operations.progress import stop
from surgetank.safeguards.operations.queue import LEASED, NEXT
from surgetank.safeguards.operations.record import Change, Record


class Subject(NamedTuple):
    """What is wanted of a subject now."""

    generation: int
    """The newest."""
    number: int
    """Of the operation that brings it about."""
    holder: int | None
    """Number of an older one, whose call was under way when the newest came; it waits for it."""


class Place(NamedTuple):
    """What becomes of a new operation, of the one before it and of their subject."""

    record: Record
    """The new one: as it was, waiting for an older one to end, or superseded at once."""
    subject: Subject | None
    """As it is from now on; None when it stays as it was."""
    older: Change | None = None
    """The end of the one before it, which waited."""
    is_older_told: bool = False
    """Whether the one before it has a call under way, and is to stop before the next."""


def place(record: Record, found: Subject | None, older: Record | None) -> Place:
    """Find the place of a new operation that has a subject.

    Args:
        record: The new one, with its number.
        found: Its subject, as stored; None for a new one.
        older: The operation that `found.number` names; None when it is not stored any more.
    """
    if found is None:
        return Place(record, Subject(record.generation, record.number, None))
    if record.generation <= found.generation:
        superseded = stop(record, OperationState.SUPERSEDED, now=record.created_at)
        return Place(superseded, None)
    change: Change | None = None
    holder = found.holder
    is_told = older is not None and older.queue == LEASED
    if is_told:
        holder = found.number
    elif older is not None and older.queue is not None:
        change = Change(older, stop(older, OperationState.SUPERSEDED, now=record.created_at))
    if holder is not None:
        record = record._replace(queue=f"{NEXT}{record.queue}")
    subject = Subject(record.generation, record.number, holder)
    return Place(record, subject, change, is_told)


def begins_again(change: Change) -> bool:
    """Whether it begins again one that has ended and has a subject: it needs a place anew."""
    before, after, _ = change
    return before.queue is None and after.queue is not None and bool(after.subject)


def place_again(record: Record, found: Subject | None) -> Place | None:
    """Find the place of an operation that begins again; None when a newer one took its own."""
    if found is None:
        return Place(record, Subject(record.generation, record.number, None))
    if found.number != record.number:
        return None
    if found.holder is not None:
        record = record._replace(queue=f"{NEXT}{record.queue}")
    return Place(record, None)
