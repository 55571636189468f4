"""Each row of the table in `progress.py`, without a store or an engine."""

from typing import Any

import pytest

from surgetank.core.errors import ConflictError
from surgetank.core.operation import NewOperation, OperationState, Step, StepState
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind
from surgetank.safeguards.operations.action import ActionResult
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.progress import (
    CANCELLED,
    SUPERSEDED,
    Moved,
    begin,
    cancel,
    complete,
    expire,
    go_round,
    is_late,
    new_record,
    park,
    recover,
    redrive,
    settle,
    stop,
)
from surgetank.safeguards.operations.queue import LEASED
from surgetank.safeguards.operations.record import Progress, Record

NOW = 1_000.0
POLICY = OperationsPolicy(tries_max=3)
AGAIN = (OutcomeKind.THROTTLED, OutcomeKind.TRANSIENT, OutcomeKind.TIMEOUT)
REFUSED = (OutcomeKind.BLOCKED, OutcomeKind.PERMANENT)
SAID = "what it said"


class Middle:
    """Draws the middle of what may be drawn."""

    def random(self) -> float:
        return 0.5


def new(**step: Any) -> Record:
    """An operation of `vm`, which is as told, and `disk`."""
    steps = (
        Step("vm", Dependency("vm@eastus"), "do", "{}", **step),
        Step("disk", Dependency("disk@eastus"), "do", "{}"),
    )
    return new_record(NewOperation("k", "create_vm", "eastus", steps), now=0.0)


def started(*, tries: int = 1, was: Progress = Progress(), **step: Any) -> Record:  # noqa: B008 - a value
    """The call of `vm` is under way, the so-manieth."""
    record = new(**step)
    record = record._replace(progress=(was._replace(tries=tries - 1), record.progress[1]))
    return begin(record, 0, lease_until=60.0, worker="w")


def owing(*states: StepState, **step: Any) -> Record:
    """It succeeded; its steps stand so."""
    record = new(is_optional=True, **step)
    progress = tuple(Progress(state) for state in states)
    return complete(record._replace(progress=progress), now=500.0, policy=POLICY)


def answer(
    record: Record, kind: OutcomeKind, *, retry_at: float | None = None, **more: Any
) -> Moved:
    """The call of `vm` ends."""
    result = ActionResult(Outcome(kind, SAID, retry_at), **more)
    return settle(record, 0, result, now=NOW, chance=Middle(), policy=POLICY)


def lapse(record: Record) -> Record:
    """Its lease runs out."""
    return recover(record, now=NOW, policy=POLICY)


def test_a_call_is_begun_under_a_lease_and_counts_as_a_try() -> None:
    record = begin(new(), 0, lease_until=60.0, worker="w")
    assert record.progress[0] == Progress(StepState.STARTED, tries=1)
    assert (record.state, record.queue, record.run_at, record.worker) == (
        OperationState.RUNNING,
        LEASED,
        60.0,
        "w",
    )


# OK


def test_ok_makes_the_step_done_and_goes_on() -> None:
    record, goes_on = answer(started(), OutcomeKind.OK, checkpoint="kept")
    assert record.progress[0] == Progress(StepState.DONE, tries=1, checkpoint="kept", detail=SAID)
    assert goes_on


def test_ok_of_a_fallback_says_that_it_fell_back() -> None:
    before = started(was=Progress(is_fallback=True), fallback="{}")
    assert answer(before, OutcomeKind.OK).record.progress[0].state is StepState.FALLEN_BACK


def test_with_nothing_left_to_do_it_has_succeeded() -> None:
    done = complete(owing(StepState.DONE, StepState.DONE), now=NOW, policy=POLICY)
    assert (done.state, done.queue, done.worker) == (OperationState.SUCCEEDED, None, "")


def test_with_only_debts_left_it_has_succeeded_and_pays_them_later_as_backlog() -> None:
    record = owing(StepState.OWED, StepState.DONE)
    assert (record.state, record.finished_at) == (OperationState.SUCCEEDED, 500.0)
    assert (record.queue, record.run_at) == ("1 vm@eastus", 500.0 + POLICY.owed_s)


def test_debts_that_are_paid_do_not_change_when_it_succeeded() -> None:
    assert complete(owing(StepState.DONE), now=NOW, policy=POLICY).finished_at == 500.0


