"""The adaptive law: it learns in health, yields to delay and errors, and always comes back."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.control.evidence import Interval
from surgetank.control.release import ReleasePolicy
from surgetank.control.signal import FLOOR_MAX, Mode, Release
from surgetank.core.errors import InvalidInputError

POLICY = ReleasePolicy()


def interval(
    at: float,
    *,
    ok: int = 120,
    bad: int = 0,
    backlog: int = 60,
    held: int = 1,
    span_s: float = 6.0,
    low_s: float = 0.1,
) -> Interval:
    return Interval(at, span_s, ok, bad, min(ok, backlog), 0, held, ok, low_s, low_s)


def play(state: Release, intervals: Sequence[Interval]) -> Release:
    for each in intervals:
        state = POLICY.step(state, each)
    return state


def many(count: int, *, start: float = 0.0, **what: float) -> list[Interval]:
    span_s = what.get("span_s", 6.0)
    return [
        interval(start + span_s * (number + 1), **what)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a table of mixed numbers
        for number in range(count)
    ]


def cruising() -> Release:
    """In CRUISE at some 10 calls a second of backlog, with a baseline of 0.1 s."""
    state = play(POLICY.start(now=0.0), many(20))
    state = play(state, many(1, start=120.0, low_s=0.5))
    assert state.mode == Mode.DRAIN
    state = play(state, many(4, start=126.0))
    assert state.mode == Mode.CRUISE
    return state


def after_opening(state: Release, *, at: float) -> Release:
    opened = POLICY.opened(state, is_overload=False, now=at)
    return POLICY.closed(opened, probes=3, now=at + 30.0)


def test_starts_healthy_for_a_dependency_never_seen() -> None:
    state = POLICY.start(now=7.0)
    assert (state.mode, state.fresh_share) == (Mode.RAMP, 1.0)
    assert state.rate_per_s == POLICY.rate_per_s_unlearnt


def test_learns_the_healthy_rate_from_fresh_alone_and_readies_the_start_of_a_ramp() -> None:
    state = play(POLICY.start(now=0.0), many(40, backlog=0, held=0))
    assert state.healthy_per_s == pytest.approx(20.0, rel=0.01)
    assert state.rate_per_s == pytest.approx(POLICY.start_share * 20.0, rel=0.01)


@pytest.mark.parametrize("scale", [0.001, 0.1, 10.0])
def test_trickles_and_starts_at_the_same_share_of_health_at_any_scale(scale: float) -> None:
    learnt = play(POLICY.start(now=0.0), many(400, backlog=0, held=0, span_s=6.0 / scale))
    opened = after_opening(learnt, at=1e7)
    assert opened.rate_per_s == pytest.approx(
        max(POLICY.rate_per_s_min, POLICY.trickle_share * learnt.healthy_per_s)
    )
    assert learnt.healthy_per_s == pytest.approx(20.0 * scale, rel=0.05)


def test_ramps_while_the_backlog_is_held_and_not_otherwise() -> None:
    start = play(POLICY.start(now=0.0), many(5))
    assert play(start, many(5, start=30.0)).rate_per_s > 1.5 * start.rate_per_s
    unused = many(5, start=30.0, held=0, backlog=1)
    assert play(start, unused).rate_per_s == start.rate_per_s


def test_hurries_below_the_rate_that_was_healthy() -> None:
    learnt = play(POLICY.start(now=0.0), many(40, backlog=0, held=0))
    slack = play(learnt._replace(fresh_per_s=2.0), many(1, start=240.0, ok=24))
    assert slack.rate_per_s >= 1.4 * learnt.rate_per_s


def test_the_first_sign_of_delay_ends_the_ramp_below_what_was_delivered() -> None:
    state = play(POLICY.start(now=0.0), many(12))
    after = play(state, many(1, start=72.0, low_s=0.5))
    assert after.mode == Mode.DRAIN
    assert after.rate_per_s < state.rate_per_s
    assert after.integral_per_s > after.rate_per_s


def test_a_queue_that_grows_is_given_way_to_further() -> None:
    state, rates = play(POLICY.start(now=0.0), many(12)), list[float]()
    for number in range(6):
        state = POLICY.step(state, interval(72.0 + 13.0 * (number + 1), low_s=1.0 + 2.0 * number))
        rates.append(state.rate_per_s)
    assert rates == sorted(rates, reverse=True)
    assert POLICY.rate_per_s_min <= rates[-1] < 0.5 * rates[0]


def test_latency_that_slowing_down_does_not_move_becomes_the_baseline() -> None:
    slow = play(POLICY.start(now=0.0), [*many(12), *many(20, start=72.0, low_s=1.0)])
    assert slow.base_s == pytest.approx(1.0, rel=0.3)
    assert slow.mode != Mode.DRAIN


def test_errors_above_their_floor_are_congestion_and_the_ramp_goes_on_after_them() -> None:
    state = play(POLICY.start(now=0.0), many(12))
    failing = play(state, many(1, start=72.0, ok=6, bad=6))
    assert failing.mode == Mode.DRAIN
    assert play(failing, many(2, start=78.0)).mode == Mode.RAMP


def test_errors_without_any_answer_count_as_the_longest_delay() -> None:
    state = play(POLICY.start(now=0.0), many(12))
    silent = play(state, many(1, start=72.0, ok=0, bad=3))
    assert silent.queue_delay_s == POLICY.timeout_s
    assert silent.mode == Mode.DRAIN


def test_answers_without_latency_leave_the_delay_as_it_was() -> None:
    state = play(POLICY.start(now=0.0), many(12))
    refusals = interval(78.0)._replace(latency_count=0)
    assert POLICY.step(state, refusals).queue_delay_s == state.queue_delay_s


def test_a_floor_of_errors_that_are_not_ours_is_learnt_in_quiet() -> None:
    state = play(POLICY.start(now=0.0), many(200, ok=54, bad=6, backlog=0, held=0))
    assert state.error_floor == pytest.approx(0.1, abs=0.01)
    busy = play(state, many(1, start=1206.0, ok=54, bad=7, backlog=40))
    assert (busy.is_failing, busy.mode) == (0, Mode.RAMP)
    assert play(state, many(1, start=1206.0, ok=40, bad=20, backlog=40)).is_failing == 1


def test_no_floor_is_learnt_above_its_limit() -> None:
    state = play(POLICY.start(now=0.0), many(200, ok=30, bad=30, backlog=0, held=0))
    assert state.error_floor == FLOOR_MAX


def test_cruise_follows_a_capacity_that_grows_and_one_that_shrinks() -> None:
    state = cruising()
    grown = play(state, many(100, start=200.0))
    assert grown.rate_per_s > 2.0 * state.rate_per_s
    shrunk = play(state, many(6, start=200.0, low_s=0.35))
    assert shrunk.rate_per_s < state.rate_per_s


def test_cruise_grows_by_a_bounded_step_however_long_the_interval() -> None:
    state = cruising()
    for number in range(60):
        after = POLICY.step(state, interval(1_000.0 * (number + 1), span_s=1_000.0, backlog=12))
        assert after.integral_per_s <= 1.031 * state.integral_per_s
        state = after


def test_now_and_then_it_probes_for_the_baseline_and_returns() -> None:
    state, modes = cruising(), list[int]()
    for each in many(200, start=200.0, low_s=0.12):
        state = POLICY.step(state, each)
        modes.append(state.mode)
    assert Mode.PROBE in modes
    assert modes[-1] in (Mode.CRUISE, Mode.PROBE)
    assert state.base_s == pytest.approx(0.12, rel=0.1)


def test_an_idle_rate_fades_to_the_start_of_a_ramp() -> None:
    fast = cruising()._replace(rate_per_s=50.0)
    idle = play(fast, many(600, start=200.0, backlog=0, held=0))
    assert idle.mode == Mode.RAMP
    assert idle.rate_per_s == pytest.approx(POLICY.start_share * idle.healthy_per_s)


def test_trickles_after_an_opening_until_ten_clean_results() -> None:
    state = after_opening(cruising(), at=200.0)
    assert state.mode == Mode.TRICKLE
    six = play(state, many(1, start=230.0, ok=6))
    assert (six.mode, six.clean) == (Mode.TRICKLE, 9)
    assert play(six, many(1, start=236.0, ok=6)).mode == Mode.RAMP


def test_three_clean_results_are_enough_after_a_minute() -> None:
    state = after_opening(cruising(), at=200.0)
    assert play(state, many(1, start=230.0, ok=3, span_s=59.0)).mode == Mode.TRICKLE
    assert play(state, many(1, start=230.0, ok=3, span_s=61.0)).mode == Mode.RAMP


def test_errors_in_a_trickle_start_the_count_again() -> None:
    state = play(after_opening(cruising(), at=200.0), many(1, start=230.0, ok=6))
    assert play(state, many(1, start=236.0, ok=3, bad=3)).clean == 0


def test_delay_in_a_trickle_holds_it_until_it_is_known_to_be_how_things_are_now() -> None:
    state = after_opening(cruising(), at=200.0)
    assert play(state, many(3, start=230.0, low_s=3.0)).mode == Mode.TRICKLE
    assert play(state, many(60, start=230.0, low_s=3.0)).mode != Mode.TRICKLE


def test_fresh_is_shed_only_when_it_tips_the_dependency_over_again() -> None:
    first = POLICY.opened(cruising(), is_overload=True, now=200.0)
    assert first.fresh_share == 1.0
    probe_failed = POLICY.opened(first, is_overload=False, now=230.0)
    assert probe_failed.fresh_share == 1.0
    again = POLICY.opened(first, is_overload=True, now=230.0)
    assert again.fresh_share == pytest.approx(0.6)
    for _ in range(20):
        again = POLICY.opened(again, is_overload=True, now=230.0)
    assert again.fresh_share == POLICY.fresh_share_min


def test_backlog_waits_in_a_trickle_until_fresh_has_its_share_again() -> None:
    state = POLICY.opened(cruising(), is_overload=True, now=200.0)
    state = POLICY.opened(state, is_overload=True, now=230.0)
    shares = list[float]()
    for each in many(10, start=260.0):
        state = POLICY.step(state, each)
        shares.append(state.fresh_share)
        assert (state.mode == Mode.TRICKLE) is (state.fresh_share < 1.0)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_an_opening_while_a_queue_stood_remembers_the_ceiling_and_one_by_errors_does_not() -> None:
    state = play(POLICY.start(now=0.0), many(12))
    delayed = play(state, many(1, start=72.0, low_s=2.0))
    assert POLICY.opened(delayed, is_overload=False, now=80.0).ceiling_per_s > 0
    for fault in (many(1, start=72.0, ok=6, bad=6), many(1, start=72.0, ok=0, bad=6)):
        failed = play(state, fault)
        assert failed.mode == Mode.DRAIN
        assert POLICY.opened(failed, is_overload=False, now=80.0).ceiling_per_s == 0


INTERVALS = st.builds(
    interval,
    st.just(0.0),
    ok=st.integers(0, 60),
    bad=st.integers(0, 60),
    backlog=st.integers(0, 60),
    held=st.integers(0, 1),
    span_s=st.floats(0.5, 600.0),
    low_s=st.floats(0.0, 30.0),
).filter(lambda each: each.ok + each.bad >= 3)
EVENTS = st.lists(st.one_of(INTERVALS, st.sampled_from(["failed", "overloaded"])), max_size=60)


def lived(events: list[Interval | str]) -> tuple[Release, float]:
    """Any life: intervals, and openings each followed by a closing."""
    state, now = POLICY.start(now=0.0), 0.0
    for event in events:
        if isinstance(event, str):
            now += 30.0
            state = POLICY.opened(state, is_overload=event == "overloaded", now=now)
            state = POLICY.closed(state, probes=3, now=now)
        else:
            now += event.span_s
            state = POLICY.step(state, event._replace(ended_at=now))
        check(state)
    return state, now


def check(state: Release) -> None:
    assert POLICY.rate_per_s_min <= state.rate_per_s < math.inf
    assert state.in_flight_max >= 1
    assert POLICY.fresh_share_min <= state.fresh_share <= 1.0
    assert 0.0 <= state.error_floor <= FLOOR_MAX
    assert state.base_s >= 0.0
    assert state.queue_delay_s >= 0.0


@given(EVENTS)
def test_bounds_hold_in_any_life(events: list[Interval | str]) -> None:
    lived(events)


@given(EVENTS)
def test_comes_back_from_any_life_when_the_dependency_is_well(events: list[Interval | str]) -> None:
    state, now = lived(events)
    for _ in range(600):
        # Well: 60 answers in half a minute, and as many more as the backlog's rate lets through.
        now += 30.0
        backlog = min(3_000, int(30.0 * state.rate_per_s))
        well = interval(now, ok=60 + backlog, backlog=backlog, span_s=30.0, low_s=0.05)
        state = POLICY.step(state, well)
    assert state.fresh_share == 1.0
    assert state.rate_per_s > 10.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout_s": 0.0},
        {"trickle_share": 0.0},
        {"trickle_share": 0.3, "start_share": 0.2},
        {"start_share": 1.1},
        {"rate_per_s_min": 0.0},
        {"rate_per_s_unlearnt": 0.0},
        {"clean_results": 2},
        {"trickle_s_max": 0.0},
        {"ramp_growth": 1.0},
        {"known_growth": 1.1},
        {"delay_share": 0.0},
        {"delay_share_max": 0.6},
        {"base_multiple": 0.0},
        {"drain_ratio": 1.0},
        {"probe_period_s": 0.0},
        {"fresh_share_min": 0.0},
        {"in_flight_start": 0},
    ],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        ReleasePolicy(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a table of mixed numbers


def test_parameters_are_the_policy_by_the_same_names() -> None:
    parameters = POLICY.parameters()
    assert parameters._asdict() == {name: getattr(POLICY, name) for name in parameters._fields}
    assert all(isinstance(number, float) for number in parameters)
