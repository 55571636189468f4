"""The rate that was healthy before."""

from collections.abc import Callable

import pytest

from surgetank.control.evidence import Interval
from surgetank.control.peer.healthy import (
    HALF_LIFE_S,
    best_s,
    delivered,
    error_ratio,
    healthy,
    reference,
)


def test_an_interval_without_results_has_no_errors(make_interval: Callable[..., Interval]) -> None:
    assert error_ratio(make_interval(1.0, ok=0)) == 0.0


def test_the_error_ratio_is_of_all_results(make_interval: Callable[..., Interval]) -> None:
    assert error_ratio(make_interval(1.0, ok=15, bad=5)) == 0.25


def test_the_first_rate_is_taken_as_it_is(make_interval: Callable[..., Interval]) -> None:
    assert delivered(0.0, make_interval(1.0, ok=60, span_s=30.0)) == 2.0


def test_eight_results_have_half_the_say(make_interval: Callable[..., Interval]) -> None:
    half = make_interval(1.0, ok=6, bad=2, span_s=2.0)
    assert delivered(1.0, half) == pytest.approx(2.0)


def test_the_most_that_was_delivered_is_half_forgotten_after_six_hours(
    make_interval: Callable[..., Interval],
) -> None:
    assert healthy(8.0, 1.0, make_interval(1.0, span_s=HALF_LIFE_S)) == pytest.approx(4.0)


def test_more_than_ever_is_learnt_at_once(make_interval: Callable[..., Interval]) -> None:
    assert healthy(8.0, 9.0, make_interval(1.0)) == 9.0


@pytest.mark.parametrize(
    ("learnt", "expected"), [(0.0, 3.0), (5.0, 5.0), (0.5, 1.0)], ids=["none", "some", "too small"]
)
def test_something_stands_for_a_rate_that_is_not_learnt(learnt: float, expected: float) -> None:
    assert reference(learnt, 3.0, 1.0) == expected


def test_the_first_latency_is_the_best(make_interval: Callable[..., Interval]) -> None:
    assert best_s(0.0, 0.4, make_interval(1.0), growth_per_s=0.001) == 0.4


def test_a_lower_latency_is_the_best_at_once(make_interval: Callable[..., Interval]) -> None:
    assert best_s(0.1, 0.05, make_interval(1.0), growth_per_s=0.001) == 0.05


def test_the_best_latency_is_forgotten_by_a_share_per_second(
    make_interval: Callable[..., Interval],
) -> None:
    interval = make_interval(11.0, span_s=10.0)
    assert best_s(0.1, 0.4, interval, growth_per_s=0.001) == pytest.approx(0.101)


def test_the_best_latency_is_not_forgotten_beyond_the_present_one(
    make_interval: Callable[..., Interval],
) -> None:
    assert best_s(0.1, 0.1005, make_interval(11.0, span_s=10.0), growth_per_s=0.001) == 0.1005


def test_a_long_interval_forgets_as_one_of_a_minute(
    make_interval: Callable[..., Interval],
) -> None:
    interval = make_interval(601.0, span_s=600.0)
    assert best_s(0.1, 0.4, interval, growth_per_s=0.001) == pytest.approx(0.106)


def test_an_interval_without_latency_leaves_the_best_as_it_is(
    make_interval: Callable[..., Interval],
) -> None:
    assert best_s(0.1, 0.0, make_interval(1.0, count=0), growth_per_s=0.001) == 0.1
