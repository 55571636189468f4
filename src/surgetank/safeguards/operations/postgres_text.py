"""Records as PostgreSQL keeps them: what may hold any character is JSON in ASCII.

PostgreSQL's text holds neither the null character nor half a character; JSON writes both.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from surgetank.core.operation import Step, StepState
from surgetank.safeguards.operations.record import Progress, Record
from surgetank.safeguards.operations.row import COLUMNS, OTHERS, read_row

RECORD = f"{COLUMNS}, o.progress, b.content"
"""What `read_record` reads, of `surgetank.operation o` and `surgetank.body b`."""


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
    """Read a row of `RECORD`."""
    told, content = row[OTHERS:]
    key, kind, region, steps = json.loads(content)
    detail, progress = json.loads(told) if told else ("", [()] * len(steps))
    return read_row(
        row,
        body=(key, kind, region, tuple(Step(*fields) for fields in steps)),
        progress=tuple(_progress(*fields) for fields in progress),
        detail=detail,
    )


def _progress(state: str = StepState.PENDING, *others: Any) -> Progress:
    return Progress(StepState(state), *others)


def _write(values: Sequence[object]) -> str:
    return json.dumps(values, ensure_ascii=True, separators=(",", ":"))
