"""What holds for every law, whatever it is told."""

import math
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.control.evidence import Interval
from surgetank.control.peer.aimd import Aimd
from surgetank.control.peer.bbr import Bbr
from surgetank.control.peer.botocore import Botocore
from surgetank.control.peer.bound import UNLIMITED, UNPACED_PER_S
from surgetank.control.peer.doubling import Doubling
from surgetank.control.peer.doubling_gated import DoublingGated
from surgetank.control.peer.failsafe import Failsafe
from surgetank.control.peer.gradient2 import Gradient2
from surgetank.control.peer.pi import Pi
from surgetank.control.peer.sdk import Sdk
from surgetank.control.peer.sre import Sre
from surgetank.control.peer.steps import Steps
from surgetank.control.peer.vegas import Vegas

LAWS = [
    Aimd(),
    Bbr(),
    Botocore(),
    Doubling(),
    DoublingGated(),
    Failsafe(),
    Gradient2(),
    Pi(),
    Sdk(),
    Sre(),
    Steps(),
    Vegas(),
]
DECISION = ("mode", "rate_per_s", "in_flight_max", "fresh_in_flight_max", "late_s")


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    """Any interval that evidence can yield; it ends when `play` says."""
    ok = draw(st.integers(0, 5000))
    bad = draw(st.integers(0 if ok else 1, 5000))
    count = draw(st.sampled_from([0, ok]))
    least, low, mean, high = sorted(
        draw(st.lists(st.floats(0.0, 100.0), min_size=4, max_size=4)) if count else [0.0] * 4
    )
    return Interval(
        ended_at=0.0,
        span_s=draw(st.floats(1e-3, 3600.0)),
        ok=ok,
        bad=bad,
        throttled=draw(st.integers(0, bad)),
        backlog_ok=draw(st.integers(0, ok)),
        backlog_bad=draw(st.integers(0, bad)),
        held=draw(st.integers(0, 1)),
        shed=draw(st.integers(0, 100)),
        in_flight_peak=draw(st.integers(0, 5000)),
        latency_count=count,
        latency_low_s=low,
        latency_high_s=high,
        latency_mean_s=mean,
        latency_least_s=least,
    )


def play(law: Any, story: list[Interval | None], *, now: float) -> list[Any]:
    """The states of a story, in which None is an opening and a closing of the breaker."""
    states = [law.start(now=now)]
    for event in story:
        if event is None:
            state = law.opened(states[-1], now=now)
            now += 30.0
            states.append(law.closed(state, probes=3, now=now))
        else:
            now += event.span_s
            states.append(law.step(states[-1], event._replace(ended_at=now)))
    return states


def numbers(state: Any) -> list[int | float]:
    """A state with its tuples laid flat."""
    flat = list[int | float]()
    for each in state:
        if isinstance(each, tuple):
            flat.extend(cast("tuple[float, ...]", each))
        else:
            flat.append(each)
    return flat


STORIES = st.lists(st.one_of(intervals(), st.none()), max_size=40)
NOWS = st.sampled_from([0.0, 1_770_000_000.0])


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@given(story=STORIES, now=NOWS)
def test_every_decision_lets_some_through_and_is_a_number(
    law: Any, story: list[Interval | None], now: float
) -> None:
    for state in play(law, story, now=now):
        assert 0.0 < state.rate_per_s <= UNPACED_PER_S
        assert 1.0 <= state.in_flight_max <= UNLIMITED
        assert state.fresh_in_flight_max >= 1.0
        assert state.late_s == math.inf


@pytest.mark.no_cover  # the one before traces the same
@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@given(story=STORIES, now=NOWS)
def test_a_state_neither_grows_nor_changes_its_types(
    law: Any, story: list[Interval | None], now: float
) -> None:
    first, *others = play(law, story, now=now)
    kinds = [type(number) for number in numbers(first)]
    assert all([type(number) for number in numbers(state)] == kinds for state in others)


@pytest.mark.no_cover  # the one before traces the same
@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@given(story=STORIES, now=NOWS)
def test_no_state_holds_what_is_not_a_number(
    law: Any, story: list[Interval | None], now: float
) -> None:
    states = play(law, story, now=now)
    assert not any(math.isnan(number) for state in states for number in numbers(state))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_a_state_begins_with_the_decision(law: Any) -> None:
    assert law.start(now=0.0)._fields[:5] == DECISION


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_settings_are_numbers_to_a_law(law: Any) -> None:
    assert all(type(number) in (int, float) for number in law.parameters())
