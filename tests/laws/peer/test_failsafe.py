"""The adaptive limiter of failsafe-go: figures of its own tests, and around them."""

import math
from collections.abc import Callable

import pytest

from surgetank.control.evidence import Interval
from surgetank.control.peer import failsafe
from surgetank.control.peer.failsafe import CORRELATION_WINDOWS, Failsafe, Kind, State
from surgetank.core.errors import InvalidInputError

LAW = Failsafe(recent_windows=1)
Make = Callable[..., Interval]


def after(law: Failsafe, state: State, *windows: Interval) -> State:
    for window in windows:
        state = law.step(state, window)
    return state


def warm() -> State:
    """With a baseline of 1 s; nothing else of the ten windows is left, as in the original's test."""
    state = LAW.start(now=0.0)._replace(windows=10, baseline_s=1.0)
    return remembering(state, [1.0], [1.0])


def remembering(state: State, peaks: list[float], latencies_s: list[float]) -> State:
    """With these last windows, and the first of them repeated before."""
    missing = CORRELATION_WINDOWS - len(peaks)
    return state._replace(
        peaks=(*[peaks[0]] * missing, *peaks),
        latencies_s=(*[latencies_s[0]] * missing, *latencies_s),
    )


def seen(peaks: list[float], latencies_s: list[float]) -> State:
    state = remembering(LAW.start(now=0.0), peaks, latencies_s)
    return state._replace(windows=len(peaks))


def test_begins_at_twenty() -> None:
    assert Failsafe().start(now=0.0).in_flight_max == 20.0


def test_filters_and_smooths_the_high_latency(make_interval: Make) -> None:
    law = Failsafe()
    windows = [make_interval(1.0, high_s=high_s) for high_s in (0.1, 0.3, 0.2, 0.2, 0.25)]
    assert after(law, law.start(now=0.0), *windows).recent_s == pytest.approx(0.2)


def test_averages_forget_after_the_first_ten_windows(make_interval: Make) -> None:
    law = Failsafe()
    windows = [make_interval(1.0, high_s=0.1)] * 10 + [make_interval(1.0, high_s=0.4)] * 3
    state = after(law, law.start(now=0.0), *windows)
    recent_s = 0.1 + 0.3 * 2.0 / 6.0  # The median of five follows in the third window.
    assert state.recent_s == pytest.approx(recent_s)
    assert state.baseline_s == pytest.approx(0.1 + (recent_s - 0.1) * 2.0 / 11.0)


def test_the_limit_grows_while_latency_is_at_its_baseline_or_below(make_interval: Make) -> None:
    first = LAW.step(warm(), make_interval(1.0, high_s=1.0, peak=5))
    assert first.in_flight_max == 21.0
    assert LAW.step(first, make_interval(2.0, high_s=0.5, peak=5)).in_flight_max == 22.0


def test_the_limit_shrinks_while_latency_is_twice_its_baseline(make_interval: Make) -> None:
    first = LAW.step(warm(), make_interval(1.0, high_s=2.0, peak=10))
    assert first.in_flight_max == 19.0
    assert LAW.step(first, make_interval(2.0, high_s=2.0, peak=10)).in_flight_max == 18.0


def test_the_limit_holds_while_latency_is_a_little_above_its_baseline(make_interval: Make) -> None:
    first = LAW.step(warm(), make_interval(1.0, high_s=1.3, peak=10))
    assert first.in_flight_max == 20.0
    assert LAW.step(first, make_interval(2.0, high_s=1.3, peak=10)).in_flight_max == 20.0


def test_grows_to_five_times_what_is_in_flight_and_no_further(make_interval: Make) -> None:
    state = after(LAW, warm(), *[make_interval(1.0, high_s=1.0, peak=5)] * 9)
    assert state.in_flight_max == 25.0


def test_falls_gradually_to_five_times_what_is_in_flight(make_interval: Make) -> None:
    state = LAW.step(warm(), make_interval(1.0, high_s=1.0, peak=1))
    assert state.in_flight_max == 19.0


def test_stays_between_its_bounds(make_interval: Make) -> None:
    slow = [make_interval(1.0, high_s=2.0 ** (at + 1)) for at in range(30)]
    assert after(LAW, warm(), *slow).in_flight_max == 1.0
    top = warm()._replace(limit=200.0, in_flight_max=200.0)
    assert LAW.step(top, make_interval(1.0, high_s=1.0, peak=100)).in_flight_max == 200.0


@pytest.mark.parametrize(
    ("values", "expected"),
    [((5.0, 2.0, 8.0, 1.0, 9.0), 5.0), ((1.0, 1.0, 1.0, 2.0, 3.0), 1.0), ((3.0,) * 5, 3.0)],
)
def test_the_median_is_of_five(values: tuple[float, ...], expected: float) -> None:
    assert failsafe.median(values) == expected


