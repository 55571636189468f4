"""Windows of Netflix concurrency-limits: figures of its own tests."""

from collections.abc import Callable

import pytest

from surgetank.control.evidence import EvidencePolicy, Interval
from surgetank.control.peer.window import (
    TURNED_AWAY_S,
    average_s,
    log10_step,
    window_evidence,
)

SAMPLES_S = (5000.0, 500.0, 10.0)
Make = Callable[..., Interval]


def test_a_window_holds_ten_samples_and_lasts_a_second_or_half_a_minute_without_them() -> None:
    expected = EvidencePolicy(samples_min=10, interval_s_min=1.0, interval_s_max=30.0)
    assert window_evidence() == expected


def test_averages_samples(make_interval: Make) -> None:
    window = make_interval(1.0, ok=3, mean_s=sum(SAMPLES_S) / 3)
    assert average_s(window, 5000.0) == pytest.approx(sum(SAMPLES_S) / 3)


def test_a_dropped_sample_counts_in_the_average(make_interval: Make) -> None:
    window = make_interval(1.0, ok=3, bad=1, mean_s=sum(SAMPLES_S) / 3)
    assert average_s(window, 5000.0) == pytest.approx((sum(SAMPLES_S) + 5000.0) / 4)


def test_a_throttled_call_was_quick(make_interval: Make) -> None:
    window = make_interval(1.0, ok=0, bad=4, throttled=4)
    assert average_s(window, 5000.0) == TURNED_AWAY_S


def test_nothing_is_known_of_a_window_without_samples(make_interval: Make) -> None:
    assert average_s(make_interval(1.0, count=0), 5000.0) == 0.0


@pytest.mark.parametrize(
    ("limit", "expected"), [(0.0, 1.0), (99.9, 1.0), (100.0, 2.0), (1000.0, 3.0), (10_000.0, 4.0)]
)
def test_a_step_is_the_decimal_logarithm_of_the_limit(limit: float, expected: float) -> None:
    assert log10_step(limit) == expected
