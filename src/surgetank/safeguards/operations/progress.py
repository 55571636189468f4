"""How an operation moves on, pure: from a record and what happened to the next record.

What happened          | then
-----------------------|-----------------------------------------------------------------
OK                     | the step is done (or fell back); the next one, or succeeded
BLOCKED, PERMANENT     | its fallback; else, where optional, owed; else
  BLOCKED              |   sleep in the backlog lane, tries given back
  PERMANENT            |   failed
THROTTLED, TRANSIENT,  | another try after a drawn wait; tries spent: owed where optional,
  TIMEOUT              |   else failed; when it may have acted and may not be repeated: its
                       |   probe is asked, or without one it is unknown
probe: OK              | the step is done
probe: nothing there   | the call was not made: another try after a drawn wait
probe: anything else   | the probe again after a drawn wait; tries spent: unknown
refused leave          | a way round if there is one; else wait, and after `fresh_s` as backlog
deadline passed        | expired, unless it only owes
lease ran out          | as TIMEOUT with the call possibly made, but at once and without a wait
told to stop           | cancelled or superseded, once no call is under way

Debts are paid in the backlog lane after the operation succeeded; one that cannot be paid is given
up and stays recorded as owed. They are not bound by the deadline: the machine is there already.
"""

from typing import NamedTuple

from surgetank.control.backoff import delay_s
from surgetank.core.errors import ConflictError
from surgetank.core.operation import NewOperation, OperationState, Step, StepState
from surgetank.core.ports import Chance
from surgetank.core.value import Lane, OutcomeKind
from surgetank.safeguards.operations.action import ActionResult
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.queue import LEASED, PARKED, can_skip, next_position, queue_of
from surgetank.safeguards.operations.record import Progress, Record, check, clip, identify

CANCELLED = "nobody wants it any more"
SUPERSEDED = "a newer generation of its subject took its place"
_STOPS = {OperationState.CANCELLED: CANCELLED, OperationState.SUPERSEDED: SUPERSEDED}
_PENDING = Progress()
_REDRIVEN = (
    OperationState.FAILED,
    OperationState.EXPIRED,
    OperationState.UNKNOWN,
    OperationState.SUCCEEDED,
)


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
        run_at=now if new.run_at is None else max(now, new.run_at),
        created_at=now,
        deadline_at=new.deadline_at,
        priority=new.priority,
        subject=new.subject,
        generation=new.generation,
    )
    return record._replace(queue=queue_of(record))


def is_late(record: Record, *, now: float) -> bool:
    """Whether its deadline has passed and forbids going on."""
    return record.deadline_at is not None and record.deadline_at <= now and not record.is_owing


