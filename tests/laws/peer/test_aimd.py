"""AIMDLimit of Netflix concurrency-limits: figures of its own `AIMDLimitTest`, and around them."""

import math
from collections.abc import Callable

import pytest

from surgetank.control.evidence import Interval
from surgetank.control.peer.aimd import Aimd
from surgetank.core.errors import InvalidInputError

Make = Callable[..., Interval]


def after(law: Aimd, *windows: Interval) -> float:
    state = law.start(now=0.0)
    for window in windows:
        state = law.step(state, window)
    return state.in_flight_max


def test_begins_at_its_first_limit() -> None:
    assert after(Aimd(limit_start=10, limit_min=1)) == 10.0


def test_grows_by_one_on_success(make_interval: Make) -> None:
    assert after(Aimd(), make_interval(1.0, mean_s=0.001, peak=10)) == 21.0


def test_shrinks_by_a_tenth_on_a_drop(make_interval: Make) -> None:
    assert after(Aimd(limit_start=30), make_interval(1.0, bad=1, peak=0)) == 27.0


def test_does_not_pass_its_greatest(make_interval: Make) -> None:
    law = Aimd(limit_start=21, limit_min=1, limit_max=21)
    assert after(law, make_interval(1.0, mean_s=0.001, peak=20)) == 21.0


def test_does_not_fall_below_its_least(make_interval: Make) -> None:
    assert after(Aimd(limit_start=21), make_interval(1.0, bad=1)) == 20.0


def test_a_slow_window_is_a_drop(make_interval: Make) -> None:
    assert after(Aimd(limit_start=30), make_interval(1.0, mean_s=5.1)) == 27.0


def test_a_window_at_the_threshold_is_no_drop(make_interval: Make) -> None:
    assert after(Aimd(limit_start=30), make_interval(1.0, mean_s=5.0)) == 31.0


def test_does_not_grow_while_less_than_half_is_used(make_interval: Make) -> None:
    assert after(Aimd(), make_interval(1.0, peak=9)) == 20.0


def test_what_is_left_is_rounded_down(make_interval: Make) -> None:
    assert after(Aimd(limit_start=25), make_interval(1.0, bad=1)) == 22.0


def test_limits_fresh_too(make_interval: Make) -> None:
    state = Aimd().step(Aimd().start(now=0.0), make_interval(1.0))
    assert state.fresh_in_flight_max == 21.0


def test_can_be_told_to_spare_fresh(make_interval: Make) -> None:
    law = Aimd(is_fresh_limited=False)
    assert law.step(law.start(now=0.0), make_interval(1.0)).fresh_in_flight_max == math.inf


def test_outlives_an_opening(make_interval: Make) -> None:
    law = Aimd()
    state = law.step(law.start(now=0.0), make_interval(1.0))
    opened = law.opened(state, now=2.0)
    assert law.closed(opened, probes=3, now=30.0) == state


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout_s": 0.0},
        {"limit_min": 0},
        {"limit_start": 19},
        {"limit_start": 201},
        {"limit_max": 2_000_000_000},
        {"backoff_ratio": 0.4},
        {"backoff_ratio": 1.0},
        {"slow_s": 0.0},
    ],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        Aimd(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a table of settings
