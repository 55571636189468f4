"""Leave from governors: all or nothing, one governor a dependency."""

from collections.abc import Callable
from random import Random

import pytest

from surgetank.control.breaker import BreakerPolicy, Phase
from surgetank.control.governor import WEIGHT_MAX, GovernorPolicy
from surgetank.core.errors import InvalidInputError, QueueFullError
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit, Refusal
from surgetank.safeguards.operations.permits import GovernedPermits, OpenPermits

VM, DISK = Dependency("vm@eastus"), Dependency("disk@eastus")
OK, FAULT = Outcome(OutcomeKind.OK), Outcome(OutcomeKind.TRANSIENT)
POLICY = GovernorPolicy(breaker=BreakerPolicy(failure_limit=3, probe_limit=2))


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = 1_000.0

    def now(self) -> float:
        return self.at

    async def sleep_until(self, at: float) -> None:
        self.at = at


def governed(
    clock: Clock, changed: Callable[[Dependency, Phase, float], None] | None = None
) -> GovernedPermits:
    return GovernedPermits(default=POLICY, clock=clock, chance=Random(1), changed=changed)


def take(permits: GovernedPermits, *names: Dependency, lane: Lane = Lane.FRESH) -> Permit:
    return take_all(permits, *names, lane=lane)[0]


def take_all(
    permits: GovernedPermits | OpenPermits, *names: Dependency, lane: Lane = Lane.FRESH
) -> tuple[Permit, ...]:
    answer = permits.ask(names, lane=lane)
    assert not isinstance(answer, Refusal), f"refused: {answer}"
    return answer


def fail(permits: GovernedPermits, dependency: Dependency, times: int) -> None:
    for _ in range(times):
        permits.report(take(permits, dependency), FAULT)


def test_a_refusal_of_one_takes_nothing_of_the_others() -> None:
    clock = Clock()
    permits = governed(clock)
    take(permits, VM)
    fail(permits, DISK, 3)
    before = permits.views()[VM]
    for _ in range(50):
        answer = permits.ask((VM, DISK), lane=Lane.BACKLOG)
        assert isinstance(answer, Refusal)
        assert (answer.dependency, answer.reason) == (DISK, "breaker_open")
    assert permits.views()[VM] == before


def test_a_permit_is_given_for_each_dependency_in_order() -> None:
    answer = take_all(governed(Clock()), VM, DISK, lane=Lane.BACKLOG)
    assert [permit.dependency for permit in answer] == [VM, DISK]


@pytest.mark.parametrize("permits", [governed(Clock()), OpenPermits(clock=Clock())])
def test_a_dependency_that_stands_twice_gets_one_permit(
    permits: GovernedPermits | OpenPermits,
) -> None:
    answer = take_all(permits, VM, DISK, VM, lane=Lane.BACKLOG)
    assert [permit.dependency for permit in answer] == [VM, DISK]


def test_a_dependency_weighs_as_often_as_it_stands() -> None:
    answer = take_all(governed(Clock()), VM, DISK, VM, lane=Lane.BACKLOG)
    assert [permit.weight for permit in answer] == [2, 1]


def test_the_heaviest_permit_is_given_and_nothing_heavier() -> None:
    permits = governed(Clock())
    with pytest.raises(InvalidInputError, match="100 calls at once, not 101"):
        permits.ask((VM,) * (WEIGHT_MAX + 1), lane=Lane.BACKLOG)
    assert take(permits, *(VM,) * WEIGHT_MAX, lane=Lane.BACKLOG).weight == WEIGHT_MAX


def test_a_permit_given_back_frees_its_slot_and_its_pace() -> None:
    clock = Clock()
    permits = governed(clock)
    for _ in range(1_000):
        permits.give_back(take(permits, VM, lane=Lane.BACKLOG))
    assert permits.views()[VM].in_flight == 0


def test_a_probe_given_back_may_be_made_by_another() -> None:
    clock = Clock()
    permits = governed(clock)
    fail(permits, VM, 3)
    clock.at += 31
    for _ in range(10):
        permits.give_back(take(permits, VM))
    for _ in range(2):
        permits.report(take(permits, VM), OK)
    assert permits.views()[VM].phase is Phase.CLOSED


def test_each_change_of_phase_is_told_once() -> None:
    clock = Clock()
    told = list[tuple[Dependency, Phase, float]]()

    def changed(dependency: Dependency, phase: Phase, at: float) -> None:
        told.append((dependency, phase, at))

    permits = governed(clock, changed)
    fail(permits, VM, 3)
    clock.at += 31
    probes = [take(permits, VM), take(permits, VM)]
    for probe in probes:
        permits.report(probe, OK)
    assert told == [
        (VM, Phase.OPEN, 1_000),
        (VM, Phase.HALF_OPEN, 1_031),
        (VM, Phase.CLOSED, 1_031),
    ]


def test_a_policy_of_its_own_goes_before_the_default() -> None:
    own = GovernorPolicy(breaker=BreakerPolicy(failure_limit=1))
    permits = GovernedPermits(default=POLICY, policies={DISK: own}, clock=Clock(), chance=Random(1))
    for dependency in (VM, DISK):
        fail(permits, dependency, 1)
    views = permits.views()
    assert (views[VM].phase, views[DISK].phase) == (Phase.CLOSED, Phase.OPEN)


def test_governs_no_more_than_dependencies_max() -> None:
    permits = GovernedPermits(default=POLICY, clock=Clock(), chance=Random(1), dependencies_max=2)
    take(permits, VM, DISK)
    with pytest.raises(QueueFullError):
        permits.ask((Dependency("third@eastus"),), lane=Lane.FRESH)


def test_without_a_governor_all_is_allowed() -> None:
    permits = OpenPermits(clock=Clock())
    first, second = take_all(permits, VM, DISK, lane=Lane.BACKLOG)
    permits.report(first, FAULT)
    permits.give_back(second)
    assert take_all(permits, VM, lane=Lane.BACKLOG)
