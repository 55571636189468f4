"""A compiled law does what the plain one does, bit by bit: every law of the bench, told the same.

Compiling is what takes long: some laws here are compiled in every run, all of them in the slow one.
"""

from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from surgetank.control import breaker
from surgetank.control.breaker import Breaker, BreakerPolicy
from surgetank.control.evidence import Interval
from surgetank.control.signal import Mode
from surgetank.rehearsal.drain import law as laws
from surgetank.rehearsal.drain.compiled import CLOSED, OPENED, compile_breaker, compile_law, row
from surgetank.rehearsal.drain.world import World

Row = NDArray[np.float64]
Event = tuple[float, ...]
QUICK = {"surgetank", "steps", "botocore", "sre"}
"""Laws that are compiled in every run: ours, counts, a loop, and a state with tuples."""
EACH_LAW = [
    pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in laws.NAMES
]
PROBES = 3
WORLDS = (
    {"capacity_per_s": 800.0, "timeout_s": 2.0, "latency_s": 0.04},
    {"capacity_per_s": 5.0, "timeout_s": 30.0, "latency_s": 0.5, "workers": 7, "is_shared": False},
)


def world(keys: dict[str, Any]) -> World:
    usual = {"title": "any", "fresh_ratio": 0.3, "backlog": 1, "queue_max": 300}
    return World.model_validate(usual | keys)


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Any interval that evidence can yield, or that the breaker opened or closed."""
    ended_at = draw(st.floats(0.0, 5_000.0))
    if draw(st.integers(0, 9)) == 0:
        return (ended_at, draw(st.sampled_from([OPENED, CLOSED])), PROBES)
    ok, bad = draw(st.integers(0, 5_000)), draw(st.integers(0, 500))
    backlog_ok = draw(st.integers(0, ok))
    latencies = draw(st.lists(st.floats(1e-4, 60.0), min_size=4, max_size=4))
    least, low, mean, high = sorted(latencies) if ok else [0.0] * 4
    return (
        ended_at, draw(st.floats(1e-3, 600.0)), ok, max(bad, 3 - ok),
        draw(st.integers(0, bad)), backlog_ok, draw(st.integers(0, bad)),
        draw(st.integers(0, 1)), draw(st.integers(0, 100)), draw(st.integers(0, 5_000)),
        ok, low, high, mean, least,
    )  # fmt: skip


def day(seed: int) -> list[Event]:
    """A day in the life of a law: well, slow, failing and idle, each for a while."""
    chance = Random(seed)
    told: list[Event] = []
    now, base_s = 0.0, 0.04
    for _ in range(60):
        queue_s = chance.choice([0.0, 0.0, 0.01, 0.06, 0.3, 1.0])
        bad_ratio = chance.choice([0.0, 0.0, 0.0, 0.1, 0.9])
        is_idle = chance.random() < 0.1
        if chance.random() < 0.1:
            told += [(now, OPENED, PROBES), (now + 30.0, CLOSED, PROBES)]
            now += 30.0
        for _ in range(chance.randint(1, 25)):
            span_s = chance.uniform(0.5, 2.0)
            now += span_s
            results = chance.randint(12, 60)
            bad = round(bad_ratio * results)
            ok = results - bad
            backlog = 0.0 if is_idle else 0.7
            latencies = sorted(chance.gauss(base_s + queue_s, 0.1 * base_s) for _ in range(4))
            least, low, mean, high = latencies if ok else [0.0] * 4
            told.append((
                now, span_s, ok, bad, bad // 2, round(backlog * ok), round(backlog * bad),
                int(backlog > 0), chance.randint(0, 3), round(results * (base_s + queue_s)) + 1,
                ok, low, high, mean, least,
            ))  # fmt: skip
    return told


def plain(name: str, parameters: Any, told: Sequence[Event]) -> Row:
    """The states after each event, of the functions as they stand."""
    module, state = laws.LAWS[name].module, laws.LAWS[name].start(parameters)
    found = list[Row]()
    for event in told:
        if event[1] == OPENED:
            state = module.opened(state, parameters, now=event[0])
        elif event[1] == CLOSED:
            state = module.closed(state, parameters, probes=PROBES, now=event[0])
        else:
            state = module.step(state, Interval(*event), parameters)  # type: ignore[arg-type]  # counts are ints
        found.append(row(state))
    return np.array(found)


def compiled(name: str, keys: dict[str, Any], told: Sequence[Event]) -> Row:
    """The same of the compiled law, from a row to the next."""
    player = laws.player(name, world(keys))
    found = np.zeros((len(told), len(player.first)))
    rows = np.zeros((len(told), len(Interval._fields)))
    for at, event in enumerate(told):
        rows[at, : len(event)] = event
    drive(player.follow, player.first.copy(), rows, player.parameters[0], found)
    return found


def _drive(follow: Any, state: Row, events: Row, parameters: Row, found: Row) -> None:
    for at in range(len(events)):
        follow(state, events[at], parameters)
        found[at] = state


drive: Any = numba.njit(_drive)


def assert_same(name: str, keys: dict[str, Any], told: Sequence[Event]) -> None:
    parameters = laws.LAWS[name].policy(world(keys)).parameters()
    expected, found = plain(name, parameters, told), compiled(name, keys, told)
    differ = np.flatnonzero((expected.view(np.int64) != found.view(np.int64)).any(axis=1))
    assert not len(differ), (told[differ[0]], expected[differ[0]], found[differ[0]])


@pytest.mark.no_cover  # traced, it compiles half as fast; laws have tests of their own
@pytest.mark.parametrize("name", EACH_LAW)
@given(keys=st.sampled_from(WORLDS), told=st.lists(events(), min_size=1, max_size=30))
@settings(max_examples=50)
def test_a_law_decides_the_same_when_compiled(
    name: str, keys: dict[str, Any], told: list[Event]
) -> None:
    assert_same(name, keys, told)


@pytest.mark.parametrize("keys", WORLDS, ids=["fast", "sparse"])
@pytest.mark.parametrize("name", EACH_LAW)
def test_a_law_lives_through_a_day_alike_when_compiled(name: str, keys: dict[str, Any]) -> None:
    assert_same(name, keys, day(seed=1))


def test_that_day_leads_our_law_through_all_its_modes() -> None:
    policy = laws.LAWS["surgetank"].policy(world(WORLDS[0]))
    modes = plain("surgetank", policy.parameters(), day(seed=1))[:, 0]
    assert {int(mode) for mode in modes} == {mode.value for mode in Mode}


def test_a_breaker_decides_the_same_when_compiled() -> None:
    chance, p, state = Random(1), BreakerPolicy(open_s=3.0).parameters(), Breaker()
    admit, record = compile_breaker(state, p, admit=breaker.admit, record=breaker.record)
    follow_breaker: Any = numba.njit(_follow_breaker)
    kept, rules, phases = row(state), row(p), set[int]()
    for now in range(3_000):
        is_failure = chance.random() < (0.8 if now % 300 < 100 else 0.1)
        found = follow_breaker(admit, record, kept, rules, float(is_failure), float(now))
        state, epoch = breaker.admit(state, p, now=now)
        state = breaker.record(state, p, epoch, is_failure=is_failure, is_blocked=False, now=now)
        assert found == epoch
        assert kept.tolist() == row(state).tolist()
        phases.add(state.phase)
    assert phases == {0, 1, 2}


def _follow_breaker(
    admit: Any, record: Any, state: Row, p: Row, is_failure: float, now: float
) -> float:
    epoch: float = admit(state, p, now)
    record(state, p, epoch, is_failure, now)
    return epoch


class Powers(NamedTuple):
    here: float
    in_place: float


class Nothing(NamedTuple):
    unused: float


def step(state: Powers, interval: Interval, p: Nothing) -> Powers:  # noqa: ARG001 - every law's signature
    in_place = 0.5
    in_place **= interval.span_s
    return state._replace(here=0.5**interval.span_s, in_place=in_place)


def opened(state: Powers, p: Nothing, *, now: float) -> Powers:  # noqa: ARG001 - every law's signature
    return state


def closed(state: Powers, p: Nothing, *, probes: int, now: float) -> Powers:  # noqa: ARG001 - every law's signature
    return state


def test_a_power_is_the_one_that_python_takes() -> None:
    chance, first, p = Random(1), Powers(0.0, 0.0), Nothing(0.0)
    follow = compile_law(first, p, step=step, opened=opened, closed=closed)
    told = np.zeros((10_000, len(Interval._fields)))
    told[:, 1] = [chance.uniform(0.0, 2.0) for _ in told]
    found = np.zeros((len(told), 2))
    drive(follow, row(first), told, row(p), found)
    assert found.tolist() == [[0.5**span_s] * 2 for span_s in told[:, 1].tolist()]


def test_a_law_can_be_set_for_the_least_world() -> None:
    least = {"capacity_per_s": 0.1, "fresh_ratio": 0.001, "workers": 1_000, "is_shared": False}
    one = world({**least, "timeout_s": 0.05, "latency_s": 0.001})
    for entry in laws.LAWS.values():
        assert entry.policy(one).parameters()


def test_the_connections_of_a_client_bound_its_calls() -> None:
    assert laws.player("botocore", world(WORLDS[0])).first[2] == 10.0


def test_a_worker_that_learns_alone_sees_its_own_part_of_the_load() -> None:
    one, seven = ({**WORLDS[0], **keys} for keys in ({}, {"workers": 7, "is_shared": False}))
    doubling = laws.LAWS["doubling"]
    alone, together = (doubling.policy(world(keys)).rate_per_s_unlearnt for keys in (seven, one))
    assert together == pytest.approx(240.0)
    assert alone == pytest.approx(240.0 / 7)