# BLOCKED, PERMANENT


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_turns_to_its_fallback_with_tries_of_its_own(kind: OutcomeKind) -> None:
    before = started(tries=2, was=Progress(sleeps=1), fallback="{}")
    record, goes_on = answer(before, kind)
    assert record.progress[0] == Progress(sleeps=1, is_fallback=True, detail=SAID)
    assert goes_on


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_and_optional_is_owed(kind: OutcomeKind) -> None:
    record, goes_on = answer(started(is_optional=True), kind)
    assert record.progress[0] == Progress(StepState.OWED, detail=SAID)
    assert goes_on


def test_a_fallback_goes_before_a_debt() -> None:
    record = answer(started(is_optional=True, fallback="{}"), OutcomeKind.BLOCKED).record
    assert record.progress[0].is_fallback


@pytest.mark.parametrize("step", [{}, {"is_optional": True, "is_security": True}])
def test_what_is_blocked_and_needed_sleeps_as_backlog_and_spends_no_try(
    step: dict[str, bool],
) -> None:
    record, goes_on = answer(started(tries=2, **step), OutcomeKind.BLOCKED, checkpoint="kept")
    assert record.progress[0] == Progress(tries=1, sleeps=1, checkpoint="kept", detail=SAID)
    assert (record.lane, record.state) == (Lane.BACKLOG, OperationState.WAITING)
    assert record.run_at == NOW + 0.75 * POLICY.blocked.base_s
    assert (record.worker, goes_on) == ("", False)


def test_each_sleep_is_longer_than_the_one_before() -> None:
    record = answer(started(was=Progress(sleeps=2)), OutcomeKind.BLOCKED).record
    assert record.run_at == NOW + 0.75 * 4 * POLICY.blocked.base_s


def test_a_blocked_fallback_wakes_with_its_own_arguments() -> None:
    before = started(was=Progress(is_fallback=True), fallback="{}")
    record = answer(before, OutcomeKind.BLOCKED, checkpoint="of the fallback").record
    assert record.progress[0] == Progress(sleeps=1, detail=SAID)


@pytest.mark.parametrize("step", [{}, {"is_optional": True, "is_security": True}])
def test_what_is_answered_permanent_and_needed_fails(step: dict[str, bool]) -> None:
    record, goes_on = answer(started(**step), OutcomeKind.PERMANENT)
    assert (record.state, record.queue, record.worker) == (OperationState.FAILED, None, "")
    assert (record.finished_at, record.detail) == (NOW, f"vm: {SAID}")
    assert (record.progress[0].state, goes_on) == (StepState.PENDING, False)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_was_not_made_whatever_else_is_said(kind: OutcomeKind) -> None:
    record = answer(started(), kind, may_have_acted=True).record
    assert record.state is not OperationState.UNKNOWN


# THROTTLED, TRANSIENT, TIMEOUT


@pytest.mark.parametrize("kind", AGAIN)
def test_what_may_pass_is_tried_again_after_a_drawn_wait(kind: OutcomeKind) -> None:
    record, goes_on = answer(started(tries=2), kind, checkpoint="kept")
    assert record.progress[0] == Progress(tries=2, checkpoint="kept", detail=SAID)
    assert (record.state, record.lane) == (OperationState.WAITING, Lane.FRESH)
    assert record.run_at == NOW + 0.5 * 2 * POLICY.retry.base_s
    assert (record.queue, record.worker, goes_on) == ("0 vm@eastus", "", False)


@pytest.mark.parametrize("kind", [*AGAIN, OutcomeKind.BLOCKED])
def test_nothing_is_tried_again_before_the_dependency_allows_it(kind: OutcomeKind) -> None:
    assert answer(started(), kind, retry_at=NOW + 900).record.run_at == NOW + 900


@pytest.mark.parametrize("kind", AGAIN)
def test_what_has_spent_its_tries_fails(kind: OutcomeKind) -> None:
    assert answer(started(tries=3), kind).record.state is OperationState.FAILED


@pytest.mark.parametrize("kind", AGAIN)
def test_what_has_spent_its_tries_and_is_optional_is_owed(kind: OutcomeKind) -> None:
    record, goes_on = answer(started(tries=3, is_optional=True), kind)
    assert (record.progress[0].state, goes_on) == (StepState.OWED, True)


