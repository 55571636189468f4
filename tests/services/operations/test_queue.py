"""The text of a queue says all that is to be known of what waits in it."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from surgetank.core.errors import InvalidInputError
from surgetank.core.operation import NewOperation, OperationState, Step, StepState
from surgetank.core.value import Dependency, Lane
from surgetank.safeguards.operations.progress import let_go, new_record, park_for
from surgetank.safeguards.operations.queue import (
    LEASED,
    NEXT,
    gated_positions,
    has_way_round,
    lane_of,
    next_position,
    queue_of,
    read_queue,
)
from surgetank.safeguards.operations.record import Progress, Record, check

printable = st.characters(exclude_categories=("C", "Z"))
names = st.text(printable, min_size=1, max_size=8).filter(lambda name: name[0] != "?")
arguments = st.none() | st.just("{}")
steps = st.builds(
    Step,
    name=names,
    dependency=names.map(Dependency),
    action=st.just("do"),
    arguments=st.just("{}"),
    is_optional=st.booleans(),
    is_security=st.booleans(),
    fallback=arguments,
    fallback_dependency=st.none() | names.map(Dependency),
    probe=arguments,
)
progresses = st.builds(
    Progress,
    state=st.sampled_from(StepState),
    is_fallback=st.booleans(),
    is_probing=st.booleans(),
    is_given_up=st.booleans(),
)


@st.composite
def records(draw: Callable[..., Any]) -> Record:
    """Any record whose operation can be run, however far it has come."""
    given_steps = tuple(draw(st.lists(steps, min_size=1, max_size=4)))
    priority = draw(st.integers(min_value=-9, max_value=9))
    new = NewOperation("k", "x", "x", given_steps, draw(st.sampled_from(Lane)), priority=priority)
    try:
        check(new)
    except InvalidInputError:
        assume(condition=False)
    progress = tuple(
        each._replace(is_fallback=each.is_fallback and step.fallback is not None)
        for step, each in ((step, draw(progresses)) for step in given_steps)
    )
    return new_record(new, now=1.0)._replace(
        progress=progress,
        state=draw(st.sampled_from([OperationState.WAITING, OperationState.SUCCEEDED])),
        let_go=draw(st.integers(min_value=0, max_value=99)),
    )


@given(record=records())
def test_what_is_written_is_read(record: Record) -> None:
    text, position = queue_of(record), next_position(record)
    if text is None:
        assert position is None
        return
    assert position is not None
    gate = read_queue(text)
    assert gate.lane is lane_of(record)
    assert (gate.priority, gate.let_go, gate.parked_by) == (record.priority, record.let_go, 0)
    step, progress = record.steps[position], record.progress[position]
    called = step.fallback_dependency if progress.is_fallback else step.dependency
    if gate.lane is Lane.FRESH:
        assert gate.dependencies == (() if called is None else (called,))
        assert gate.has_way_round is (called is not None and has_way_round(record, position))
    else:
        assert not gate.has_way_round
        wanted = {
            record.steps[at].fallback_dependency
            if record.progress[at].is_fallback
            else record.steps[at].dependency
            for at in gated_positions(record)
        }
        assert set(gate.dependencies) == wanted


@pytest.mark.no_cover  # the stores' tests trace the same
@given(record=records(), hold=st.integers(min_value=1, max_value=10**6))
def test_what_is_parked_is_read_as_backlog_that_waits_for_a_hold(record: Record, hold: int) -> None:
    assume(next_position(record) is not None)
    parked = park_for(record, hold=hold)
    assert parked.queue is not None
    gate = read_queue(parked.queue)
    assert (gate.parked_by, gate.lane) == (hold, Lane.BACKLOG)
    assert gate._replace(parked_by=0) == read_queue(parked.queue.partition(" ")[2])


@pytest.mark.no_cover  # the stores' tests trace the same
@given(record=records(), hold=st.integers(min_value=1, max_value=10**6))
def test_what_is_let_go_is_read_as_backlog_past_that_hold(record: Record, hold: int) -> None:
    assume(next_position(record) is not None)
    went = let_go(record, hold=hold)
    assert went.queue is not None
    gate = read_queue(went.queue)
    assert (gate.let_go, gate.parked_by, gate.lane) == (hold, 0, Lane.BACKLOG)


@pytest.mark.no_cover  # the stores' tests trace the same
@given(record=records())
def test_no_queue_of_what_waits_is_taken_for_another_kind(record: Record) -> None:
    assert not (queue_of(record) or "0").startswith((LEASED, NEXT))


@pytest.mark.parametrize("text", ["", "2 vm", "!", "=0 vm", "0+ vm", "#x 1 vm"])
def test_what_is_no_text_of_a_queue_is_a_defect(text: str) -> None:
    with pytest.raises(AssertionError, match="no text of a queue"):
        read_queue(text)
