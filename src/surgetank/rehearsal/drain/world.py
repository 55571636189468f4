"""A world: one dependency with finite capacity, its callers, and a backlog to drain.

A world is one TOML file; every key stands here with its unit, its range and what it means. Rates
of others are given as ratios of the capacity, so that a world can be made larger or smaller by one
number. `optimum_s` is the least time in which any law could drain it, and every figure of the
bench is held against that.
"""

import math
from itertools import pairwise
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from surgetank.control.budget import BudgetPolicy

RETRIES_MAX = 2
"""How often a fresh caller tries again, within a budget; so do today's SDKs, two or three times."""
CRASH_WAIT = 0.5
"""Share of the time-out; nodes crash while calls wait longer."""
CHANCE_MAX = 0.01
"""Share of time in which chance alone may hurt fresh calls where capacity counts as enough."""
PHASES_MAX = 256
"""Entries of a schedule; a capacity that oscillates for an hour every half minute fits."""


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class Change(_Part):
    """From an instant on, what is not as the world says; what is left out is as the world says."""

    at_s: Annotated[float, Field(ge=0, le=86_400)]
    """Seconds since the drain began; entries stand in order, each with an instant of its own."""
    capacity_ratio: Annotated[float, Field(ge=0.01, le=10)] = 1.0
    """Capacity, of the world's; at 0.01 the dependency is as good as dead."""
    latency_factor: Annotated[float, Field(ge=0.01, le=100)] = 1.0
    """Latency without a queue, over the world's; the capacity stays."""
    unseen_ratio: Annotated[float, Field(ge=0, le=10)] | None = None
    """Load of others, of the world's capacity; left out: the world's."""
    error_ratio: Annotated[float, Field(ge=0, le=0.5)] | None = None
    """Background errors; left out: the world's."""


