# ruff: noqa: INP001 - run from the root of the repository; part of no package
"""Walks the state machine of operations: every record that sample operations can become.

The moves are the code's own, from `safeguards/operations/progress.py`. What is written here is when
the engine, the runner and the service make which of them. Times, waits and texts are left out, so
that there are few records, and a walk takes a second or two.
"""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple

from surgetank.control.backoff import BackoffPolicy
from surgetank.core.errors import ConflictError
from surgetank.core.operation import NewOperation, OperationState, Step, StepState
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind
from surgetank.safeguards.operations.action import ActionResult
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.progress import (
    Moved,
    begin,
    cancel,
    complete,
    expire,
    go_round,
    let_go,
    new_record,
    park,
    park_for,
    recover,
    redrive,
    settle,
    stop,
)
from surgetank.safeguards.operations.queue import (
    LEASED,
    NEXT,
    PARKED,
    dependency_of,
    has_way_round,
    next_position,
)
from surgetank.safeguards.operations.record import Progress, Record

SUBMITTED = "submitted"
"""Not a state: where the first arrow comes from."""
_LATE = "deadline passed"
_NO_LEAVE = "no leave"
_STOPPED = {
    OperationState.CANCELLED: "cancelled",
    OperationState.SUPERSEDED: "a newer generation",
}
_HOLD = 1
"""Number of the only hold."""
_DEADLINE_AT = 1e6
"""Of all samples: whether it has passed is a choice of its own."""
_WAIT = BackoffPolicy(base_s=1.0, cap_s=1.0)


class Move(NamedTuple):
    """One move of one operation."""

    cause: str
    before: Record | None
    """None for what is not stored yet."""
    after: Record
    is_stored: bool = True
    """False for a step on the way to what is written: others can neither see nor move it."""


class _Half:
    """Chance, without any."""

    def random(self) -> float:
        """Give a half."""
        return 0.5


def walk() -> Iterator[Move]:
    """Make every move from every record that can be reached, each once."""
    policy = OperationsPolicy(tries_max=2, retry=_WAIT, blocked=_WAIT)
    for new in samples():
        waiting = list[Record]()
        seen = set[Record]()
        for move in _submitted(new):
            yield move
            waiting.append(move.after)
        while waiting:
            record = waiting.pop()
            if record in seen:
                continue
            seen.add(record)
            for move in _moves(record, policy):
                yield move
                if move.is_stored:
                    waiting.append(_bare(move.after))


def samples() -> Iterator[NewOperation]:
    """Describe operations that between them have all that changes how one moves on."""
    fallbacks = ((None, None), ("{}", None), ("{}", Dependency("b")))
    singles = [
        Step(
            "one",
            Dependency("a"),
            "http",
            "{}",
            is_optional=is_optional,
            is_security=is_security,
            is_repeatable=is_repeatable,
            fallback=fallback,
            fallback_dependency=other,
            probe=probe,
        )
        for is_optional, is_security, is_repeatable, (fallback, other), probe in product(
            (False, True), (False, True), (False, True), fallbacks, (None, "{}")
        )
        if not (is_repeatable and probe)  # Asked only where a call may not be repeated.
        and (not is_security or (is_optional and not (fallback or probe)))
    ]
    for step in singles:
        yield _operation(step)
    plain = singles[0]._replace(name="two")
    optional = singles[0]._replace(is_optional=True)
    yield _operation(singles[0], plain)
    yield _operation(optional, plain)
    yield _operation(plain, optional)


def _operation(*steps: Step) -> NewOperation:
    return NewOperation("k", "kind", "region", steps, deadline_at=_DEADLINE_AT, subject="s")


def _bare(record: Record) -> Record:
    """Take off what does not change how it moves on."""
    progress = tuple(
        each._replace(sleeps=0, detail="said" if each.detail else "") for each in record.progress
    )
    return record._replace(
        progress=progress,
        run_at=0.0,
        finished_at=None if record.finished_at is None else 0.0,
        worker="",
        detail="",
        stop="" if record.queue is None else record.stop,
    )


def _submitted(new: NewOperation) -> Iterator[Move]:
    """Where a new operation stands: `subject.place`."""
    record = _bare(new_record(new, now=0.0))
    yield Move("submitted", None, record)
    yield Move("an older generation", None, _bare(stop(record, OperationState.SUPERSEDED, now=0.0)))
    behind = record._replace(queue=f"{NEXT}{record.queue}")
    yield Move("submitted behind an older one's last call", None, behind)


def _moves(record: Record, policy: OperationsPolicy) -> Iterator[Move]:
    if record.queue is None:
        yield from _redriven(record)
    elif record.queue == LEASED:
        yield from _under_way(record, policy)
    else:
        yield from _acted_on(record)
        if record.queue.startswith(NEXT):
            turn = record._replace(queue=record.queue.removeprefix(NEXT))
            yield Move("its subject's turn", record, turn)
        else:
            yield from _held(record, policy)
            yield from _entering(record, policy)


def _acted_on(record: Record) -> Iterator[Move]:
    """What may happen to it while it waits for anything at all."""
    cancelled = cancel(record, now=0.0)
    if cancelled is not None:
        yield Move("cancelled", record, cancelled)
    yield _stopped(record, OperationState.SUPERSEDED)
    if _may_be_late(record):
        yield Move(_LATE, record, expire(record, now=0.0))