@pytest.mark.parametrize("kind", AGAIN)
def test_what_may_have_acted_and_may_be_repeated_is_tried_again(kind: OutcomeKind) -> None:
    record = answer(started(is_repeatable=True), kind, may_have_acted=True).record
    assert record.progress[0] == Progress(tries=1, detail=SAID)


@pytest.mark.parametrize("kind", AGAIN)
def test_what_may_have_acted_and_may_not_be_repeated_is_unknown(kind: OutcomeKind) -> None:
    record, goes_on = answer(started(), kind, may_have_acted=True)
    assert (record.state, record.queue, record.finished_at) == (OperationState.UNKNOWN, None, NOW)
    assert record.detail == f"vm: may have been done: {SAID}"
    assert (record.progress[0].state, goes_on) == (StepState.STARTED, False)


@pytest.mark.parametrize("kind", AGAIN)
def test_what_may_have_acted_and_has_a_probe_is_asked_after(kind: OutcomeKind) -> None:
    record, goes_on = answer(started(probe="{}"), kind, may_have_acted=True)
    assert record.progress[0] == Progress(tries=1, is_probing=True, detail=SAID)
    assert (record.state, record.run_at) == (OperationState.WAITING, NOW + 0.5 * 2.0)
    assert not goes_on


def test_what_may_have_acted_and_has_spent_its_tries_is_not_asked_after() -> None:
    record = answer(started(tries=3, probe="{}"), OutcomeKind.TIMEOUT, may_have_acted=True).record
    assert record.state is OperationState.UNKNOWN


# Probes


def probing(*, tries: int = 2, **step: Any) -> Record:
    """What became of the call of `vm` is being asked."""
    return started(tries=tries, was=Progress(is_probing=True), probe="{}", **step)


def test_a_probe_that_finds_it_makes_the_step_done() -> None:
    record, goes_on = answer(probing(), OutcomeKind.OK)
    assert (record.progress[0].state, goes_on) == (StepState.DONE, True)


def test_a_probe_that_finds_nothing_lets_the_call_be_made_again() -> None:
    record, goes_on = answer(probing(), OutcomeKind.PERMANENT, is_absent=True, checkpoint="old")
    assert record.progress[0] == Progress(tries=2, detail=SAID)
    assert (record.state, record.run_at) == (OperationState.WAITING, NOW + 0.5 * 4.0)
    assert not goes_on


def test_a_probe_that_finds_nothing_with_its_tries_spent_fails() -> None:
    record = answer(probing(tries=3), OutcomeKind.PERMANENT, is_absent=True).record
    assert (record.state, record.progress[0].is_probing) == (OperationState.FAILED, False)


@pytest.mark.parametrize("kind", [*AGAIN, *REFUSED])
@pytest.mark.parametrize("step", [{}, {"is_repeatable": True}, {"fallback": "{}"}])
def test_a_probe_that_tells_nothing_is_asked_again(kind: OutcomeKind, step: dict[str, Any]) -> None:
    record, goes_on = answer(probing(**step), kind)
    assert (record.progress[0].is_probing, record.run_at) == (True, NOW + 0.5 * 4.0)
    assert (record.state, goes_on) == (OperationState.WAITING, False)


@pytest.mark.parametrize("kind", [*AGAIN, *REFUSED])
def test_a_probe_that_tells_nothing_with_its_tries_spent_leaves_it_unknown(
    kind: OutcomeKind,
) -> None:
    assert answer(probing(tries=3), kind).record.state is OperationState.UNKNOWN


# Refused leave


def test_who_gets_no_leave_goes_round_by_the_fallback() -> None:
    record = go_round(new(fallback="{}", is_optional=True), 0)
    assert record.progress[0] == Progress(is_fallback=True)


def test_who_gets_no_leave_goes_round_by_owing() -> None:
    assert go_round(new(is_optional=True), 0).progress[0] == Progress(StepState.OWED)


def test_who_has_no_way_round_cannot_go_it() -> None:
    with pytest.raises(AssertionError, match="way round"):
        go_round(new(is_optional=True, is_security=True), 0)


def test_who_is_refused_waits_as_it_stood() -> None:
    record = new()
    assert park(record, now=POLICY.fresh_s - 1, policy=POLICY) == record


