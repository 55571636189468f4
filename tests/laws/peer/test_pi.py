"""Proportional-integral control: the correction of RFC 8033, on a rate."""

import math
from collections.abc import Callable

import pytest

from surgetank.control.evidence import Interval
from surgetank.control.peer.bound import UNPACED_PER_S
from surgetank.control.peer.pi import EXCESS_MAX, Pi, State
from surgetank.core.errors import InvalidInputError

LAW = Pi()
Make = Callable[..., Interval]
REFERENCE_S = 0.015
"""QDELAY_REF of RFC 8033."""


def known(make: Make, *, law: Pi = LAW, base_s: float = 0.1, rate_per_s: float = 100.0) -> State:
    """With a known latency, and exactly at the reference."""
    state = law.step(law.start(now=0.0), make(1.0, mean_s=2.0 * base_s, low_s=base_s))
    return state._replace(rate_per_s=rate_per_s)


def test_corrects_as_the_rfc_does(make_interval: Make) -> None:
    alpha, beta = 0.125, 1.25  # hertz, of RFC 8033; its delays are in seconds
    law = Pi(alpha_per_s=alpha * REFERENCE_S, beta=beta * REFERENCE_S)
    state = known(make_interval, law=law, base_s=REFERENCE_S)
    seen = law.step(state, make_interval(2.0, mean_s=3 * REFERENCE_S, low_s=REFERENCE_S))
    delay_s = 2 * REFERENCE_S
    expected = alpha * (delay_s - REFERENCE_S) + beta * (delay_s - REFERENCE_S)
    assert math.log(100.0 / seen.rate_per_s) == pytest.approx(expected)


def test_holds_at_the_reference(make_interval: Make) -> None:
    state = LAW.step(known(make_interval), make_interval(2.0, mean_s=0.2, low_s=0.1))
    assert state.rate_per_s == pytest.approx(100.0)


def test_a_reference_too_much_takes_an_eighth_a_second(make_interval: Make) -> None:
    state = known(make_interval)._replace(excess=1.0)
    seen = LAW.step(state, make_interval(2.0, mean_s=0.3, low_s=0.1))
    assert math.log(seen.rate_per_s / 100.0) == pytest.approx(-0.125)


def test_no_delay_gives_an_eighth_a_second(make_interval: Make) -> None:
    state = known(make_interval)._replace(excess=-1.0)
    seen = LAW.step(state, make_interval(2.0, mean_s=0.1, low_s=0.1))
    assert math.log(seen.rate_per_s / 100.0) == pytest.approx(0.125)


def test_begins_without_delay(make_interval: Make) -> None:
    state = LAW.step(LAW.start(now=0.0), make_interval(1.0, mean_s=0.1))
    assert math.log(state.rate_per_s / 10.0) == pytest.approx(0.125)


def test_does_not_wind_up_while_nobody_waits(make_interval: Make) -> None:
    seen = LAW.step(known(make_interval), make_interval(2.0, mean_s=0.1, low_s=0.1, held=0))
    assert seen.rate_per_s == 100.0


def test_errors_count_as_the_most_delay(make_interval: Make) -> None:
    seen = LAW.step(known(make_interval), make_interval(2.0, ok=90, bad=10))
    assert seen.excess == EXCESS_MAX


@pytest.mark.parametrize(("mean_s", "expected"), [(0.55, 3.5), (0.7, 4.0), (0.05, -1.0)])
def test_delay_counts_in_references_up_to_four(
    make_interval: Make, mean_s: float, expected: float
) -> None:
    seen = LAW.step(known(make_interval), make_interval(2.0, mean_s=mean_s, low_s=0.1))
    assert seen.excess == pytest.approx(expected)


def test_one_correction_is_bounded(make_interval: Make) -> None:
    cut = LAW.step(known(make_interval), make_interval(2.0, mean_s=9.0, low_s=0.1))
    assert math.log(cut.rate_per_s / 100.0) == pytest.approx(-0.5)
    raised = LAW.step(cut, make_interval(3.0, mean_s=0.1, low_s=0.1))
    assert math.log(raised.rate_per_s / cut.rate_per_s) == pytest.approx(0.25)


def test_a_long_interval_counts_as_two_seconds(make_interval: Make) -> None:
    state = known(make_interval)._replace(excess=1.0)
    seen = LAW.step(state, make_interval(31.0, mean_s=0.3, low_s=0.1, span_s=30.0))
    assert math.log(seen.rate_per_s / 100.0) == pytest.approx(-0.25)


def test_the_least_latency_is_slowly_forgotten(make_interval: Make) -> None:
    window = make_interval(11.0, mean_s=0.4, low_s=0.4, span_s=10.0)
    assert LAW.step(known(make_interval), window).base_s == pytest.approx(0.101)


def test_an_answer_that_took_no_time_is_no_least_latency(make_interval: Make) -> None:
    assert LAW.step(known(make_interval), make_interval(2.0, low_s=0.0)).base_s == 0.1


def test_a_lower_latency_is_the_new_least(make_interval: Make) -> None:
    assert LAW.step(known(make_interval), make_interval(2.0, low_s=0.05)).base_s == 0.05


def test_stays_between_its_bounds(make_interval: Make) -> None:
    low = known(make_interval, rate_per_s=0.5)
    assert LAW.step(low, make_interval(2.0, bad=60)).rate_per_s == 0.5
    high = known(make_interval, rate_per_s=UNPACED_PER_S)
    assert LAW.step(high, make_interval(2.0, mean_s=0.1)).rate_per_s == UNPACED_PER_S


def test_without_latency_the_last_delay_stands(make_interval: Make) -> None:
    state = known(make_interval)._replace(excess=0.5)
    assert LAW.step(state, make_interval(2.0, count=0)).excess == 0.5


def test_an_opening_leads_back_to_the_first_rate(make_interval: Make) -> None:
    opened = LAW.opened(known(make_interval), now=2.0)
    closed = LAW.closed(opened, probes=3, now=30.0)
    assert (closed.rate_per_s, closed.base_s, closed.excess) == (10.0, 0.1, -1.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha_per_s": 0.0},
        {"beta": -0.1},
        {"latency_multiple": 1.0},
        {"error_ratio_max": 1.1},
        {"rate_per_s_start": 0.1},
        {"rate_per_s_min": 0.0},
    ],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        Pi(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a table of settings