def _held(record: Record, policy: OperationsPolicy) -> Iterator[Move]:
    """Refused or held for long, held by region or kind, or let go in steps."""
    assert record.queue is not None, "it waits"
    is_parked = record.queue.startswith(PARKED)
    if record.lane is Lane.FRESH and not is_parked:
        yield Move("refused for `fresh_s`", record, park(record, now=1e9, policy=policy))
    if record.let_go < _HOLD:
        if not is_parked:
            yield Move("held", record, park_for(record, hold=_HOLD))
        yield Move("let go", record, let_go(record, hold=_HOLD))


def _entering(record: Record, policy: OperationsPolicy) -> Iterator[Move]:
    """A worker looks at it, as it is due: `Runner._advance_all`."""
    if record.stop:
        yield _stopped(record, OperationState(record.stop))
        return
    for move in _next_calls(record, policy):
        # One that would wait as it did is not written.
        if move.cause != _NO_LEAVE or move.after.queue != record.queue:
            yield move


def _going_on(record: Record, policy: OperationsPolicy) -> Iterator[Move]:
    """Its worker goes on after an answer: `Engine._go_on`."""
    if next_position(record) is not None:
        for cause in ("the worker closes", "held"):
            yield Move(cause, record, park(record, now=0.0, policy=policy))
    yield from _next_calls(record, policy)


def _next_calls(record: Record, policy: OperationsPolicy) -> Iterator[Move]:
    """What it becomes before its next call: `Engine.advance`."""
    if _may_be_late(record):
        yield Move(_LATE, record, expire(record, now=0.0))
    while (position := next_position(record)) is not None:
        yield Move("leave given", record, begin(record, position, lease_until=0.0, worker="w"))
        if dependency_of(record, position) is None:
            return
        yield Move(_NO_LEAVE, record, park(record, now=0.0, policy=policy))
        if not has_way_round(record, position):
            return
        yield Move("no leave, but a way round", record, go_round(record, position), is_stored=False)
        record = go_round(record, position)
    yield Move("nothing left to do", record, complete(record, now=0.0, policy=policy))


def _under_way(record: Record, policy: OperationsPolicy) -> Iterator[Move]:
    """What may happen while a worker holds it."""
    if not record.stop:
        for state in _STOPPED:
            if record.is_owing and state is OperationState.CANCELLED:
                continue  # It has succeeded.
            told = record._replace(stop=state.value)
            yield Move("told to stop", record, told)
    yield Move("its lease ran out", record, recover(record, now=0.0, policy=policy))
    for position, progress in enumerate(record.progress):
        if progress.state is StepState.STARTED and not progress.is_given_up:
            yield Move("checkpoint saved", record, _with_checkpoint(record, position, progress))
            yield from _answers(record, position, policy)


def _with_checkpoint(record: Record, position: int, progress: Progress) -> Record:
    steps = list(record.progress)
    steps[position] = progress._replace(checkpoint="saved")
    return record._replace(progress=tuple(steps))


def _answers(record: Record, position: int, policy: OperationsPolicy) -> Iterator[Move]:
    """Every answer to the call of a step, and what the engine then does: `Engine._settle`."""
    is_probing = record.progress[position].is_probing
    checkpoint = record.progress[position].checkpoint
    asked, doubt = ("probe", "nothing there") if is_probing else ("answer", "perhaps made")
    settled = list[Moved]()
    for kind, is_so in product(OutcomeKind, (False, True)):
        result = ActionResult(
            Outcome(kind, "said"), checkpoint, is_so and not is_probing, is_so and is_probing
        )
        moved = settle(record, position, result, now=0.0, chance=_Half(), policy=policy)
        if is_so and moved == settled[-1]:
            continue  # It makes no difference.
        settled.append(moved)
        cause = f"{asked} `{kind}`" + (f", {doubt}" if is_so else "")
        yield from _settled(cause, record, moved, policy)


def _settled(cause: str, record: Record, moved: Moved, policy: OperationsPolicy) -> Iterator[Move]:
    yield Move(cause, record, moved.record, is_stored=not moved.goes_on)
    goes_on = _going_on(moved.record, policy) if moved.goes_on else ()
    yield from goes_on if not record.stop else _told(record, moved, goes_on)


def _told(record: Record, moved: Moved, goes_on: Iterable[Move]) -> Iterator[Move]:
    """What is written first, and the end that comes instead of a further call."""
    state = OperationState(record.stop)
    left = [moved.record] if not moved.goes_on else list[Record]()
    for move in goes_on:
        yield move
        if move.is_stored:
            left.append(moved.record if move.after.queue == LEASED else move.after)
    for each in left:
        if each.queue is not None:
            yield _stopped(each, state)


def _stopped(record: Record, state: OperationState) -> Move:
    return Move(_STOPPED[state], record, stop(record, state, now=0.0))


def _redriven(record: Record) -> Iterator[Move]:
    is_in_doubt = any(
        each.state is StepState.STARTED or each.is_probing for each in record.progress
    )
    for is_done in (None, True, False) if is_in_doubt else (None,):
        said = {None: "", True: ": it was made", False: ": it was not made"}[is_done]
        try:
            after = redrive(record, is_done=is_done, now=0.0)
        except ConflictError:
            continue
        yield Move(f"redriven{said}", record, after)
        if after.queue is not None:  # An older one's last call may still be under way.
            behind = after._replace(queue=f"{NEXT}{after.queue}")
            yield Move(f"redriven{said}", record, behind)


def _may_be_late(record: Record) -> bool:
    return record.deadline_at is not None and record.state is not OperationState.SUCCEEDED
