"""Calls, one by one: a queue whose callers give up and try again, as the drain bench plays it.

The physics are those of the bench's world: one queue, first come first served; calls arrive at
random; a call beyond the limit is refused; a caller who waits for too long hangs up, and the work
is done all the same. Nothing here is a tick: time goes from event to event. So what can be solved
exactly can be held against it within the noise of the run.

Rules:
    - All functions that are played compile by Numba; run plainly they give the same numbers.
    - Chance is an argument. Equal seeds, equal runs.
    - `advance` plays until an instant; callers change the rules between two calls of it.
"""

import math
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Marks = npt.NDArray[np.int8]
F = TypeVar("F", bound=Callable[..., object])

NEVER = -1
"""A length that no queue has: `advance` then stops at the instant only."""
(HEAD, TAIL, DUE, LIVE, ORBIT, OFFERED, REFUSED, GOOD, WASTED) = range(9)
(NOW, QUEUE_AREA, LIVE_AREA, ORBIT_AREA) = range(4)


class Patience(IntEnum):
    """How a caller comes to give up."""

    FATE = 0
    """Decided by a coin when the call is sent; see `retry_chain`. Who loses waits in orbit, and
    then tries again or gives up for good."""
    RANDOM = 1
    """After a time that is exponential with mean `timeout_s`; tried again at once."""
    CLOCK = 2
    """After `timeout_s`; tried again at once."""


class Rules(NamedTuple):
    """One dependency and its callers; numbers only."""

    arrivals_per_s: float
    services_per_s: float
    queue_max: int
    """Calls waiting or in service; one more is refused. At most what `Calls` has room for."""
    timeout_s: float
    patience: int
    """A `Patience`."""
    tries_max: int
    """Tries of one operation; under FATE their mean, when all are lost."""


class Calls(NamedTuple):
    """All calls in the queue, and what was counted: arrays, changed in place."""

    tries: Marks
    """Which try of its operation it is, from 1; 0 where nobody waits for it any more. A ring."""
    sent_at: Floats
    """When it was sent; of the same ring."""
    tally: Counts
    """By `HEAD` to `WASTED`."""
    area: Floats
    """By `NOW` to `ORBIT_AREA`: the instant, and sums of number times seconds."""


class Seen(NamedTuple):
    """Means over a span of time."""

    queue: float
    """Calls waiting or in service."""
    live: float
    """Of those, calls that somebody still waits for; under FATE, calls that will be in time."""
    orbit: float
    """Callers between two tries; 0 where they try again at once."""
    offered_per_s: float
    """Calls sent, refused ones included."""
    goodput_per_s: float
    """Calls served while somebody waited."""
    wasted_ratio: float
    """Share of services for nobody; 0 where nothing was served."""


def compiled(function: F) -> F:
    """The same function, made fast at its first call."""
    return cast("F", numba.njit(function))


def begin(room: int) -> Calls:
    """An empty queue at instant 0, with room for `room` calls."""
    return Calls(
        np.zeros(room, np.int8),
        np.zeros(room, np.float64),
        np.zeros(WASTED + 1, np.int64),
        np.zeros(ORBIT_AREA + 1, np.float64),
    )


def measure(
    rules: Rules, calls: Calls, until_s: float, lost: Floats, chance: np.random.Generator
) -> Seen:
    """Plays on until `until_s` and says what was seen from now till then."""
    tally, area = calls.tally.copy(), calls.area.copy()
    advance(rules, lost, calls, until_s, NEVER, chance)
    tally, area = calls.tally - tally, calls.area - area
    span_s = float(area[NOW])
    served = int(tally[GOOD] + tally[WASTED])
    return Seen(
        queue=float(area[QUEUE_AREA]) / span_s,
        live=float(area[LIVE_AREA]) / span_s,
        orbit=float(area[ORBIT_AREA]) / span_s,
        offered_per_s=int(tally[OFFERED]) / span_s,
        goodput_per_s=int(tally[GOOD]) / span_s,
        wasted_ratio=int(tally[WASTED]) / served if served else 0.0,
    )


@compiled
def _pass_time(calls: Calls, now: float) -> None:
    """Nothing happens until `now`."""
    area, tally = calls.area, calls.tally
    span_s = now - area[NOW]
    area[QUEUE_AREA] += (tally[TAIL] - tally[HEAD]) * span_s
    area[LIVE_AREA] += tally[LIVE] * span_s
    area[ORBIT_AREA] += tally[ORBIT] * span_s
    area[NOW] = now


