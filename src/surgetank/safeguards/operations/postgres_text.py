"""Records as PostgreSQL keeps them: what may hold any character is JSON in ASCII.

PostgreSQL's text holds neither the null character nor half a character; JSON writes both.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from surgetank.core.operation import OperationId, OperationState, Step, StepState
from surgetank.core.value import Lane
from surgetank.safeguards.operations.record import Progress, Record

COLUMNS = """o.number, o.id, o.lane, o.state, o.queue, o.run_at, o.fence, o.worker, o.deadline_at,
 o.created_at, o.finished_at, o.progress, b.content"""
"""What `read_record` reads, of `surgetank.operation o` and `surgetank.body b`."""
RUN_AT, DEADLINE_AT = 5, 8
"""Where they stand in `COLUMNS`."""


def write_body(record: Record) -> str:
    """Write what never changes; equal bodies give equal text."""
    return _write((record.key, record.kind, record.region, record.steps))


def digest_of(body: str) -> bytes:
    """Tell bodies apart without reading them."""
    return hashlib.sha256(body.encode()).digest()


def write_progress(record: Record) -> str:
    """Write why it ended and how far each step has come."""
    return _write((record.detail, record.progress))


def read_record(row: Sequence[Any]) -> Record:
    """Read a row of `COLUMNS`."""
    key, kind, region, steps = json.loads(row[12])
    detail, progress = json.loads(row[11]) if row[11] else ("", [()] * len(steps))
    return Record(
        id=OperationId(row[1]),
        key=key,
        kind=kind,
        region=region,
        steps=tuple(Step(*fields) for fields in steps),
        progress=tuple(_progress(*fields) for fields in progress),
        lane=Lane(row[2]),
        state=OperationState(row[3]),
        queue=row[4],
        run_at=row[5],
        created_at=row[9],
        deadline_at=row[8],
        finished_at=row[10],
        fence=row[6],
        worker=row[7],
        detail=detail,
        number=row[0],
    )


def _progress(state: str = StepState.PENDING, *others: Any) -> Progress:
    return Progress(StepState(state), *others)


def _write(values: Sequence[object]) -> str:
    return json.dumps(values, ensure_ascii=True, separators=(",", ":"))
