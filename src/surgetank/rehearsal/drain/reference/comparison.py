"""The simulation beside exact solutions of the same rules.

Four things are held against each other within `TOLERANCE`:

    - `fate_rows`: the chain of queue and orbit, and calls whose fate is a coin;
    - `filling_row`: how long the same takes to tip over, which means of the long run do not show;
    - `waiting_rows` of a chain with one try, and callers who give up by the clock: the chain takes
      no liberty there, as nothing that callers do comes back to the queue;
    - `call_rows`: the chain whose states are all the calls of a small queue, and the same calls.

`waiting_rows` of a chain with more tries is no test: it says what the chain's liberties cost.
"""

from typing import NamedTuple

import numpy as np

from surgetank.rehearsal.drain.reference import call_chain, retry_chain
from surgetank.rehearsal.drain.reference.retry_chain import RetryChain
from surgetank.rehearsal.drain.reference.simulation import (
    NEVER,
    NOW,
    Floats,
    Patience,
    Rules,
    Seen,
    advance,
    begin,
    measure,
)

TOLERANCE = 0.02
"""Largest difference that passes, relative to the exact value."""
BEFORE_S = 2_000.0
"""Played before anything is counted: the slowest of the queues forgets its past in some 160 s."""
LONG_S = 1e9
"""An end that no run reaches."""

ARRIVALS_PER_S = 9.5
SERVICES_PER_S = 10.0
TIMEOUT_S = 3.0
TRIES = 4

SMALL = Rules(
    arrivals_per_s=ARRIVALS_PER_S,
    services_per_s=SERVICES_PER_S,
    queue_max=4,
    timeout_s=0.3,
    patience=Patience.RANDOM.value,
    tries_max=TRIES,
)
"""781 states."""


class Row(NamedTuple):
    """One figure, twice."""

    name: str
    exact: float
    simulated: float

    @property
    def difference(self) -> float:
        """Of the simulated figure from the exact one, relative to it; negative if below."""
        return self.simulated / self.exact - 1.0

    @property
    def agrees(self) -> bool:
        """Whether the two are one figure, within `TOLERANCE`."""
        return abs(self.difference) <= TOLERANCE


def chain_of(*, queue_max: int, patience: Patience, tries: int = TRIES) -> RetryChain:
    """The chain of the figures above, with the chances of `patience`, CLOCK or RANDOM."""
    chances = {
        Patience.CLOCK: retry_chain.lost_by_clock,
        Patience.RANDOM: retry_chain.lost_at_random,
    }[patience]
    return RetryChain(
        arrivals_per_s=ARRIVALS_PER_S,
        services_per_s=SERVICES_PER_S,
        timeout_s=TIMEOUT_S,
        tries=tries,
        lost=chances(services_per_s=SERVICES_PER_S, timeout_s=TIMEOUT_S, queue_max=queue_max),
    )


def fate_rows(chain: RetryChain, *, span_s: float, seed: int) -> list[Row]:
    """Queue, orbit, goodput and waste of the chain, beside calls whose fate is its coin."""
    exact = retry_chain.means(chain)
    seen = _see(chain, patience=Patience.FATE, span_s=span_s, seed=seed)
    return [
        Row("calls in the queue", exact.queue, seen.queue),
        Row("callers in orbit", exact.orbit, seen.orbit),
        Row("goodput a second", exact.goodput_per_s, seen.goodput_per_s),
        Row("share of work wasted", exact.wasted_ratio, seen.wasted_ratio),
    ]


def waiting_rows(chain: RetryChain, *, patience: Patience, span_s: float, seed: int) -> list[Row]:
    """Queue, goodput and waste of the chain, beside callers who wait and then hang up.

    There is no orbit: a caller who will not be answered in time waits in the queue.
    """
    exact = retry_chain.means(chain)
    seen = _see(chain, patience=patience, span_s=span_s, seed=seed)
    return [
        Row("calls in the queue", exact.queue, seen.queue),
        Row("goodput a second", exact.goodput_per_s, seen.goodput_per_s),
        Row("share of work wasted", exact.wasted_ratio, seen.wasted_ratio),
    ]


def filling_row(chain: RetryChain, *, runs: int, seed: int) -> Row:
    """Mean seconds from nothing until the queue is full, beside the mean of `runs` runs."""
    rules, lost = _rules(chain, Patience.FATE), np.array(chain.lost)
    chance = np.random.default_rng(seed)
    total_s = 0.0
    for _ in range(runs):
        calls = begin(chain.queue_max)
        advance(rules, lost, calls, LONG_S, chain.queue_max, chance)
        total_s += float(calls.area[NOW])
    return Row("seconds until full", retry_chain.seconds_until_full(chain), total_s / runs)


def call_rows(rules: Rules, *, span_s: float, seed: int) -> list[Row]:
    """All means of the chain of calls, beside the same calls."""
    exact = call_chain.means(rules)
    seen = _play(rules, np.zeros(0), span_s=span_s, seed=seed)
    return [
        Row("calls in the queue", exact.queue, seen.queue),
        Row("callers who wait", exact.live, seen.live),
        Row("calls sent a second", exact.offered_per_s, seen.offered_per_s),
        Row("goodput a second", exact.goodput_per_s, seen.goodput_per_s),
        Row("share of work wasted", exact.wasted_ratio, seen.wasted_ratio),
    ]


def _rules(chain: RetryChain, patience: Patience) -> Rules:
    return Rules(
        arrivals_per_s=chain.arrivals_per_s,
        services_per_s=chain.services_per_s,
        queue_max=chain.queue_max,
        timeout_s=chain.timeout_s,
        patience=patience.value,
        tries_max=chain.tries,
    )


def _see(chain: RetryChain, *, patience: Patience, span_s: float, seed: int) -> Seen:
    return _play(_rules(chain, patience), np.array(chain.lost), span_s=span_s, seed=seed)


def _play(rules: Rules, lost: Floats, *, span_s: float, seed: int) -> Seen:
    chance = np.random.default_rng(seed)
    calls = begin(rules.queue_max)
    advance(rules, lost, calls, BEFORE_S, NEVER, chance)
    return measure(rules, calls, BEFORE_S + span_s, lost, chance)
