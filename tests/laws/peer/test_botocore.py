"""botocore's adaptive retry mode: figures of its `test_throttling.py` and `test_adaptive.py`."""

from collections.abc import Callable

import pytest

from surgetank.control.evidence import Interval
from surgetank.control.peer import botocore
from surgetank.control.peer.botocore import Botocore, State
from surgetank.control.peer.bound import UNPACED_PER_S
from surgetank.core.errors import InvalidInputError

LAW = Botocore()
Make = Callable[..., Interval]


def at_rate(rate_per_s: float) -> State:
    """Unlimited so far, and measured at that rate for long."""
    return LAW.start(now=0.0)._replace(measured_per_s=rate_per_s)


def throttled(make: Make, rate_per_s: float, *, law: Botocore = LAW, at: float = 1.0) -> State:
    """At that rate, one answer was throttled."""
    calls = int(rate_per_s)
    window = make(at, ok=calls - 1, bad=1, throttled=1)
    return law.step(at_rate(rate_per_s), window)


def test_holds_nothing_back_before_the_first_throttled_answer(make_interval: Make) -> None:
    assert LAW.step(LAW.start(now=0.0), make_interval(1.0)).rate_per_s == UNPACED_PER_S


def test_other_errors_do_not_wake_it(make_interval: Make) -> None:
    state = LAW.step(LAW.start(now=0.0), make_interval(1.0, ok=0, bad=60))
    assert state.rate_per_s == UNPACED_PER_S


def test_cuts_to_seven_tenths_of_the_rate_that_was_throttled(make_interval: Make) -> None:
    state = throttled(make_interval, 8.0)
    assert [state.top_per_s, state.limit_per_s] == pytest.approx([8.0, 5.6])


@pytest.mark.parametrize(
    ("rate_per_s", "expected"), [(10.0, 1.9574338205844317), (8.0, 1.8171205928321397)]
)
def test_the_throttled_rate_is_reached_again_after_the_cube_root(
    make_interval: Make, rate_per_s: float, expected: float
) -> None:
    assert throttled(make_interval, rate_per_s).top_s == pytest.approx(expected)


def test_the_cube_begins_at_the_cut_rate(make_interval: Make) -> None:
    law = Botocore(beta=0.6)
    state = throttled(make_interval, 10.0, law=law)
    assert botocore.cubic(state, law.parameters(), 1.0) == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(1 / 3, 10.0 - 3.0 * (2 / 3) ** 3), (1.0, 10.0), (2.0, 13.0)],
    ids=["below", "at the top", "above"],
)
def test_the_rate_follows_the_cube_of_time(
    make_interval: Make, share: float, expected: float
) -> None:
    state = throttled(make_interval, 10.0)
    window = make_interval(1.0 + share * state.top_s, ok=10)
    assert LAW.step(state, window).limit_per_s == pytest.approx(expected)


def test_the_rate_is_at_most_twice_what_is_measured(make_interval: Make) -> None:
    state = throttled(make_interval, 20.0)
    assert LAW.step(state, make_interval(30.0, ok=20)).limit_per_s == pytest.approx(40.0)


def test_the_first_measure_counts_eight_tenths(make_interval: Make) -> None:
    assert LAW.step(LAW.start(now=0.0), make_interval(1.0, ok=1)).measured_per_s == 0.8


def test_measures_a_steady_rate(make_interval: Make) -> None:
    state = LAW.start(now=0.0)
    for number in range(20):
        state = LAW.step(state, make_interval(1.0 + number, ok=1))
    assert state.measured_per_s == pytest.approx(1.0)


def test_each_throttled_answer_cuts(make_interval: Make) -> None:
    state = LAW.step(at_rate(100.0), make_interval(1.0, ok=90, bad=10, throttled=10))
    assert state.limit_per_s == pytest.approx(100.0 * 0.7**10)
    assert state.top_per_s == pytest.approx(100.0 * 0.7**9)


def test_a_second_throttling_cuts_what_was_left(make_interval: Make) -> None:
    state = throttled(make_interval, 10.0)
    window = make_interval(1.0 + 1e-9, ok=0, bad=10, throttled=1, span_s=1.0)
    assert LAW.step(state, window).limit_per_s == pytest.approx(4.9)


def test_some_rate_is_always_left(make_interval: Make) -> None:
    state = LAW.step(at_rate(100.0), make_interval(1.0, ok=0, bad=100, throttled=100))
    assert state.rate_per_s == LAW.rate_per_s_min


def test_what_fresh_sends_is_taken_off_the_backlog(make_interval: Make) -> None:
    window = make_interval(2.0, ok=19, bad=1, throttled=1, backlog_ok=13, span_s=2.0)
    assert LAW.step(at_rate(10.0), window).rate_per_s == pytest.approx(4.0)


def test_outlives_an_opening(make_interval: Make) -> None:
    state = throttled(make_interval, 10.0)
    opened = LAW.opened(state, now=2.0)
    assert LAW.closed(opened, probes=3, now=30.0) == state


@pytest.mark.parametrize(
    "wrong", [{"beta": 0.0}, {"beta": 1.0}, {"scale": 0.0}, {"rate_per_s_min": 0.0}]
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        Botocore(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a table of settings
