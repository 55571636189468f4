# Compiled: Numba infers the types.
# pyright: basic
"""The dependency in the compiled world: its queue, its nodes, and what it serves.

A call costs one service, and its answer takes the latency on top of the wait. Work for a caller who
gave up is wasted. A node that crashes loses the calls that it held.
"""

import math

import numpy as np

from surgetank.rehearsal.drain.arrays import (
    ALIVE,
    CAPACITY,
    COLLAPSE_FROM,
    COLLAPSE_MOST,
    CRASH_ABOVE,
    CRASH_CALLS,
    CRASH_S,
    CROWD_CALLS,
    CROWD_S,
    CROWD_S_MAX,
    DONE,
    DRIFT,
    FRESH,
    HEAD,
    LEFT,
    OFFERED,
    SENT,
    SERVED,
    WAITING,
    WASTED,
    WHOLE_AT,
    WORK,
    compiled,
)
from surgetank.rehearsal.drain.caller import fail, put, see
from surgetank.rehearsal.drain.world import CRASH_WAIT


@compiled
def offer(w, law, calls, a, count, agenda, whole, tick, p):
    """Offer the calls of this tick in random order; how many were rejected."""
    now = tick * p.tick_s
    mask = calls.sent.shape[0] - 1
    rejected = 0
    for place in range(count - 1, -1, -1):
        other = np.random.randint(0, place + 1)
        lane, caller, tries, epoch = a.lane[other], a.caller[other], a.tries[other], a.epoch[other]
        put(a, other, a.lane[place], a.caller[place], a.tries[place], a.epoch[place])
        if caller >= 0:
            whole[SENT] += 1
        s = whole[HEAD] & mask
        calls.sent[s] = tick
        calls.lane[s] = lane
        calls.caller[s] = caller
        calls.tries[s] = tries
        calls.epoch[s] = epoch
        calls.is_bad[s] = 0
        calls.next[s] = -1
        if whole[HEAD] - whole[SERVED] < p.queue_max:
            calls.state[s] = WAITING
            whole[HEAD] += 1
            continue
        rejected += 1
        if caller >= 0:
            w.out[caller] -= 1
            if lane == FRESH:
                w.fresh_out[caller] -= 1
            see(w, caller, law, calls, s, True, True, 0.0, now, p.has_breaker)
            fail(w, caller, calls, s, agenda, whole, tick, p)
    return rejected


@compiled
def live(w, law, calls, agenda, real, town, whole, count, tick, p, capacity_per_s):
    """Let nodes crash and come back, and load cost efficiency; the services per second now."""
    down_until, up_from = town
    now = tick * p.tick_s
    real[ALIVE] = 1.0
    if now < real[WHOLE_AT]:
        alive = 0.0
        for node in range(p.nodes):
            if now >= down_until[node]:
                alive += min(1.0, 0.5 + 0.5 * (now - up_from[node]) / p.warm_s)
        real[ALIVE] = alive / p.nodes
    able_per_s = capacity_per_s * max(real[ALIVE], 1e-3)
    span_s = max(CROWD_S, min(CROWD_S_MAX, CROWD_CALLS / capacity_per_s))
    share = min(1.0, p.tick_s / span_s)
    borne_per_s = capacity_per_s * max(real[ALIVE], 0.5 / p.nodes)  # At least by one that is cold.
    real[OFFERED] += (count / p.tick_s / borne_per_s - real[OFFERED]) * share
    above = real[OFFERED] - 1.0
    lost = min(COLLAPSE_MOST, p.collapse * max(0.0, above - COLLAPSE_FROM))
    real[CAPACITY] = able_per_s * (1.0 - lost)
    waiting = whole[HEAD] - whole[SERVED]
    is_late = waiting >= CRASH_CALLS and waiting / real[CAPACITY] > CRASH_WAIT * p.timeout_s
    if p.is_crashing and (above > CRASH_ABOVE or is_late):
        for node in range(p.nodes):
            if now >= down_until[node] and np.random.random() < p.tick_s / CRASH_S:
                down_until[node] = now + p.restart_s
                up_from[node] = now + p.restart_s
                real[WHOLE_AT] = now + p.restart_s + p.warm_s
                reset(w, law, calls, agenda, down_until, whole, tick, p)
    return able_per_s


@compiled
def reset(w, law, calls, agenda, down_until, whole, tick, p):
    """Let the calls fail that a crashing node held: its part of the queue, the oldest for all."""
    now = tick * p.tick_s
    mask = calls.sent.shape[0] - 1
    up = 1
    for node in range(p.nodes):
        if now >= down_until[node]:
            up += 1
    for _ in range((whole[HEAD] - whole[SERVED]) // up):
        s = whole[SERVED] & mask
        whole[SERVED] += 1
        c = calls.caller[s]
        if calls.state[s] != WAITING or c < 0:
            continue
        calls.state[s] = DONE
        w.out[c] -= 1
        if calls.lane[s] == FRESH:
            w.fresh_out[c] -= 1
        see(w, c, law, calls, s, True, False, 0.0, now, p.has_breaker)
        fail(w, c, calls, s, agenda, whole, tick, p)


@compiled
def serve(calls, agenda, whole, real, rejected, tick, p, latency_factor, error_ratio):
    """Serve the oldest calls, whether or not their callers are still there."""
    mask = calls.sent.shape[0] - 1
    length = agenda.answers.shape[0]
    services = np.random.poisson(real[CAPACITY] * p.tick_s) - p.reject_cost * rejected
    real[WORK] += p.reject_cost * rejected
    real[WASTED] += p.reject_cost * rejected
    while services >= 1.0 and whole[SERVED] < whole[HEAD]:
        s = whole[SERVED] & mask
        whole[SERVED] += 1
        services -= 1.0
        real[WORK] += 1.0
        log_s = p.latency_log + p.spread * np.random.normal() + real[DRIFT]
        takes_s = latency_factor * math.exp(log_s)
        if np.random.random() < p.slow_ratio:
            takes_s *= p.slow_factor
        latency_s = (tick - calls.sent[s]) * p.tick_s + takes_s
        if calls.state[s] == LEFT or latency_s > p.timeout_s:
            real[WASTED] += 1.0
            continue
        calls.latency[s] = latency_s
        calls.is_bad[s] = 1 if np.random.random() < error_ratio else 0
        place = (tick + 1 + int(takes_s / p.tick_s)) % length
        calls.next[s] = agenda.answers[place]
        agenda.answers[place] = s
