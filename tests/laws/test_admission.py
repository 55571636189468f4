"""The door lets in what would not wait too long, fresh first, and says when to come back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.control import admission
from surgetank.control.admission import Admission, Drain
from surgetank.core.errors import InvalidInputError
from surgetank.core.value import Lane

DOOR = Admission(wait_s_max=2.0, backlog_share=0.25, retry_s_min=1.0, retry_s_max=60.0)
WAITS = st.floats(0.0, 1e6)


@pytest.mark.parametrize(
    ("lane", "wait_s", "retry_at"),
    [
        (Lane.FRESH, 0.0, None),
        (Lane.FRESH, 2.0, None),
        (Lane.FRESH, 2.1, 101.0),
        (Lane.FRESH, 12.0, 110.0),
        (Lane.FRESH, 1e6, 160.0),
        (Lane.BACKLOG, 0.5, None),
        (Lane.BACKLOG, 0.6, 101.0),
        (Lane.BACKLOG, 10.5, 110.0),
    ],
)
def test_decides_by_wait_and_lane(lane: Lane, wait_s: float, retry_at: float | None) -> None:
    assert DOOR.decide(wait_s=wait_s, lane=lane, now=100.0) == retry_at


@given(WAITS, st.floats(0.0, 1.0))
def test_fresh_comes_in_wherever_backlog_does(wait_s: float, chance: float) -> None:
    backlog = DOOR.decide(wait_s=wait_s, lane=Lane.BACKLOG, now=0.0, chance=chance)
    fresh = DOOR.decide(wait_s=wait_s, lane=Lane.FRESH, now=0.0, chance=chance)
    assert fresh is None or (backlog is not None and fresh <= backlog)


@given(WAITS, st.sampled_from(Lane), st.floats(0.0, 1.0))
def test_the_refused_come_back_within_bounds(wait_s: float, lane: Lane, chance: float) -> None:
    retry_at = DOOR.decide(wait_s=wait_s, lane=lane, now=0.0, chance=chance)
    assert retry_at is None or DOOR.retry_s_min <= retry_at <= DOOR.retry_s_max


def test_chance_spreads_the_refused() -> None:
    spread = [
        DOOR.decide(wait_s=12.0, lane=Lane.FRESH, now=0.0, chance=chance) for chance in (0.0, 0.5)
    ]
    assert spread == [10.0, 15.0]


def drained(*gaps_s: float) -> Drain:
    drain, now = Drain(), 0.0
    for gap_s in (0.0, *gaps_s):
        now += gap_s
        drain = admission.completed(drain, queue=1, now=now)
    return drain


def test_expects_nothing_before_it_has_measured_or_with_no_queue() -> None:
    assert admission.expected_wait_s(Drain(), queue=9, now=0.0) == 0.0
    assert admission.expected_wait_s(drained(2.0, 2.0), queue=0, now=99.0) == 0.0


def test_expects_the_mean_gap_for_each_call_ahead() -> None:
    assert admission.expected_wait_s(drained(2.0, 2.0), queue=3, now=4.0) == pytest.approx(6.0)
    assert admission.expected_wait_s(drained(2.0, 3.0), queue=1, now=5.0) == pytest.approx(2.1)


def test_a_queue_that_stands_still_counts_as_slower() -> None:
    assert admission.expected_wait_s(drained(2.0), queue=3, now=12.0) == pytest.approx(30.0)


def test_idle_time_is_no_gap() -> None:
    idle = admission.completed(drained(2.0), queue=0, now=4.0)
    after = admission.completed(idle, queue=1, now=500.0)
    assert after.gap_s == pytest.approx(2.0)
    assert admission.expected_wait_s(after, queue=1, now=500.0) == pytest.approx(2.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"wait_s_max": 0.0},
        {"backlog_share": 0.0},
        {"backlog_share": 1.1},
        {"retry_s_min": 0.0},
        {"retry_s_min": 2.0, "retry_s_max": 1.0},
    ],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        Admission(**wrong)
