"""The adaptive law: it learns in health, yields to delay and errors, and always comes back."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.control.evidence import RESULTS_MIN, Interval
from surgetank.control.release import SHED_DELAY, ReleasePolicy
from surgetank.control.signal import FLOOR_MAX, Mode, Release

POLICY = ReleasePolicy()
DOCS = Path(__file__).parents[2] / "docs/explanation/release-law.md"
BASE_S = 0.1


@dataclass(frozen=True)
class Life:
    """A state of the law, and the instant."""

    state: Release
    now: float = 0.0

    def see(
        self,
        *,
        low_s: float = BASE_S,
        ok: int = 100,
        bad: int = 0,
        backlog: int | None = None,
        held: int = 1,
        shed: int = 0,
        peak: int | None = None,
        span_s: float = 1.0,
    ) -> "Life":
        """One more interval, by default of a busy and healthy second."""
        now, mine = self.now + span_s, ok // 2 if backlog is None else backlog
        most = math.ceil(self.state.window) if peak is None else peak
        counts = (ok, bad, 0, mine, min(bad, mine), held, shed, most, ok)
        interval = Interval(now, span_s, *counts, low_s, low_s, low_s, low_s)
        return Life(POLICY.step(self.state, interval), now)

    def delayed(self, targets: float) -> "Life":
        """An interval of a queue that is so many targets long."""
        target_s = self.state.target_s or POLICY.delay_share * POLICY.timeout_s
        return self.see(low_s=self.state.base_s + targets * target_s)

    def until(self, what: Callable[["Life"], "Life"], mode: Mode, *, limit: int = 400) -> "Life":
        """See the same, until the mode is left; it has to be `mode` then."""
        life, before = self, self.state.mode
        for _ in range(limit):
            life = what(life)
            if life.state.mode != before:
                break
        assert Mode(life.state.mode) == mode
        return life


def well(life: Life) -> Life:
    return life.see()


def a_little_late(life: Life) -> Life:
    return life.delayed(0.8)


def late(life: Life) -> Life:
    return life.delayed(3.0)


def congested(life: Life) -> Life:
    return life.delayed(8.0)


def failing(life: Life) -> Life:
    return life.see(ok=70, bad=30)


def collapsed(life: Life) -> Life:
    return life.see(ok=10, bad=60)


def fresh_alone_late(life: Life) -> Life:
    return life.see(low_s=0.9 * POLICY.timeout_s, backlog=0)


def idle(life: Life) -> Life:
    return life.see(backlog=0, held=0, peak=3)


def opened(life: Life) -> Life:
    return Life(POLICY.opened(life.state, now=life.now), life.now)


def closed(life: Life) -> Life:
    return Life(POLICY.closed(life.state, probes=3, now=life.now), life.now)


def interrupted(life: Life) -> Life:
    after = opened(life)
    return closed(Life(after.state, after.now + 30.0))


def begun() -> Life:
    return Life(POLICY.start(now=0.0))


def in_mode(mode: Mode) -> Life:
    """Reach a mode from the start."""
    if mode is Mode.TRICKLE:
        return begun()
    if mode is Mode.SHED:
        return closed(opened(in_mode(Mode.RAMP)))
    if mode is Mode.RAMP:
        return begun().until(well, Mode.RAMP)
    if mode is Mode.DRAIN:
        return in_mode(Mode.RAMP).until(late, Mode.DRAIN)
    cruising = in_mode(Mode.RAMP).until(a_little_late, Mode.CRUISE)
    return cruising if mode is Mode.CRUISE else cruising.until(a_little_late, Mode.PROBE)


TRANSITIONS = [
    (Mode.TRICKLE, well, Mode.RAMP),
    (Mode.RAMP, a_little_late, Mode.CRUISE),
    (Mode.RAMP, late, Mode.DRAIN),
    (Mode.RAMP, failing, Mode.CRUISE),
    (Mode.DRAIN, well, Mode.CRUISE),
    (Mode.DRAIN, failing, Mode.CRUISE),
    (Mode.CRUISE, congested, Mode.DRAIN),
    (Mode.CRUISE, well, Mode.RAMP),
    (Mode.CRUISE, a_little_late, Mode.PROBE),
    (Mode.CRUISE, idle, Mode.RAMP),
    (Mode.PROBE, well, Mode.CRUISE),
    (Mode.PROBE, failing, Mode.CRUISE),
    (Mode.TRICKLE, collapsed, Mode.SHED),
    (Mode.CRUISE, collapsed, Mode.SHED),
    *[(mode, opened, Mode.SHED) for mode in Mode if mode is not Mode.SHED],
    (Mode.RAMP, fresh_alone_late, Mode.DRAIN),
    (Mode.DRAIN, fresh_alone_late, Mode.SHED),
    (Mode.SHED, well, Mode.RAMP),
]


@pytest.mark.parametrize(
    ("before", "what", "after"),
    TRANSITIONS,
    ids=lambda one: one.name if isinstance(one, Mode) else one.__name__,
)
def test_each_transition_happens(before: Mode, what: Callable[[Life], Life], after: Mode) -> None:
    in_mode(before).until(what, after)


def test_the_page_tells_of_each_transition_and_of_no_other() -> None:
    rows = re.findall(r"^\| (\w+) \| .* \| ([A-Z]+) \|$", DOCS.read_text(), re.MULTILINE)
    told = {
        (mode, after)
        for before, after in rows
        for mode in (
            [one.name for one in Mode if one.name != after] if before == "any" else [before]
        )
    }
    assert told == {(before.name, after.name) for before, _, after in TRANSITIONS}


def test_starts_with_a_few_calls_and_free_fresh() -> None:
    state = begun().state
    assert state.in_flight_max == POLICY.window_start
    assert state.rate_per_s == POLICY.rate_per_s_unlearnt
    assert state.fresh_in_flight_max == math.inf


def test_workers_that_share_nothing_start_with_their_part() -> None:
    state = ReleasePolicy(workers=1_000).start(now=0.0)
    assert state.window <= 0.001 * POLICY.window_start
    assert state.rate_per_s <= POLICY.rate_per_s_unlearnt
    assert state.in_flight_max == 1.0


def test_errors_start_the_count_of_clean_results_again() -> None:
    life = begun().see(ok=6)
    assert life.state.clean == 6
    assert life.see(ok=3, bad=3).state.clean == 0


def test_a_ramp_grows_while_the_backlog_is_held_and_not_otherwise() -> None:
    used = unused = in_mode(Mode.RAMP)
    unused = Life(unused.state._replace(window=1_000.0), unused.now)
    before = used.state.window
    for _ in range(10):
        used, unused = used.see(), unused.see(held=0, peak=20)
    assert used.state.window > 2.0 * before
    assert unused.state.window == 1_000.0


@pytest.mark.parametrize("targets", [3.0, 8.0])
def test_a_queue_is_taken_out_of_the_window(targets: float) -> None:
    ramping = in_mode(Mode.RAMP)
    after = ramping.delayed(targets).state
    assert after.mode == Mode.DRAIN
    assert after.window < ramping.state.window


def test_three_results_in_an_interval_are_enough_to_ramp_and_to_see_a_queue() -> None:
    sparse = begun()
    for _ in range(20):
        sparse = sparse.see(ok=3, span_s=300.0, low_s=40.0)
    assert sparse.state.mode == Mode.RAMP
    assert sparse.state.window > 2.0
    late = sparse.see(ok=3, span_s=300.0, low_s=60.0).see(ok=3, span_s=300.0, low_s=60.0)
    assert late.state.mode == Mode.DRAIN


def test_failures_cut_the_window_once_a_round_trip() -> None:
    cruising = in_mode(Mode.CRUISE)
    once = failing(cruising)
    assert once.state.window < cruising.state.window
    assert failing(once).state.window == once.state.window


def test_without_any_answer_the_delay_is_the_longest() -> None:
    silent = in_mode(Mode.RAMP).see(ok=0, bad=3).state
    assert silent.delay_s == POLICY.timeout_s


def test_answers_without_latency_leave_the_delay_as_it_was() -> None:
    life = in_mode(Mode.CRUISE)
    counts = (10, 0, 0, 5, 0, 1, 0, 9, 0)
    refusals = Interval(life.now + 1.0, 1.0, *counts, 0.0, 0.0, 0.0, 0.0)
    assert POLICY.step(life.state, refusals).queue_s == life.state.queue_s


def test_one_odd_interval_does_not_move_the_baseline_or_the_queue() -> None:
    cruising = in_mode(Mode.CRUISE)
    narrow_s = 0.5 * POLICY.base_multiple * BASE_S
    odd = cruising.see(low_s=cruising.state.middle_s + narrow_s).state
    assert odd.queue_s == pytest.approx(cruising.state.queue_s)
    lucky = cruising.see(low_s=0.01 * BASE_S).state
    assert lucky.base_s == cruising.state.base_s


def test_noise_raises_the_target_within_its_bound() -> None:
    life = in_mode(Mode.RAMP)
    for number in range(300):
        life = life.see(low_s=BASE_S * (1.0 + 2.0 * (number % 3)), held=0, backlog=0)
    quiet = in_mode(Mode.RAMP).state.target_s
    most_s = POLICY.delay_share_max * POLICY.timeout_s
    assert quiet < life.state.target_s <= most_s


def test_the_slowest_tenth_near_the_time_out_is_a_queue_too() -> None:
    life = in_mode(Mode.CRUISE)
    counts = (100, 0, 0, 50, 0, 1, 0, 10, 100)
    slow = Interval(life.now + 1.0, 1.0, *counts, BASE_S, 0.9 * POLICY.timeout_s, 1.0, BASE_S)
    after = POLICY.step(life.state, slow)
    assert after.queue_s < after.target_s < after.delay_s


def test_a_floor_of_errors_that_are_not_ours_is_learnt_in_quiet() -> None:
    life = in_mode(Mode.RAMP)
    for _ in range(200):
        life = life.see(ok=54, bad=6, backlog=0, held=0, peak=3)
    assert life.state.error_floor == pytest.approx(0.1, abs=0.01)
    assert life.see(ok=54, bad=7).state.is_failing == 0
    assert life.see(ok=30, bad=30).state.is_failing == 1


def test_no_floor_is_learnt_above_its_limit() -> None:
    life = in_mode(Mode.RAMP)
    for _ in range(400):
        life = life.see(ok=30, bad=30, backlog=0, held=0, peak=3)
    assert life.state.error_floor <= FLOOR_MAX


def test_latency_that_is_not_our_doing_becomes_the_baseline() -> None:
    life = in_mode(Mode.CRUISE)
    for _ in range(200):
        life = life.see(low_s=1.0)
    assert life.state.base_s == pytest.approx(1.0, rel=0.2)
    assert life.state.mode != Mode.DRAIN


def test_a_latency_that_rose_while_nobody_called_is_the_new_baseline() -> None:
    life = in_mode(Mode.CRUISE)
    for _ in range(200):
        life = life.see(low_s=0.5, held=0, backlog=0, peak=3)
    assert life.state.base_s == pytest.approx(0.5, rel=0.1)


def test_an_idle_window_fades_to_what_is_under_way() -> None:
    fast = in_mode(Mode.CRUISE)
    life = Life(fast.state._replace(window=500.0), fast.now)
    for _ in range(4_000):
        life = idle(life)
    assert life.state.mode == Mode.RAMP
    assert life.state.window < 20.0


def test_fresh_that_alone_is_too_much_is_shed_and_let_back_in() -> None:
    shed = in_mode(Mode.DRAIN).until(fresh_alone_late, Mode.SHED).state
    assert 1.0 <= shed.fresh_in_flight_max < math.inf
    free = Life(shed, 100.0).until(well, Mode.RAMP).state
    assert free.fresh_in_flight_max == math.inf


def test_shedding_lets_more_in_while_fresh_is_refused_and_answered_in_time() -> None:
    life = in_mode(Mode.SHED)
    before = life.state.fresh_in_flight_max
    for _ in range(20):
        life = life.see(shed=50)
    assert life.state.mode == Mode.SHED
    assert life.state.fresh_in_flight_max > 2.0 * before


def test_failures_while_shedding_let_less_in_but_never_none() -> None:
    life, shares = in_mode(Mode.SHED), list[float]()
    for _ in range(200):
        life = life.see(ok=10, bad=60, shed=50)
        shares.append(life.state.fresh_in_flight_max)
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == 1.0


def test_a_latency_that_stands_while_fresh_is_shed_becomes_the_baseline() -> None:
    life, slow_s = in_mode(Mode.SHED), BASE_S + SHED_DELAY * POLICY.timeout_s
    for _ in range(60):
        life = life.see(low_s=slow_s, shed=50)
        if life.state.base_s > BASE_S:
            break
    assert life.state.mode == Mode.SHED
    assert life.state.base_s == pytest.approx(slow_s, rel=0.1)


def test_an_opening_leaves_hardly_any_calls() -> None:
    cruising = in_mode(Mode.CRUISE)
    state = opened(cruising).state
    assert (state.window, state.fresh_in_flight_max) == (0.0, 1.0)
    assert state.rate_per_s < 0.1 * cruising.state.rate_per_s


def test_an_opening_without_delay_tells_where_the_next_ramp_must_slow_down() -> None:
    ramping = in_mode(Mode.RAMP).see().see().see()
    assert ramping.state.mode == Mode.RAMP
    again = closed(opened(ramping)).until(well, Mode.RAMP).until(well, Mode.CRUISE)
    assert again.state.window < 1.2 * ramping.state.window
    assert again.state.delay_s < 0.5 * again.state.target_s


@pytest.mark.parametrize("mode", [Mode.TRICKLE, Mode.DRAIN, Mode.PROBE])
def test_an_opening_with_delay_or_few_calls_tells_nothing_of_the_window(mode: Mode) -> None:
    assert opened(in_mode(mode)).state.ceiling == 0.0


@dataclass(frozen=True, kw_only=True)
class Station:
    """A dependency that queues: so many calls a second at most, each as long as it takes."""

    capacity_per_s: float
    latency_s: float = BASE_S
    fresh_ratio: float = 0.0
    """Fresh load, as a share of the capacity."""
    results: float = 12.0
    """That close an interval."""

    def serve(self, life: Life) -> tuple[Life, int]:
        """One interval with as many calls out as the law lets; and how many were answered."""
        state, fresh_per_s = life.state, self.fresh_ratio * self.capacity_per_s
        fresh = min(fresh_per_s * self.latency_s, state.fresh_in_flight_max)
        room = max(0.0, state.in_flight_max - fresh)
        mine = min(room, state.rate_per_s * self.latency_s)
        latency_s = max(self.latency_s, (fresh + mine) / self.capacity_per_s)
        all_per_s, mine_ratio = (fresh + mine) / latency_s, mine / (fresh + mine)
        span_s = max(0.5, min(self.results / all_per_s, max(30.0, 3.0 / all_per_s)))
        calls = max(3, round(all_per_s * span_s))
        ok = calls if latency_s < POLICY.timeout_s else 0
        backlog_ok = round(ok * mine_ratio)
        shed = round(max(0.0, fresh_per_s - fresh / self.latency_s) * span_s)
        counts = (ok, calls - ok, 0, backlog_ok, 0, 1, shed, math.ceil(fresh + mine), ok)
        lows = (latency_s, 1.2 * latency_s, latency_s, latency_s)
        now = life.now + span_s
        return Life(POLICY.step(state, Interval(now, span_s, *counts, *lows)), now), ok

    def share_after(self, life: Life, *, healthy_s: float = 600.0) -> float:
        """Share of the capacity that is used in the last two minutes of so long a health."""
        end_at, done, since_at = life.now + healthy_s, 0, math.inf
        while life.now < end_at:
            is_counted = life.now >= end_at - 120.0
            since_at = min(since_at, life.now) if is_counted else since_at
            life, ok = self.serve(life)
            done += ok if is_counted else 0
        return done / (self.capacity_per_s * (life.now - since_at))


STATIONS = st.builds(
    Station,
    capacity_per_s=st.floats(20.0, 2_000.0),
    fresh_ratio=st.floats(0.1, 0.7),
)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """An interval that may come to a life."""

    ok: int
    bad: int
    held: int
    shed: int
    span_s: float
    low_s: float

    def __call__(self, life: Life) -> Life:
        """See it, with results enough to close an interval."""
        ok = self.ok if self.ok + self.bad >= RESULTS_MIN else RESULTS_MIN
        return life.see(
            ok=ok,
            bad=self.bad,
            held=self.held,
            shed=self.shed,
            span_s=self.span_s,
            low_s=self.low_s,
        )


SEEN = st.builds(
    Seen,
    ok=st.integers(0, 60),
    bad=st.one_of(st.just(0), st.integers(0, 60)),
    held=st.integers(0, 1),
    shed=st.sampled_from([0, 0, 5]),
    span_s=st.floats(0.5, 600.0),
    low_s=st.floats(BASE_S, 30.0),
)
Event = Callable[[Life], Life]
EVENTS: st.SearchStrategy[list[Event]] = st.lists(
    st.one_of(SEEN, st.just(interrupted)), max_size=60
)


def lived(events: list[Event]) -> Life:
    """Any life: whatever was seen, openings and closings; checks what must always hold."""
    life = begun()
    for event in events:
        life = event(life)
        check(life.state)
    return life


def check(state: Release) -> None:
    assert POLICY.rate_per_s_min <= state.rate_per_s < math.inf
    assert 1.0 <= state.in_flight_max < math.inf
    assert state.fresh_in_flight_max >= 1.0
    assert 0.0 <= state.error_floor <= FLOOR_MAX
    assert min(state.window, state.base_s, state.delay_s, state.queue_s, state.target_s) >= 0.0
    kinds = [type(number) for number in begun().state]
    assert [type(number) for number in state] == kinds, "no number changes its kind"


@given(EVENTS)
def test_bounds_hold_in_any_life(events: list[Event]) -> None:
    lived(events)


@given(EVENTS, STATIONS)
def test_ten_minutes_of_health_after_any_life_lead_back_to_nine_tenths_of_the_capacity(
    events: list[Event], station: Station
) -> None:
    assert station.share_after(lived(events)) >= 0.9


def test_latency_that_is_not_our_doing_costs_no_capacity_in_the_end() -> None:
    life, station = begun(), Station(capacity_per_s=50.0, fresh_ratio=0.3)
    while life.now < 300.0:
        life, _ = station.serve(life)
    assert replace(station, latency_s=10.0 * BASE_S).share_after(life) >= 0.9


def test_latency_that_is_not_our_doing_sheds_no_fresh_in_the_end() -> None:
    life = in_mode(Mode.SHED)
    station = Station(capacity_per_s=50.0, latency_s=12.0 * BASE_S, fresh_ratio=0.3)
    assert station.share_after(life) >= 0.9


def test_a_backlog_without_fresh_leaves_shed_in_ten_minutes() -> None:
    station = Station(capacity_per_s=50.0)
    assert station.share_after(in_mode(Mode.SHED)) >= 0.9