@compiled
def _send(
    rules: Rules, lost: Floats, calls: Calls, attempt: int, chance: np.random.Generator
) -> None:
    """A call arrives: it joins the queue, or is refused."""
    tally = calls.tally
    tally[OFFERED] += 1
    queue = tally[TAIL] - tally[HEAD]
    if queue >= rules.queue_max:
        tally[REFUSED] += 1
        return
    is_lost = rules.patience == Patience.FATE and chance.random() < lost[queue]
    tally[ORBIT] += 1 if is_lost else 0
    place = tally[TAIL] % len(calls.tries)
    calls.tries[place] = 0 if is_lost else attempt
    calls.sent_at[place] = calls.area[NOW]
    tally[TAIL] += 1
    tally[LIVE] += 0 if is_lost else 1


@compiled
def _serve(calls: Calls) -> None:
    """The call at the head is done, whether or not anybody waits for it."""
    tally = calls.tally
    if calls.tries[tally[HEAD] % len(calls.tries)] > 0:
        tally[GOOD] += 1
        tally[LIVE] -= 1
    else:
        tally[WASTED] += 1
    tally[HEAD] += 1
    tally[DUE] = max(tally[DUE], tally[HEAD])


@compiled
def _hang_up(
    rules: Rules, lost: Floats, calls: Calls, call: int, chance: np.random.Generator
) -> None:
    """A caller gives up waiting, and sends the next try at once if there is one."""
    place = call % len(calls.tries)
    attempt = calls.tries[place]
    calls.tries[place] = 0
    calls.tally[LIVE] -= 1
    if attempt < rules.tries_max:
        _send(rules, lost, calls, attempt + 1, chance)


@compiled
def _hang_up_any(rules: Rules, lost: Floats, calls: Calls, chance: np.random.Generator) -> None:
    """One of the callers who wait gives up, each as likely as another."""
    first, length = calls.tally[HEAD], calls.tally[TAIL] - calls.tally[HEAD]
    call = first + int(chance.random() * length)
    while calls.tries[call % len(calls.tries)] == 0:
        call = first + int(chance.random() * length)
    _hang_up(rules, lost, calls, call, chance)


@compiled
def _come_back(rules: Rules, lost: Floats, calls: Calls, chance: np.random.Generator) -> None:
    """A caller leaves orbit: for another try, or for good."""
    calls.tally[ORBIT] -= 1
    if chance.random() * rules.tries_max >= 1.0:
        _send(rules, lost, calls, 1, chance)


@compiled
def _deadline(rules: Rules, calls: Calls) -> float:
    """When the next caller's clock says that it is enough."""
    due = calls.tally[DUE]
    if rules.patience != Patience.CLOCK or due == calls.tally[TAIL]:
        return math.inf
    return float(calls.sent_at[due % len(calls.tries)]) + rules.timeout_s


@compiled
def _happen(
    rules: Rules,
    lost: Floats,
    calls: Calls,
    rates_per_s: tuple[float, float, float],
    chance: np.random.Generator,
) -> None:
    """One event: a service, a caller who hangs up, one back from orbit, or else a new operation."""
    serve, leave, back = rates_per_s
    which = chance.random() * (rules.arrivals_per_s + serve + leave + back)
    if which < serve:
        _serve(calls)
    elif which < serve + leave:
        _hang_up_any(rules, lost, calls, chance)
    elif which < serve + leave + back:
        _come_back(rules, lost, calls, chance)
    else:
        _send(rules, lost, calls, 1, chance)


@compiled
def advance(
    rules: Rules,
    lost: Floats,
    calls: Calls,
    until_s: float,
    stop_queue: int,
    chance: np.random.Generator,
) -> None:
    """Plays until the instant `until_s`, or until the queue comes to be `stop_queue` long.

    What is random has no memory, so the time to the next event is drawn anew after each.

    Args:
        rules: What holds meanwhile.
        lost: Chance that a call which finds n before it is lost, for n from 0 to below
            `queue_max`; looked at under FATE only.
        calls: Changed in place.
        until_s: Seconds since `begin`; not before `calls.area[NOW]`.
        stop_queue: Length of the queue, or `NEVER`.
        chance: Seeded.
    """
    if rules.queue_max > len(calls.tries):
        raise AssertionError("begin with more room")  # pytest rewrites `assert` beyond compiling
    tally = calls.tally
    while True:
        serve = rules.services_per_s if tally[TAIL] > tally[HEAD] else 0.0
        is_random = rules.patience == Patience.RANDOM
        leave = tally[LIVE] / rules.timeout_s if is_random else 0.0
        back = tally[ORBIT] / rules.timeout_s
        event_at = calls.area[NOW] + chance.standard_exponential() / (
            rules.arrivals_per_s + serve + leave + back
        )
        deadline = _deadline(rules, calls)
        if min(deadline, until_s) <= event_at:
            _pass_time(calls, min(deadline, until_s))
            if until_s <= deadline:
                return
            tally[DUE] += 1
            _hang_up(rules, lost, calls, tally[DUE] - 1, chance)
            continue
        _pass_time(calls, event_at)
        _happen(rules, lost, calls, (serve, leave, back), chance)
        if tally[TAIL] - tally[HEAD] == stop_queue:
            return
