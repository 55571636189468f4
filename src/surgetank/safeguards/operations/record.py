"""Operations as they are stored: the record, its steps' progress, and changes to it.

A record is a value. The store reads one and takes a `Change` from one to the next, which holds
only if nobody wrote in between: `fence` goes up with every write, so a worker that lost its lease
can write nothing.
"""

import hashlib
from typing import NamedTuple

from surgetank.core.errors import InvalidInputError
from surgetank.core.operation import NewOperation, OperationId, OperationState, Step, StepState
from surgetank.core.value import Lane

KEY_CHARACTERS_MAX = 200
NAME_CHARACTERS_MAX = 100
STEPS_MAX = 32
ARGUMENT_BYTES_MAX = 64 * 1024
CHECKPOINT_CHARACTERS_MAX = 4096
DETAIL_CHARACTERS_MAX = 200

OPEN_STATES = (OperationState.READY, OperationState.WAITING, OperationState.RUNNING)
LOST_STATES = (OperationState.FAILED, OperationState.EXPIRED, OperationState.UNKNOWN)


class Progress(NamedTuple):
    """How far one step has come."""

    state: StepState = StepState.PENDING
    tries: int = 0
    """Calls begun since it was last put off."""
    sleeps: int = 0
    """Times that it was blocked."""
    is_fallback: bool = False
    """It runs with its other arguments."""
    is_given_up: bool = False
    """Owed, and will not be tried again."""
    checkpoint: str = ""
    """What its action wrote down, at most 4,096 characters; a call with it goes on from there."""
    detail: str = ""
    """What the dependency last said, for people; at most 200 characters."""


class Record(NamedTuple):
    """One operation as stored."""

    id: OperationId
    key: str
    kind: str
    region: str
    steps: tuple[Step, ...]
    progress: tuple[Progress, ...]
    """One per step, in order."""
    lane: Lane
    state: OperationState
    queue: str | None
    """What it waits for, as `queue.py` writes it; None when nothing is left to do."""
    run_at: float
    """Due from then; while a worker holds it, its lease ends then."""
    created_at: float
    deadline_at: float | None = None
    finished_at: float | None = None
    fence: int = 0
    """Goes up with every write: who holds an older one has lost the lease."""
    worker: str = ""
    detail: str = ""
    """Why it ended, for people; at most 200 characters."""
    number: int = 0
    """Order of submission, given by the store."""

    @property
    def is_owing(self) -> bool:
        """It succeeded, and what is left to do is optional steps that were skipped."""
        return self.state is OperationState.SUCCEEDED

    @property
    def owed(self) -> int:
        """Optional steps that were skipped and are still to be done; none once it has failed."""
        if self.state in LOST_STATES:
            return 0
        return sum(
            progress.state is StepState.OWED and not progress.is_given_up
            for progress in self.progress
        )


class Change(NamedTuple):
    """A write that holds only if the stored fence is still `before.fence`."""

    before: Record
    after: Record
    due_by: float | None = None
    """When set, it must also still be due at this instant: nobody renewed the lease since."""


class Due(NamedTuple):
    """What is due in a queue."""

    records: tuple[Record, ...]
    """Longest due first."""
    next_at: float | None
    """When the next one after these is due; None when there is none."""


class Tally(NamedTuple):
    """How many operations stand where."""

    lane: Lane
    state: OperationState
    operations: int
    owed: int
    """Optional steps still to be done, over these operations."""


class Receipt(NamedTuple):
    """An operation is stored and will not be lost."""

    id: OperationId
    is_new: bool
    """False when the same key and body was submitted before."""


def identify(key: str) -> OperationId:
    """Name the operation of an idempotency key: the same key has the same name, on any machine.

    128 bits of SHA-256, so that a name is short, fits headers and paths, and needs no chance.
    """
    return OperationId(hashlib.sha256(key.encode()).hexdigest()[:32])


def clip(text: str) -> str:
    """Shorten what a dependency said to what is kept of it."""
    return text if len(text) <= DETAIL_CHARACTERS_MAX else text[: DETAIL_CHARACTERS_MAX - 1] + "…"


def check(new: NewOperation) -> None:
    """Refuse what cannot be run.

    Raises:
        InvalidInputError: a limit is exceeded, a name is empty or not unique, a dependency holds
            white space, or a text holds half a character.
    """
    if not 1 <= len(new.key) <= KEY_CHARACTERS_MAX:
        raise InvalidInputError(f"a key has 1 to {KEY_CHARACTERS_MAX} characters: {new.key[:80]!r}")
    _byte_length(new.key)
    if not 1 <= len(new.steps) <= STEPS_MAX:
        raise InvalidInputError(f"{new.key}: 1 to {STEPS_MAX} steps, not {len(new.steps)}")
    if len({step.name for step in new.steps}) != len(new.steps):
        raise InvalidInputError(f"{new.key}: two steps of one name")
    if max(len(new.kind), len(new.region)) > NAME_CHARACTERS_MAX:
        raise InvalidInputError(f"{new.key}: kind and region have at most {NAME_CHARACTERS_MAX}")
    for step in new.steps:
        _check_step(new.key, step)


def _check_step(key: str, step: Step) -> None:
    for name in (step.name, step.dependency, step.action):
        wrong = " " in name or not name.isprintable() or name.startswith("?")
        if wrong or not 1 <= len(name) <= NAME_CHARACTERS_MAX:
            raise InvalidInputError(
                f"{key}: names of steps, dependencies and actions have 1 to {NAME_CHARACTERS_MAX} "
                f"characters, no white space and no leading question mark: {name[:80]!r}"
            )
    for text in (step.arguments, step.fallback or ""):
        if _byte_length(text) > ARGUMENT_BYTES_MAX:
            raise InvalidInputError(
                f"{key}: arguments of {step.name} exceed {ARGUMENT_BYTES_MAX} bytes"
            )


def _byte_length(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"half a character in a text: {error}") from error
