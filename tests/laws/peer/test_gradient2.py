"""Gradient2Limit of Netflix concurrency-limits: its formula, and figures of `ExpAvgMeasurementTest`."""

import math
from collections.abc import Callable

import pytest

from surgetank.control.evidence import Interval
from surgetank.control.peer.gradient2 import Gradient2, State
from surgetank.core.errors import InvalidInputError

LAW = Gradient2()
Make = Callable[..., Interval]


def after(law: Gradient2, *windows: Interval) -> State:
    state = law.start(now=0.0)
    for window in windows:
        state = law.step(state, window)
    return state


def warm(make: Make) -> State:
    """At a limit of 20, with a long-term latency of 0.1 s."""
    windows = [make(1.0 * at, mean_s=0.1, peak=5) for at in range(10)]
    return after(LAW, *windows)


def test_the_long_term_latency_begins_as_a_plain_average(make_interval: Make) -> None:
    law, seen = Gradient2(long_windows=100), list[float]()
    state = law.start(now=0.0)
    for number in range(10):
        state = law.step(state, make_interval(1.0 * number, mean_s=10.0 + number))
        seen.append(state.long_s)
    assert seen == [10.0, 10.5, 11.0, 11.5, 12.0, 12.5, 13.0, 13.5, 14.0, 14.5]


def test_the_long_term_latency_then_moves_slowly(make_interval: Make) -> None:
    law = Gradient2(long_windows=100)
    windows = [make_interval(1.0 * number, mean_s=10.0 + number) for number in range(10)]
    state = after(law, *windows, make_interval(10.0, mean_s=100.0))
    assert state.long_s == pytest.approx(16.2, abs=0.1)


def test_a_long_term_latency_above_twice_the_present_is_cut_by_a_twentieth(
    make_interval: Make,
) -> None:
    state = LAW.step(warm(make_interval), make_interval(10.0, mean_s=0.04))
    moved = 0.1 + 2.0 / 601.0 * (0.04 - 0.1)
    assert state.long_s == pytest.approx(0.95 * moved)


def test_grows_by_a_fifth_of_the_room_for_queued_calls(make_interval: Make) -> None:
    assert LAW.step(warm(make_interval), make_interval(10.0)).limit == pytest.approx(20.8)


def test_latency_within_the_tolerance_is_no_queue(make_interval: Make) -> None:
    state = LAW.step(warm(make_interval), make_interval(10.0, mean_s=0.15))
    assert state.limit == pytest.approx(20.8)


def test_shrinks_with_the_gradient(make_interval: Make) -> None:
    state = warm(make_interval)._replace(limit=100.0)
    seen = LAW.step(state, make_interval(10.0, mean_s=0.2, peak=100))
    gradient = 1.5 * (0.1 + 2.0 / 601.0 * 0.1) / 0.2
    assert seen.limit == pytest.approx(100.0 * 0.8 + 0.2 * (100.0 * gradient + 4.0))


def test_one_window_takes_at_most_half_before_smoothing(make_interval: Make) -> None:
    state = warm(make_interval)._replace(limit=100.0)
    seen = LAW.step(state, make_interval(10.0, mean_s=9.0, peak=100))
    assert seen.limit == pytest.approx(100.0 * 0.8 + 0.2 * (50.0 + 4.0))


@pytest.mark.parametrize(("peak", "expected"), [(9, 20.0), (10, 20.8)])
def test_holds_while_less_than_half_is_used(
    make_interval: Make, peak: int, expected: float
) -> None:
    state = LAW.step(warm(make_interval), make_interval(10.0, peak=peak))
    assert state.limit == pytest.approx(expected)


def test_stays_between_its_bounds(make_interval: Make) -> None:
    slow = [make_interval(10.0 + at, mean_s=9.0) for at in range(5)]
    state = warm(make_interval)
    for window in slow:
        state = LAW.step(state, window)
    assert state.in_flight_max == 20.0
    top = state._replace(limit=199.9)
    assert LAW.step(top, make_interval(20.0, peak=200)).in_flight_max == 200.0


def test_settles_where_latency_is_half_above_its_long_term_average(make_interval: Make) -> None:
    state = warm(make_interval)
    for number in range(100):  # Forty are served at once in 0.1 s; others wait.
        latency_s = 0.1 * max(1.0, state.limit / 40.0)
        window = make_interval(10.0 + number, mean_s=latency_s, peak=int(state.limit))
        state = LAW.step(state, window)
    latency_s = 0.1 * state.limit / 40.0
    assert latency_s / state.long_s == pytest.approx(1.5, abs=0.15)


def test_learns_nothing_from_a_window_without_latency(make_interval: Make) -> None:
    assert after(LAW, make_interval(1.0, count=0)) == LAW.start(now=0.0)


def test_can_be_told_to_spare_fresh() -> None:
    assert LAW.start(now=0.0).fresh_in_flight_max == 20.0
    assert Gradient2(is_fresh_limited=False).start(now=0.0).fresh_in_flight_max == math.inf


def test_outlives_an_opening(make_interval: Make) -> None:
    state = warm(make_interval)
    opened = LAW.opened(state, now=12.0)
    assert LAW.closed(opened, probes=3, now=30.0) == state


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout_s": 0.0},
        {"limit_min": 0},
        {"limit_start": 19},
        {"limit_start": 201},
        {"limit_max": 2_000_000_000},
        {"queue": -1},
        {"smoothing": 0.0},
        {"smoothing": 1.1},
        {"long_windows": 0},
        {"tolerance": 0.9},
    ],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        Gradient2(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a table of settings
