"""Records as every store keeps them: columns in one order, and JSON for what has a shape.

The JSON is ASCII, as PostgreSQL's text holds neither the null character nor half a character.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from surgetank.core.operation import OperationId, OperationState, Step, StepState
from surgetank.core.value import Lane
from surgetank.safeguards.operations.record import Progress, Record, ordered_key

COLUMNS = """o.number, o.id, o.lane, o.state, o.queue, o.run_at, o.fence, o.worker, o.deadline_at,
 o.created_at, o.finished_at, o.priority, o.stop, o.let_go, o.progress,
 b.kind, b.region, b.subject, b.content"""
"""What `read_record` reads, of the tables of operations `o` and of bodies `b`."""
RUN_AT, DEADLINE_AT = 5, 8
"""Where two of them stand."""

_PENDING = Progress()
_DEFAULTS = tuple(Step._field_defaults.values())
_GIVEN = len(Step._fields) - len(_DEFAULTS)
"""Fields of a step that have no default."""
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def write_content(record: Record) -> str:
    """Write what never changes and has no column; equal contents give equal text.

    A key that can be told from the operation's name is null; of a step, what is as it is without
    saying so at the end is left out.
    """
    key = None if record.key == ordered_key(record.id) else record.key
    return _encode((key, record.generation, [_short(step) for step in record.steps]))


def _short(step: Step) -> Sequence[object]:
    """A step without the defaults at its end."""
    if step[_GIVEN:] == _DEFAULTS:
        return step[:_GIVEN]
    size = len(step)
    while step[size - 1] == _DEFAULTS[size - 1 - _GIVEN]:
        size -= 1
    return step[:size]


def write_progress(record: Record) -> str:
    """Write why it ended and how far each step has come."""
    return _write_progress(record.detail, record.progress)


@lru_cache(maxsize=4096)  # Most operations of a fleet go the same few ways.
def _write_progress(detail: str, progress: tuple[Progress, ...]) -> str:
    return _encode((detail, progress))


def read_record(row: Sequence[Any]) -> Record:
    """Make a record of a row of `COLUMNS`."""
    (
        number, operation_id, lane, state, queue, run_at, fence, worker, deadline_at, created_at,
        finished_at, priority, stop, let_go, told, kind, region, subject, content,
    ) = row  # fmt: skip
    key, generation, steps = json.loads(content)
    detail, progress = "", (_PENDING,) * len(steps)
    if told:
        detail, steps_told = json.loads(told)
        progress = tuple(Progress(StepState(each[0]), *each[1:]) for each in steps_told)
    return Record(
        OperationId(operation_id),
        ordered_key(operation_id) if key is None else key,
        kind,
        region,
        tuple(Step(*fields) for fields in steps),
        progress,
        Lane(lane),
        OperationState(state),
        queue,
        run_at,
        created_at,
        deadline_at,
        finished_at,
        fence,
        worker,
        detail,
        number,
        priority,
        subject,
        generation,
        stop,
        let_go,
    )
