"""The simulation of calls: its rules one by one, and its means beside exact ones."""

import os
import subprocess
import sys

import numpy as np
import pytest

from surgetank.rehearsal.drain.reference import comparison
from surgetank.rehearsal.drain.reference.comparison import SMALL, Row, chain_of
from surgetank.rehearsal.drain.reference.retry_chain import RetryChain, lost_by_clock
from surgetank.rehearsal.drain.reference.simulation import (
    GOOD,
    HEAD,
    LIVE,
    NEVER,
    NOW,
    OFFERED,
    ORBIT,
    REFUSED,
    TAIL,
    WASTED,
    Calls,
    Patience,
    Rules,
    advance,
    begin,
    measure,
)

SEED = 1
NONE_LOST = np.zeros(0)
BUSY = SMALL._replace(queue_max=50, patience=Patience.CLOCK.value, timeout_s=1.0)
DEAD = BUSY._replace(services_per_s=1e-12)
SLOW_SPAN_S = 10_000_000.0
FATES = (
    "calls in the queue",
    "callers in orbit",
    "goodput a second",
    "share of work wasted",
)
WAITS = ("calls in the queue", "goodput a second", "share of work wasted")
CALLS = (
    "calls in the queue",
    "callers who wait",
    "calls sent a second",
    "goodput a second",
    "share of work wasted",
)


def played(rules: Rules, *, until_s: float, seed: int = SEED) -> Calls:
    calls = begin(rules.queue_max)
    advance(rules, NONE_LOST, calls, until_s, NEVER, np.random.default_rng(seed))
    return calls


def agree(rows: list[Row], name: str) -> None:
    row = next(row for row in rows if row.name == name)
    assert row.agrees, f"seed {SEED}: {row}, off by {row.difference:+.2%}"


@pytest.fixture(scope="module")
def storm_rows() -> list[Row]:
    storm = chain_of(queue_max=100, patience=Patience.RANDOM)
    return comparison.fate_rows(storm, span_s=100_000.0, seed=SEED)


@pytest.fixture(scope="module")
def clock_rows() -> list[Row]:
    lost = lost_by_clock(services_per_s=10.0, timeout_s=1.0, queue_max=30)
    chain = RetryChain(arrivals_per_s=8.0, services_per_s=10.0, timeout_s=1.0, tries=1, lost=lost)
    return comparison.waiting_rows(chain, patience=Patience.CLOCK, span_s=1_000_000.0, seed=SEED)


@pytest.fixture(scope="module")
def call_rows() -> list[Row]:
    return comparison.call_rows(SMALL, span_s=100_000.0, seed=SEED)


@pytest.fixture(scope="module")
def long_squall_rows() -> list[Row]:
    squalls = chain_of(queue_max=30, patience=Patience.CLOCK)
    return comparison.fate_rows(squalls, span_s=SLOW_SPAN_S, seed=SEED)


@pytest.fixture(scope="module")
def long_clock_rows() -> list[Row]:
    once = chain_of(queue_max=100, patience=Patience.CLOCK, tries=1)
    return comparison.waiting_rows(once, patience=Patience.CLOCK, span_s=SLOW_SPAN_S, seed=SEED)


@pytest.mark.parametrize("name", FATES)
def test_a_storm_that_stays_is_as_its_chain_says(storm_rows: list[Row], name: str) -> None:
    agree(storm_rows, name)


@pytest.mark.parametrize("name", WAITS)
def test_callers_with_a_clock_lose_what_the_formula_says(clock_rows: list[Row], name: str) -> None:
    agree(clock_rows, name)


@pytest.mark.parametrize("name", CALLS)
def test_calls_of_a_small_queue_are_as_their_chain_says(call_rows: list[Row], name: str) -> None:
    agree(call_rows, name)


def test_a_queue_fills_when_its_chain_says() -> None:
    chain = chain_of(queue_max=30, patience=Patience.RANDOM)
    row = comparison.filling_row(chain, runs=20_000, seed=SEED)
    agree([row], "seconds until full")


