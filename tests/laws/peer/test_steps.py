"""Steps of a tenth, as Roblox admitted its players."""

from collections.abc import Callable

import pytest

from surgetank.control.evidence import Interval
from surgetank.control.peer.bound import UNPACED_PER_S
from surgetank.control.peer.steps import State, Steps
from surgetank.core.errors import InvalidInputError

LAW = Steps()
Make = Callable[..., Interval]


def learnt(make: Make) -> State:
    """After ten minutes of health at 2 answers a second, and an opening."""
    state = LAW.start(now=0.0)
    for number in range(20):
        state = LAW.step(state, make(30.0 * (number + 1), span_s=30.0))
    opened = LAW.opened(state, now=600.0)
    return LAW.closed(opened, probes=3, now=630.0)


def rates(make: Make, **said: float) -> list[float]:
    state, seen = learnt(make), list[float]()
    for number in range(1, 7):
        state = LAW.step(state, make(630.0 + 30.0 * number, span_s=30.0, **said))
        seen.append(state.rate_per_s)
    return seen


def test_steps_of_a_tenth_are_taken_after_each_healthy_minute(make_interval: Make) -> None:
    assert rates(make_interval) == pytest.approx([0.2, 0.4, 0.4, 0.6, 0.6, 0.8], rel=0.02)


def test_a_step_with_errors_is_not_followed_by_another(make_interval: Make) -> None:
    assert rates(make_interval, ok=50, bad=10) == pytest.approx([0.2] * 6, rel=0.02)


def test_ten_steps_are_the_whole_of_the_healthy_rate(make_interval: Make) -> None:
    state = learnt(make_interval)
    for number in range(9):
        state = LAW.step(state, make_interval(690.0 + 60.0 * number, ok=120, span_s=60.0))
    assert state.steps == 10
    assert state.rate_per_s == pytest.approx(2.0, rel=0.02)


def test_what_is_delivered_is_learnt_anew_after_an_opening(make_interval: Make) -> None:
    assert learnt(make_interval).delivered_per_s == 0.0


def test_an_opening_leads_back_to_the_first_step(make_interval: Make) -> None:
    state = LAW.step(learnt(make_interval), make_interval(700.0, span_s=30.0))
    assert state.steps == 2
    assert LAW.opened(state, now=710.0).steps == 1


def test_steps_end_where_nothing_is_held_back(make_interval: Make) -> None:
    law = Steps(rate_per_s_unlearnt=UNPACED_PER_S, step_share=1.0)
    state = law.step(law.start(now=0.0), make_interval(100.0, ok=0))
    assert (state.steps, state.rate_per_s) == (1, UNPACED_PER_S)


def test_takes_what_stands_for_a_healthy_rate_until_one_is_learnt() -> None:
    assert Steps(rate_per_s_unlearnt=7.0).start(now=0.0).rate_per_s == pytest.approx(0.7)


@pytest.mark.parametrize(
    "wrong",
    [
        {"step_share": 0.0},
        {"step_share": 1.1},
        {"step_s": 0.0},
        {"error_ratio_max": 1.1},
        {"rate_per_s_min": 0.0},
        {"rate_per_s_unlearnt": 0.0},
    ],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        Steps(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a table of settings
