"""What makes the calls of a step: the contract between the engine and its actions."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from surgetank.core.errors import (
    DependencyError,
    DependencyRejectedError,
    DependencyThrottledError,
    DependencyTimeoutError,
)
from surgetank.core.operation import OperationId
from surgetank.core.value import Dependency, Outcome, OutcomeKind
from surgetank.safeguards.operations.record import clip


class StepCall(NamedTuple):
    """One call that an action is asked to make."""

    operation_id: OperationId
    step_name: str
    dependency: Dependency
    arguments: str
    """JSON text: the step's own, or its fallback's."""
    checkpoint: str
    """What an earlier call of this step saved; empty when none did."""
    save: Callable[[str], Awaitable[None]]
    """Write a checkpoint of at most 4,096 characters; durable when it returns.

    It says that the dependency has taken the call and that going on from the checkpoint, even
    twice, is harmless: after a crash the action is then called again with it, also where the step
    itself may not be repeated. Raises `ConflictError` when the lease is lost: stop.
    """


class ActionResult(NamedTuple):
    """How a call of a step ended."""

    outcome: Outcome
    checkpoint: str = ""
    """Kept for the next call of this step, and afterwards; empty for a call from the start."""
    may_have_acted: bool = False
    """The answer is missing or unclear: trying again might do it twice."""
    is_absent: bool = False
    """Of a probe that ended PERMANENT: what it asked for is not there, so the call was not made. A
    probe that is merely wrong, or not allowed to look, tells nothing."""


class Action(Protocol):
    """Makes the call of a step and says how it ended.

    It may raise a `DependencyError`, which is taken as `result_of` reads it, and lets the
    `ConflictError` of `StepCall.save` through. Anything else that it raises is a defect: the call
    counts as transient and perhaps made.
    """

    async def __call__(self, call: StepCall, /) -> ActionResult:
        """Make the call."""
        ...


def result_of(error: DependencyError, *, checkpoint: str = "") -> ActionResult:
    """Say as a result what an error of the outside says: for actions, and for those that raise."""
    match error:
        case DependencyTimeoutError():
            kind = OutcomeKind.TIMEOUT
        case DependencyThrottledError():
            kind = OutcomeKind.THROTTLED
        case DependencyRejectedError():
            kind = OutcomeKind.PERMANENT
        case _:
            kind = OutcomeKind.TRANSIENT
    outcome = Outcome(kind, clip(str(error)), error.retry_at)
    return ActionResult(outcome, checkpoint, may_have_acted=error.may_have_acted)
