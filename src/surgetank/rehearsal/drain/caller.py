# Compiled: Numba infers the types.
# pyright: basic
"""Callers in the compiled world: what they send, what they see of it, and what decides.

A controller sees what a client sees and nothing else: the same results, latencies and counts as
`control.governor` gathers, in the same order of rules.
"""

import numpy as np

from surgetank.control.evidence import (
    HIGH_QUANTILE,
    LATENCIES_LIMIT,
    LOW_QUANTILE,
    RESULTS_MIN,
)
from surgetank.rehearsal.drain.arrays import (
    ARRIVALS_MAX,
    BACKLOG,
    BACKLOG_BAD,
    BACKLOG_OK,
    BAD,
    BUDGET,
    BUDGET_SHARE,
    BURST_S,
    CLOSED,
    COUNT,
    DONE,
    DONE_BACKLOG,
    FRESH,
    FRESH_FAILED,
    FRESH_FIRST_S,
    FRESH_OK,
    FRESH_SHED,
    GIVEN_UP,
    HALF_OPEN,
    HEAD,
    HELD,
    KEPT,
    LEFT,
    OK,
    OPEN,
    PEAK,
    SHED,
    STRIDE,
    THROTTLED,
    TRIES_MAX,
    UNSEEN,
    WAITING,
    compiled,
)
from surgetank.rehearsal.drain.world import RETRIES_MAX


@compiled
def see(w, c, law, calls, s, is_bad, is_throttled, latency_s, now, has_breaker):
    """Let a caller learn of a result; results of an earlier phase of the breaker are stale."""
    if has_breaker:
        changed = law.record(w.breaker[c], law.breaker, calls.epoch[s], 1.0 if is_bad else 0.0, now)
        if changed > 0.0:
            w.has_turned[c] = 1
        if w.breaker[c, 0] != CLOSED or w.breaker[c, 1] != calls.epoch[s]:
            return
    is_backlog = 1 if calls.lane[s] == BACKLOG else 0
    if is_bad:
        w.counts[c, BAD] += 1
        w.counts[c, THROTTLED] += 1 if is_throttled else 0
        w.counts[c, BACKLOG_BAD] += is_backlog
    else:
        w.counts[c, OK] += 1
        w.counts[c, BACKLOG_OK] += is_backlog
        keep(w, c, latency_s)


@compiled
def keep(w, c, latency_s):
    """Keep a latency, as `control.evidence.gather` does."""
    if w.latency[c, COUNT] % w.latency[c, STRIDE] == 0 and w.latency[c, KEPT] < LATENCIES_LIMIT:
        w.latencies[c, w.latency[c, KEPT]] = latency_s
        w.latency[c, KEPT] += 1
    w.latency[c, COUNT] += 1
    w.latency_sum[c] += latency_s


@compiled
def fail(w, c, calls, s, agenda, whole, tick, p):
    """A call ended badly: it waits again, or its operation fails."""
    tries = calls.tries[s]
    length = agenda.answers.shape[0]
    if calls.lane[s] == BACKLOG:
        if not p.is_backing_off:
            w.pool[c] += 1
            return
        back_off(agenda, tick, tries, p)
    elif tries < RETRIES_MAX and (p.is_backing_off or w.budget[c] >= 1.0):
        w.budget[c] -= 1.0
        wait_s = np.random.random() * 0.5 * 2.0**tries
        agenda.fresh[(tick + 1 + int(wait_s / p.tick_s)) % length, tries + 1] += 1
    else:
        whole[FRESH_FAILED] += 1


@compiled
def back_off(agenda, tick, tries, p):
    """Let a call of the backlog try again by its own client's backoff."""
    following = min(TRIES_MAX - 1, tries + 1)
    wait_s = np.random.random() * min(60.0, 2.0**following)
    place = (tick + 1 + int(wait_s / p.tick_s)) % agenda.answers.shape[0]
    agenda.backlog[place, following] += 1


@compiled
def answer(w, law, calls, agenda, whole, tick, p):
    """Let the answers of this tick arrive."""
    now = tick * p.tick_s
    place = tick % agenda.answers.shape[0]
    s = agenda.answers[place]
    agenda.answers[place] = -1
    while s != -1:
        if calls.state[s] == WAITING:
            calls.state[s] = DONE
            c = calls.caller[s]
            if c >= 0:
                w.out[c] -= 1
                if calls.lane[s] == FRESH:
                    w.fresh_out[c] -= 1
                is_bad = calls.is_bad[s] == 1
                see(w, c, law, calls, s, is_bad, False, calls.latency[s], now, p.has_breaker)
                if is_bad:
                    fail(w, c, calls, s, agenda, whole, tick, p)
                else:
                    w.budget[c] = min(BUDGET, w.budget[c] + BUDGET_SHARE)
                    whole[DONE_BACKLOG if calls.lane[s] == BACKLOG else FRESH_OK] += 1
        s = calls.next[s]


