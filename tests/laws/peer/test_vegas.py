"""VegasLimit of Netflix concurrency-limits: figures of its own `VegasLimitTest`, and around them."""

import math
from collections.abc import Callable

import pytest

from surgetank.control.evidence import Interval
from surgetank.control.peer.vegas import State, Vegas
from surgetank.core.errors import InvalidInputError

TEN = Vegas(limit_start=10, limit_max=20)
Make = Callable[..., Interval]


def after(law: Vegas, *windows: Interval) -> State:
    state = law.start(now=0.0)
    for window in windows:
        state = law.step(state, window)
    return state


def ten(make: Make, *, mean_s: float, peak: int = 14, bad: int = 0) -> float:
    """The limit from 10, once 10 ms are known to be the least latency."""
    first = make(1.0, mean_s=0.01, peak=10)
    second = make(2.0, mean_s=mean_s, peak=peak, bad=bad, throttled=bad)
    return after(TEN, first, second).in_flight_max


def test_the_first_window_only_shows_the_least_latency(make_interval: Make) -> None:
    state = after(TEN, make_interval(1.0, mean_s=0.01, peak=10))
    assert (state.in_flight_max, state.least_s) == (10.0, 0.01)


def test_grows_by_six_steps_without_a_queue(make_interval: Make) -> None:
    assert ten(make_interval, mean_s=0.01, peak=11) == 16.0


def test_steps_of_a_large_limit_are_of_its_logarithm(make_interval: Make) -> None:
    law = Vegas(limit_start=10_000, limit_max=20_000)
    windows = [make_interval(1.0 * at, mean_s=10.0, peak=5000 + 1000 * at) for at in range(2)]
    assert after(law, *windows).in_flight_max == 10_024.0


def test_shrinks_by_a_step_when_the_queue_passes_beta(make_interval: Make) -> None:
    assert ten(make_interval, mean_s=0.05, peak=11) == 9.0


def test_holds_between_alpha_and_beta(make_interval: Make) -> None:
    assert ten(make_interval, mean_s=0.014) == 10.0


def test_grows_by_a_step_below_alpha(make_interval: Make) -> None:
    assert ten(make_interval, mean_s=0.012) == 11.0


@pytest.mark.parametrize(
    ("mean_s", "expected"), [(0.1025, 2.0), (0.1035, 0.0), (0.105, 0.0), (0.107, -2.0)]
)
def test_a_limit_of_hundreds_has_thresholds_of_two_steps(
    make_interval: Make, mean_s: float, expected: float
) -> None:
    law = Vegas(limit_start=200)
    windows = [make_interval(1.0, mean_s=0.1), make_interval(2.0, mean_s=mean_s, peak=200)]
    assert after(law, *windows).in_flight_max - 200.0 == expected


def test_shrinks_by_a_step_on_a_drop(make_interval: Make) -> None:
    assert ten(make_interval, mean_s=0.0101, bad=1) == 9.0


def test_does_not_drift_upwards_while_less_than_half_is_used(make_interval: Make) -> None:
    assert ten(make_interval, mean_s=0.01, peak=4) == 10.0


def test_does_not_pass_its_greatest(make_interval: Make) -> None:
    windows = [make_interval(1.0 * at, mean_s=0.01) for at in range(4)]
    assert after(TEN, *windows).in_flight_max == 20.0


def test_does_not_fall_below_one(make_interval: Make) -> None:
    windows = [make_interval(1.0 * at, mean_s=0.01 + at, bad=1) for at in range(15)]
    assert after(TEN, *windows).limit == 1.0


def test_smoothing_makes_a_share_of_a_change(make_interval: Make) -> None:
    law = Vegas(limit_start=10, smoothing=0.5)
    windows = [make_interval(1.0 * at, mean_s=0.01) for at in range(2)]
    assert after(law, *windows).limit == 13.0


def test_a_lower_latency_is_the_new_least(make_interval: Make) -> None:
    state = after(TEN, make_interval(1.0, mean_s=0.01), make_interval(2.0, mean_s=0.009))
    assert (state.in_flight_max, state.least_s) == (10.0, 0.009)


def test_the_least_latency_is_taken_afresh_after_22_windows_per_call(make_interval: Make) -> None:
    law = Vegas(limit_start=2, limit_max=2)
    first = [make_interval(1.0, mean_s=0.01)]
    others = [make_interval(2.0 + at, mean_s=0.02) for at in range(44)]
    assert after(law, *first, *others[:-1]).least_s == 0.01
    state = after(law, *first, *others)
    assert (state.least_s, state.windows) == (0.02, 0)


def test_learns_nothing_from_a_window_without_latency(make_interval: Make) -> None:
    assert after(TEN, make_interval(1.0, count=0)) == TEN.start(now=0.0)


def test_can_be_told_to_spare_fresh() -> None:
    assert TEN.start(now=0.0).fresh_in_flight_max == 10.0
    assert Vegas(is_fresh_limited=False).start(now=0.0).fresh_in_flight_max == math.inf


def test_outlives_an_opening(make_interval: Make) -> None:
    state = after(TEN, make_interval(1.0))
    opened = TEN.opened(state, now=2.0)
    assert TEN.closed(opened, probes=3, now=30.0) == state


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout_s": 0.0},
        {"limit_start": 0},
        {"limit_start": 1001},
        {"limit_max": 2_000_000_000},
        {"alpha_steps": 0},
        {"beta_steps": 2},
        {"smoothing": 0.0},
        {"smoothing": 1.1},
    ],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        Vegas(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a table of settings
