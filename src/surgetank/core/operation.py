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
    """Where an operation stands. All but the first three are final."""

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
    CANCELLED = "cancelled"
    """Nobody wants it any more."""
    SUPERSEDED = "superseded"
    """A newer generation of its subject took its place."""
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
    fallback_dependency: Dependency | None = None
    """Where the fallback calls, as another region; None when it needs no leave."""
    probe: str | None = None
    """JSON text of arguments for a call of the same action that changes nothing and tells what
    became of a call whose answer never came: OK when it was made, PERMANENT and nothing there (as
    a 404 says) when it was not."""


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
    priority: int = 0
    """Higher goes first within a lane; from -9 to 9."""
    run_at: float | None = None
    """Not begun before this instant; None for at once."""
    subject: str = ""
    """The resource whose wanted state it brings about, as `vmss/blue`; empty for none. Of one
    subject only the newest generation runs, one operation at a time; at most 200 characters."""
    generation: int = 0
    """Of the subject's wanted state: higher is newer; 0 or more."""