@compiled
def give_up(w, law, calls, agenda, whole, tick, p):
    """Let the callers go whose time is up; calls time out in the order they were made."""
    now = tick * p.tick_s
    patience = round(p.timeout_s / p.tick_s)
    mask = calls.sent.shape[0] - 1
    while whole[GIVEN_UP] < whole[HEAD]:
        s = whole[GIVEN_UP] & mask
        if tick - calls.sent[s] < patience:
            return
        if calls.state[s] == WAITING:
            calls.state[s] = LEFT
            c = calls.caller[s]
            if c >= 0:
                w.out[c] -= 1
                if calls.lane[s] == FRESH:
                    w.fresh_out[c] -= 1
                see(w, c, law, calls, s, True, False, 0.0, now, p.has_breaker)
                fail(w, c, calls, s, agenda, whole, tick, p)
        whole[GIVEN_UP] += 1


@compiled
def admit_fresh(w, c, law, now, p, lag):
    """Leave for a fresh call: the epoch of the breaker, or -1 when it is refused."""
    if p.has_breaker and w.breaker[c, 0] != CLOSED:
        was = w.breaker[c, 0]
        epoch = law.admit(w.breaker[c], law.breaker, now)
        if epoch < 0.0 and was == OPEN:
            w.yield_at[c] = w.breaker[c, 2] + FRESH_FIRST_S
        return epoch
    if w.fresh_out[c] >= w.obeyed[lag, c, 2]:
        w.counts[c, SHED] += 1
        return -1.0
    return w.breaker[c, 1]


@compiled
def admit_backlog(w, c, law, now, p, lag):
    """Leave for a backlog call, likewise."""
    if p.has_breaker and w.breaker[c, 0] != CLOSED:
        if now < w.yield_at[c]:
            return -1.0
        return law.admit(w.breaker[c], law.breaker, now)
    if now < w.due_at[c] or w.out[c] >= w.obeyed[lag, c, 1]:
        w.counts[c, HELD] = 1
        return -1.0
    w.due_at[c] = max(w.due_at[c], now - BURST_S) + 1.0 / w.obeyed[lag, c, 0]
    return w.breaker[c, 1]


@compiled
def arrive(w, law, a, agenda, whole, tick, p, unseen_per_s):
    """Make the calls of this tick; how many."""
    count = arrive_fresh(w, law, a, agenda, whole, tick, p)
    if unseen_per_s > 0.0:
        for _ in range(np.random.poisson(unseen_per_s * p.tick_s)):
            put(a, count, UNSEEN, -1, 0, 0.0)
            count += 1
    if p.is_backing_off:
        return stampede(w, law, a, agenda, tick, p, count)
    for c in range(p.callers):
        count = release(w, c, law, a, tick, p, count)
        w.counts[c, PEAK] = max(w.counts[c, PEAK], w.out[c])
    return count


@compiled
def arrive_fresh(w, law, a, agenda, whole, tick, p):
    """Make the fresh calls of this tick, and the retries that are due; how many."""
    place = tick % agenda.answers.shape[0]
    agenda.fresh[place, 0] = np.random.poisson(p.fresh_per_s * p.tick_s)
    count = 0
    for tries in range(RETRIES_MAX + 1):
        due = agenda.fresh[place, tries]
        agenda.fresh[place, tries] = 0
        for _ in range(due):
            c = np.random.randint(0, p.callers) if p.callers > 1 else 0
            epoch = admit_fresh(w, c, law, tick * p.tick_s, p, tick % w.obeyed.shape[0])
            if epoch < 0.0:
                whole[FRESH_SHED] += 1
                whole[FRESH_FAILED] += 1
                continue
            w.fresh_out[c] += 1
            w.out[c] += 1
            put(a, count, FRESH, c, tries, epoch)
            count += 1
    return count


@compiled
def release(w, c, law, a, tick, p, count):
    """Make the backlog calls that a caller has leave for; how many calls there are then."""
    while w.pool[c] > 0 and count < ARRIVALS_MAX:
        epoch = admit_backlog(w, c, law, tick * p.tick_s, p, tick % w.obeyed.shape[0])
        if epoch < 0.0:
            break
        w.pool[c] -= 1
        w.out[c] += 1
        put(a, count, BACKLOG, c, 0, epoch)
        count += 1
    return count


