"""The chain of queue and orbit, held against formulas and against its own rules, written again."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drain.reference import retry_chain
from surgetank.rehearsal.drain.reference.comparison import chain_of
from surgetank.rehearsal.drain.reference.retry_chain import RetryChain
from surgetank.rehearsal.drain.reference.simulation import Floats, Patience

TINY = RetryChain(
    arrivals_per_s=2.0,
    services_per_s=3.0,
    timeout_s=0.5,
    tries=4,
    lost=(0.1, 0.4, 0.7),
    orbit_max=3,
)


def generator(chain: RetryChain) -> Floats:
    """All rates from state to state, one rule after another, as the module's docstring has them."""
    wide = chain.queue_max + 1
    size = wide * (chain.orbit_max + 1)
    rates = np.zeros((size, size))

    def flows(n: int, r: int, to_n: int, to_r: int, rate_per_s: float) -> None:
        rates[r * wide + n, min(to_r, chain.orbit_max) * wide + to_n] += rate_per_s
        rates[r * wide + n, r * wide + n] -= rate_per_s

    for n in range(wide):
        for r in range(chain.orbit_max + 1):
            again_per_s = r / chain.timeout_s * (1 - 1 / chain.tries)
            flows(n, r, n, max(0, r - 1), r / chain.timeout_s / chain.tries)
            if n:
                flows(n, r, n - 1, r, chain.services_per_s)
            if n == chain.queue_max:
                flows(n, r, n, max(0, r - 1), again_per_s)
                continue
            lost = chain.lost[n]
            flows(n, r, n + 1, r + 1, chain.arrivals_per_s * lost)
            flows(n, r, n + 1, r, chain.arrivals_per_s * (1 - lost))
            flows(n, r, n + 1, r, again_per_s * lost)
            flows(n, r, n + 1, max(0, r - 1), again_per_s * (1 - lost))
    return rates


def test_a_call_that_finds_nobody_is_lost_if_its_own_service_is_too_long() -> None:
    lost = retry_chain.lost_by_clock(services_per_s=2.0, timeout_s=1.5, queue_max=3)
    assert lost[0] == pytest.approx(math.exp(-3.0))


def test_a_call_that_finds_two_is_lost_if_at_most_two_are_served_in_time() -> None:
    lost = retry_chain.lost_by_clock(services_per_s=2.0, timeout_s=1.5, queue_max=3)
    assert lost[2] == pytest.approx(math.exp(-3.0) * (1 + 3.0 + 4.5))


def test_a_random_patience_outlasts_each_service_with_the_same_chance() -> None:
    lost = retry_chain.lost_at_random(services_per_s=2.0, timeout_s=1.5, queue_max=3)
    assert 1.0 - lost[2] == pytest.approx(0.75**3)


@pytest.mark.parametrize("patience", [Patience.CLOCK, Patience.RANDOM])
def test_a_longer_queue_loses_more(patience: Patience) -> None:
    lost = chain_of(queue_max=100, patience=patience).lost
    assert list(lost) == sorted(lost)


def test_shares_balance_under_the_rules_written_again() -> None:
    flow = retry_chain.stationary(TINY).ravel() @ generator(TINY)
    assert np.abs(flow).max() < 1e-14


def test_shares_of_time_add_up_to_one() -> None:
    assert retry_chain.stationary(TINY).sum() == pytest.approx(1.0)


@pytest.mark.parametrize(("patience", "queue_max"), [(Patience.CLOCK, 30), (Patience.RANDOM, 100)])
def test_orbit_has_room_for_all(patience: Patience, queue_max: int) -> None:
    share = retry_chain.stationary(chain_of(queue_max=queue_max, patience=patience))
    assert share[-1].sum() < 1e-12


def test_without_second_tries_it_is_a_queue_with_a_known_mean() -> None:
    chain = replace(chain_of(queue_max=100, patience=Patience.CLOCK, tries=1), orbit_max=1)
    weights = [0.95**n for n in range(101)]
    mean = sum(n * weight for n, weight in enumerate(weights)) / sum(weights)
    assert retry_chain.means(chain).queue == pytest.approx(mean)


def test_without_second_tries_waits_are_those_of_the_textbook() -> None:
    chain = replace(chain_of(queue_max=400, patience=Patience.CLOCK, tries=1), orbit_max=1)
    late = math.exp(-(10.0 - 9.5) * 3.0)  # of an endless queue, of which 400 places are enough
    assert retry_chain.means(chain).wasted_ratio == pytest.approx(late, rel=1e-6)


def test_callers_in_orbit_are_those_who_lost_times_their_stay() -> None:
    chain = chain_of(queue_max=100, patience=Patience.RANDOM, tries=1)
    means = retry_chain.means(chain)
    lost_per_s = means.goodput_per_s * means.wasted_ratio / (1.0 - means.wasted_ratio)
    assert means.orbit == pytest.approx(lost_per_s * chain.timeout_s)


def test_an_overloaded_queue_fills_when_the_textbook_says() -> None:
    chain = replace(TINY, arrivals_per_s=4.0, lost=(0.0,) * 10)
    gain_per_s = 4.0 - 3.0
    seconds = 10 / gain_per_s - 3.0 / gain_per_s**2 * (1.0 - (3.0 / 4.0) ** 10)
    assert retry_chain.seconds_until_full(chain) == pytest.approx(seconds)


def test_seconds_until_full_solve_the_rules_written_again() -> None:
    rates = generator(TINY)
    wide = TINY.queue_max + 1
    below = [state for state in range(len(rates)) if state % wide < TINY.queue_max]
    seconds = np.linalg.solve(rates[np.ix_(below, below)], -np.ones(len(below)))
    assert retry_chain.seconds_until_full(TINY) == pytest.approx(seconds[0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"arrivals_per_s": 0.0},
        {"services_per_s": 0.0},
        {"timeout_s": 0.0},
        {"tries": 0},
        {"orbit_max": 0},
        {"lost": ()},
        {"lost": (0.5, 1.5)},
    ],
    ids=str,
)
def test_a_chain_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        replace(TINY, **wrong)
