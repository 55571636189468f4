"""Plays one law in one world: sets the compiled loop up, and reads what came of it."""

import math
from itertools import pairwise
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from surgetank.control.breaker import Breaker, BreakerParameters
from surgetank.control.evidence import LATENCIES_LIMIT, EvidencePolicy
from surgetank.rehearsal.drain import arrays, loop
from surgetank.rehearsal.drain.document import RATIO_MAX
from surgetank.rehearsal.drain.world import World, optimum_s, phases

TICK_S_MIN, TICK_S_MAX = 0.001, 0.01
"""A tick is an eighth of the latency within these: what happens within one is simultaneous."""
AGENDA_TICKS = 1 << 16
"""Farthest tick that something can be due at; the longest backoff and time-out fit."""
SECONDS_MAX = 20_000
"""Seconds of which a line is kept."""
RESTORED_RATIO = 0.01
"""Share of fresh calls that may fail when fresh counts as restored..."""
RESTORED_S, RESTORED_CALLS = 10, 300
"""...over that many seconds, or that many calls where they take longer."""


class Player(NamedTuple):
    """A compiled law, how it looks, and how its clients behave."""

    name: str
    follow: Any
    first: NDArray[np.float64]
    """State that every caller begins with, as a row."""
    parameters: NDArray[np.float64]
    """[caller, number]"""
    evidence: EvidencePolicy
    is_backing_off: bool
    """No law: each call of the backlog tries again by its own client's backoff."""
    admit: Any
    record: Any
    breaker: BreakerParameters


class Played(NamedTuple):
    """What came of one run."""

    drained_s: float | None
    """When the backlog was done; None: never."""
    done: int
    """Calls of the backlog that ended well."""
    fresh_success: float
    """Share of fresh operations, of those that ended, that ended well; 1 when none ended."""
    fresh_restored_s: float | None
    """Seconds from when capacity last rose above fresh and unseen load until all but a hundredth
    of fresh was served for good; None: it never fell below, or fresh was never restored."""
    overload_s: float
    """Seconds with a wait above a quarter of the time-out, capacity lost to load, or nodes down."""
    wasted_ratio: float
    """Share of the dependency's work that served nobody."""
    shed_ratio: float
    """Share of fresh operations that were refused without a call."""
    requests: int
    """Calls made, those of others left out."""
    ended_s: float
    seconds: NDArray[np.float64]
    """[second, (sent, ok, backlog_ok, wait_s, capacity_per_s, alive_ratio, fresh_failed, mode,
    in_flight_max, rate_per_s)]; the first `SECONDS_MAX`."""


def callers(world: World) -> int:
    """Controllers: one where workers share it, and they are then played as one caller."""
    return 1 if world.is_shared else world.workers


def play(
    world: World, law: Player, *, seed: int, requests_max: int, is_wrapped: bool = False
) -> Played:
    """Play until the backlog is done, four times the optimum has passed, or there is no hope.

    Args:
        world: Where.
        law: Made for this world by `law.player`.
        seed: Of all chance.
        requests_max: Calls after which there is no hope.
        is_wrapped: Whether our breaker is round the law.
    """
    p = _physics(world, law, requests_max=requests_max, is_wrapped=is_wrapped)
    w, agenda = _callers(p, law), _agenda(p)
    schedule = np.array([phase[:5] for phase in phases(world)], dtype=np.float64)
    rules = arrays.Law(
        law.follow,
        law.parameters,
        np.array(
            [law.evidence.samples_min, law.evidence.interval_s_min, law.evidence.interval_s_max]
        ),
        law.admit,
        law.record,
        np.array(law.breaker, dtype=np.float64),
        law.breaker.probe_limit,
    )
    seconds = np.zeros((min(SECONDS_MAX, math.ceil(p.ticks * p.tick_s) + 1), arrays.COLUMNS))
    compiled = cast("Any", loop)  # Its types are those that Numba infers.
    cells = _cells()
    ended_s = compiled.play(
        w,
        rules,
        _calls(world),
        agenda,
        _arrivals(),
        schedule,
        (np.zeros(p.nodes), np.full(p.nodes, -1e9)),
        cells,
        seconds,
        np.zeros(arrays.INTERVAL),
        p,
        seed,
    )
    return _played(world, cells, float(ended_s), seconds)


def _physics(world: World, law: Player, *, requests_max: int, is_wrapped: bool) -> arrays.Physics:
    tick_s = min(TICK_S_MAX, max(TICK_S_MIN, world.latency_s / 8))
    horizon_s = RATIO_MAX * optimum_s(world)
    if not math.isfinite(horizon_s):
        horizon_s = float(SECONDS_MAX)
    return arrays.Physics(
        timeout_s=world.timeout_s,
        fresh_per_s=world.capacity_per_s * world.fresh_ratio,
        latency_log=math.log(world.latency_s),
        spread=world.latency_spread,
        drift=world.latency_drift_ratio,
        slow_ratio=world.slow_ratio,
        slow_factor=world.slow_factor,
        queue_max=world.queue_max,
        reject_cost=world.reject_cost,
        collapse=world.collapse,
        is_crashing=world.is_crashing,
        nodes=world.nodes,
        restart_s=world.restart_s,
        warm_s=world.warm_s,
        backlog=world.backlog,
        callers=callers(world),
        lag_ticks=round(world.lag_s / tick_s),
        tick_s=tick_s,
        ticks=math.ceil(horizon_s / tick_s),
        requests_max=requests_max,
        is_backing_off=law.is_backing_off,
        has_breaker=is_wrapped,
    )


