"""The laws of others do what their authors do, on the same interface."""

import math

import pytest

from surgetank.control.evidence import Interval
from surgetank.control.peer import UNPACED_PER_S, Doubling, Sdk, Steps
from surgetank.control.signal import Law, Release
from surgetank.core.errors import InvalidInputError


def interval(at: float, *, ok: int = 60, bad: int = 0, span_s: float = 30.0) -> Interval:
    return Interval(at, span_s, ok, bad, 0, 0, 0, ok, 0.1, 0.1)


def learnt(law: Law) -> Release:
    """After ten minutes of health at 2 answers a second, and an opening."""
    state = law.start(now=0.0)
    for number in range(20):
        state = law.step(state, interval(30.0 * (number + 1)))
    opened = law.opened(state, is_overload=True, now=600.0)
    return law.closed(opened, probes=3, now=630.0)


def rates(law: Law, intervals: list[Interval]) -> list[float]:
    state, seen = learnt(law), list[float]()
    for each in intervals:
        state = law.step(state, each)
        seen.append(round(state.rate_per_s, 6))
    return seen


def test_an_sdk_holds_nothing_back_whatever_happens() -> None:
    state = learnt(Sdk())
    assert state == Sdk().start(now=0.0)
    assert (state.rate_per_s, state.fresh_share) == (UNPACED_PER_S, 1.0)


def test_steps_of_a_tenth_are_taken_after_each_healthy_minute() -> None:
    healthy = [interval(630.0 + 30.0 * number) for number in range(1, 7)]
    assert rates(Steps(), healthy) == pytest.approx([0.2, 0.4, 0.4, 0.6, 0.6, 0.8])


def test_a_step_with_errors_is_not_followed_by_another() -> None:
    ill = [interval(630.0 + 30.0 * number, ok=50, bad=10) for number in range(1, 7)]
    assert rates(Steps(), ill) == pytest.approx([0.2] * 6)


def test_doubling_doubles_each_healthy_minute_and_halves_on_errors() -> None:
    intervals = [
        interval(660.0),
        interval(690.0),
        interval(750.0),
        interval(755.0, ok=50, bad=10, span_s=5.0),
        interval(761.0, ok=50, bad=10, span_s=6.0),
    ]
    assert rates(Doubling(), intervals) == pytest.approx([0.2, 0.4, 0.8, 0.8, 0.4])


def test_doubling_stays_between_its_bounds() -> None:
    law = Doubling()
    state = learnt(law)
    for number in range(200):
        state = law.step(state, interval(700.0 + 60.0 * (number + 1)))
    assert state.rate_per_s == UNPACED_PER_S
    for number in range(200):
        state = law.step(state, interval(20_000.0 + 60.0 * (number + 1), ok=0, bad=9))
    assert state.rate_per_s == law.learning.rate_per_s_min


@pytest.mark.parametrize("law", [Steps(), Doubling()])
def test_a_peer_without_a_healthy_rate_takes_the_one_that_stands_for_it(law: Law) -> None:
    state = law.start(now=0.0)
    assert state.rate_per_s == pytest.approx(0.1)
    assert state.late_s == math.inf


@pytest.mark.parametrize(
    ("law", "wrong"),
    [
        (Steps, {"step_share": 0.0}),
        (Steps, {"step_s": 0.0}),
        (Steps, {"error_ratio_max": 1.1}),
        (Doubling, {"start_share": 1.1}),
        (Doubling, {"double_s": 0.0}),
        (Doubling, {"halve_s": 0.0}),
        (Doubling, {"error_ratio_max": -0.1}),
    ],
)
def test_refuses_a_policy_that_cannot_work(
    law: type[Steps] | type[Doubling], wrong: dict[str, float]
) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        law(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a table of settings