def test_who_is_refused_for_too_long_to_be_fresh_is_backlog() -> None:
    record = park(new(), now=POLICY.fresh_s, policy=POLICY)
    assert (record.lane, record.queue) == (Lane.BACKLOG, "1 vm@eastus disk@eastus")
    assert record.state is OperationState.READY


def test_who_is_refused_between_two_steps_is_given_back_and_due_at_once() -> None:
    done = answer(started(), OutcomeKind.OK).record
    record = park(done, now=NOW, policy=POLICY)
    assert (record.state, record.queue) == (OperationState.WAITING, "0 disk@eastus")
    assert (record.run_at, record.worker, record.lane) == (NOW, "", Lane.FRESH)


# Deadlines


@pytest.mark.parametrize(("deadline_at", "late"), [(None, False), (NOW + 1, False), (NOW, True)])
def test_it_is_late_from_its_deadline_on(deadline_at: float | None, *, late: bool) -> None:
    assert is_late(new()._replace(deadline_at=deadline_at), now=NOW) is late


def test_debts_are_not_bound_by_the_deadline() -> None:
    record = owing(StepState.OWED, StepState.DONE)._replace(deadline_at=NOW)
    assert not is_late(record, now=NOW)


def test_what_is_late_expires() -> None:
    record = expire(new(), now=NOW)
    assert (record.state, record.queue, record.finished_at) == (OperationState.EXPIRED, None, NOW)


# Leases that run out


@pytest.mark.parametrize(
    ("was", "step"),
    [(Progress(), {"is_repeatable": True}), (Progress(checkpoint="taken"), {})],
)
def test_a_call_that_went_silent_and_may_be_repeated_is_tried_again_at_once(
    was: Progress, step: dict[str, bool]
) -> None:
    record = lapse(started(was=was, **step))
    assert record.progress[0] == was._replace(tries=1, detail="its worker went silent")
    assert (record.state, record.run_at) == (OperationState.WAITING, NOW)
    assert (record.queue, record.worker) == ("0 vm@eastus", "")


def test_a_call_that_went_silent_and_may_not_be_repeated_is_unknown() -> None:
    record = lapse(started())
    assert (record.state, record.progress[0].state) == (OperationState.UNKNOWN, StepState.STARTED)


def test_a_call_that_went_silent_is_asked_after_at_once() -> None:
    record = lapse(started(probe="{}"))
    assert (record.progress[0].is_probing, record.run_at) == (True, NOW)


def test_a_probe_that_went_silent_is_asked_again_even_where_the_call_may_be_repeated() -> None:
    record = lapse(probing(is_repeatable=True))
    assert (record.state, record.progress[0].is_probing) == (OperationState.WAITING, True)


def test_a_call_that_went_silent_in_its_last_try_is_not_asked_after() -> None:
    assert lapse(started(tries=3, probe="{}")).state is OperationState.UNKNOWN


def test_a_call_that_went_silent_in_its_last_try_fails() -> None:
    assert lapse(started(tries=3, is_repeatable=True)).state is OperationState.FAILED


def test_an_optional_call_that_went_silent_in_its_last_try_is_owed_and_the_next_waits() -> None:
    record = lapse(started(tries=3, is_repeatable=True, is_optional=True))
    assert (record.progress[0].state, record.queue) == (StepState.OWED, "0 disk@eastus")


def test_the_last_step_that_is_owed_after_its_worker_went_silent_ends_it_well() -> None:
    before = started(tries=3, is_repeatable=True, is_optional=True)
    done = Progress(StepState.DONE)
    record = lapse(before._replace(progress=(before.progress[0], done)))
    assert (record.state, record.owed) == (OperationState.SUCCEEDED, 1)


def test_a_worker_that_went_silent_between_calls_gives_it_back() -> None:
    done = answer(started(), OutcomeKind.OK).record
    record = lapse(done)
    assert (record.state, record.queue) == (OperationState.WAITING, "0 disk@eastus")


# Told to stop

STOPS = [(OperationState.CANCELLED, CANCELLED), (OperationState.SUPERSEDED, SUPERSEDED)]


@pytest.mark.parametrize(("state", "detail"), STOPS)
def test_who_is_told_to_stop_ends_so(state: OperationState, detail: str) -> None:
    record = stop(new(), state, now=NOW)
    assert (record.state, record.detail, record.queue) == (state, detail, None)
    assert record.finished_at == NOW


