# Compiled: Numba infers the types.
# pyright: basic
"""What happens in a world, tick by tick, compiled.

Each tick, in this order: answers arrive and callers give up; fresh, unseen and backlog calls are
made; they are offered to the dependency in random order, which queues or rejects them; nodes crash
or come back; as many calls are served as the capacity gives by chance (Poisson), oldest first, those
of callers who have gone included; controllers look at what they have seen.
"""

import math

import numpy as np

from surgetank.rehearsal.drain.arrays import (
    ALIVE,
    CAPACITY,
    DONE_BACKLOG,
    DRAINED_AT,
    DRIFT,
    DRIFT_S,
    FRESH_FAILED,
    FRESH_OK,
    HEAD,
    OFFERED,
    OVERLOAD,
    OVERLOAD_ALIVE,
    OVERLOAD_SPEED,
    OVERLOAD_WAIT,
    SENT,
    SERVED,
    WHOLE_CELLS,
    compiled,
)
from surgetank.rehearsal.drain.caller import answer, arrive, control, give_up
from surgetank.rehearsal.drain.station import live, offer, serve


@compiled
def play(w, law, calls, agenda, a, schedule, town, cells, seconds, event, p, seed):
    """Play until the backlog is done, or hope is gone; when that was."""
    np.random.seed(seed)
    whole, before, real = cells
    real[ALIVE] = 1.0
    real[DRAINED_AT] = -1.0
    real[OFFERED] = (p.fresh_per_s + schedule[0, 3]) / schedule[0, 1]
    per_second = round(1.0 / p.tick_s)
    phase = tick = second = sent = 0
    for tick in range(p.ticks):
        now = tick * p.tick_s
        while phase + 1 < schedule.shape[0] and now >= schedule[phase + 1, 0]:
            phase += 1
        drift(real, p)
        answer(w, law, calls, agenda, whole, tick, p)
        give_up(w, law, calls, agenda, whole, tick, p)
        count = arrive(w, law, a, agenda, whole, tick, p, schedule[phase, 3])
        sent += count
        rejected = offer(w, law, calls, a, count, agenda, whole, tick, p)
        able_per_s = live(
            w, law, calls, agenda, real, town, whole, count, tick, p, schedule[phase, 1]
        )
        serve(calls, agenda, whole, real, rejected, tick, p, schedule[phase, 2], schedule[phase, 4])
        if whole[DONE_BACKLOG] >= p.backlog:
            real[DRAINED_AT] = now
        elif not p.is_backing_off:
            control(w, law, event, tick, p)
        is_over = real[DRAINED_AT] >= 0.0 or whole[SENT] > p.requests_max
        if (tick + 1) % per_second == 0 or is_over:
            if second < seconds.shape[0]:
                account(seconds[second], w, whole, before, real, sent, able_per_s, p)
            second += 1
            sent = 0
            if is_over:
                break
    return (tick + 1) * p.tick_s


@compiled
def drift(real, p):
    """Let the latency of all calls wander."""
    if p.drift > 0.0:
        step = p.tick_s / DRIFT_S
        pull = p.drift * math.sqrt(2.0 * step) * np.random.normal()
        real[DRIFT] += pull - step * real[DRIFT]


@compiled
def account(row, w, whole, before, real, sent, able_per_s, p):
    """Write the line of a second, and begin the next."""
    wait_s = (whole[HEAD] - whole[SERVED]) / real[CAPACITY]
    is_slow = real[CAPACITY] < OVERLOAD_SPEED * able_per_s or real[ALIVE] < OVERLOAD_ALIVE
    if is_slow or wait_s > OVERLOAD_WAIT * p.timeout_s:
        real[OVERLOAD] += 1.0
    row[0] = sent
    row[1] = whole[FRESH_OK] + whole[DONE_BACKLOG] - before[FRESH_OK] - before[DONE_BACKLOG]
    row[2] = whole[DONE_BACKLOG] - before[DONE_BACKLOG]
    row[3] = wait_s
    row[4] = real[CAPACITY]
    row[5] = real[ALIVE]
    row[6] = whole[FRESH_FAILED] - before[FRESH_FAILED]
    row[7] = w.state[0, 0]
    row[8] = w.state[0, 2]
    row[9] = w.state[0, 1]
    for k in range(WHOLE_CELLS):
        before[k] = whole[k]
