"""Doubling gated on health, and fresh shed when backlog is no longer the trouble."""

import math
from collections.abc import Callable

import pytest

from surgetank.control.evidence import Interval
from surgetank.control.peer.bound import UNPACED_PER_S
from surgetank.control.peer.doubling_gated import DoublingGated, State
from surgetank.core.errors import InvalidInputError

LAW = DoublingGated(rate_per_s_unlearnt=100.0)
Make = Callable[..., Interval]
ILL = {"ok": 30, "bad": 30}


def begun(make: Make) -> State:
    """The first rate of 10 calls a second, in health."""
    return LAW.step(LAW.start(now=0.0), make(1.0, ok=100))


def cut(make: Make, times: int, **said: float) -> State:
    """After so many halvings for errors."""
    state = begun(make)
    for number in range(times):
        state = LAW.step(state, make(20.0 + 10.0 * number, **{**ILL, **said}))
    return state


def test_does_not_double_before_a_minute_of_health(make_interval: Make) -> None:
    state = LAW.step(begun(make_interval), make_interval(59.0))
    assert state.rate_per_s == 10.0


def test_doubles_after_a_minute_of_health(make_interval: Make) -> None:
    state = LAW.step(begun(make_interval), make_interval(60.0))
    assert state.rate_per_s == 20.0


def test_illness_starts_the_minute_anew(make_interval: Make) -> None:
    state = LAW.step(begun(make_interval), make_interval(5.0, **ILL))
    assert LAW.step(state, make_interval(64.0)).rate_per_s == 10.0
    assert LAW.step(state, make_interval(65.0)).rate_per_s == 20.0


def test_does_not_double_what_nobody_waited_for(make_interval: Make) -> None:
    state = LAW.step(begun(make_interval), make_interval(60.0, held=0))
    assert state.rate_per_s == 10.0


def test_never_passes_what_holds_nothing_back(make_interval: Make) -> None:
    state = begun(make_interval)._replace(rate_per_s=0.9 * UNPACED_PER_S)
    assert LAW.step(state, make_interval(60.0)).rate_per_s == UNPACED_PER_S


def test_halves_on_errors(make_interval: Make) -> None:
    assert cut(make_interval, 1).rate_per_s == 5.0


def test_halves_on_latency_of_three_times_the_best(make_interval: Make) -> None:
    state = LAW.step(begun(make_interval), make_interval(20.0, mean_s=0.31))
    assert state.rate_per_s == 5.0


def test_the_best_latency_is_the_least_mean(make_interval: Make) -> None:
    state = LAW.step(begun(make_interval), make_interval(2.0, mean_s=0.05))
    assert state.base_s == 0.05


def test_the_best_latency_is_forgotten_in_hours(make_interval: Make) -> None:
    state = LAW.step(begun(make_interval), make_interval(61.0, span_s=60.0, mean_s=0.2))
    assert state.base_s == pytest.approx(0.1 * 1.006)


def test_a_second_halving_waits_for_the_first_to_show(make_interval: Make) -> None:
    state = LAW.step(cut(make_interval, 1), make_interval(29.0, **ILL))
    assert state.rate_per_s == 5.0


def test_backlog_is_cut_to_a_hundredth_before_fresh_is_touched(make_interval: Make) -> None:
    state = cut(make_interval, 4)
    assert (state.rate_per_s, state.fresh_in_flight_max) == (1.0, math.inf)


def test_fresh_is_halved_when_backlog_is_at_its_least(make_interval: Make) -> None:
    state = cut(make_interval, 5, peak=40)
    assert (state.rate_per_s, state.fresh_in_flight_max) == (1.0, 20.0)


def test_some_fresh_is_always_let_in(make_interval: Make) -> None:
    assert cut(make_interval, 20, peak=40).fresh_in_flight_max == 1.0


def test_fresh_comes_back_by_doubling_while_some_is_shed(make_interval: Make) -> None:
    state = LAW.step(cut(make_interval, 5, peak=40), make_interval(200.0, shed=1))
    assert (state.rate_per_s, state.fresh_in_flight_max) == (1.0, 40.0)


def test_fresh_is_free_again_once_none_was_shed(make_interval: Make) -> None:
    state = LAW.step(cut(make_interval, 5, peak=40), make_interval(200.0))
    assert (state.rate_per_s, state.fresh_in_flight_max) == (2.0, math.inf)


def test_an_opening_leads_back_to_the_first_rate(make_interval: Make) -> None:
    state = LAW.step(begun(make_interval), make_interval(60.0))
    opened = LAW.opened(state, now=61.0)
    assert opened.rate_per_s == pytest.approx(10.0, rel=1e-3)
    assert opened.fresh_in_flight_max == math.inf


def test_what_is_delivered_is_learnt_anew_after_an_opening(make_interval: Make) -> None:
    opened = LAW.opened(begun(make_interval), now=5.0)
    assert LAW.closed(opened, probes=3, now=30.0).delivered_per_s == 0.0


def test_fresh_that_opens_the_breaker_again_is_halved(make_interval: Make) -> None:
    state = LAW.step(begun(make_interval), make_interval(5.0, peak=40))
    closed = LAW.closed(LAW.opened(state, now=6.0), probes=3, now=30.0)
    assert LAW.opened(closed, now=40.0).fresh_in_flight_max == 20.0


def test_fresh_is_not_halved_for_probes_that_fail(make_interval: Make) -> None:
    state = LAW.step(begun(make_interval), make_interval(5.0, peak=40))
    closed = LAW.closed(LAW.opened(state, now=6.0), probes=3, now=30.0)
    opened = LAW.opened(closed, now=40.0)
    assert LAW.opened(opened, now=45.0).fresh_in_flight_max == 20.0


def test_fresh_is_not_halved_by_an_opening_long_after_the_last(make_interval: Make) -> None:
    state = LAW.step(begun(make_interval), make_interval(5.0, peak=40))
    closed = LAW.closed(LAW.opened(state, now=6.0), probes=3, now=30.0)
    assert LAW.opened(closed, now=90.0).fresh_in_flight_max == math.inf


def test_learns_no_latency_from_an_interval_without_any(make_interval: Make) -> None:
    state = LAW.step(LAW.start(now=0.0), make_interval(1.0, count=0))
    assert state.base_s == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"start_share": 1.1},
        {"least_share": 0.0},
        {"least_share": 0.2},
        {"double_s": 0.0},
        {"halve_s": 0.0},
        {"error_ratio_max": 1.1},
        {"slow_multiple": 1.0},
        {"rate_per_s_min": 0.0},
        {"rate_per_s_unlearnt": 0.0},
    ],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        DoublingGated(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a table of settings
