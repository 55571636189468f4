"""The words that are stored and shown do not change by accident."""

from enum import StrEnum

import pytest

from surgetank.core.operation import NewOperation, OperationState, Step, StepState
from surgetank.core.value import Lane, Outcome, OutcomeKind, dependency


def test_a_dependency_is_a_service_of_a_region() -> None:
    assert dependency("identity", "eastus") == "identity@eastus"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (Lane, "fresh backlog"),
        (OutcomeKind, "ok throttled blocked transient timeout permanent"),
        (StepState, "pending started done owed fallen_back"),
        (
            OperationState,
            "ready waiting running succeeded failed expired cancelled superseded unknown",
        ),
    ],
)
def test_the_words_of_a_set_are(words: type[StrEnum], wanted: str) -> None:
    assert [str(word) for word in words] == wanted.split()


def test_an_outcome_says_no_more_than_it_knows() -> None:
    assert Outcome(OutcomeKind.OK) == Outcome(OutcomeKind.OK, "", None)


def test_a_step_is_neither_optional_nor_repeatable_unless_it_says_so() -> None:
    step = Step("create", dependency("compute", "eastus"), "http", "{}")
    assert (step.is_optional, step.is_security, step.is_repeatable) == (False, False, False)
    assert step.fallback is None


def test_an_operation_is_fresh_and_has_no_deadline_unless_it_says_so() -> None:
    operation = NewOperation("key", "create", "eastus", ())
    assert (operation.lane, operation.deadline_at) == (Lane.FRESH, None)