def _callers(p: arrays.Physics, law: Player) -> arrays.Callers:
    count = p.callers
    state = np.tile(law.first, (count, 1))
    pool = np.full(count, p.backlog // count, dtype=np.int64)
    pool[: p.backlog % count] += 1
    obeyed = np.tile(state[:, 1:4], (p.lag_ticks + 1, 1, 1))
    latency = np.zeros((count, 3), dtype=np.int64)
    latency[:, arrays.STRIDE] = 1
    return arrays.Callers(
        state=state,
        breaker=np.zeros((count, len(Breaker._fields))),
        obeyed=obeyed,
        pool=pool,
        due_at=np.zeros(count),
        yield_at=np.zeros(count),
        budget=np.full(count, arrays.BUDGET),
        fresh_out=np.zeros(count, dtype=np.int64),
        out=np.zeros(count, dtype=np.int64),
        counts=np.zeros((count, 8), dtype=np.int64),
        began_at=np.zeros(count),
        latencies=np.zeros((count, LATENCIES_LIMIT)),
        latency=latency,
        latency_sum=np.zeros(count),
        has_turned=np.zeros(count, dtype=np.int64),
    )


def _agenda(p: arrays.Physics) -> arrays.Agenda:
    backlog = np.zeros((AGENDA_TICKS, arrays.TRIES_MAX), dtype=np.int64)
    if p.is_backing_off:
        backlog[0, 0] = p.backlog
    answers = np.full(AGENDA_TICKS, -1, dtype=np.int64)
    return arrays.Agenda(answers, np.zeros((AGENDA_TICKS, 3), dtype=np.int64), backlog)


def _calls(world: World) -> arrays.Calls:
    """Room for what waits, and for what was served within a time-out."""
    fastest_per_s = max(phase.capacity_per_s for phase in phases(world))
    room = 2 * (world.queue_max + 1.2 * fastest_per_s * world.timeout_s + arrays.ARRIVALS_MAX)
    size = 1 << math.ceil(math.log2(room))
    whole = [np.zeros(size, dtype=np.int64) for _ in range(6)]
    sent, lane, caller, tries, state, is_bad = whole
    following = np.full(size, -1, dtype=np.int64)
    return arrays.Calls(
        sent, lane, caller, tries, state, is_bad, np.zeros(size), following, np.zeros(size)
    )


def _arrivals() -> arrays.Arrivals:
    size = 2 * arrays.ARRIVALS_MAX
    lane, caller, tries = (np.zeros(size, dtype=np.int64) for _ in range(3))
    return arrays.Arrivals(lane, caller, tries, np.zeros(size))


def _cells() -> arrays.Cells:
    whole, before = (np.zeros(arrays.WHOLE_CELLS, dtype=np.int64) for _ in range(2))
    return arrays.Cells(whole, before, np.zeros(arrays.REAL_CELLS))


def _played(
    world: World, cells: arrays.Cells, ended_s: float, seconds: NDArray[np.float64]
) -> Played:
    whole, real = cells.whole, cells.real
    drained_at = float(real[arrays.DRAINED_AT])
    fresh_ok, fresh_failed = int(whole[arrays.FRESH_OK]), int(whole[arrays.FRESH_FAILED])
    ended = fresh_ok + fresh_failed
    rows = seconds[: math.ceil(ended_s)]
    return Played(
        drained_s=drained_at if drained_at >= 0 else None,
        done=int(whole[arrays.DONE_BACKLOG]),
        fresh_success=fresh_ok / ended if ended else 1.0,
        fresh_restored_s=_restored_s(world, rows[:, 6]),
        overload_s=float(real[arrays.OVERLOAD]),
        wasted_ratio=float(real[arrays.WASTED]) / max(1.0, float(real[arrays.WORK])),
        shed_ratio=int(whole[arrays.FRESH_SHED]) / max(1, ended),
        requests=int(whole[arrays.SENT]),
        ended_s=ended_s,
        seconds=rows,
    )


def _restored_s(world: World, failed: NDArray[np.float64]) -> float | None:
    """When fresh was served for good, from when it last could be."""
    parts = phases(world)
    rises = [
        later.at_s
        for before, later in pairwise(parts)
        if before.drain_per_s <= 0 < later.drain_per_s
    ]
    if not rises or rises[-1] >= len(failed):
        return None
    fresh_per_s = world.capacity_per_s * world.fresh_ratio
    window_s = max(RESTORED_S, math.ceil(RESTORED_CALLS / fresh_per_s))
    sums = np.convolve(failed, np.ones(window_s))[: len(failed)]
    poor = np.flatnonzero(sums > RESTORED_RATIO * fresh_per_s * window_s)
    if len(poor) == 0 or poor[-1] < rises[-1]:
        return 0.0
    if poor[-1] == len(failed) - 1:
        return None
    # The last window that was poor ends there; its last failure is what it remembers.
    last = np.flatnonzero(failed[: poor[-1] + 1])[-1]
    return float(max(0.0, last + 1 - rises[-1]))