@pytest.mark.slow
@pytest.mark.parametrize("name", FATES)
def test_storms_that_come_and_go_are_as_their_chain_says(
    long_squall_rows: list[Row], name: str
) -> None:
    agree(long_squall_rows, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", WAITS)
def test_a_long_queue_is_as_the_formula_says(long_clock_rows: list[Row], name: str) -> None:
    agree(long_clock_rows, name)


@pytest.mark.slow
def test_the_first_storm_comes_when_its_chain_says() -> None:
    cliff = chain_of(queue_max=100, patience=Patience.CLOCK)
    agree([comparison.filling_row(cliff, runs=20_000, seed=SEED)], "seconds until full")


def test_a_difference_beyond_the_tolerance_does_not_agree() -> None:
    assert not Row("one", exact=100.0, simulated=97.9).agrees


def test_a_difference_within_the_tolerance_agrees() -> None:
    assert Row("one", exact=100.0, simulated=101.9).agrees


def test_equal_seeds_play_equal_runs() -> None:
    assert played(BUSY, until_s=50.0).tally.tolist() == played(BUSY, until_s=50.0).tally.tolist()


def test_another_seed_plays_another_run() -> None:
    assert played(BUSY, until_s=50.0).area[1] != played(BUSY, until_s=50.0, seed=2).area[1]


@pytest.mark.parametrize("patience", list(Patience))
def test_no_call_is_lost_track_of(patience: Patience) -> None:
    rules = BUSY._replace(patience=patience.value)
    calls = begin(50)
    advance(rules, np.full(50, 0.5), calls, 500.0, NEVER, np.random.default_rng(SEED))
    tally = calls.tally
    waiting = tally[TAIL] - tally[HEAD]
    assert tally[OFFERED] == tally[GOOD] + tally[WASTED] + tally[REFUSED] + waiting


def test_a_full_queue_refuses() -> None:
    tally = played(DEAD, until_s=100.0).tally
    assert (tally[TAIL] - tally[HEAD], tally[REFUSED] > 0) == (50, True)


def test_callers_hang_up_on_the_clock() -> None:
    calls = played(DEAD._replace(tries_max=1, queue_max=1_000), until_s=30.0)
    sent_at = calls.sent_at[: calls.tally[TAIL]]
    assert calls.tally[LIVE] == (sent_at > 29.0).sum()


@pytest.mark.parametrize("patience", [Patience.CLOCK, Patience.RANDOM])
def test_a_caller_who_is_not_answered_makes_all_tries(patience: Patience) -> None:
    rules = DEAD._replace(patience=patience.value)
    calls, chance = begin(50), np.random.default_rng(SEED)
    advance(rules, NONE_LOST, calls, 1e9, 1, chance)
    alone = rules._replace(arrivals_per_s=1e-12)
    advance(alone, NONE_LOST, calls, float(calls.area[NOW]) + 1_000.0, NEVER, chance)
    assert (calls.tally[OFFERED], calls.tally[LIVE]) == (rules.tries_max, 0)


def test_a_caller_whose_fate_is_to_lose_is_in_orbit() -> None:
    calls, chance = begin(50), np.random.default_rng(SEED)
    fated = DEAD._replace(patience=Patience.FATE.value)
    advance(fated, np.ones(50), calls, 1e9, 1, chance)
    assert calls.tally[ORBIT] == 1


def test_a_run_stops_at_its_instant() -> None:
    assert played(BUSY, until_s=12.5).area[NOW] == 12.5


def test_a_run_stops_when_the_queue_has_the_length() -> None:
    calls = begin(50)
    advance(BUSY, NONE_LOST, calls, 1e9, 7, np.random.default_rng(SEED))
    assert calls.tally[TAIL] - calls.tally[HEAD] == 7


def test_work_that_was_never_done_was_not_wasted() -> None:
    seen = measure(DEAD, begin(50), 5.0, NONE_LOST, np.random.default_rng(SEED))
    assert seen.wasted_ratio == 0.0


def test_a_queue_without_the_room_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="more room"):
        advance(BUSY, NONE_LOST, begin(49), 1.0, NEVER, np.random.default_rng(SEED))


PLAIN = """
import numpy as np
from surgetank.rehearsal.drain.reference.simulation import *
for patience in range(3):
    rules = Rules(9.5, 10.0, 20, 1.0, patience, 4)
    calls = begin(20)
    advance(rules, np.linspace(0, 1, 20), calls, 200.0, NEVER, np.random.default_rng(1))
    print(calls.tally.tolist(), calls.area.tolist())
"""


def test_compiled_and_plain_play_the_same_bits() -> None:
    ran = [
        subprocess.run(  # noqa: S603 - our own interpreter, our own text
            [sys.executable, "-c", PLAIN],
            env=os.environ | {"NUMBA_DISABLE_JIT": is_plain},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for is_plain in ("0", "1")
    ]
    assert ran[0] == ran[1] != ""
