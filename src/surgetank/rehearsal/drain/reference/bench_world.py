"""The bench's own compiled world, held against mathematics where its physics allow it.

A law that never lets the backlog through leaves a queue with a load. Two of those can be solved:

    - others' calls, which nobody retries, with a time-out: what callers do never comes back to the
      queue, so its length after each tick is a Markov chain, and whether a call is in time is
      decided by the services in the ticks from its own on, which are Poisson;
    - fresh calls that fail by no load's doing, and are tried again later: a queue and two delays
      have a product form (Baskett, Chandy, Muntz and Palacios, 1975), so that the queue is as long
      as if all tries arrived at random, however long callers wait between them. That is so in
      continuous time, to which a tick of 2.5 ms is near.
"""

import math
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numba import cfunc

from surgetank.control.breaker import BreakerPolicy
from surgetank.control.evidence import EvidencePolicy
from surgetank.rehearsal.drain.compiled import ADMIT, FOLLOW, RECORD
from surgetank.rehearsal.drain.engine import Played, Player, play
from surgetank.rehearsal.drain.reference import retry_chain
from surgetank.rehearsal.drain.reference.comparison import Row
from surgetank.rehearsal.drain.world import World

CAPACITY_PER_S = 10.0
LOAD_RATIO = 0.5
TICK_S = 0.0025
LATENCY_S = 8 * TICK_S
"""The engine's tick is an eighth of it; short, so that nearly all of a call's time is its wait."""
PATIENCE_TICKS = 120
"""Longest wait of a call that is in time."""
QUEUE_MAX = 10
ENDLESS = 100
"""A length that a queue at half its capacity never has."""
ERROR_RATIO = 0.05
"""Below the tenth that a retry budget bears, which then never runs out."""
BACKLOG = 20_000
"""Held back. A run ends after four times the 4,500 s in which it could be drained, before the
engine stops to keep a line for each second."""
BEFORE_S = 100
"""Seconds that are not counted; the queue forgets its past within three."""
REQUESTS_MAX = 10**9
BATCH_MAX = 8
"""Arrivals or services in one tick; more come once in 10^17 ticks."""


def crowd() -> World:
    """Others' calls, half of what can be borne, in a short queue."""
    return World(
        title="a queue without retries",
        capacity_per_s=CAPACITY_PER_S,
        fresh_ratio=1e-9,
        unseen_ratio=LOAD_RATIO,
        backlog=BACKLOG,
        timeout_s=(PATIENCE_TICKS + 0.5) * TICK_S + LATENCY_S,
        latency_s=LATENCY_S,
        latency_spread=0.0,
        queue_max=QUEUE_MAX,
        reject_cost=0.0,
    )


def faults() -> World:
    """Fresh calls, of which some fail and are tried again, in a queue without end or time-out."""
    return World(
        title="a queue with retries",
        capacity_per_s=CAPACITY_PER_S,
        fresh_ratio=LOAD_RATIO,
        error_ratio=ERROR_RATIO,
        backlog=BACKLOG,
        timeout_s=60.0,
        latency_s=LATENCY_S,
        latency_spread=0.0,
        queue_max=1_000,
    )


def crowd_rows(*, runs: int, seed: int) -> list[Row]:
    """Queue and waste of `crowd`."""
    played = _runs(crowd(), runs=runs, seed=seed)
    exact = tick_means(CAPACITY_PER_S * LOAD_RATIO, queue_max=QUEUE_MAX)
    wasted_ratio = float(np.mean([one.wasted_ratio for one in played]))
    return [
        Row("calls in the queue", exact.queue, _queue(played)),
        Row("share of work wasted", exact.wasted_ratio, wasted_ratio),
    ]


def fault_rows(*, runs: int, seed: int) -> list[Row]:
    """Queue and retries of `faults`."""
    played = _runs(faults(), runs=runs, seed=seed)
    retries = ERROR_RATIO + ERROR_RATIO**2
    exact = tick_means(CAPACITY_PER_S * LOAD_RATIO * (1.0 + retries), queue_max=ENDLESS)
    requests = sum(one.requests for one in played)
    operations = sum(float(one.seconds[:, [1, 6]].sum()) for one in played)
    return [
        Row("calls in the queue", exact.queue, _queue(played)),
        Row("retries an operation", retries, requests / operations - 1.0),
    ]


class TickMeans(NamedTuple):
    """What holds in the long run of a queue that is looked at when a tick's calls are served."""

    queue: float
    wasted_ratio: float


def tick_means(arrivals_per_s: float, *, queue_max: int) -> TickMeans:
    """Solve the queue exactly, in the world's own ticks: calls join, and then are served."""
    arrivals = _poisson(arrivals_per_s * TICK_S)
    services = _poisson(CAPACITY_PER_S * TICK_S)
    move = np.zeros((queue_max + 1, queue_max + 1))  # [from, to]
    for n, (come, chance), (go, other) in product(range(queue_max + 1), arrivals, services):
        move[n, max(0, min(queue_max, n + come) - go)] += chance * other
    balance = move.T - np.eye(queue_max + 1)
    balance[-1] = 1.0  # one equation is implied by the others: shares add up to 1
    one = np.zeros(queue_max + 1)
    one[-1] = 1.0
    share = np.linalg.solve(balance, one)
    lost = retry_chain.lost_by_clock(
        services_per_s=CAPACITY_PER_S,
        timeout_s=(PATIENCE_TICKS + 1) * TICK_S,  # the tick that it comes in serves it as well
        queue_max=queue_max,
    )
    joined = wasted = 0.0
    for n, (come, chance) in product(range(queue_max + 1), arrivals):
        for place in range(n, min(queue_max, n + come)):
            joined += float(share[n]) * chance
            wasted += float(share[n]) * chance * lost[place]
    return TickMeans(float(share @ np.arange(queue_max + 1)), wasted / joined)


def _poisson(mean: float) -> list[tuple[int, float]]:
    """Numbers up to `BATCH_MAX` and their chances; the last has the chances of all beyond it."""
    chances = [math.exp(-mean) * mean**count / math.factorial(count) for count in range(BATCH_MAX)]
    return list(enumerate([*chances, 1.0 - sum(chances)]))


def _queue(played: list[Played]) -> float:
    """Mean length, from the waits and capacities at the end of each second."""
    lengths = [one.seconds[BEFORE_S:, 3] * one.seconds[BEFORE_S:, 4] for one in played]
    return float(np.mean(np.concatenate(lengths)))


def _runs(world: World, *, runs: int, seed: int) -> list[Played]:
    holding = _holding()
    return [play(world, holding, seed=seed + run, requests_max=REQUESTS_MAX) for run in range(runs)]


def _holding() -> Player:
    """A law that never lets the backlog through, and never sheds; no breaker asks it."""

    def follow(_state: Any, _event: Any, _parameters: Any) -> None:
        return

    def admit(_state: Any, _parameters: Any, _now: float) -> float:
        return 0.0

    def record(
        _state: Any, _parameters: Any, _epoch: float, _is_failure: float, _now: float
    ) -> float:
        return 0.0

    return Player(
        name="holding",
        follow=cfunc(FOLLOW)(follow),
        first=np.array([0.0, 1e9, 0.0, np.inf, np.inf]),
        parameters=np.zeros((1, 1)),
        evidence=EvidencePolicy(),
        is_backing_off=False,
        admit=cfunc(ADMIT)(admit),
        record=cfunc(RECORD)(record),
        breaker=BreakerPolicy().parameters(),
    )
