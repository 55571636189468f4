"""What is written to a store, as values: many share one transaction."""

from collections.abc import Sequence
from typing import NamedTuple

from surgetank.core.operation import OperationId, OperationState
from surgetank.safeguards.operations.hold import Hold
from surgetank.safeguards.operations.record import Change, Record


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


class Stop(NamedTuple):
    """See `Store.stop`."""

    operation_id: OperationId
    state: OperationState


class Forget(NamedTuple):
    """See `Store.forget`."""

    before: float
    limit: int


class SetHold(NamedTuple):
    """See `Store.hold`."""

    hold: Hold


class Release(NamedTuple):
    """See `Store.release`."""

    number: int


Write = Submit | Save | Renew | Stop | Forget | SetHold | Release
