"""What the routes ask of the operations behind them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, Protocol

from surgetank.core.operation import NewOperation, OperationId, OperationState
from surgetank.core.value import Lane
from surgetank.safeguards.operations.record import Receipt, Record


class HoldScope(StrEnum):
    """What a hold is on."""

    ALL = "all"
    DEPENDENCY = "dependency"
    REGION = "region"
    KIND = "kind"


class Hold(NamedTuple):
    """Operations that are not begun until somebody releases them."""

    scope: HoldScope
    name: str
    since: float
    by: str
    reason: str


class Filter(NamedTuple):
    """Which operations to find: all that are given must fit."""

    states: tuple[OperationState, ...] = ()
    kind: str | None = None
    region: str | None = None
    lane: Lane | None = None
    subject: str | None = None


class Desk(Protocol):
    """Durable operations; `service.Operations` is one, and says what each method does."""

    async def submit(self, new: NewOperation) -> Receipt:
        """Take in an operation."""
        ...

    async def get(self, operation_id: OperationId) -> Record | None:
        """Read one operation."""
        ...

    async def find(self, wanted: Filter, *, after: int, limit: int) -> tuple[Record, ...]:
        """Read some operations, in order of submission."""
        ...

    async def cancel(self, operation_id: OperationId) -> Record | None:
        """End an operation before its next call."""
        ...

    async def redrive(
        self, operation_id: OperationId, *, is_done: bool | None = None
    ) -> Record | None:
        """Go on with one that ended badly."""
        ...

    async def hold(self, hold: Hold) -> None:
        """Begin nothing that a hold is on."""
        ...

    async def holds(self) -> tuple[Hold, ...]:
        """Give every hold."""
        ...

    async def release(self, scope: HoldScope, name: str, *, limit: int | None = None) -> int:
        """Let held operations go, in the backlog lane."""
        ...

    async def counts(self, lane: Lane | None = None) -> Mapping[OperationState, int]:
        """Count operations by state."""
        ...

    async def owed(self) -> int:
        """Count optional steps that are still to be done."""
        ...