def begin(record: Record, position: int, *, lease_until: float, worker: str) -> Record:
    """Say that the call of a step is about to be made: durable before it is."""
    progress = record.progress[position]
    begun = progress._replace(state=StepState.STARTED, tries=progress.tries + 1)
    return record._replace(
        progress=_steps_with(record, position, begun),
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
    progress = record.progress[position]
    kind, checkpoint, detail = result.outcome.kind, result.checkpoint, clip(result.outcome.detail)
    if kind is OutcomeKind.OK:
        state = StepState.FALLEN_BACK if progress.is_fallback else StepState.DONE
        done = progress._replace(state=state, checkpoint=checkpoint, detail=detail)
        return Moved(_with_step(record, position, done), goes_on=True)
    progress = progress._replace(checkpoint=checkpoint, detail=detail)
    record = _with_step(record, position, progress)
    if progress.is_probing:
        if kind is not OutcomeKind.PERMANENT or not result.is_absent:
            doubt = result._replace(may_have_acted=True)
            return _look_again(record, position, doubt, now=now, chance=chance, policy=policy)
        progress = progress._replace(is_probing=False, checkpoint="")
    elif kind in (OutcomeKind.BLOCKED, OutcomeKind.PERMANENT):
        return _turned_away(record, position, result, now=now, chance=chance, policy=policy)
    elif result.may_have_acted and not record.steps[position].is_repeatable:
        return _look_again(record, position, result, now=now, chance=chance, policy=policy)
    if progress.tries >= policy.tries_max:
        return _give_way(_with_step(record, position, progress), position, now=now)
    retry_at = _retry_at(progress, result, now=now, chance=chance, policy=policy)
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
    record = record._replace(
        state=OperationState.SUCCEEDED,
        queue=None,
        run_at=now + policy.owed_s,
        finished_at=now if record.finished_at is None else record.finished_at,
        worker="",
    )
    queue = queue_of(record)
    return record if queue is None else record._replace(queue=queue)


def expire(record: Record, *, now: float) -> Record:
    """End it because its deadline has passed."""
    return _end(record, OperationState.EXPIRED, detail="deadline passed", now=now)


def cancel(record: Record, *, now: float) -> Record | None:
    """End it because nobody wants it any more; None when it has ended, or a call is under way."""
    if record.state not in (OperationState.READY, OperationState.WAITING) or record.queue == LEASED:
        return None
    return stop(record, OperationState.CANCELLED, now=now)


def stop(record: Record, state: OperationState, *, now: float) -> Record:
    """End it as cancelled or superseded: what its steps made is its owner's to clean up.

    One that has succeeded stays so, and its debts are given up.
    """
    if record.is_owing:
        progress = tuple(_written_off(each) for each in record.progress)
        return record._replace(progress=progress, queue=None, worker="")
    return _end(record, state, detail=_STOPS[state], now=now)


def redrive(record: Record, *, is_done: bool | None, now: float) -> Record:
    """Begin again where it ended badly, as backlog and so behind the release.

    A deadline that has passed no longer counts; tries and sleeps are given back.

    Args:
        record: Failed, expired, unknown, or succeeded with debts that were given up.
        is_done: Of an unknown outcome, whether the call was made after all.
        now: Seconds on the clock.

    Raises:
        ConflictError: it is in none of these states, or only `is_done` could tell how to go on.
    """
    if record.state not in _REDRIVEN or (record.is_owing and record.queue is not None):
        raise ConflictError(f"{record.id} is {record.state}: only what ended badly begins again")
    if is_done is None and any(each.state is StepState.STARTED for each in record.progress):
        raise ConflictError(f"{record.id}: say whether the call was made: {record.detail}")
    to_do = StepState.OWED if record.is_owing else StepState.PENDING
    progress = tuple(_begun_again(each, to_do=to_do, is_done=is_done) for each in record.progress)
    if record.is_owing and progress == record.progress:
        raise ConflictError(f"{record.id} has succeeded and owes nothing")
    is_late = record.deadline_at is not None and record.deadline_at <= now
    record = record._replace(
        progress=progress,
        lane=Lane.BACKLOG,
        state=record.state if record.is_owing else OperationState.WAITING,
        deadline_at=None if is_late else record.deadline_at,
        finished_at=record.finished_at if record.is_owing else None,
        detail="",
        run_at=now,
    )
    queue = queue_of(record)
    if queue is None:  # The unknown call was made, and was the last.
        return record._replace(state=OperationState.SUCCEEDED, queue=None, finished_at=now)
    return record._replace(queue=queue)


def let_go(record: Record, *, hold: int) -> Record:
    """Let it past all holds numbered up to `hold`, as backlog and so behind the release."""
    record = record._replace(let_go=hold, lane=Lane.BACKLOG)
    return record._replace(queue=queue_of(record))


def park_for(record: Record, *, hold: int) -> Record:
    """Let it wait, as backlog, until a hold is released or lets it go."""
    record = record._replace(lane=Lane.BACKLOG)
    return record._replace(queue=f"{PARKED}{hold} {queue_of(record)}")


def recover(record: Record, *, now: float, policy: OperationsPolicy) -> Record:
    """Give back an operation whose lease ran out; its own lease was all the wait it needs.

    One that was told to stop ends here.
    """
    left = _recover(record, now=now, policy=policy)
    if record.stop and left.queue is not None:
        return stop(left, OperationState(record.stop), now=now)
    return left


def _recover(record: Record, *, now: float, policy: OperationsPolicy) -> Record:
    position = _started_position(record)
    if position is None:
        return park(record, now=now, policy=policy)
    progress = record.progress[position]._replace(detail="its worker went silent")
    record = _with_step(record, position, progress)
    if _is_in_doubt(record.steps[position], progress):
        if record.steps[position].probe is None or progress.tries >= policy.tries_max:
            return _unknown(record, position, now=now)
        progress = progress._replace(is_probing=True)
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
    checkpoint = "" if progress.is_fallback else progress.checkpoint
    asleep = Progress(
        tries=progress.tries - 1, sleeps=sleeps, checkpoint=checkpoint, detail=progress.detail
    )
    if not record.is_owing:
        record = record._replace(lane=Lane.BACKLOG)
    run_at = max(now + sleep_s, result.outcome.retry_at or 0.0)
    return Moved(_wait(record, position, asleep, run_at=run_at), goes_on=False)


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


def _look_again(
    record: Record,
    position: int,
    result: ActionResult,
    *,
    now: float,
    chance: Chance,
    policy: OperationsPolicy,
) -> Moved:
    """Find out what became of a call that may have been made, or stop at it."""
    progress = record.progress[position]
    if record.steps[position].probe is None or progress.tries >= policy.tries_max:
        return Moved(_unknown(record, position, now=now), goes_on=False)
    retry_at = _retry_at(progress, result, now=now, chance=chance, policy=policy)
    probing = progress._replace(is_probing=True)
    return Moved(_wait(record, position, probing, run_at=retry_at), goes_on=False)


def _retry_at(
    progress: Progress,
    result: ActionResult,
    *,
    now: float,
    chance: Chance,
    policy: OperationsPolicy,
) -> float:
    """The instant of the next try: after a drawn wait, and not before the dependency allows it."""
    wait_s = delay_s(policy.retry, attempt=progress.tries, chance=chance.random())
    return max(now + wait_s, result.outcome.retry_at or 0.0)


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


def _is_in_doubt(step: Step, progress: Progress) -> bool:
    """Whether a call that may have been made may be made again only when it was not."""
    return progress.is_probing or not (step.is_repeatable or progress.checkpoint)


def _written_off(progress: Progress) -> Progress:
    return progress._replace(is_given_up=progress.state is StepState.OWED or progress.is_given_up)


def _begun_again(progress: Progress, *, to_do: StepState, is_done: bool | None) -> Progress:
    """Where a step of a redriven operation stands.

    A call that may have been made is still asked after, unless `is_done` tells, and one that was
    taken is gone on with.
    """
    if progress.state in (StepState.DONE, StepState.FALLEN_BACK):
        return progress
    is_in_doubt = progress.state is StepState.STARTED or progress.is_probing
    state = to_do if progress.state is StepState.STARTED else progress.state
    again = Progress(state, is_fallback=progress.is_fallback, detail=progress.detail)
    if is_in_doubt and is_done:
        done = StepState.FALLEN_BACK if progress.is_fallback else StepState.DONE
        return again._replace(state=done)
    if is_in_doubt and is_done is None:
        return again._replace(is_probing=True)
    if progress.checkpoint and not is_in_doubt:
        return again._replace(checkpoint=progress.checkpoint)
    return Progress(state, detail=progress.detail)


def _is_untouched(record: Record) -> bool:
    return all(progress is _PENDING or progress == _PENDING for progress in record.progress)


def _with_step(record: Record, position: int, progress: Progress) -> Record:
    return record._replace(progress=_steps_with(record, position, progress))


def _steps_with(record: Record, position: int, progress: Progress) -> tuple[Progress, ...]:
    steps = record.progress
    return (*steps[:position], progress, *steps[position + 1 :])