@compiled
def stampede(w, law, a, agenda, tick, p, count):
    """Let every backlog call that is due by its own backoff come; how many calls there are then.

    A call that a breaker refuses backs off as one that failed.
    """
    place = tick % agenda.answers.shape[0]
    following = (place + 1) % agenda.answers.shape[0]
    for tries in range(TRIES_MAX):
        due = agenda.backlog[place, tries]
        agenda.backlog[place, tries] = 0
        now = min(due, ARRIVALS_MAX - count)
        agenda.backlog[following, tries] += due - now
        for _ in range(now):
            c = np.random.randint(0, p.callers) if p.callers > 1 else 0
            epoch = w.breaker[c, 1]
            if p.has_breaker:
                epoch = law.admit(w.breaker[c], law.breaker, tick * p.tick_s)
            if epoch < 0.0:
                back_off(agenda, tick, tries, p)
                continue
            w.out[c] += 1
            put(a, count, BACKLOG, c, tries, epoch)
            count += 1
    return count


@compiled
def put(a, place, lane, caller, tries, epoch):
    """Note a call of this tick."""
    a.lane[place] = lane
    a.caller[place] = caller
    a.tries[place] = tries
    a.epoch[place] = epoch


@compiled
def is_enough(w, c, law, now):
    """Whether a controller looks now; the rules of `control.evidence.is_enough`."""
    ok, bad = w.counts[c, OK], w.counts[c, BAD]
    span_s = now - w.began_at[c]
    if ok + bad < RESULTS_MIN or span_s < law.evidence[1]:
        return False
    if ok + bad >= law.evidence[0] or span_s >= law.evidence[2]:
        return True
    return (bad >= RESULTS_MIN and bad >= ok) or last_three(w, c) > w.state[c, 4]


@compiled
def last_three(w, c):
    """The least of the last three latencies kept; 0 when there are fewer."""
    kept = w.latency[c, KEPT]
    if kept < RESULTS_MIN:
        return 0.0
    row = w.latencies[c]
    return min(row[kept - 1], row[kept - 2], row[kept - 3])


@compiled
def rank(values, count):
    """Sort the first few in place; they are at most `LATENCIES_LIMIT`."""
    for place in range(1, count):
        value = values[place]
        while place > 0 and values[place - 1] > value:
            values[place] = values[place - 1]
            place -= 1  # noqa: PLW2901 - walks down from there
        values[place] = value


@compiled
def close(w, c, event, now):
    """Write the interval of a controller in `event`, as `control.evidence.close` does."""
    event[0] = now
    event[1] = now - w.began_at[c]
    for k in range(8):
        event[2 + k] = w.counts[c, k]
    kept, seen = w.latency[c, KEPT], w.latency[c, COUNT]
    event[10] = seen
    event[11:15] = 0.0
    late_s = last_three(w, c)
    if kept > 0:
        ranked = w.latencies[c]
        rank(ranked, kept)
        event[11] = ranked[int(LOW_QUANTILE * (kept - 1))]
        event[12] = ranked[int(HIGH_QUANTILE * (kept - 1))]
        event[13] = w.latency_sum[c] / seen
        event[14] = ranked[0]
    if late_s > w.state[c, 4]:
        event[11] = max(event[11], late_s)


@compiled
def begin(w, c, now, stride):
    """Begin an interval."""
    w.began_at[c] = now
    w.counts[c, :] = 0
    w.counts[c, PEAK] = w.out[c]
    w.latency[c, KEPT] = 0
    w.latency[c, COUNT] = 0
    w.latency[c, STRIDE] = stride
    w.latency_sum[c] = 0.0


@compiled
def control(w, law, event, tick, p):
    """Let each controller look that has seen enough, or whose breaker has turned."""
    now = tick * p.tick_s
    for c in range(p.callers):
        before_per_s = w.obeyed[tick % w.obeyed.shape[0], c, 0]
        if w.has_turned[c] == 1 and w.breaker[c, 0] != HALF_OPEN:
            is_open = w.breaker[c, 0] == OPEN
            event[0] = now
            event[1] = -1.0 if is_open else -2.0
            event[2] = law.probes
            law.follow(w.state[c], event, law.parameters[c])
            if is_open:
                w.yield_at[c] = now
            begin(w, c, now, 1)
        elif is_enough(w, c, law, now):
            close(w, c, event, now)
            law.follow(w.state[c], event, law.parameters[c])
            begin(w, c, now, max(1, w.latency[c, COUNT] // LATENCIES_LIMIT))
        w.has_turned[c] = 0
        decided = (tick + p.lag_ticks) % w.obeyed.shape[0]
        for k in range(3):
            w.obeyed[decided, c, k] = w.state[c, 1 + k]
        after_per_s = w.obeyed[(tick + 1) % w.obeyed.shape[0], c, 0]
        if after_per_s != before_per_s:  # Calls owed or saved stay the same number of calls.
            w.due_at[c] = now + (w.due_at[c] - now) * before_per_s / after_per_s
