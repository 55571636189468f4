"""The rate that was healthy before."""

from collections.abc import Callable

import pytest

from surgetank.control.evidence import Interval
from surgetank.control.peer.healthy import (
    HALF_LIFE_S,
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
