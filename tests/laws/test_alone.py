"""A worker whose ledger is away: its last share, which fades to none."""

import math

import pytest

from surgetank.control import governor as governors
from surgetank.control.alone import alone, fade
from surgetank.control.breaker import Breaker, BreakerPolicy, Phase
from surgetank.control.evidence import EvidencePolicy
from surgetank.control.governor import RELEASE_HELD, Governor, GovernorPolicy
from surgetank.control.lease import Lease, SharePolicy
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit, Refusal

IDENTITY = Dependency("identity@eastus")
SHARE = SharePolicy(half_life_s=30.0, floor_per_s=1.0)
POLICY = GovernorPolicy(
    breaker=BreakerPolicy(failure_limit=3, probe_limit=1, open_s=30.0),
    evidence=EvidencePolicy(samples_min=3),
)


def lease(*, fresh_max: float = math.inf, phase: Phase = Phase.CLOSED) -> Lease:
    """The last lease, until second 100: 8 calls a second and 4 at once."""
    state = governors.start(POLICY, dependency=IDENTITY, now=0.0)
    state = state._replace(breaker=Breaker(phase=phase.value, epoch=7, retry_at=130.0))
    return Lease(
        state, 99.0, 1.0, 0, RELEASE_HELD, None, fresh_max, 0,
        share_per_s=8.0, share_in_flight=4.0, back_at=98.0, until=100.0,
    )  # fmt: skip


def ask(
    state: Governor, *, now: float, lane: Lane = Lane.BACKLOG
) -> tuple[Governor, Permit | Refusal]:
    return governors.admit(state, lane=lane, retry=False, now=now, chance=0.0)


def calls_in(state: Governor, *, since: float, seconds: int) -> int:
    """Calls that end at once, asked for each hundredth of a second."""
    calls = 0
    for tick in range(seconds * 100):
        now = since + tick / 100
        state, answer = ask(state, now=now)
        if isinstance(answer, Permit):
            calls += 1
            state = governors.record(state, answer, Outcome(OutcomeKind.OK), now=now + 0.005)
    return calls


def test_at_first_it_goes_on_at_its_share() -> None:
    assert calls_in(alone(lease(), epoch=-1, now=100.0), since=100.0, seconds=10) == (
        pytest.approx(80, abs=2)
    )


@pytest.mark.parametrize(("after_s", "calls"), [(0.0, 80), (30.0, 40), (60.0, 20)])
def test_its_pace_halves(after_s: float, calls: int) -> None:
    now = 100.0 + after_s
    state = fade(alone(lease(), epoch=-1, now=100.0), lease(), SHARE, now=now)
    assert calls_in(state, since=now, seconds=10) == pytest.approx(calls, abs=2)


def test_below_its_floor_it_makes_no_calls() -> None:
    state = fade(alone(lease(), epoch=-1, now=100.0), lease(), SHARE, now=191.0)
    _, answer = ask(state, now=191.0)
    assert isinstance(answer, Refusal)
    assert calls_in(state, since=191.0, seconds=100) == 0


def test_results_do_not_raise_its_pace() -> None:
    state = alone(lease(), epoch=-1, now=100.0)
    calls_in(state, since=100.0, seconds=60)
    assert calls_in(state, since=160.0, seconds=10) == pytest.approx(80, abs=2)


def test_it_has_no_more_out_than_its_share_of_the_window() -> None:
    state = alone(lease(), epoch=-1, now=100.0)
    given = 0
    for second in range(10):
        state, answer = ask(state, now=101.0 + second)
        given += isinstance(answer, Permit)
    assert given == 4


def test_bounded_fresh_stays_bounded() -> None:
    state = alone(lease(fresh_max=2.0), epoch=-1, now=100.0)
    answers = list[Permit | Refusal]()
    for _ in range(3):
        state, answer = ask(state, now=100.0, lane=Lane.FRESH)
        answers.append(answer)
    assert [isinstance(answer, Permit) for answer in answers] == [True, True, False]


def test_its_own_failures_open_its_breaker_and_its_own_probe_closes_it() -> None:
    state = alone(lease(), epoch=-1, now=100.0)
    for second in range(3):
        state, permit = ask(state, now=101.0 + second)
        assert isinstance(permit, Permit)
        failed = Outcome(OutcomeKind.BLOCKED)
        state = governors.record(state, permit, failed, now=101.0 + second)
    assert state.breaker.phase == Phase.OPEN
    at = state.breaker.retry_at + 10.0
    state, permit = ask(state, now=at)
    assert isinstance(permit, Permit)
    state = governors.record(state, permit, Outcome(OutcomeKind.OK), now=at)
    assert state.breaker.phase == Phase.CLOSED


def test_a_door_that_was_shut_stays_shut_until_its_time() -> None:
    state = alone(lease(phase=Phase.OPEN), epoch=-1, now=100.0)
    _, early = ask(state, now=129.0)
    _, probe = ask(state, now=140.0)
    assert (isinstance(early, Refusal), isinstance(probe, Permit)) == (True, True)


def test_patience_that_was_asked_for_is_kept() -> None:
    last = lease()
    last = last._replace(governor=last.governor._replace(hold_until_at=120.0))
    _, answer = ask(alone(last, epoch=-1, now=100.0), now=110.0)
    assert isinstance(answer, Refusal)
    assert answer.retry_at == 120.0
