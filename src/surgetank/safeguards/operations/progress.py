"""How an operation moves on, pure: from a record and what happened to the next record.

What happened          | then
-----------------------|-----------------------------------------------------------------
OK                     | the step is done (or fell back); the next one, or succeeded
BLOCKED, PERMANENT     | its fallback; else, where optional, owed; else
  BLOCKED              |   sleep in the backlog lane, tries given back
  PERMANENT            |   failed
THROTTLED, TRANSIENT,  | another try after a drawn wait; tries spent: owed where optional,
  TIMEOUT              |   else failed; unknown when it may have acted and may not be repeated
refused leave          | a way round if there is one; else wait, and after `fresh_s` as backlog
deadline passed        | expired, unless it only owes
lease ran out          | as TIMEOUT with the call possibly made, but at once and without a wait

Debts are paid in the backlog lane after the operation succeeded; one that cannot be paid is given
up and stays recorded as owed. They are not bound by the deadline: the machine is there already.
"""

from typing import NamedTuple

from surgetank.control.backoff import delay_s
from surgetank.core.operation import NewOperation, OperationState, StepState
from surgetank.core.ports import Chance
from surgetank.core.value import Lane, OutcomeKind
from surgetank.safeguards.operations.action import ActionResult
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.queue import LEASED, can_skip, next_position, queue_of
from surgetank.safeguards.operations.record import Progress, Record, check, clip, identify

WITHDRAWN = "withdrawn: nobody wants it any more"
_PENDING = Progress()


class Moved(NamedTuple):
    """The record after an answer, and whether its worker goes on with it at once."""

    record: Record
    goes_on: bool


def new_record(new: NewOperation, *, now: float) -> Record:
    """Begin the record of a submission.

    Raises:
        InvalidInputError: it cannot be run; see `record.check`.
    """
    check(new)
    record = Record(
        id=identify(new.key),
        key=new.key,
        kind=new.kind,
        region=new.region,
        steps=new.steps,
        progress=(_PENDING,) * len(new.steps),
        lane=new.lane,
        state=OperationState.READY,
        queue=None,
        run_at=now,
        created_at=now,
        deadline_at=new.deadline_at,
    )
    return record._replace(queue=queue_of(record))


def is_late(record: Record, *, now: float) -> bool:
    """Whether its deadline has passed and forbids going on."""
    return record.deadline_at is not None and record.deadline_at <= now and not record.is_owing


def begin(record: Record, position: int, *, lease_until: float, worker: str) -> Record:
    """Say that the call of a step is about to be made: durable before it is."""
    progress = record.progress[position]
    begun = progress._replace(state=StepState.STARTED, tries=progress.tries + 1)
    return _with_step(record, position, begun)._replace(
        state=record.state if record.is_owing else OperationState.RUNNING,
        queue=LEASED,
        run_at=lease_until,
        worker=worker,
    )


def settle(
    record: Record,
    position: int,
    result: ActionResult,
    *,
    now: float,
    chance: Chance,
    policy: OperationsPolicy,
) -> Moved:
    """Take in how the call of a step ended."""
    progress = record.progress[position]._replace(
        checkpoint=result.checkpoint, detail=clip(result.outcome.detail)
    )
    record = _with_step(record, position, progress)
    kind = result.outcome.kind
    if kind is OutcomeKind.OK:
        return _finish_step(record, position)
    if kind in (OutcomeKind.BLOCKED, OutcomeKind.PERMANENT):
        return _turned_away(record, position, result, now=now, chance=chance, policy=policy)
    if result.may_have_acted and not record.steps[position].is_repeatable:
        return Moved(_unknown(record, position, now=now), goes_on=False)
    if progress.tries >= policy.tries_max:
        return _give_way(record, position, now=now)
    wait_s = delay_s(policy.retry, attempt=progress.tries, chance=chance.random())
    retry_at = max(now + wait_s, result.outcome.retry_at or 0.0)
    return Moved(_wait(record, position, progress, run_at=retry_at), goes_on=False)


def go_round(record: Record, position: int) -> Record:
    """Take the way round a step whose dependency gives no leave: its fallback, or to owe it."""
    step, progress = record.steps[position], record.progress[position]
    if step.fallback is not None and not progress.is_fallback:
        return _fall_back(record, position)
    assert can_skip(record, step), "only a step with a way round is gone round"
    return _owe(record, position)


def park(record: Record, *, now: float, policy: OperationsPolicy) -> Record:
    """Let it wait for leave; without any change if it waits already and is not too old to be fresh.

    A worker that holds it gives it back. It is due at once, so that it stands before what comes
    later; the refusal is what holds it.
    """
    if record.queue == LEASED:
        record = record._replace(run_at=now)
    elif record.lane is Lane.FRESH and record.run_at + policy.fresh_s <= now:
        record = record._replace(lane=Lane.BACKLOG)
    state = OperationState.READY if _is_untouched(record) else OperationState.WAITING
    return record._replace(
        state=record.state if record.is_owing else state, queue=queue_of(record), worker=""
    )


def complete(record: Record, *, now: float, policy: OperationsPolicy) -> Record:
    """End it well: nothing is left to do, or only debts."""
    record = record._replace(state=OperationState.SUCCEEDED, worker="")
    return record._replace(
        queue=queue_of(record),
        run_at=now + policy.owed_s,
        finished_at=now if record.finished_at is None else record.finished_at,
    )