@pytest.mark.parametrize(
    ("peaks", "latencies_s", "expected"),
    [
        ([1.0, 2.0, 3.0], [10.0, 20.0, 30.0], 1.0),
        ([1.0, 2.0, 3.0], [30.0, 20.0, 10.0], -1.0),
        ([100.0, 100.1, 100.05], [200.0, 200.1, 200.05], 0.0),
        ([1.0, 2.0, 3.0], [200.0, 200.1, 200.05], 0.0),
        ([3.0, 4.0, 5.0], [30.0, 40.0, 50.0], 1.0),
    ],
)
def test_correlates_concurrency_with_latency(
    peaks: list[float], latencies_s: list[float], expected: float
) -> None:
    correlation = failsafe.correlation(seen(peaks, latencies_s), Kind.LATENCY.value)
    assert correlation == pytest.approx(expected)


@pytest.mark.parametrize(
    ("peaks", "expected"),
    [([5.0, 10.0], 0.3333), ([10.0, 15.0, 20.0], 0.2722), ([10.0, 20.0, 30.0], 0.4082)],
)
def test_spread_is_the_deviation_as_a_share_of_the_mean(
    peaks: list[float], expected: float
) -> None:
    spread = failsafe.spread(seen(peaks, peaks), Kind.CONCURRENCY.value)
    assert spread == pytest.approx(expected, abs=1e-4)


RISING = [float(20 + number) for number in range(12)]


@pytest.mark.parametrize(
    ("latencies_s", "is_overloaded"),
    [
        ([(peak / 20.0) ** 2 for peak in RISING], True),  # throughput falls
        ([peak / 20.0 for peak in RISING], True),  # it stands still, and latency is paid
        ([(peak / 20.0) ** 0.5 for peak in RISING], True),  # it rises, but hardly
        ([1.0 for _ in RISING], False),  # it rises, and nothing is paid
    ],
    ids=["less", "none", "little", "all"],
)
def test_more_concurrency_must_bring_more_throughput(
    latencies_s: list[float], *, is_overloaded: bool
) -> None:
    assert failsafe.is_overloaded(seen(RISING, latencies_s)) is is_overloaded


NOISE = [1.0, -1.0, 1.0, -1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0, -1.0]
"""Hardly correlates with what rises steadily."""


@pytest.mark.parametrize(
    ("depth", "is_overloaded"), [(0.05, False), (0.1, True)], ids=["noisy", "steady"]
)
def test_latency_must_rise_with_concurrency_to_be_paid_for_it(
    depth: float, *, is_overloaded: bool
) -> None:
    rise = [0.1 * (number + 1) * depth for number in range(12)]
    latencies_s = [1.0 + up + 0.05 * noise for up, noise in zip(rise, NOISE, strict=True)]
    assert failsafe.is_overloaded(seen(RISING, latencies_s)) is is_overloaded


def test_throughput_that_rises_much_outweighs_latency() -> None:
    peaks = [10.0 * 1.4**number for number in range(12)]
    latencies_s = [1.0 + 0.05 * number for number in range(12)]
    assert not failsafe.is_overloaded(seen(peaks, latencies_s))


def test_nothing_is_correlated_in_the_first_nine_windows() -> None:
    state = seen(RISING[:9], [(peak / 20.0) ** 2 for peak in RISING[:9]])
    assert not failsafe.is_overloaded(state)


@pytest.mark.parametrize(("peak", "expected"), [(20, 19.0), (19, 21.0)], ids=["full", "not full"])
def test_only_a_full_limit_shrinks_for_want_of_throughput(
    make_interval: Make, peak: int, expected: float
) -> None:
    peaks = [float(9 + number) for number in range(12)]
    latencies_s = [0.01 * each * each for each in peaks]
    state = remembering(warm()._replace(windows=12, baseline_s=5.0), peaks, latencies_s)
    assert LAW.step(state, make_interval(1.0, high_s=4.0, peak=peak)).in_flight_max == expected


def test_an_interval_without_a_success_changes_nothing(make_interval: Make) -> None:
    assert LAW.step(warm(), make_interval(1.0, ok=0, bad=60)) == warm()


def test_can_be_told_to_spare_fresh() -> None:
    assert LAW.start(now=0.0).fresh_in_flight_max == 20.0
    assert Failsafe(is_fresh_limited=False).start(now=0.0).fresh_in_flight_max == math.inf


def test_outlives_an_opening() -> None:
    opened = LAW.opened(warm(), now=2.0)
    assert LAW.closed(opened, probes=3, now=30.0) == warm()


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit_min": 2, "limit_max": 1},
        {"limit_start": 0},
        {"limit_min": 2, "limit_start": 1},
        {"limit_start": 201},
        {"limit_max": 2_000_000_000},
        {"limit_multiple": 0.5},
        {"recent_windows": 0},
        {"baseline_windows": 4},
    ],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        Failsafe(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a table of settings
