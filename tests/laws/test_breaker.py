"""A breaker opens on a streak, a ratio or a wall, refuses until `retry_at`, and never wedges."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.control import breaker as breakers
from surgetank.control.breaker import (
    NO_EPOCH,
    WINDOW_CALLS_MAX,
    Breaker,
    BreakerParameters,
    BreakerPolicy,
    Phase,
)
from surgetank.core.errors import InvalidInputError

POLICY = BreakerPolicy(
    failure_limit=4,
    failure_ratio=0.5,
    window_calls=8,
    blocked_limit=2,
    probe_limit=2,
    open_s=30.0,
    open_s_max=100.0,
).parameters()
FAILURES = {".": False, "x": True, "b": True}
"""How a call ended: well, by a fault, by a policy."""


def told(
    breaker: Breaker,
    result: str,
    *,
    now: float,
    retry_at: float = -math.inf,
    epoch: int | None = None,
    p: BreakerParameters = POLICY,
) -> Breaker:
    """Report a result, under the present epoch unless another is given."""
    return breakers.record(
        breaker,
        p,
        breaker.epoch if epoch is None else epoch,
        is_failure=FAILURES[result],
        is_blocked=result == "b",
        now=now,
        retry_at=retry_at,
    )


def play(calls: str, p: BreakerParameters = POLICY) -> Breaker:
    """Make every call at `retry_at`, ending as in FAILURES; `?` never reports."""
    breaker = Breaker()
    for result in calls:
        now = breaker.retry_at
        breaker, epoch = breakers.admit(breaker, p, now=now)
        assert epoch != NO_EPOCH, "a call at retry_at is always admitted"
        if result != "?":
            breaker = told(breaker, result, now=now, p=p)
    return breaker


@pytest.mark.parametrize(
    ("phase", "histories"),
    [
        (
            Phase.CLOSED,
            ["", "xxx", "xxx.xxx", "b.b.b", "bxb", "xxxx..", "xxxx?...", "?????"],
        ),
        (Phase.OPEN, ["xxxx", "xbxx", "bb", ".bb", "..x.x.xx", "xxxx.x", "xxxx.b", "xxxx??x"]),
        (Phase.HALF_OPEN, ["xxxx.", "xxxx?", "xxxx??", "xxxx?.", "xxxx??."]),
    ],
)
def test_phase_after(phase: Phase, histories: list[str]) -> None:
    assert {calls: play(calls).phase for calls in histories} == dict.fromkeys(histories, phase)


def test_the_ratio_counts_only_once_the_window_is_full() -> None:
    assert play("xx.xx.x").phase == Phase.CLOSED  # 5 of 7
    assert play("xx.xx..x").phase == Phase.OPEN  # 5 of 8
    assert play("........xxx.").phase == Phase.CLOSED  # 3 of the last 8
    assert play("........xx.x.x").phase == Phase.OPEN  # 4 of the last 8


@given(st.text("".join(FAILURES) + "?", max_size=200))
def test_heals_within_two_rounds_of_probes_whatever_came_before(past: str) -> None:
    breaker = play(past + "." * (2 * POLICY.probe_limit - 1))
    assert breaker.phase == Phase.CLOSED
    assert play(past + "." * (2 * POLICY.probe_limit + POLICY.window_calls)).openings == 0


@given(st.text("".join(FAILURES) + "?", max_size=200))
def test_never_stays_open_longer_than_its_limit(past: str) -> None:
    breaker = Breaker()
    for result in past:
        now = breaker.retry_at
        breaker, _ = breakers.admit(breaker, POLICY, now=now)
        if result != "?":
            breaker = told(breaker, result, now=now, retry_at=now + 1e6)
        assert breaker.retry_at <= now + POLICY.open_s_max


def test_admits_nothing_before_retry_at_and_then_no_more_than_probe_limit() -> None:
    breaker = play("xxxx")
    assert breakers.admit(breaker, POLICY, now=29.9) == (breaker, NO_EPOCH)
    for is_admitted in (True, True, False):
        breaker, epoch = breakers.admit(breaker, POLICY, now=30.0)
        assert (epoch != NO_EPOCH) is is_admitted


def half_open() -> tuple[Breaker, int]:
    """Admit the first probe."""
    return breakers.admit(play("xxxx"), POLICY, now=30.0)


def test_probes_that_take_longer_than_their_time_close_it_all_the_same() -> None:
    breaker, epoch = half_open()
    for now in (70.0, 110.0):  # Each is given up as lost, and then reports.
        breaker, _ = breakers.admit(breaker, POLICY, now=now)
        breaker = told(breaker, ".", now=now, epoch=epoch)
    assert breaker.phase == Phase.CLOSED


def test_a_probe_that_fails_late_opens_it_all_the_same() -> None:
    breaker, epoch = half_open()
    breaker, _ = breakers.admit(breaker, POLICY, now=70.0)
    assert told(breaker, "x", now=71.0, epoch=epoch).phase == Phase.OPEN


def test_lost_probes_are_replaced_once_their_time_is_over() -> None:
    breaker, _ = half_open()
    for now, is_admitted in (
        (30.0, True),
        (59.9, False),
        (60.0, True),
        (60.0, True),
        (60.0, False),
    ):
        breaker, epoch = breakers.admit(breaker, POLICY, now=now)
        assert (epoch != NO_EPOCH) is is_admitted


def test_a_success_never_opens() -> None:
    assert play("xx.xx.x.").phase == Phase.CLOSED
    assert play("xx.xx.x.x").phase == Phase.OPEN


def test_each_opening_without_healing_doubles_the_open_time_up_to_its_limit() -> None:
    breaker, waits_s = play("bb"), list[float]()
    for _ in range(4):
        opened_at = breaker.retry_at
        breaker, _ = breakers.admit(breaker, POLICY, now=opened_at)
        breaker = told(breaker, "b", now=opened_at)
        waits_s.append(breaker.retry_at - opened_at)
    assert waits_s == [60.0, 100.0, 100.0, 100.0]


def test_a_quick_reopening_waits_longer_and_a_healed_one_does_not() -> None:
    assert play("bb..bb").openings == 2
    assert play("bb.." + "." * POLICY.window_calls + "bb").openings == 1


def test_a_thousand_openings_overflow_nothing() -> None:
    breaker = play("bb" + "b" * 1_200)
    assert breaker.phase == Phase.OPEN
    assert breaker.openings == 1_201


def test_opens_until_the_dependency_said_if_that_is_later() -> None:
    breaker = play("b")
    soon = told(breaker, "b", now=0.0, retry_at=10.0)
    later = told(breaker, "b", now=0.0, retry_at=77.0)
    assert (soon.retry_at, later.retry_at) == (30.0, 77.0)


def test_only_a_permit_of_the_present_epoch_counts() -> None:
    closed = play("xxxx..")
    assert told(closed, "x", now=99.0, epoch=0) is closed


def test_a_call_that_was_refused_has_no_epoch_to_report_under() -> None:
    opened = play("xxxx")
    assert told(opened, "x", now=1.0, epoch=NO_EPOCH) is opened


def test_a_calm_breaker_allocates_nothing() -> None:
    breaker = play("." * POLICY.window_calls)
    assert told(breaker, ".", now=1.0) is breaker


@given(st.text("".join(FAILURES) + "?", max_size=200))
def test_the_window_stays_within_its_bits_and_counts_its_failures(past: str) -> None:
    breaker = play(past)
    assert breaker.window < 2**POLICY.window_calls
    assert breaker.failures == breaker.window.bit_count() <= breaker.results


def test_the_longest_window_fits_a_signed_machine_word() -> None:
    p = BreakerPolicy(
        failure_limit=1_000, failure_ratio=1.0, window_calls=WINDOW_CALLS_MAX
    ).parameters()
    full = play("x" * (WINDOW_CALLS_MAX - 1) + ".", p)
    assert full.failures == WINDOW_CALLS_MAX - 1
    assert full.window << 1 < 2**63


def test_parameters_are_the_policy_by_the_same_names() -> None:
    policy = BreakerPolicy()
    parameters = policy.parameters()
    assert parameters._asdict() == {name: getattr(policy, name) for name in parameters._fields}


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
