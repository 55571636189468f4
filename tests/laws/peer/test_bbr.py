"""BBR version 1 on calls: the states, gains and filters of its draft."""

from collections.abc import Callable

import pytest

from surgetank.control.evidence import Interval
from surgetank.control.peer.bbr import HIGH_GAIN, Bbr, Mode, State
from surgetank.core.errors import InvalidInputError

LAW = Bbr()
Make = Callable[..., Interval]
RATE_PER_S = 200.0
LATENCY_S = 0.1


def delivering(make: Make, state: State, rates: list[float], *, at: float = 0.0) -> State:
    """Seconds in which the backlog got that many answers."""
    for number, rate in enumerate(rates):
        state = LAW.step(state, make(at + 1.0 + number, ok=int(rate), mean_s=LATENCY_S, peak=60))
    return state


def full(make: Make) -> State:
    """Just in PROBE_BW: the path delivers 200 calls a second in 0.1 s each."""
    state = delivering(make, LAW.start(now=1.0), [RATE_PER_S] * 4, at=1.0)
    assert state.mode == Mode.PROBE_BW
    return state


def test_begins_with_ten_calls_as_if_latency_were_a_millisecond() -> None:
    state = LAW.start(now=0.0)
    assert (state.mode, state.in_flight_max) == (Mode.STARTUP, 10.0)
    assert state.rate_per_s == pytest.approx(HIGH_GAIN * 10.0 / 0.001)


def test_the_first_latency_sets_the_first_pace(make_interval: Make) -> None:
    state = LAW.step(LAW.start(now=0.0), make_interval(1.0, ok=4, mean_s=0.1))
    assert state.rate_per_s == pytest.approx(HIGH_GAIN * 10.0 / 0.1)


def test_startup_paces_at_nearly_three_times_what_is_delivered(make_interval: Make) -> None:
    state = delivering(make_interval, LAW.start(now=0.0), [100.0, 200.0])
    assert state.rate_per_s == pytest.approx(2.885 * 200.0, rel=1e-3)


def test_startup_does_not_slow_down(make_interval: Make) -> None:
    state = delivering(make_interval, LAW.start(now=0.0), [200.0, 300.0, 100.0])
    assert state.rate_per_s == pytest.approx(2.885 * 300.0, rel=1e-3)


def test_startup_goes_on_while_a_quarter_more_is_delivered(make_interval: Make) -> None:
    rates = [64.0, 80.0, 100.0, 125.0, 157.0, 197.0, 247.0, 247.0, 247.0]
    state = delivering(make_interval, LAW.start(now=0.0), rates)
    assert (state.mode, state.is_full) == (Mode.STARTUP, 0)


def test_startup_ends_after_three_rounds_without_a_quarter_more(make_interval: Make) -> None:
    state = delivering(make_interval, LAW.start(now=0.0), [100.0, 110.0, 120.0])
    assert state.is_full == 0
    assert delivering(make_interval, state, [124.0], at=3.0).is_full == 1


def test_a_rate_that_nobody_had_work_for_does_not_end_startup(make_interval: Make) -> None:
    state = delivering(make_interval, LAW.start(now=0.0), [100.0])
    for number in range(5):
        state = LAW.step(state, make_interval(2.0 + number, ok=50, held=0))
    assert (state.full_rounds, state.most_per_s) == (0, 100.0)


def test_a_rate_that_nobody_had_work_for_counts_upwards(make_interval: Make) -> None:
    state = delivering(make_interval, LAW.start(now=0.0), [100.0])
    assert LAW.step(state, make_interval(2.0, ok=150, held=0)).most_per_s == 150.0


def test_drain_paces_at_the_inverse_of_startup(make_interval: Make) -> None:
    state = delivering(make_interval, LAW.start(now=0.0), [RATE_PER_S] * 3)
    queued = make_interval(4.0, ok=200, mean_s=0.5, peak=100)
    drained = LAW.step(state, queued)
    assert drained.mode == Mode.DRAIN
    assert drained.rate_per_s == pytest.approx(RATE_PER_S / 2.885, rel=1e-3)


