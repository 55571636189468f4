"""The weight of a backlog call: pace for all the calls it begins, as a debt and never a wait."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.control import governor
from surgetank.control.breaker import BreakerPolicy, Phase
from surgetank.control.evidence import Interval
from surgetank.control.governor import WEIGHT_MAX, Governor, GovernorPolicy
from surgetank.control.peer.sdk import Sdk, State
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit, Refusal

IDENTITY = Dependency("identity@eastus")
OK, BLOCKED = Outcome(OutcomeKind.OK), Outcome(OutcomeKind.BLOCKED)


@dataclass(frozen=True, kw_only=True)
class Paced(Sdk):
    """A law of one pace until the first interval has closed, and of another from then on."""

    rate_per_s: float = 1.0
    then_per_s: float = 1.0

    def start(self, *, now: float) -> State:
        return Sdk.start(self, now=now)._replace(rate_per_s=self.rate_per_s)

    def step(self, state: State, interval: Interval) -> State:
        del interval
        return state._replace(rate_per_s=self.then_per_s)


POLICY = GovernorPolicy(
    breaker=BreakerPolicy(blocked_limit=2, probe_limit=2, open_s=30.0), law=Paced(), burst_s=0.1
)


def begun(policy: GovernorPolicy = POLICY) -> Governor:
    return governor.start(policy, dependency=IDENTITY, now=0.0)


def ask(
    state: Governor, now: float, *, weight: int, lane: Lane = Lane.BACKLOG
) -> tuple[Governor, Permit | Refusal]:
    return governor.admit(state, lane=lane, retry=False, now=now, chance=0.0, weight=weight)


def granted(
    state: Governor, now: float, *, weight: int, lane: Lane = Lane.BACKLOG
) -> tuple[Governor, Permit]:
    state, answer = ask(state, now, weight=weight, lane=lane)
    assert isinstance(answer, Permit), answer
    return state, answer


def opened() -> Governor:
    state = begun()
    for _ in range(2):
        state, permit = granted(state, 0.0, weight=1, lane=Lane.FRESH)
        state = governor.record(state, permit, BLOCKED, now=0.0)
    assert state.breaker.phase == Phase.OPEN
    return state


def test_the_pace_advances_by_the_whole_weight() -> None:
    state, permit = granted(begun(), 0.0, weight=3)
    assert permit == Permit(IDENTITY, Lane.BACKLOG, 0, 0.0, 3)
    assert ask(state, 0.0, weight=1)[1] == Refusal(IDENTITY, "release_held", 3.0)


def test_a_weight_takes_one_slot() -> None:
    state, _ = granted(begun(), 0.0, weight=3)
    assert governor.in_flight(state, now=0.0) == 1


@pytest.mark.parametrize("weight", [1, 50, WEIGHT_MAX])
def test_a_heavy_call_goes_when_a_light_one_would(weight: int) -> None:
    state, _ = granted(begun(), 0.0, weight=1)
    assert ask(state, 0.5, weight=weight)[1] == Refusal(IDENTITY, "release_held", 1.0)
    granted(state, 1.0, weight=weight)


@pytest.mark.parametrize("weight", [0, WEIGHT_MAX + 1])
def test_a_weight_out_of_range_is_a_defect_of_the_caller(weight: int) -> None:
    with pytest.raises(AssertionError, match="greatest size"):
        ask(begun(), 0.0, weight=weight)


@pytest.mark.parametrize(
    ("state", "lane"),
    [(begun(), Lane.FRESH), (opened(), Lane.FRESH), (opened(), Lane.BACKLOG)],
    ids=["fresh", "fresh probe", "backlog probe"],
)
def test_what_is_not_paced_weighs_one_and_owes_nothing(state: Governor, lane: Lane) -> None:
    after, permit = granted(state, 30.0, weight=3, lane=lane)
    assert (permit.weight, after.due_at) == (1, state.due_at)


def slowed(state: Governor, *, at: float) -> Governor:
    """After enough fresh calls that the law looks, and goes on at its other rate."""
    for _ in range(POLICY.evidence.samples_min):
        state, permit = granted(state, at, weight=1, lane=Lane.FRESH)
        state = governor.record(state, permit, OK, now=at)
    assert state.release.rate_per_s == 0.25
    return state


SLOWING = replace(POLICY, law=Paced(then_per_s=0.25))


def test_a_new_rate_keeps_a_weight_that_is_owed_in_calls() -> None:
    state, _ = granted(begun(SLOWING), 1.0, weight=5)
    state = slowed(state, at=2.0)
    owed = 5.0 - 0.1 - 1.0
    assert state.due_at == pytest.approx(2.0 + owed / 0.25)


def test_a_weight_given_back_at_another_rate_returns_as_many_calls() -> None:
    state, _ = granted(begun(SLOWING), 1.0, weight=1)
    state, heavy = granted(state, 1.9, weight=5)
    state = governor.give_back(slowed(state, at=1.9), heavy, now=1.9)
    assert state.due_at == pytest.approx(1.9)


@given(st.integers(1, WEIGHT_MAX), st.floats(0.01, 1e4), st.floats(0.0, 5.0), st.floats(0.0, 1.0))
def test_a_weight_given_back_leaves_no_trace(
    weight: int, rate_per_s: float, burst_s: float, saved_ratio: float
) -> None:
    state = begun(replace(POLICY, law=Paced(rate_per_s=rate_per_s), burst_s=burst_s))
    before = state._replace(due_at=100.0 - saved_ratio * burst_s)
    state, permit = granted(before, 100.0, weight=weight)
    after = governor.give_back(state, permit, now=100.0)
    assert after.due_at == pytest.approx(before.due_at, abs=1e-9)
    assert governor.in_flight(after, now=100.0) == 0


@given(
    st.floats(0.01, 1e4),
    st.floats(0.0, 5.0),
    st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(1, 5)), max_size=300),
)
def test_no_window_admits_more_weight_than_its_rate_one_burst_and_the_last(
    rate_per_s: float, burst_s: float, asks: list[tuple[float, int]]
) -> None:
    state = begun(replace(POLICY, law=Paced(rate_per_s=rate_per_s), burst_s=burst_s))
    now, admitted = 100.0, list[Permit]()
    for pause, weight in asks:
        now += pause / rate_per_s
        state, answer = ask(state, now, weight=weight)
        if isinstance(answer, Permit):
            admitted.append(answer)
    for first, permit in enumerate(admitted):
        allowed = admitted[-1].weight + rate_per_s * (admitted[-1].asked_at - permit.asked_at)
        weights = sum(each.weight for each in admitted[first:])
        assert weights <= allowed + burst_s * rate_per_s + 1e-6 * (1 + now)


@given(st.floats(0.01, 1e4), st.lists(st.integers(1, WEIGHT_MAX), min_size=2, max_size=50))
def test_a_backlog_that_always_waits_takes_the_whole_pace(
    rate_per_s: float, weights: list[int]
) -> None:
    state = begun(replace(POLICY, law=Paced(rate_per_s=rate_per_s), lost_s=1e9))._replace(
        due_at=100.0
    )
    state, permit = granted(state, 100.0, weight=weights[0])
    for weight in weights[1:]:
        state, permit = granted(state, state.due_at, weight=weight)
    assert permit.asked_at == pytest.approx(100.0 + sum(weights[:-1]) / rate_per_s)
