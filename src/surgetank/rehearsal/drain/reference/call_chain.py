"""A retry storm call by call, solved exactly: no liberties, but a queue of a few places.

A state is the queue itself, from head to tail: for each call which try of its operation it is, or
0 where its caller has hung up. From it

    - a new operation sends its first call at rate `arrivals_per_s`; a full queue refuses it, and
      its caller does not come back;
    - the server finishes the call at the head at rate `services_per_s`, waited for or not;
    - each caller who waits hangs up at rate 1 / `timeout_s`; the call stays where it is, and the
      caller sends the next try at once, to the tail, unless it was the last or the queue is full.

So the order of calls, the work for nobody and the count of tries are those of the simulation, and
all that is not as in the bench is the patience, which is exponential here. (A constant one without
retries is held against `retry_chain`, with one try.)
"""

from itertools import product
from typing import NamedTuple

import numpy as np

from surgetank.rehearsal.drain.reference.simulation import Floats, Rules, Seen

State = tuple[int, ...]


class Move(NamedTuple):
    """What may happen in a state."""

    to: State
    rate_per_s: float


def states(rules: Rules) -> list[State]:
    """All queues of up to `queue_max` calls."""
    marks = range(rules.tries_max + 1)
    return [
        state for length in range(rules.queue_max + 1) for state in product(marks, repeat=length)
    ]


def moves(rules: Rules, state: State) -> list[Move]:
    """What changes `state`, and how often."""
    has_room = len(state) < rules.queue_max
    result: list[Move] = []
    if has_room:
        result.append(Move((*state, 1), rules.arrivals_per_s))
    if state:
        result.append(Move(state[1:], rules.services_per_s))
    for place, attempt in enumerate(state):
        if attempt:
            gone = (*state[:place], 0, *state[place + 1 :])
            again = (attempt + 1,) if has_room and attempt < rules.tries_max else ()
            result.append(Move(gone + again, 1.0 / rules.timeout_s))
    return result


def means(rules: Rules) -> Seen:
    """What holds in the long run, exactly.

    Args:
        rules: Patience is taken as RANDOM. At most some thousand `states`, or it takes long.
    """
    every = states(rules)
    share = _stationary(rules, every)
    queue = np.array([len(state) for state in every])
    live = np.array([sum(attempt > 0 for attempt in state) for state in every])
    again = np.array([sum(0 < attempt < rules.tries_max for attempt in state) for state in every])
    good = np.array([bool(state) and state[0] > 0 for state in every])
    served = float((share * (queue > 0)).sum())
    in_time = float((share * good).sum())
    return Seen(
        queue=float((share * queue).sum()),
        live=float((share * live).sum()),
        orbit=0.0,
        offered_per_s=rules.arrivals_per_s + float((share * again).sum()) / rules.timeout_s,
        goodput_per_s=rules.services_per_s * in_time,
        wasted_ratio=1.0 - in_time / served,
    )


def _stationary(rules: Rules, every: list[State]) -> Floats:
    """Share of time in each state, by one linear solve."""
    index = {state: number for number, state in enumerate(every)}
    flow = np.zeros((len(every), len(every)))  # [to, from]
    for state, number in index.items():
        for to, rate_per_s in moves(rules, state):
            flow[index[to], number] += rate_per_s
            flow[number, number] -= rate_per_s
    flow[-1] = 1.0  # one equation is implied by the others: shares add up to 1
    one = np.zeros(len(every))
    one[-1] = 1.0
    return np.linalg.solve(flow, one).astype(np.float64)