def test_drain_ends_when_no_more_is_in_flight_than_the_path_holds(make_interval: Make) -> None:
    state = delivering(make_interval, LAW.start(now=0.0), [RATE_PER_S] * 3)
    state = LAW.step(state, make_interval(4.0, ok=200, mean_s=0.5, peak=100))
    holds_s = LATENCY_S + 3.0 / RATE_PER_S
    above = make_interval(5.0, ok=200, mean_s=holds_s + 0.01, peak=100)
    assert LAW.step(state, above).mode == Mode.DRAIN
    at = make_interval(5.0, ok=200, mean_s=holds_s - 0.001, peak=100)
    assert LAW.step(state, at).mode == Mode.PROBE_BW


def gains(make: Make, count: int, **said: float) -> list[float]:
    """Of the pace on what is delivered, interval by interval, from the first of PROBE_BW."""
    state, seen = full(make), list[float]()
    for number in range(count):
        seen.append(round(state.rate_per_s / RATE_PER_S, 6))
        window = make(5.2 + 0.2 * number, ok=40, span_s=0.2, mean_s=LATENCY_S, peak=60, **said)
        state = LAW.step(state, window)
    return seen


def test_the_gain_goes_through_eight_phases(make_interval: Make) -> None:
    cycle = [1.0] * 6 + [1.25, 0.75]
    assert gains(make_interval, 16) == cycle * 2


def test_probing_up_waits_until_more_is_in_flight(make_interval: Make) -> None:
    state = full(make_interval)._replace(phase=0, phase_at=5.0)
    low = make_interval(5.2, ok=40, span_s=0.2, mean_s=LATENCY_S, peak=27)
    assert LAW.step(state, low).phase == 0
    assert LAW.step(state, low._replace(in_flight_peak=28)).phase == 1


def test_probing_up_ends_at_a_loss(make_interval: Make) -> None:
    state = full(make_interval)._replace(phase=0, phase_at=5.0)
    lossy = make_interval(5.2, ok=40, bad=1, span_s=0.2, mean_s=LATENCY_S, peak=20)
    assert LAW.step(state, lossy).phase == 1


def test_a_phase_lasts_a_round_trip(make_interval: Make) -> None:
    state = full(make_interval)._replace(phase=3, phase_at=5.0)
    early = make_interval(5.09, ok=18, span_s=0.09, mean_s=LATENCY_S, peak=20)
    assert LAW.step(state, early).phase == 3


def test_probing_down_ends_early_once_the_queue_is_gone(make_interval: Make) -> None:
    state = full(make_interval)._replace(phase=1, phase_at=5.0)
    early = make_interval(5.09, ok=18, span_s=0.09, mean_s=LATENCY_S, peak=20)
    assert LAW.step(state, early).phase == 2


def test_twice_what_the_path_holds_and_three_may_be_in_flight(make_interval: Make) -> None:
    assert full(make_interval).in_flight_max == pytest.approx(2.0 * RATE_PER_S * LATENCY_S + 3.0)


def test_the_window_grows_by_no_more_than_was_answered(make_interval: Make) -> None:
    state = full(make_interval)._replace(window=20.0)
    seen = LAW.step(state, make_interval(5.2, ok=7, span_s=0.2, mean_s=LATENCY_S, peak=20))
    assert seen.in_flight_max == 27.0


def test_startup_does_not_narrow_the_window(make_interval: Make) -> None:
    state = delivering(make_interval, LAW.start(now=0.0), [100.0])._replace(window=90.0)
    assert LAW.step(state, make_interval(2.0, ok=100, mean_s=LATENCY_S)).in_flight_max == 90.0


def test_four_may_always_be_in_flight(make_interval: Make) -> None:
    state = full(make_interval)
    for number in range(12):
        state = LAW.step(state, make_interval(5.2 + 0.2 * number, ok=0, bad=0, span_s=0.2))
    assert (state.most_per_s, state.in_flight_max) == (0.0, 4.0)


def test_the_greatest_delivery_is_forgotten_after_ten_rounds(make_interval: Make) -> None:
    state = delivering(make_interval, full(make_interval), [100.0] * 9, at=5.0)
    assert state.most_per_s == RATE_PER_S
    assert delivering(make_interval, state, [100.0], at=14.0).most_per_s == 100.0