@pytest.mark.parametrize(("state", "_"), STOPS)
def test_who_is_told_to_stop_and_goes_silent_ends_so(state: OperationState, _: str) -> None:
    assert lapse(started(is_repeatable=True)._replace(stop=state.value)).state is state


def test_who_is_told_to_stop_but_may_have_been_done_is_unknown() -> None:
    record = lapse(started()._replace(stop=OperationState.CANCELLED.value))
    assert record.state is OperationState.UNKNOWN


def test_what_waits_is_cancelled_at_once() -> None:
    for before in (new(), answer(started(), OutcomeKind.TIMEOUT).record):
        after = cancel(before, now=NOW)
        assert after is not None
        assert after.state is OperationState.CANCELLED


def test_what_is_under_way_or_has_ended_is_not_cancelled() -> None:
    for record in (started(), expire(new(), now=NOW), owing(StepState.OWED, StepState.DONE)):
        assert cancel(record, now=NOW) is None


# Debts


def paying(*, tries: int = 1, **step: Any) -> Record:
    """The call of `vm`, which is owed, is under way."""
    record = owing(StepState.OWED, StepState.OWED, **step)
    owed = Progress(StepState.OWED, tries=tries - 1)
    record = record._replace(progress=(owed, record.progress[1]))
    return begin(record, 0, lease_until=600.0, worker="w")


def test_who_pays_a_debt_has_succeeded_all_the_while() -> None:
    assert (paying().state, paying().queue) == (OperationState.SUCCEEDED, LEASED)
    record = answer(paying(), OutcomeKind.TIMEOUT).record
    assert (record.state, record.progress[0].state) == (OperationState.SUCCEEDED, StepState.OWED)
    assert (record.lane, record.queue) == (Lane.FRESH, "1 vm@eastus disk@eastus")


@pytest.mark.parametrize(
    ("kind", "tries"), [(OutcomeKind.PERMANENT, 1), *((each, 3) for each in AGAIN)]
)
def test_a_debt_that_cannot_be_paid_is_given_up_and_stays_owed(
    kind: OutcomeKind, tries: int
) -> None:
    record, goes_on = answer(paying(tries=tries), kind)
    assert record.progress[0].state is StepState.OWED
    assert (record.progress[0].is_given_up, record.owed, goes_on) == (True, 1, True)


def test_a_blocked_debt_sleeps_in_its_lane() -> None:
    record = answer(paying(), OutcomeKind.BLOCKED).record
    assert (record.lane, record.run_at) == (Lane.FRESH, NOW + 0.75 * POLICY.blocked.base_s)


def test_a_debt_that_may_have_been_paid_is_given_up_and_the_others_are_paid() -> None:
    record = answer(paying(), OutcomeKind.TIMEOUT, may_have_acted=True).record
    assert record.progress[0].state is StepState.STARTED
    assert (record.progress[0].is_given_up, record.state) == (True, OperationState.SUCCEEDED)
    assert (record.queue, record.run_at) == ("1 disk@eastus", NOW)


def test_who_is_told_to_stop_gives_its_debts_up_and_stays_succeeded() -> None:
    record = stop(owing(StepState.OWED, StepState.DONE), OperationState.CANCELLED, now=NOW)
    assert (record.state, record.queue, record.owed) == (OperationState.SUCCEEDED, None, 0)


# Begun again


def test_what_failed_begins_again_as_backlog_with_all_its_tries() -> None:
    failed = answer(started(tries=3), OutcomeKind.TIMEOUT).record._replace(deadline_at=NOW)
    record = redrive(failed, is_done=None, now=NOW)
    assert (record.state, record.lane, record.run_at) == (OperationState.WAITING, Lane.BACKLOG, NOW)
    assert (record.deadline_at, record.finished_at, record.detail) == (None, None, "")
    assert record.progress[0] == Progress(detail=SAID)


@pytest.mark.parametrize(("is_done", "state"), [(True, StepState.DONE), (False, StepState.PENDING)])
def test_what_is_unknown_begins_again_as_somebody_says(*, is_done: bool, state: StepState) -> None:
    assert redrive(lapse(started()), is_done=is_done, now=NOW).progress[0].state is state


def test_what_is_unknown_does_not_begin_again_by_itself() -> None:
    with pytest.raises(ConflictError, match="whether the call was made"):
        redrive(lapse(started()), is_done=None, now=NOW)
