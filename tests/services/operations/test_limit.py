"""Every limit of a submission and of what is kept in memory, reached."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from surgetank.core.errors import (
    DependencyError,
    DependencyRejectedError,
    DependencyThrottledError,
    DependencyTimeoutError,
    InvalidInputError,
)
from surgetank.core.operation import NewOperation, OperationState
from surgetank.core.refusal import EXACT_S_MIN, REFUSED_S_MIN
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit, Refusal
from surgetank.safeguards.operations.action import ActionResult, StepCall, result_of
from surgetank.safeguards.operations.gatekeeper import (
    GATES_MAX,
    REFUSALS_MAX,
    Gatekeeper,
    Leave,
)
from surgetank.safeguards.operations.progress import new_record
from surgetank.safeguards.operations.record import clip

New = Callable[..., NewOperation]
Play = Callable[..., None]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", ""),
        ("key", "k" * 201),
        ("key", "\ud800"),
        ("kind", "k" * 101),
        ("region", "r" * 101),
        ("steps", ()),
    ],
)
def test_refuses_an_operation_beyond_a_limit(new_operation: New, field: str, value: Any) -> None:
    with pytest.raises(InvalidInputError):
        new_record(new_operation("k", "vm")._replace(**{field: value}), now=0.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "n" * 101),
        ("name", "a\nb"),
        ("dependency", "a b"),
        ("dependency", "?a"),
        ("arguments", "x" * 65_537),
        ("arguments", "\ud800"),
        ("fallback", "☃" * 21_846),
    ],
)
def test_refuses_a_step_beyond_a_limit(new_operation: New, field: str, value: Any) -> None:
    with pytest.raises(InvalidInputError):
        new_record(new_operation("k", "vm", vm={field: value}), now=0.0)


def test_refuses_two_steps_of_one_name(new_operation: New) -> None:
    with pytest.raises(InvalidInputError, match="one name"):
        new_record(new_operation("k", "vm", "vm"), now=0.0)


def test_refuses_more_than_thirty_two_steps(new_operation: New) -> None:
    with pytest.raises(InvalidInputError, match="32"):
        new_record(new_operation("k", *(f"s{number}" for number in range(33))), now=0.0)


def test_takes_what_just_fits(new_operation: New) -> None:
    new = new_operation("k" * 200, *(f"s{number}" for number in range(32)))
    steps = (new.steps[0]._replace(arguments="x" * 65_536), *new.steps[1:])
    assert len(new_record(new._replace(steps=steps), now=0.0).progress) == 32


def test_keeps_two_hundred_characters_of_what_was_said() -> None:
    assert clip("x" * 200) == "x" * 200
    assert clip("x" * 201) == "x" * 199 + "…"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DependencyTimeoutError("", may_have_acted=True), OutcomeKind.TIMEOUT),
        (DependencyThrottledError("", may_have_acted=False), OutcomeKind.THROTTLED),
        (DependencyRejectedError("", may_have_acted=False), OutcomeKind.PERMANENT),
        (DependencyError("", may_have_acted=False, retry_at=9.0), OutcomeKind.TRANSIENT),
    ],
)
def test_an_error_of_the_outside_is_a_result(error: DependencyError, kind: OutcomeKind) -> None:
    result = result_of(error, checkpoint="here")
    assert result == ActionResult(Outcome(kind, "", error.retry_at), "here", error.may_have_acted)


def test_an_action_may_raise_what_the_outside_did(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        async def reject(call: StepCall) -> ActionResult:
            raise DependencyRejectedError(call.step_name, may_have_acted=False)

        world.actions["do"] = reject
        receipt = await world.worker().submit(new_operation("k", "vm"))
        assert (await world.ended(receipt.id)).state is OperationState.FAILED

    play(main)


def test_an_action_that_another_release_knew_is_a_failure(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        async def wave(call: StepCall) -> ActionResult:
            raise AssertionError(call)

        world.permits.refuse("vm@eastus", reason="release_held", for_s=10)
        world.actions["wave"] = wave
        first = world.worker("w1")
        receipt = await first.submit(new_operation("k", "vm", vm={"action": "wave"}))
        world.kill(first)
        del world.actions["wave"]
        world.worker("w2")
        record = await world.ended(receipt.id)
        assert record.detail == "vm: no action is named wave"

    play(main)


class Refusing:
    """Refuses everybody, until an instant that has passed."""

    def __init__(self, *, is_exact: bool = False) -> None:
        self._is_exact = is_exact

    def ask(
        self, dependencies: Sequence[Dependency], *, lane: Lane, retry: bool = False
    ) -> tuple[Permit, ...] | Refusal:
        del lane, retry
        return Refusal(dependencies[0], "in_flight", 0.0, self._is_exact)

    def report(self, permit: Permit, outcome: Outcome) -> None:
        raise AssertionError(permit, outcome)

    def give_back(self, permit: Permit) -> None:
        raise AssertionError(permit)


@pytest.mark.parametrize(("is_exact", "least_s"), [(False, REFUSED_S_MIN), (True, EXACT_S_MIN)])
def test_a_refusal_that_ends_at_once_cannot_make_us_spin(
    new_operation: New, least_s: float, *, is_exact: bool
) -> None:
    gatekeeper = Gatekeeper(Refusing(is_exact=is_exact))
    record = new_record(new_operation("k", "vm"), now=100.0)
    refusal = gatekeeper.ask(record, (0,), Leave(), now=100.0)
    assert refusal is not None
    assert refusal.retry_at == 100.0 + least_s == gatekeeper.opens_at("0 vm@eastus")


def test_no_more_refusals_and_queues_are_kept_than_their_limits(new_operation: New) -> None:
    gatekeeper = Gatekeeper(Refusing())
    record = new_record(new_operation("k", "vm"), now=100.0)
    for number in range(max(REFUSALS_MAX, GATES_MAX) + 1):
        step = record.steps[0]._replace(dependency=Dependency(f"d{number}"))
        gatekeeper.ask(record._replace(steps=(step,)), (0,), Leave(), now=100.0)
        assert gatekeeper.opens_at(f"0 d{number}") > 100.0
    assert gatekeeper.opens_at("0 d0") < 100.0