def test_intervals_within_a_round_trip_are_one_round(make_interval: Make) -> None:
    state = full(make_interval)._replace(least_s=0.5)
    for number in range(2):
        window = make_interval(5.2 + 0.2 * number, ok=60 - 10 * number, span_s=0.2, mean_s=0.5)
        state = LAW.step(state, window)
    assert state.rounds_per_s[-1] == pytest.approx(300.0)
    assert state.rounds_per_s[-2] == RATE_PER_S


def stale(make: Make, *, until: float) -> State:
    """Latency has been above the least since 5 s, looked at every half second."""
    state, at = full(make), 5.0
    while at < until:
        at += 0.5
        state = LAW.step(state, make(at, ok=100, span_s=0.5, mean_s=0.12, peak=60))
    return state


def test_the_least_latency_is_probed_with_four_calls_after_ten_seconds(make_interval: Make) -> None:
    assert stale(make_interval, until=15.0).mode == Mode.PROBE_BW
    state = stale(make_interval, until=15.5)
    assert (state.mode, state.in_flight_max) == (Mode.PROBE_RTT, 4.0)


def test_probing_latency_lasts_a_fifth_of_a_second_and_a_round_trip(make_interval: Make) -> None:
    state = stale(make_interval, until=15.5)
    early = make_interval(15.8, ok=6, span_s=0.3, mean_s=0.11, peak=4)
    assert LAW.step(state, early).mode == Mode.PROBE_RTT
    late = early._replace(ended_at=15.83)
    assert LAW.step(state, late).mode == Mode.PROBE_BW


def test_probing_latency_restores_the_window_and_says_nothing_of_the_rate(
    make_interval: Make,
) -> None:
    state = stale(make_interval, until=15.5)
    seen = LAW.step(state, make_interval(16.0, ok=6, span_s=0.5, mean_s=0.11, peak=4))
    assert (seen.most_per_s, seen.least_s) == (RATE_PER_S, 0.11)
    assert seen.in_flight_max == pytest.approx(2.0 * RATE_PER_S * 0.11 + 3.0)


def test_latency_probed_during_startup_leads_back_to_it(make_interval: Make) -> None:
    state = delivering(make_interval, LAW.start(now=0.0), [100.0])
    state = LAW.step(state, make_interval(12.0, ok=50, held=0, mean_s=0.2))
    assert state.mode == Mode.PROBE_RTT
    assert LAW.step(state, make_interval(13.0, ok=50, held=0)).mode == Mode.STARTUP


def test_one_call_is_in_flight_after_all_were_lost(make_interval: Make) -> None:
    state = LAW.step(full(make_interval), make_interval(5.5, ok=0, bad=9, span_s=0.5))
    assert state.in_flight_max == 1.0
    nothing = make_interval(5.5, ok=0, span_s=0.5)
    assert LAW.step(full(make_interval), nothing).in_flight_max > 1.0
    back = LAW.step(state, make_interval(6.0, ok=100, span_s=0.5, mean_s=LATENCY_S))
    assert back.in_flight_max == pytest.approx(43.0)


def test_what_fresh_sends_is_taken_off_the_backlog(make_interval: Make) -> None:
    window = make_interval(7.0, ok=400, backlog_ok=300, span_s=2.0, mean_s=LATENCY_S)
    assert LAW.step(full(make_interval), window).rate_per_s == pytest.approx(RATE_PER_S - 50.0)


def test_some_pace_is_always_left(make_interval: Make) -> None:
    window = make_interval(6.0, ok=200, bad=100, backlog_ok=0, backlog_bad=0, mean_s=LATENCY_S)
    assert LAW.step(full(make_interval), window).rate_per_s == LAW.rate_per_s_min


def test_after_an_opening_it_goes_on_at_the_rate_it_knew(make_interval: Make) -> None:
    state = full(make_interval)
    opened = LAW.opened(state, now=6.0)
    closed = LAW.closed(opened, probes=3, now=60.0)
    assert (closed.rate_per_s, closed.in_flight_max) == (state.rate_per_s, state.in_flight_max)
    later = LAW.step(closed, make_interval(60.5, ok=100, span_s=0.5, mean_s=0.2))
    assert later.mode == Mode.PROBE_BW


@pytest.mark.parametrize("wrong", [{"window_start": 3}, {"rate_per_s_min": 0.0}])
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        Bbr(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a table of settings
