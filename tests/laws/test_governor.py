"""The governor of one dependency: who may call, how fast, and when to ask again."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.control import governor
from surgetank.control.breaker import BreakerPolicy, Phase
from surgetank.control.budget import BudgetPolicy
from surgetank.control.evidence import Evidence
from surgetank.control.governor import (
    IN_FLIGHT_RETRY_S_MIN,
    WEIGHT_MAX,
    Governor,
    GovernorPolicy,
)
from surgetank.control.peer.sdk import Sdk
from surgetank.control.release import ReleasePolicy
from surgetank.control.signal import Mode, Release
from surgetank.core.errors import InvalidInputError
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit, Refusal

LAW = ReleasePolicy(rate_per_s_unlearnt=1.0, window_start=3.0)
POLICY = GovernorPolicy(
    breaker=BreakerPolicy(failure_limit=4, blocked_limit=2, probe_limit=2, open_s=30.0),
    budget=BudgetPolicy(ratio=0.1, tokens_max=2.0, refill_per_s=0.01),
    law=LAW,
)
IDENTITY = Dependency("identity@eastus")
OK = Outcome(OutcomeKind.OK)
BLOCKED = Outcome(OutcomeKind.BLOCKED)
TIMEOUT = Outcome(OutcomeKind.TIMEOUT)


def begun(policy: GovernorPolicy = POLICY) -> Governor:
    return governor.start(policy, dependency=IDENTITY, now=0.0)


def ask(
    state: Governor,
    now: float,
    *,
    lane: Lane = Lane.BACKLOG,
    is_retry: bool = False,
    chance: float = 0.0,
    weight: int = 1,
) -> tuple[Governor, Permit | Refusal]:
    return governor.admit(state, lane=lane, retry=is_retry, now=now, chance=chance, weight=weight)


def granted(state: Governor, now: float, *, lane: Lane = Lane.BACKLOG) -> tuple[Governor, Permit]:
    state, answer = ask(state, now, lane=lane)
    assert isinstance(answer, Permit), answer
    return state, answer


def refused(state: Governor, now: float, *, lane: Lane = Lane.BACKLOG) -> Refusal:
    answer = ask(state, now, lane=lane)[1]
    assert isinstance(answer, Refusal), answer
    return answer


def call(state: Governor, now: float, outcome: Outcome, *, lane: Lane = Lane.FRESH) -> Governor:
    """One call that ends at once."""
    state, permit = granted(state, now, lane=lane)
    return governor.record(state, permit, outcome, now=now)


def opened(at: float = 0.0) -> Governor:
    state = call(call(begun(), at, BLOCKED), at, BLOCKED)
    assert state.breaker.phase == Phase.OPEN
    return state


def closed(at: float) -> Governor:
    """Opened 30 s before `at`, and closed by its probes."""
    state = call(call(opened(at - 30.0), at, OK), at, OK)
    assert state.breaker.phase == Phase.CLOSED
    return state


def decided(state: Governor, **changes: float) -> Governor:
    """As if the law had decided otherwise."""
    assert isinstance(state.release, Release)
    return state._replace(release=state.release._replace(**changes))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # not its mode


def test_both_lanes_flow_through_a_dependency_never_seen() -> None:
    state, _ = granted(begun(), 0.0, lane=Lane.FRESH)
    state, permit = granted(state, 0.0)
    assert permit == Permit(IDENTITY, Lane.BACKLOG, 0, 0.0)
    assert state.release.mode == Mode.TRICKLE


def test_backlog_is_paced_and_told_the_very_instant_of_its_turn() -> None:
    state, _ = granted(begun(), 0.0)
    held = refused(state, 0.0)
    assert held == Refusal(IDENTITY, "release_held", 1.0)
    assert isinstance(ask(state, math.nextafter(held.retry_at, 0.0))[1], Refusal)
    granted(state, held.retry_at)


def test_backlog_waits_while_calls_of_both_lanes_fill_the_window() -> None:
    state, permit = granted(begun(), 0.0)
    for now in (1.0, 2.0):
        state, _ = granted(state, now, lane=Lane.FRESH)
    assert refused(state, 3.0) == Refusal(IDENTITY, "in_flight", 4.0)
    assert ask(state, 3.0)[0].evidence.held == 1
    granted(governor.record(state, permit, OK, now=3.0), 3.0)


def test_a_refused_backlog_asks_again_about_when_a_slot_is_freed() -> None:
    state = begun()
    for now in (0.0, 1.0, 2.0):
        state, _ = granted(state, now)
    for rate_per_s, wait_s in ((0.25, 4.0), (1e9, IN_FLIGHT_RETRY_S_MIN)):
        paced = decided(state._replace(due_at=0.0), rate_per_s=rate_per_s)
        assert refused(paced, 10.0).retry_at == 10.0 + wait_s


@pytest.mark.parametrize("lane", Lane)
def test_a_lost_permit_frees_its_slot_after_its_limit(lane: Lane) -> None:
    state = begun()
    for now in (0.0, 1.0, 2.0):
        state, _ = granted(state, now, lane=lane)
    assert refused(state, 2 * POLICY.lost_s - 0.1).reason == "in_flight"
    assert governor.in_flight(state, now=2 * POLICY.lost_s) == 0
    granted(state, 2 * POLICY.lost_s)


@pytest.mark.parametrize("lane", Lane)
def test_a_report_after_its_slot_was_given_up_frees_no_other(lane: Lane) -> None:
    state, late = granted(begun(), 0.0, lane=lane)
    state, _ = granted(state, 1_000.0, lane=lane)
    state = governor.record(state, late, OK, now=1_001.0)
    assert governor.in_flight(state, now=1_001.0) == 1


@pytest.mark.parametrize("lane", Lane)
def test_a_report_from_the_generation_before_frees_its_own_slot(lane: Lane) -> None:
    state, early = granted(begun(), 110.0, lane=lane)
    state, _ = granted(state, 130.0, lane=lane)
    assert governor.in_flight(state, now=130.0) == 2
    state = governor.record(state, early, OK, now=131.0)
    slots = state.fresh if lane is Lane.FRESH else state.backlog
    assert (slots.new, slots.old) == (1, 0)


@pytest.mark.parametrize("lane", Lane)
def test_a_report_made_twice_takes_no_slot_below_zero(lane: Lane) -> None:
    state, permit = granted(begun(), 0.0, lane=lane)
    for _ in range(3):
        state = governor.record(state, permit, OK, now=0.1)
    assert governor.in_flight(state, now=0.1) == 0


def test_fresh_is_neither_paced_nor_bounded_by_the_window() -> None:
    state = begun()
    for _ in range(50):
        state, _ = granted(state, 0.0, lane=Lane.FRESH)


def test_the_most_calls_of_both_lanes_at_once_are_evidence() -> None:
    state, first = granted(begun(), 0.0)
    for _ in range(4):
        state, _ = granted(state, 0.0, lane=Lane.FRESH)
    for _ in range(2):
        state = governor.record(state, first, OK, now=1.0)
    assert state.evidence.in_flight_peak == 5


@pytest.mark.parametrize("kind", OutcomeKind)
def test_only_answers_of_a_working_dependency_are_no_failures(kind: OutcomeKind) -> None:
    state = begun()
    for _ in range(POLICY.breaker.failure_limit if POLICY.breaker else 0):
        state = call(state, 0.0, Outcome(kind)) if state.breaker.phase == Phase.CLOSED else state
    is_answer = kind in {OutcomeKind.OK, OutcomeKind.PERMANENT}
    assert (state.breaker.phase == Phase.CLOSED) is is_answer


def test_a_wall_opens_at_once_and_refuses_both_lanes_until_the_same_instant() -> None:
    for lane in Lane:
        assert refused(opened(), 10.0, lane=lane) == Refusal(IDENTITY, "breaker_open", 30.0)


def test_backlog_probes_when_no_fresh_asks_and_closes_the_breaker() -> None:
    state = opened()
    for now in (30.0, 31.0):
        state, permit = granted(state, now)
        state = governor.record(state, permit, OK, now=now)
    assert state.breaker.phase == Phase.CLOSED
    assert state.release.mode == Mode.SHED


def test_probes_are_kept_for_fresh_that_asked_but_not_for_ever() -> None:
    state, answer = ask(opened(), 10.0, lane=Lane.FRESH)
    assert isinstance(answer, Refusal)
    assert refused(state, 30.0) == Refusal(IDENTITY, "breaker_open", 35.0)
    granted(state, 30.0, lane=Lane.FRESH)
    granted(state, 35.0)


def test_lost_probes_do_not_wedge() -> None:
    state = opened()
    for now in (30.0, 30.0):
        state, _ = granted(state, now, lane=Lane.FRESH)
    assert refused(state, 59.0, lane=Lane.FRESH).retry_at == 60.0
    granted(state, 60.0, lane=Lane.FRESH)


def test_late_reports_of_a_past_epoch_are_no_evidence() -> None:
    state, permit = granted(begun(), 0.0)
    state = call(call(state, 1.0, BLOCKED), 1.0, BLOCKED)
    after = governor.record(state, permit, TIMEOUT, now=2.0)
    assert (after.breaker, after.evidence) == (state.breaker, state.evidence)
    assert after.backlog.new == 0


def test_latency_is_from_permit_to_report() -> None:
    state, permit = granted(begun(), 5.0, lane=Lane.FRESH)
    assert governor.record(state, permit, OK, now=7.5).evidence.latencies == (2.5,)
    assert governor.record(state, permit, OK, now=4.0).evidence.latencies == (0.0,)


def test_a_retry_takes_a_token_and_successes_give_it_back() -> None:
    state = begun()
    for now in (0.0, 10.0):
        state, answer = ask(state, now, is_retry=True)
        assert isinstance(answer, Permit)
    before = state
    state, answer = ask(state, 11.5, is_retry=True)
    assert isinstance(answer, Refusal)
    assert answer.reason == "budget_spent"
    assert state is before, "a refused retry spends neither pace nor slot"
    assert ask(state, answer.retry_at, lane=Lane.FRESH, is_retry=True)[1] != answer
    for _ in range(10):
        state = call(state, 12.0, OK)
    assert isinstance(ask(state, 12.0, lane=Lane.FRESH, is_retry=True)[1], Permit)


def test_without_a_budget_retries_are_free() -> None:
    state = begun(replace(POLICY, budget=None))
    for _ in range(9):
        state, answer = ask(state, 0.0, lane=Lane.FRESH, is_retry=True)
        assert isinstance(answer, Permit)
    assert call(state, 0.0, OK).budget == state.budget


def test_the_dependencys_retry_after_holds_the_backlog_and_not_fresh() -> None:
    slow = Outcome(OutcomeKind.THROTTLED, retry_at=20.0)
    state = call(begun(), 0.0, slow)
    assert refused(state, 1.0) == Refusal(IDENTITY, "release_held", 20.0)
    granted(state, 1.0, lane=Lane.FRESH)
    granted(state, 20.0)


def test_an_absurd_retry_after_is_obeyed_up_to_the_limit() -> None:
    state = call(begun(), 0.0, Outcome(OutcomeKind.THROTTLED, retry_at=1e9))
    assert refused(state, 1.0).retry_at == POLICY.hold_s_max


def shedding(most: float) -> Governor:
    return decided(begun(), fresh_in_flight_max=most)


def test_fresh_is_shed_only_while_as_many_of_its_own_are_out_as_may_be() -> None:
    state, _ = granted(shedding(2.0), 0.0)
    state, permit = granted(state, 0.0, lane=Lane.FRESH)
    state, _ = granted(state, 0.0, lane=Lane.FRESH)
    assert refused(state, 0.0, lane=Lane.FRESH).reason == "fresh_shed"
    granted(governor.record(state, permit, OK, now=0.1), 0.1, lane=Lane.FRESH)


def test_each_shed_call_is_evidence() -> None:
    state, _ = granted(shedding(1.0), 0.0, lane=Lane.FRESH)
    for _ in range(3):
        state, _ = ask(state, 0.0, lane=Lane.FRESH)
    assert state.evidence.shed == 3


def test_a_shed_call_comes_back_later_and_spread() -> None:
    state, _ = granted(shedding(1.0), 0.0, lane=Lane.FRESH)
    for chance in (0.5, 0.75):
        shed = ask(state, 0.0, lane=Lane.FRESH, chance=chance)[1]
        assert shed == Refusal(IDENTITY, "fresh_shed", POLICY.shed_s * (1.0 + chance))


def test_a_new_rate_keeps_what_is_owed_in_calls() -> None:
    state, _ = granted(begun(), 100.0)
    assert refused(state, 100.0).retry_at == pytest.approx(100.9)
    state, owed = state._replace(evidence=Evidence(100.0)), 0.4
    for _ in range(12):
        state, permit = granted(state, 100.0, lane=Lane.FRESH)
        state = governor.record(state, permit, OK, now=100.5)
    assert state.release.rate_per_s != LAW.rate_per_s_unlearnt
    assert state.due_at == pytest.approx(100.5 + owed / state.release.rate_per_s)


def test_a_peer_without_breaker_and_budget_never_refuses() -> None:
    state = begun(GovernorPolicy(breaker=None, budget=None, law=Sdk()))
    for number in range(200):
        state, answer = ask(state, 0.1 * number, is_retry=True)
        assert isinstance(answer, Permit)
        state = governor.record(state, answer, TIMEOUT, now=0.1 * number)


def test_without_a_breaker_nothing_that_is_heard_opens_one() -> None:
    state = begun(GovernorPolicy(breaker=None, budget=None, law=Sdk()))
    failed = [OutcomeKind.TIMEOUT] * 200
    absorbed = governor.absorb(state, state.evidence, failed, now=5.0)
    assert absorbed.breaker == state.breaker


def test_a_permit_given_back_leaves_no_trace_in_the_backlog() -> None:
    before = begun()
    state, permit = granted(before, 5.0)
    state = governor.give_back(state, permit, now=5.0)
    assert state.backlog.new == 0
    granted(state, 5.0)


def test_a_fresh_permit_given_back_frees_its_slot() -> None:
    state, permit = granted(shedding(1.0), 5.0, lane=Lane.FRESH)
    granted(governor.give_back(state, permit, now=5.0), 5.0, lane=Lane.FRESH)


def test_a_probe_given_back_may_be_made_by_another() -> None:
    state, permit = granted(opened(), 30.0, lane=Lane.FRESH)
    state, other = granted(state, 30.0)
    refused(state, 30.0)
    granted(governor.give_back(state, permit, now=30.0), 30.0)
    granted(governor.give_back(state, other, now=30.0), 30.0)


def test_an_old_permit_given_back_only_frees_its_slot() -> None:
    state, permit = granted(begun(), 0.0)
    state = call(call(state, 1.0, BLOCKED), 1.0, BLOCKED)
    after = governor.give_back(state, permit, now=2.0)
    assert after == state._replace(backlog=after.backlog)
    assert after.backlog.new == 0


STEPS = st.lists(
    st.tuples(
        st.floats(0.0, 40.0),
        st.sampled_from(Lane),
        st.booleans(),
        st.floats(0.0, 1.0, exclude_max=True),
        st.sampled_from([*OutcomeKind, *[OutcomeKind.OK] * 6, None]),
        st.floats(0.0, 20.0),
        st.sampled_from([1, 1, 3, WEIGHT_MAX]),
    ),
    max_size=120,
)
Step = tuple[float, Lane, bool, float, OutcomeKind | None, float, int]


def lived(steps: list[Step]) -> tuple[Governor, float]:
    """Any life: calls that end in any way, late or never; checks each answer on the way."""
    state, now, pending = begun(), 0.0, list[tuple[float, Permit, Outcome]]()
    for pause_s, lane, is_retry, chance, kind, takes_s, weight in steps:
        now += pause_s
        for end in sorted(pending, key=lambda each: each[0]):
            if end[0] <= now:
                pending.remove(end)
                state = governor.record(state, end[1], end[2], now=now)
        before = state
        state, answer = ask(state, now, lane=lane, is_retry=is_retry, chance=chance, weight=weight)
        check_bounds(before, answer, now=now, lane=lane)
        if isinstance(answer, Refusal):
            check(state, answer, now=now, lane=lane)
        elif kind is not None:
            pending.append((now + takes_s, answer, Outcome(kind, "", now + 50.0)))
    return state, now


def check_bounds(before: Governor, answer: Permit | Refusal, *, now: float, lane: Lane) -> None:
    """Closed, no lane gets past its bound, and fresh is refused for no other reason."""
    if before.breaker.phase != Phase.CLOSED:
        return
    out = governor.in_flight(before, now=now)
    fresh = before.fresh.at(math.floor(now / POLICY.lost_s))
    is_shed = fresh.new + fresh.old >= before.release.fresh_in_flight_max
    if lane is Lane.BACKLOG and out >= before.release.in_flight_max:
        assert isinstance(answer, Refusal)
    if lane is Lane.FRESH and is_shed:
        assert isinstance(answer, Refusal)
    if lane is Lane.FRESH and not is_shed and isinstance(answer, Refusal):
        assert answer.reason == "budget_spent"


def check(state: Governor, refusal: Refusal, *, now: float, lane: Lane) -> None:
    assert now < refusal.retry_at <= now + POLICY.hold_s_max
    if lane is Lane.FRESH:
        assert refusal.reason in {"breaker_open", "fresh_shed", "budget_spent"}
    if refusal.reason == "breaker_open":
        assert state.breaker.phase != Phase.CLOSED
    assert state.budget.tokens >= 0.0
    assert min(*state.fresh[1:], *state.backlog[1:]) >= 0


@given(STEPS)
def test_every_refusal_names_a_later_instant_and_fresh_is_never_held_for_backlog(
    steps: list[Step],
) -> None:
    lived(steps)


@given(STEPS)
def test_heals_after_any_life_in_which_the_dependency_gets_well(steps: list[Step]) -> None:
    state, now = lived(steps)
    for _ in range(400):
        now += 10.0
        state, answer = ask(state, now, lane=Lane.FRESH)
        if isinstance(answer, Permit):
            state = governor.record(state, answer, OK, now=now + 0.1)
    assert state.breaker.phase == Phase.CLOSED
    assert state.breaker.openings == 0
    assert state.release.fresh_in_flight_max == math.inf
    assert state.release.mode not in (Mode.TRICKLE, Mode.SHED)


@given(STEPS)
def test_backlog_alone_heals_it_too(steps: list[Step]) -> None:
    state, now = lived(steps)
    for _ in range(2_000):
        state, answer = ask(state, now)
        if isinstance(answer, Refusal):
            now = answer.retry_at
        else:
            now += 0.1
            state = governor.record(state, answer, OK, now=now)
    assert state.breaker.phase == Phase.CLOSED
    assert state.release.mode not in (Mode.TRICKLE, Mode.SHED)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hold_s_max": 0.0},
        {"lost_s": 0.0},
        {"shed_s": 0.0},
        {"burst_s": -0.1},
        {"fresh_first_s": -0.1},
    ],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        GovernorPolicy(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a table of settings
