"""Doubling by the clock, with an operator who brakes on errors."""

from collections.abc import Callable

import pytest

from surgetank.control.evidence import Interval
from surgetank.control.peer.bound import UNPACED_PER_S
from surgetank.control.peer.doubling import Doubling, State
from surgetank.core.errors import InvalidInputError

LAW = Doubling()
Make = Callable[..., Interval]


def learnt(make: Make) -> State:
    """After ten minutes of health at 2 answers a second, and an opening."""
    state = LAW.start(now=0.0)
    for number in range(20):
        state = LAW.step(state, make(30.0 * (number + 1), span_s=30.0))
    opened = LAW.opened(state, now=600.0)
    return LAW.closed(opened, probes=3, now=630.0)


def rates(state: State, intervals: list[Interval]) -> list[float]:
    seen = list[float]()
    for each in intervals:
        state = LAW.step(state, each)
        seen.append(state.rate_per_s)
    return seen


def test_doubles_each_minute(make_interval: Make) -> None:
    story = [make_interval(630.0 + 30.0 * number, span_s=30.0) for number in range(1, 6)]
    expected = [0.2, 0.4, 0.4, 0.8, 0.8]
    assert rates(learnt(make_interval), story) == pytest.approx(expected, rel=0.02)


def test_halves_on_errors_but_not_faster_than_it_can_see_them(make_interval: Make) -> None:
    ats = (641.0, 646.0, 652.0)
    story = [make_interval(at, ok=50, bad=10, span_s=5.0) for at in ats]
    expected = [0.1, 0.1, 0.05]
    assert rates(learnt(make_interval), story) == pytest.approx(expected, rel=0.02)


def test_doubles_by_the_clock_however_slow_the_answers(make_interval: Make) -> None:
    story = [make_interval(690.0, span_s=60.0, mean_s=9.0)]
    assert rates(learnt(make_interval), story) == pytest.approx([0.4], rel=0.02)


def test_stays_between_its_bounds(make_interval: Make) -> None:
    state = learnt(make_interval)
    for number in range(200):
        state = LAW.step(state, make_interval(700.0 + 60.0 * (number + 1)))
    assert state.rate_per_s == UNPACED_PER_S
    for number in range(200):
        state = LAW.step(state, make_interval(20_000.0 + 60.0 * (number + 1), ok=0, bad=9))
    assert state.rate_per_s == LAW.rate_per_s_min


def test_what_is_delivered_is_learnt_anew_after_an_opening(make_interval: Make) -> None:
    assert learnt(make_interval).delivered_per_s == 0.0


def test_an_opening_leads_back_to_the_first_rate(make_interval: Make) -> None:
    state = LAW.step(learnt(make_interval), make_interval(700.0))
    assert state.rate_per_s == pytest.approx(0.4, rel=0.02)
    opened = LAW.opened(state, now=710.0)
    assert opened.rate_per_s == pytest.approx(0.1 * state.healthy_per_s)


def test_takes_what_stands_for_a_healthy_rate_until_one_is_learnt() -> None:
    assert Doubling(rate_per_s_unlearnt=7.0).start(now=0.0).rate_per_s == pytest.approx(0.7)


@pytest.mark.parametrize(
    "wrong",
    [
        {"start_share": 0.0},
        {"start_share": 1.1},
        {"double_s": 0.0},
        {"halve_s": 0.0},
        {"error_ratio_max": -0.1},
        {"rate_per_s_min": 0.0},
        {"rate_per_s_unlearnt": 0.0},
    ],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        Doubling(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a table of settings