def expire(record: Record, *, now: float) -> Record:
    """End it because its deadline has passed."""
    return _end(record, OperationState.EXPIRED, detail="deadline passed", now=now)


def withdraw(record: Record, *, now: float) -> Record | None:
    """End it because nobody wants it any more; None when it has ended, or a call is under way."""
    if record.state not in (OperationState.READY, OperationState.WAITING) or record.queue == LEASED:
        return None
    return _end(record, OperationState.EXPIRED, detail=WITHDRAWN, now=now)


def recover(record: Record, *, now: float, policy: OperationsPolicy) -> Record:
    """Give back an operation whose lease ran out; its own lease was all the wait it needs."""
    position = _started_position(record)
    if position is None:
        return park(record, now=now, policy=policy)
    progress = record.progress[position]._replace(detail="its worker went silent")
    record = _with_step(record, position, progress)
    if not record.steps[position].is_repeatable and not progress.checkpoint:
        return _unknown(record, position, now=now)
    if progress.tries < policy.tries_max:
        return _wait(record, position, progress, run_at=now)
    moved = _give_way(record, position, now=now)
    if not moved.goes_on:
        return moved.record
    if next_position(moved.record) is None:
        return complete(moved.record, now=now, policy=policy)
    return park(moved.record, now=now, policy=policy)


def _turned_away(
    record: Record,
    position: int,
    result: ActionResult,
    *,
    now: float,
    chance: Chance,
    policy: OperationsPolicy,
) -> Moved:
    step, progress = record.steps[position], record.progress[position]
    if step.fallback is not None and not progress.is_fallback:
        return Moved(_fall_back(record, position), goes_on=True)
    if result.outcome.kind is OutcomeKind.PERMANENT or can_skip(record, step):
        return _give_way(record, position, now=now)
    sleeps = progress.sleeps + 1
    sleep_s = delay_s(policy.blocked, attempt=sleeps, chance=0.5 + chance.random() / 2)
    # It wakes with its own arguments: who repaired the dependency wants them tried.
    asleep = Progress(tries=progress.tries - 1, sleeps=sleeps, detail=progress.detail)
    if not record.is_owing:
        record = record._replace(lane=Lane.BACKLOG)
    run_at = max(now + sleep_s, result.outcome.retry_at or 0.0)
    return Moved(_wait(record, position, asleep, run_at=run_at), goes_on=False)


def _finish_step(record: Record, position: int) -> Moved:
    progress = record.progress[position]
    state = StepState.FALLEN_BACK if progress.is_fallback else StepState.DONE
    return Moved(_with_step(record, position, progress._replace(state=state)), goes_on=True)


def _give_way(record: Record, position: int, *, now: float) -> Moved:
    """Go on without a step that nothing helps now, or fail."""
    progress = record.progress[position]
    if record.is_owing:
        given_up = progress._replace(state=StepState.OWED, is_given_up=True)
        return Moved(_with_step(record, position, given_up), goes_on=True)
    if can_skip(record, record.steps[position]):
        return Moved(_owe(record, position), goes_on=True)
    detail = clip(f"{record.steps[position].name}: {progress.detail}")
    failed = _with_step(record, position, progress._replace(state=StepState.PENDING))
    return Moved(_end(failed, OperationState.FAILED, detail=detail, now=now), goes_on=False)


def _unknown(record: Record, position: int, *, now: float) -> Record:
    """Stop at a call that may have been made and may not be repeated.

    Its step stays started. An operation that only owes has succeeded, stays so, and goes on with
    its other debts.
    """
    progress = record.progress[position]
    detail = clip(f"{record.steps[position].name}: may have been done: {progress.detail}")
    if record.is_owing:
        lost = progress._replace(is_given_up=True)
        record = _with_step(record, position, lost)._replace(worker="", detail=detail, run_at=now)
        return record._replace(queue=queue_of(record))
    return _end(record, OperationState.UNKNOWN, detail=detail, now=now)


def _wait(record: Record, position: int, progress: Progress, *, run_at: float) -> Record:
    state = StepState.OWED if record.is_owing else StepState.PENDING
    record = _with_step(record, position, progress._replace(state=state))
    return record._replace(
        state=record.state if record.is_owing else OperationState.WAITING,
        queue=queue_of(record),
        run_at=run_at,
        worker="",
    )


def _end(record: Record, state: OperationState, *, detail: str, now: float) -> Record:
    return record._replace(state=state, queue=None, worker="", detail=detail, finished_at=now)


def _fall_back(record: Record, position: int) -> Record:
    """Turn to the other arguments, with tries of their own."""
    detail = record.progress[position].detail
    sleeps = record.progress[position].sleeps
    state = StepState.OWED if record.is_owing else StepState.PENDING
    other = Progress(state=state, sleeps=sleeps, is_fallback=True, detail=detail)
    return _with_step(record, position, other)


def _owe(record: Record, position: int) -> Record:
    detail = record.progress[position].detail
    return _with_step(record, position, Progress(state=StepState.OWED, detail=detail))


def _started_position(record: Record) -> int | None:
    for position, progress in enumerate(record.progress):
        if progress.state is StepState.STARTED and not progress.is_given_up:
            return position
    return None


def _is_untouched(record: Record) -> bool:
    return all(progress is _PENDING or progress == _PENDING for progress in record.progress)


def _with_step(record: Record, position: int, progress: Progress) -> Record:
    steps = record.progress
    return record._replace(progress=(*steps[:position], progress, *steps[position + 1 :]))
