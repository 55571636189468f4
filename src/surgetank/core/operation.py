"""Operations: durable units of work, made of steps, each on one dependency."""

from enum import StrEnum
from typing import NamedTuple, NewType

from surgetank.core.value import Dependency, Lane

OperationId = NewType("OperationId", str)
"""Also the idempotency key when its maker gave none."""


class StepState(StrEnum):
    """Where a step stands. A finished step never runs again."""

    PENDING = "pending"
    STARTED = "started"
    """Its call may have been made; if we die now, what became of it is unknown."""
    DONE = "done"
    OWED = "owed"
    """Optional and skipped; done later."""
    FALLEN_BACK = "fallen_back"
    """Its fallback was done instead."""


class OperationState(StrEnum):
    """Where an operation stands. The last four are final."""

    READY = "ready"
    WAITING = "waiting"
    """Until `run_at`."""
    RUNNING = "running"
    """Leased by a worker until `lease_until`."""
    SUCCEEDED = "succeeded"
    """All steps done; optional ones may still be owed."""
    FAILED = "failed"
    EXPIRED = "expired"
    """Its deadline passed first."""
    UNKNOWN = "unknown"
    """A call that may not be repeated never answered: a person must look."""


class Step(NamedTuple):
    """One call of an operation."""

    name: str
    dependency: Dependency
    action: str
    """Name of the action that makes the call; `http` is built in."""
    arguments: str
    """JSON text that the action reads; at most 64 KiB."""
    is_optional: bool = False
    is_security: bool = False
    """Never skipped, even where optional says otherwise."""
    is_repeatable: bool = False
    """Making the call twice is harmless; a lost answer may then be tried again."""
    fallback: str | None = None
    """JSON text of other arguments, tried when the dependency is blocked or the call permanent."""


class NewOperation(NamedTuple):
    """An operation as submitted."""

    key: str
    """Idempotency key, made by the client before anything is sent; at most 200 characters."""
    kind: str
    region: str
    steps: tuple[Step, ...]
    """In order; from 1 to 32."""
    lane: Lane = Lane.FRESH
    deadline_at: float | None = None
    """Not begun or gone on with after this instant; None for never."""
