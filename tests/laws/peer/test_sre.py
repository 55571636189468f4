"""Client-side throttling of the SRE book: its equation, and what it says comes of it."""

import math
from collections.abc import Callable

import pytest

from surgetank.control.evidence import Interval
from surgetank.control.peer.sre import Sre, State, rejection_probability
from surgetank.core.errors import InvalidInputError

LAW = Sre()
Make = Callable[..., Interval]


@pytest.mark.parametrize(
    ("requests", "accepts", "multiplier", "expected"),
    [
        (0.0, 0.0, 2.0, 0.0),
        (100.0, 100.0, 2.0, 0.0),
        (100.0, 50.0, 2.0, 0.0),
        (100.0, 25.0, 2.0, 50.0 / 101.0),
        (100.0, 0.0, 2.0, 100.0 / 101.0),
        (110.0, 100.0, 1.1, 0.0),
        (121.0, 100.0, 1.1, 11.0 / 122.0),
    ],
)
def test_rejects_with_the_probability_of_the_equation(
    requests: float, accepts: float, multiplier: float, expected: float
) -> None:
    assert rejection_probability(requests, accepts, multiplier) == pytest.approx(expected)


def settled(law: Sre, make: Make, *, capacity_per_s: float) -> float:
    """What a backlog sends, calls per second, to a backend that turns the rest away."""
    state = law.start(now=0.0)
    for second in range(1, 1000):
        sent = math.floor(state.rate_per_s)
        ok = int(min(sent, capacity_per_s))
        window = make(1.0 * second, ok=ok, bad=sent - ok, throttled=sent - ok)
        state = law.step(state, window)
    return state.rate_per_s


@pytest.mark.parametrize(("multiplier", "expected"), [(2.0, 200.0), (1.1, 110.0)])
def test_settles_at_the_multiple_of_what_is_accepted(
    make_interval: Make, multiplier: float, expected: float
) -> None:
    law = Sre(multiplier=multiplier, rate_per_s_start=300.0)
    rate_per_s = settled(law, make_interval, capacity_per_s=100.0)
    assert rate_per_s == pytest.approx(expected, rel=0.01)


def minutes(make: Make, **said: float) -> State:
    """Two minutes and a half of the same second."""
    state = LAW.start(now=0.0)
    for second in range(1, 151):
        state = LAW.step(state, make(1.0 * second, **said))
    return state


def test_begins_at_its_first_rate() -> None:
    assert Sre(rate_per_s_start=7.0).start(now=0.0).rate_per_s == 7.0


def test_counts_what_was_accepted_since_it_began(make_interval: Make) -> None:
    state = LAW.step(LAW.start(now=0.0), make_interval(10.0, ok=50, span_s=10.0))
    assert state.rate_per_s == pytest.approx((1.0 + 2.0 * 50.0) / 10.0)


def test_forgets_after_two_minutes(make_interval: Make) -> None:
    state = minutes(make_interval, ok=100)
    later = LAW.step(state, make_interval(271.0, ok=0, bad=5))
    assert later.accepts == (0.0,) * 12


def test_remembers_for_nearly_two_minutes(make_interval: Make) -> None:
    state = minutes(make_interval, ok=100)
    later = LAW.step(state, make_interval(255.0, ok=0, bad=5))
    assert sum(later.accepts) == 100.0 * 11


def test_asks_once_in_two_minutes_when_nothing_is_accepted(make_interval: Make) -> None:
    state = minutes(make_interval, ok=0, bad=60)
    assert state.rate_per_s == pytest.approx(1.0 / 120.0, rel=0.1)


def test_what_fresh_sends_is_taken_off_the_backlog(make_interval: Make) -> None:
    state = minutes(make_interval, ok=100, backlog_ok=60)
    assert state.rate_per_s == pytest.approx(2.0 * 100.0 - 40.0, rel=0.01)


def test_fresh_is_not_shed_while_half_of_it_is_accepted(make_interval: Make) -> None:
    state = minutes(make_interval, ok=50, bad=50, throttled=50, backlog_ok=0, backlog_bad=0)
    assert state.fresh_in_flight_max == math.inf


def test_fresh_beyond_twice_what_is_accepted_is_shed(make_interval: Make) -> None:
    state = minutes(make_interval, ok=10, shed=90, backlog_ok=0, mean_s=0.5)
    assert state.fresh_in_flight_max == pytest.approx(2.0 * 10.0 * 0.5, rel=0.02)


def test_fresh_that_was_shed_was_tried_as_well_as_that_which_failed(make_interval: Make) -> None:
    said = {"ok": 10, "bad": 50, "throttled": 50, "backlog_ok": 0, "backlog_bad": 0, "shed": 40}
    state = minutes(make_interval, **said)
    assert sum(state.fresh) == pytest.approx(100.0 * sum(state.accepts) / 10.0)


def test_fresh_is_not_shed_by_an_unknown_latency(make_interval: Make) -> None:
    state = minutes(make_interval, ok=10, shed=90, backlog_ok=0, count=0)
    assert state.fresh_in_flight_max == math.inf


def test_some_fresh_is_always_let_in(make_interval: Make) -> None:
    state = minutes(make_interval, ok=0, bad=9, throttled=9, backlog_bad=0)
    assert state.fresh_in_flight_max == 1.0


def test_outlives_an_opening(make_interval: Make) -> None:
    state = minutes(make_interval, ok=10)
    opened = LAW.opened(state, now=151.0)
    assert LAW.closed(opened, probes=3, now=180.0) == state


@pytest.mark.parametrize(
    "wrong",
    [{"timeout_s": 0.0}, {"multiplier": 0.9}, {"history_s": 0.0}, {"rate_per_s_start": 0.0}],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        Sre(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a table of settings