class World(_Part):
    """One dependency, its callers and a backlog. Unknown keys are errors."""

    title: Annotated[str, Field(min_length=1, max_length=120)]
    """What the world is, for people."""
    capacity_per_s: Annotated[float, Field(ge=0.1, le=10_000)]
    """Calls a second that the dependency serves with all its nodes warm, not overloaded."""
    fresh_ratio: Annotated[float, Field(gt=0, le=1)]
    """Fresh operations that arrive a second, of the capacity. Arrivals are random (Poisson); an
    operation that fails is tried again at most twice, within a retry budget of a tenth."""
    unseen_ratio: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Calls of others that arrive a second, of the capacity: we see only what they do to ours."""
    backlog: Annotated[int, Field(ge=1, le=10_000_000)]
    """Calls that wait to be replayed; one that fails goes back."""
    timeout_s: Annotated[float, Field(ge=0.05, le=60)]
    """Seconds after which a caller gives up; the dependency does the work all the same."""
    latency_s: Annotated[float, Field(ge=0.001, le=60)]
    """Median seconds of an answer without a queue; below `timeout_s`."""
    latency_spread: Annotated[float, Field(ge=0, le=2)] = 0.3
    """Standard deviation of the logarithm of the latency: 0.3 puts a tenth of the calls at 1.5
    times the median."""
    latency_drift_ratio: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Standard deviation of a slow drift of the logarithm of the latency, of all calls together;
    it forgets itself in 10 s."""
    slow_ratio: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of calls that are slow by no queue's doing."""
    slow_factor: Annotated[float, Field(ge=1, le=1_000)] = 1.0
    """Latency of those, over that of the others."""
    queue_max: Annotated[int, Field(ge=1, le=100_000)]
    """Calls that wait; one more is rejected."""
    reject_cost: Annotated[float, Field(ge=0, le=10)] = 0.1
    """What a rejection costs the dependency, in services."""
    collapse: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Share of the capacity that is lost for each capacity's worth of load above the capacity: at 1,
    half as much again as it can bear halves it. At most 95% is lost."""
    is_crashing: bool = False
    """Whether nodes crash: while a fifth more than the capacity is offered, or the wait passes half
    the time-out, each goes down within 20 s on average."""
    nodes: Annotated[int, Field(ge=1, le=1_000)] = 20
    """Nodes that share the capacity."""
    restart_s: Annotated[float, Field(ge=0, le=3_600)] = 120.0
    """Seconds that a crashed node is away."""
    warm_s: Annotated[float, Field(gt=0, le=3_600)] = 60.0
    """Seconds in which a node that is back goes from half its speed to all of it."""
    error_ratio: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Share of served calls that fail by no load's doing; each costs a service."""
    workers: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Callers, each with its share of the fresh operations and of the backlog."""
    is_shared: bool = True
    """Whether one controller learns from all workers and decides for all; else each learns alone."""
    lag_s: Annotated[float, Field(ge=0, le=60)] = 0.0
    """Seconds that a shared decision is old when workers follow it; only where it is shared."""
    schedule: Annotated[tuple[Change, ...], Field(strict=False, max_length=PHASES_MAX)] = ()
    """What changes while the backlog drains, in order of time; each entry holds until the next."""

    @field_validator("title")
    @classmethod
    def _cannot_steer_a_terminal(cls, title: str) -> str:
        if not title.isprintable():
            raise ValueError("one line, without control characters")
        return title

    @field_validator("latency_s")
    @classmethod
    def _answers_before_callers_give_up(cls, latency_s: float, info: ValidationInfo) -> float:
        if latency_s >= info.data.get("timeout_s", math.inf):
            raise ValueError("below timeout_s, or no call ever ends well")
        return latency_s

    @field_validator("lag_s")
    @classmethod
    def _only_what_is_shared_lags(cls, lag_s: float, info: ValidationInfo) -> float:
        if lag_s and not info.data.get("is_shared", True):
            raise ValueError("0 where is_shared is false: nothing is shared that could lag")
        return lag_s

    @field_validator("schedule")
    @classmethod
    def _in_order_of_time(cls, schedule: tuple[Change, ...]) -> tuple[Change, ...]:
        if any(later.at_s <= earlier.at_s for earlier, later in pairwise(schedule)):
            raise ValueError("entries in order of at_s, each with an instant of its own")
        return schedule


class Phase(NamedTuple):
    """What holds from one instant to the next."""

    at_s: float
    capacity_per_s: float
    latency_factor: float
    unseen_per_s: float
    error_ratio: float
    drain_per_s: float
    """Backlog that can be done a second, at best; 0 where fresh and unseen load take it all."""


def phases(world: World) -> list[Phase]:
    """What holds when: at least one, the first from 0 on, each until the next, the last for ever."""
    changes = list(world.schedule)
    if not changes or changes[0].at_s > 0:
        changes.insert(0, Change(at_s=0))
    return [_phase(world, change) for change in changes]


def optimum_s(world: World) -> float:
    """Least seconds in which a law that knows everything drains the backlog; `inf` if never.

    The backlog's calls are what is left of the capacity when fresh and unseen calls have been
    served: B is the integral of `Phase.drain_per_s`. Each failed call costs a service and is made
    again, so that of C - U services, F + R are for fresh operations and their retries, and of the
    others the share 1 - e ends well: (C - U - F - R)(1 - e). A fresh operation is tried again at
    most twice: R = F(e + e^2), and at most a tenth of what ends well, (C - U)(1 - e), the budget.
    Here e is the share of calls that fail without any queue: background errors, and calls whose
    latency alone is above the time-out. The latency of the last call is not counted, nor is luck:
    a run may end a little before.
    """
    left = float(world.backlog)
    parts = phases(world)
    for phase, following in pairwise(parts):
        done = phase.drain_per_s * (following.at_s - phase.at_s)
        if done >= left:
            return phase.at_s + left / phase.drain_per_s
        left -= done
    last = parts[-1]
    return last.at_s + left / last.drain_per_s if last.drain_per_s > 0 else math.inf


def drainable(world: World, seconds: float) -> float:
    """Backlog that a law which knows everything does in the first `seconds`; 0 or more."""
    parts = phases(world)
    ends = [*(phase.at_s for phase in parts[1:]), math.inf]
    return sum(
        phase.drain_per_s * max(0.0, min(seconds, end) - phase.at_s)
        for phase, end in zip(parts, ends, strict=True)
    )


def is_short(world: World) -> bool:
    """Whether fresh and unseen load alone are too much at some time before the optimum.

    Too much is all the capacity, or so much of it that by chance alone (a queue M/M/1) calls are
    refused, time out or fell nodes for more than `CHANCE_MAX` of the time. No law serves all fresh
    operations there; what tells laws apart is how soon they are served again once they can be.
    """
    end_s = optimum_s(world)
    fresh_per_s = world.capacity_per_s * world.fresh_ratio
    patience_s = world.timeout_s * (CRASH_WAIT if world.is_crashing else 1.0)
    for phase in phases(world):
        load = (fresh_per_s + phase.unseen_per_s) / phase.capacity_per_s
        waiting = min(float(world.queue_max), patience_s * phase.capacity_per_s)
        is_too_much = phase.drain_per_s <= 0 or load**waiting > CHANCE_MAX
        if phase.at_s < end_s and is_too_much:
            return True
    return False


def _phase(world: World, change: Change) -> Phase:
    capacity_per_s = world.capacity_per_s * change.capacity_ratio
    unseen_ratio = world.unseen_ratio if change.unseen_ratio is None else change.unseen_ratio
    unseen_per_s = world.capacity_per_s * unseen_ratio
    error = world.error_ratio if change.error_ratio is None else change.error_ratio
    good = (1 - error) * (1 - _late_ratio(world, change.latency_factor))
    fresh_per_s = world.capacity_per_s * world.fresh_ratio
    ours_per_s = max(0.0, capacity_per_s - unseen_per_s)
    again = sum((1 - good) ** retry for retry in range(1, RETRIES_MAX + 1))
    retries_per_s = min(fresh_per_s * again, BudgetPolicy().ratio * ours_per_s * good)
    drain_per_s = max(0.0, ours_per_s - fresh_per_s - retries_per_s) * good
    factor = change.latency_factor
    return Phase(change.at_s, capacity_per_s, factor, unseen_per_s, error, drain_per_s)


def _late_ratio(world: World, latency_factor: float) -> float:
    """Share of calls whose latency without a queue is above the time-out."""
    median_s = world.latency_s * latency_factor
    # Spread and drift are both normal and independent, so that their sum is normal too.
    sigma = math.hypot(world.latency_spread, world.latency_drift_ratio)
    usual = _above(world.timeout_s / median_s, sigma)
    slow = _above(world.timeout_s / (median_s * world.slow_factor), sigma)
    return usual + (slow - usual) * world.slow_ratio


def _above(bound: float, sigma: float) -> float:
    """Chance that a log-normal value of median 1 is above `bound`."""
    if sigma == 0:
        return 1.0 if bound < 1 else 0.0
    return math.erfc(math.log(bound) / (sigma * math.sqrt(2))) / 2
