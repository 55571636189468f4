"""The door lets in what would not wait too long, fresh first, or no more than its rate."""

from dataclasses import replace
from itertools import accumulate, combinations
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.control import admission
from surgetank.control.admission import Admission, Bucket, Drain, RateLimit
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


LIMITS = st.builds(
    RateLimit,
    rate_per_s=st.floats(1e-3, 1e3),
    burst=st.floats(1.0, 50.0),
    retry_s_max=st.floats(1e-3, 600.0),
)
NOW = 1_770_055_380.0
FULL = Bucket(inf, 0.0)


def let_in(limit: RateLimit, arrivals: list[float], *, chance: float = 0.0) -> list[float]:
    """Instants of the calls that came in."""
    bucket, came_in = FULL, list[float]()
    for now in arrivals:
        bucket, retry_at = limit.decide(bucket, now=now, chance=chance)
        if retry_at is None:
            came_in.append(now)
    return came_in


@given(LIMITS, st.lists(st.just(0.0) | st.floats(0.0, 30.0), min_size=1, max_size=60))
def test_a_limit_lets_in_its_burst_and_its_rate_over_any_span_and_no_more(
    limit: RateLimit, gaps_s: list[float]
) -> None:
    came_in = let_in(limit, list(accumulate(gaps_s, initial=NOW)))
    for first, last in combinations(range(len(came_in)), 2):
        span_s = came_in[last] - came_in[first]
        assert last - first + 1 <= limit.burst + limit.rate_per_s * span_s + 1e-3


@given(st.lists(st.sampled_from([-10.0, -1.0, 0.0, 1.0, 10.0]), max_size=60))
def test_a_clock_that_runs_backwards_lets_no_more_in(gaps_s: list[float]) -> None:
    limit = RateLimit(rate_per_s=0.5, burst=2.0)
    arrivals = list(accumulate(gaps_s, initial=NOW))
    span_s = max(arrivals) - NOW
    assert len(let_in(limit, arrivals)) <= 2.0 + 0.5 * span_s


@given(LIMITS, st.lists(st.floats(0.0, 10.0), min_size=1, max_size=60), st.floats(0.0, 1.0))
def test_whom_a_limit_refuses_comes_back_later_and_within_twice_the_bound(
    limit: RateLimit, gaps_s: list[float], chance: float
) -> None:
    bucket = FULL
    for now in accumulate(gaps_s, initial=NOW):
        bucket, retry_at = limit.decide(bucket, now=now, chance=chance)
        if retry_at is not None:
            assert now < retry_at <= now + 2 * limit.retry_s_max + 1e-6


@given(LIMITS, st.lists(st.floats(0.0, 10.0), max_size=60))
def test_who_comes_back_when_told_is_let_in_within_two_tries(
    limit: RateLimit, gaps_s: list[float]
) -> None:
    patient = replace(limit, retry_s_max=1e9)
    bucket = FULL
    for now in accumulate(gaps_s, initial=NOW):
        bucket, _ = patient.decide(bucket, now=now, chance=0.0)
    again_at: float | None = NOW + sum(gaps_s)
    for _ in range(3):
        if again_at is not None:
            bucket, again_at = patient.decide(bucket, now=again_at, chance=0.0)
    assert again_at is None


def test_after_quiet_a_limit_lets_in_a_whole_burst_and_then_keeps_its_rate() -> None:
    limit = RateLimit(rate_per_s=2.0, burst=3.0)
    quiet = [100.0] * 5
    busy = [100.0 + second / 10 for second in range(1, 21)]
    assert let_in(limit, quiet) == [100.0] * 3
    assert let_in(limit, [*quiet, *busy]) == [100.0] * 3 + [100.5, 101.0, 101.5, 102.0]


def test_however_long_it_was_quiet_no_more_than_a_burst_comes_at_once() -> None:
    limit = RateLimit(rate_per_s=2.0, burst=3.0)
    assert let_in(limit, [100.0] * 5 + [9_000.0] * 5) == [100.0] * 3 + [9_000.0] * 3


def test_being_refused_costs_nothing() -> None:
    limit = RateLimit(rate_per_s=1.0, burst=1.0)
    assert let_in(limit, [0.0, *[0.5] * 100, 1.0]) == [0.0, 1.0]


def test_chance_spreads_those_whom_a_limit_refuses_over_its_bound() -> None:
    limit = RateLimit(rate_per_s=0.5, burst=1.0, retry_s_max=60.0)
    empty = Bucket(0.0, 100.0)
    spread = [limit.decide(empty, now=100.0, chance=chance)[1] for chance in (0.0, 0.5, 1.0)]
    assert spread == [102.0, 132.0, 162.0]


def test_a_limit_bounds_how_long_anybody_waits() -> None:
    limit = RateLimit(rate_per_s=0.001, burst=1.0, retry_s_max=60.0)
    assert limit.decide(Bucket(0.0, 100.0), now=100.0, chance=0.0)[1] == 160.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate_per_s": 0.0},
        {"rate_per_s": -1.0},
        {"rate_per_s": nan},
        {"burst": 0.9},
        {"burst": nan},
        {"retry_s_max": 0.0},
        {"retry_s_max": nan},
        {"retry_s_max": inf},
    ],
    ids=str,
)
def test_refuses_a_limit_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        RateLimit(**{"rate_per_s": 1.0, "burst": 1.0, **wrong})


def test_a_limit_may_be_as_small_as_one_call() -> None:
    assert RateLimit(rate_per_s=1e-9, burst=1.0, retry_s_max=1e-9).burst == 1.0
