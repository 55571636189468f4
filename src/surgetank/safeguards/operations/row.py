"""What every store keeps of an operation in columns of its own: read in one order."""

from collections.abc import Sequence
from typing import Any

from surgetank.core.operation import OperationId, OperationState, Step
from surgetank.core.value import Lane
from surgetank.safeguards.operations.record import Progress, Record

COLUMNS = """o.number, o.id, o.lane, o.state, o.queue, o.run_at, o.fence, o.worker, o.deadline_at,
 o.created_at, o.finished_at"""
"""The first of a row, of the table of operations `o`; what each store adds follows."""
RUN_AT, DEADLINE_AT, OTHERS = 5, 8, 11
"""Where two of them stand, and where the others begin."""


def read_row(
    row: Sequence[Any],
    *,
    body: tuple[str, str, str, tuple[Step, ...]],
    progress: tuple[Progress, ...],
    detail: str,
) -> Record:
    """Make a record of a row that begins with `COLUMNS`.

    Args:
        row: As the database gave it.
        body: What never changes: key, kind, region, steps.
        progress: How far each step has come.
        detail: Why it ended.
    """
    key, kind, region, steps = body
    return Record(
        id=OperationId(row[1]),
        key=key,
        kind=kind,
        region=region,
        steps=steps,
        progress=progress,
        lane=Lane(row[2]),
        state=OperationState(row[3]),
        queue=row[4],
        run_at=row[RUN_AT],
        created_at=row[9],
        deadline_at=row[DEADLINE_AT],
        finished_at=row[10],
        fence=row[6],
        worker=row[7],
        detail=detail,
        number=row[0],
    )
