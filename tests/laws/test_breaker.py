"""A breaker opens on a streak, a ratio or a wall, refuses until `retry_at`, and never wedges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.control.breaker import WINDOW_CALLS_MAX, Breaker, BreakerPolicy, Phase
from surgetank.core.errors import InvalidInputError
from surgetank.core.value import OutcomeKind

POLICY = BreakerPolicy(
    failure_limit=4,
    failure_ratio=0.5,
    window_calls=8,
    blocked_limit=2,
    probe_limit=2,
    open_s=30.0,
    open_s_max=100.0,
)
KINDS = {
    ".": OutcomeKind.OK,
    "p": OutcomeKind.PERMANENT,
    "x": OutcomeKind.TRANSIENT,
    "t": OutcomeKind.TIMEOUT,
    "y": OutcomeKind.THROTTLED,
    "b": OutcomeKind.BLOCKED,
}


def play(calls: str, policy: BreakerPolicy = POLICY) -> Breaker:
    """Make every call at `retry_at`, reporting as in KINDS; `?` never reports."""
    breaker = Breaker(policy)
    for result in calls:
        now = breaker.retry_at
        breaker, epoch = breaker.admit(now=now)
        assert epoch is not None, "a call at retry_at is always admitted"
        if result != "?":
            breaker = breaker.record(epoch, KINDS[result], now=now)
    return breaker


@pytest.mark.parametrize(
    ("phase", "histories"),
    [
        (
            Phase.CLOSED,
            ["", "xxx", "xxx.xxx", "pppp", "b.b.b", "bxb", "xtyx..", "xxxx?...", "?????"],
        ),
        (Phase.OPEN, ["xxxx", "xtyx", "bb", ".bb", "..x.x.xx", "xxxx.x", "xxxx.b", "xxxx??x"]),
        (Phase.HALF_OPEN, ["xxxx.", "xxxxp", "xxxx?", "xxxx??", "xxxx?.", "xxxx??."]),
    ],
)
def test_phase_after(phase: Phase, histories: list[str]) -> None:
    assert {calls: play(calls).phase for calls in histories} == dict.fromkeys(histories, phase)


def test_the_ratio_counts_only_once_the_window_is_full() -> None:
    assert play("xx.xx.x").phase is Phase.CLOSED  # 5 of 7
    assert play("xx.xx..x").phase is Phase.OPEN  # 5 of 8
    assert play("........xxx.").phase is Phase.CLOSED  # 3 of the last 8
    assert play("........xx.x.x").phase is Phase.OPEN  # 4 of the last 8


@given(st.text("".join(KINDS) + "?", max_size=60))
def test_heals_within_two_rounds_of_probes_whatever_came_before(past: str) -> None:
    breaker = play(past + "." * (2 * POLICY.probe_limit - 1))
    assert breaker.phase is Phase.CLOSED
    assert play(past + "." * (2 * POLICY.probe_limit + POLICY.window_calls)).openings == 0


@given(st.text("".join(KINDS) + "?", max_size=60))
def test_never_stays_open_longer_than_its_limit(past: str) -> None:
    breaker = Breaker(POLICY)
    for result in past:
        now = breaker.retry_at
        breaker, epoch = breaker.admit(now=now)
        assert epoch is not None
        if result != "?":
            breaker = breaker.record(epoch, KINDS[result], now=now, retry_at=now + 1e6)
        assert breaker.retry_at <= now + POLICY.open_s_max


def test_admits_nothing_before_retry_at_and_then_no_more_than_probe_limit() -> None:
    breaker = play("xxxx")
    assert breaker.admit(now=29.9) == (breaker, None)
    for is_admitted in (True, True, False):
        breaker, epoch = breaker.admit(now=30.0)
        assert (epoch is not None) is is_admitted


def test_a_success_never_opens() -> None:
    assert play("xx.xx.x.").phase is Phase.CLOSED
    assert play("xx.xx.x.x").phase is Phase.OPEN


def test_each_opening_without_healing_doubles_the_open_time_up_to_its_limit() -> None:
    breaker, waits_s = play("bb"), list[float]()
    for _ in range(4):
        opened_at = breaker.retry_at
        breaker, epoch = breaker.admit(now=opened_at)
        assert epoch is not None
        breaker = breaker.record(epoch, OutcomeKind.BLOCKED, now=opened_at)
        waits_s.append(breaker.retry_at - opened_at)
    assert waits_s == [60.0, 100.0, 100.0, 100.0]


def test_a_quick_reopening_waits_longer_and_a_healed_one_does_not() -> None:
    assert play("bb..bb").openings == 2
    assert play("bb.." + "." * POLICY.window_calls + "bb").openings == 1


def test_a_thousand_openings_overflow_nothing() -> None:
    breaker = play("bb" + "b" * 1_200)
    assert breaker.phase is Phase.OPEN
    assert breaker.openings == 1_201


def test_opens_until_the_dependency_said_if_that_is_later() -> None:
    breaker = play("b")
    soon = breaker.record(0, OutcomeKind.BLOCKED, now=0.0, retry_at=10.0)
    later = breaker.record(0, OutcomeKind.BLOCKED, now=0.0, retry_at=77.0)
    assert (soon.retry_at, later.retry_at) == (30.0, 77.0)


def test_only_a_permit_of_the_present_epoch_counts() -> None:
    closed, opened = play("xxxx.."), play("xxxx")
    assert closed.record(0, OutcomeKind.TIMEOUT, now=99.0) is closed
    with pytest.raises(AssertionError, match="gives no epochs out"):
        opened.record(opened.epoch, OutcomeKind.OK, now=0.0)


def test_a_calm_breaker_allocates_nothing() -> None:
    breaker = play("." * POLICY.window_calls)
    assert breaker.record(breaker.epoch, OutcomeKind.OK, now=1.0) is breaker


@pytest.mark.parametrize(
    "wrong",
    [
        {"failure_limit": 0},
        {"blocked_limit": 0},
        {"probe_limit": 0},
        {"window_calls": 0},
        {"window_calls": WINDOW_CALLS_MAX + 1},
        {"failure_ratio": 0.0},
        {"failure_ratio": 1.1},
        {"open_s": 0.0},
        {"open_s": 10.0, "open_s_max": 9.0},
    ],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        BreakerPolicy(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a table of mixed numbers
