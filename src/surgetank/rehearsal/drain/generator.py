"""Makes worlds at random, so that a law is judged in worlds that nobody tuned it in.

One seed is one world, the same on every machine. What may come out is written down here as
constants, each with its unit. Laws are tuned on worlds of even seeds only, and judged on odd ones.
"""

import math
from collections.abc import Mapping
from random import Random
from typing import Any

from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drain.world import CRASH_WAIT, Change, World, drainable

SEED_MAX = 2**63 - 1

CAPACITY_PER_S = (5.0, 1_000.0)
"""Log-uniform: evidence is sparse below some 20/s, and plentiful above some hundred."""
OPTIMUM_S = (300.0, 3_600.0)
"""Log-uniform: the least seconds in which the backlog can be drained, before `SERVICES_MAX`."""
SERVICES_MAX = 200_000.0
"""Capacity times the optimum, so that 300,000 requests drain any world with some to spare."""
OPTIMUM_S_MIN = 200.0
"""Seconds that the optimum takes at least, where `SERVICES_MAX` would make it shorter."""
FRESH_RATIO = (0.1, 0.6)
UNSEEN_SHARE = 0.3
"""Share of worlds with load that we do not see."""
UNSEEN_RATIO = (0.1, 0.3)
LOAD_RATIO_MAX = 0.75
"""Fresh and unseen load together, of the capacity; unseen load gives way."""
BEARABLE_RATIO = 0.8
"""Fresh and unseen load together, of the capacity that is left, where nodes crash and others call:
more fells nodes before anyone has seen a thing, and then the load of others alone keeps them down for
ever, whatever those do whom we govern. That tells no law from another."""
LATENCY_S = (0.01, 0.5)
"""Log-uniform."""
TIMEOUT_LATENCIES = (10.0, 100.0)
"""Time-out over latency; then held between `TIMEOUT_S_MIN`, `TIMEOUT_SERVICES` and `TIMEOUT_S_MAX`."""
TIMEOUT_S_MIN = 1.0
TIMEOUT_S_MAX = 60.0
TIMEOUT_SERVICES = 20.0
"""Services that fit into a time-out at least: in a shorter one, chance alone makes calls time out."""
CRASH_CHANCE = 1e-5
"""Share of time in which fresh and unseen load alone, without a backlog, may by chance queue so long
that nodes crash (of a queue M/M/1): where they crash for no reason, no law can prevent it."""
LATENCY_SPREAD = (0.1, 0.6)
DRIFT_SHARE = 0.5
LATENCY_DRIFT_RATIO = (0.0, 0.4)
SLOW_SHARE = 0.5
SLOW_RATIO = (0.0, 0.03)
SLOW_FACTOR = (3.0, 12.0)
QUEUE_TIMEOUTS = (0.3, 3.0)
"""Calls that may wait, over those served in a time-out: below 1 the queue rejects before callers
give up, above it they give up while they wait."""
QUEUE_MIN = 10
REJECT_COST = (0.0, 0.5)
COLLAPSE_SHARE = 0.7
COLLAPSE = (0.3, 1.0)
CRASH_SHARE = 0.6
NODES = (4, 40)
RESTART_S = (30.0, 300.0)
WARM_S = (10.0, 120.0)
ERROR_SHARE = 0.4
ERROR_RATIO = (0.0, 0.04)
WORKERS_SHARES = (("one", 0.6), ("shared", 0.2), ("alone", 0.2))
SHARED_WORKERS = (4, 50)
SHARED_LAG_S = (0.25, 2.0)
ALONE_WORKERS = (2, 10)

SCHEDULE_SHARES = (
    ("steady", 0.4),
    ("drops", 0.2),
    ("grows", 0.1),
    ("begins_degraded", 0.15),
    ("slows", 0.1),
    ("surges", 0.05),
)
"""What happens while the backlog drains. Instants below are shares of the optimum, so that most of
what is planned comes about before a good law is done."""
DROP_RATIO = (0.4, 0.8)
"""Of the capacity; fresh load alone may be more."""
DROP_AT = (0.1, 0.5)
DROP_FOR = (0.1, 0.3)
GROWTH_RATIO = (1.1, 1.5)
GROWTH_AT = (0.3, 0.7)
DEGRADED_RATIO = (0.1, 0.6)
DEGRADED_S = (60.0, 300.0)
"""Seconds, and at most `DEGRADED_PART_MAX` of the optimum."""
DEGRADED_PART_MAX = 0.5
SLOWDOWN = (1.5, 4.0)
"""Latency, over that of before; the capacity stays."""
SLOWDOWN_AT = (0.2, 0.6)
SLOWDOWN_FOR = (0.1, 0.4)
SURGE_RATIO = (0.2, 0.6)
"""Unseen load that comes on top, of the capacity; together it may be more than the capacity."""
SURGE_AT = (0.2, 0.6)
SURGE_FOR = (0.05, 0.2)


def random_world(seed: int) -> World:
    """Make the world of a seed.

    Args:
        seed: From 0 to `SEED_MAX`; even for tuning, odd for judging.

    Raises:
        InvalidInputError: `seed` is out of range.
    """
    if not 0 <= seed <= SEED_MAX:
        raise InvalidInputError(f"seed = {seed}: from 0 to {SEED_MAX}")
    chance = Random(seed)  # noqa: S311 - a seed must always make the same world
    capacity_per_s = _log_uniform(chance, CAPACITY_PER_S)
    seconds = max(
        OPTIMUM_S_MIN, min(_log_uniform(chance, OPTIMUM_S), SERVICES_MAX / capacity_per_s)
    )
    fresh_ratio = chance.uniform(*FRESH_RATIO)
    unseen_ratio = _maybe(chance, UNSEEN_SHARE, UNSEEN_RATIO)
    facts: dict[str, Any] = {
        "capacity_per_s": capacity_per_s,
        "fresh_ratio": fresh_ratio,
        "unseen_ratio": min(unseen_ratio, LOAD_RATIO_MAX - fresh_ratio),
        **_failures(chance),
        **_callers(chance),
    }
    facts |= _answers(chance, capacity_per_s, services_min=_services_min(facts))
    kind = _pick(chance, SCHEDULE_SHARES)
    schedule = _schedule(chance, kind, facts["unseen_ratio"], seconds)
    facts["schedule"] = _bearable(schedule, facts) if facts["is_crashing"] else schedule
    world = World(title=f"random world {seed}, {kind.replace('_', ' ')}", backlog=1, **facts)
    return world.model_copy(update={"backlog": max(1, round(drainable(world, seconds)))})


def _services_min(facts: Mapping[str, Any]) -> float:
    """Services that have to fit into a time-out."""
    if not facts["is_crashing"]:
        return TIMEOUT_SERVICES
    load_ratio = facts["fresh_ratio"] + facts["unseen_ratio"]
    return max(TIMEOUT_SERVICES, math.log(CRASH_CHANCE) / math.log(load_ratio) / CRASH_WAIT)


def _answers(chance: Random, capacity_per_s: float, *, services_min: float) -> dict[str, Any]:
    """How long answers take, and how many calls may wait for one."""
    latency_s = _log_uniform(chance, LATENCY_S)
    least_s = max(TIMEOUT_S_MIN, services_min / capacity_per_s)
    timeout_s = min(TIMEOUT_S_MAX, max(least_s, chance.uniform(*TIMEOUT_LATENCIES) * latency_s))
    queue = chance.uniform(*QUEUE_TIMEOUTS) * timeout_s * capacity_per_s
    return {
        "latency_s": latency_s,
        "timeout_s": timeout_s,
        "queue_max": max(QUEUE_MIN, round(queue)),
        "latency_spread": chance.uniform(*LATENCY_SPREAD),
        "latency_drift_ratio": _maybe(chance, DRIFT_SHARE, LATENCY_DRIFT_RATIO),
        "slow_ratio": _maybe(chance, SLOW_SHARE, SLOW_RATIO),
        "slow_factor": chance.uniform(*SLOW_FACTOR),
    }


def _failures(chance: Random) -> dict[str, Any]:
    """What overload does, and what goes wrong without it."""
    return {
        "reject_cost": chance.uniform(*REJECT_COST),
        "collapse": _maybe(chance, COLLAPSE_SHARE, COLLAPSE),
        "is_crashing": chance.random() < CRASH_SHARE,
        "nodes": chance.randint(*NODES),
        "restart_s": chance.uniform(*RESTART_S),
        "warm_s": chance.uniform(*WARM_S),
        "error_ratio": _maybe(chance, ERROR_SHARE, ERROR_RATIO),
    }


def _callers(chance: Random) -> dict[str, Any]:
    """How many call, and what they know of one another."""
    match _pick(chance, WORKERS_SHARES):
        case "shared":
            workers, lag_s = chance.randint(*SHARED_WORKERS), chance.uniform(*SHARED_LAG_S)
            return {"workers": workers, "is_shared": True, "lag_s": lag_s}
        case "alone":
            return {"workers": chance.randint(*ALONE_WORKERS), "is_shared": False}
        case _:
            return {}


def _schedule(chance: Random, kind: str, unseen_ratio: float, seconds: float) -> tuple[Change, ...]:
    match kind:
        case "drops":
            change = {"capacity_ratio": chance.uniform(*DROP_RATIO)}
            return _for_a_while(chance, change, DROP_AT, DROP_FOR, seconds)
        case "grows":
            ratio, at = chance.uniform(*GROWTH_RATIO), chance.uniform(*GROWTH_AT)
            return (Change(at_s=at * seconds, capacity_ratio=ratio),)
        case "begins_degraded":
            ratio = chance.uniform(*DEGRADED_RATIO)
            end_s = min(chance.uniform(*DEGRADED_S), DEGRADED_PART_MAX * seconds)
            return (Change(at_s=0, capacity_ratio=ratio), Change(at_s=end_s))
        case "slows":
            change = {"latency_factor": chance.uniform(*SLOWDOWN)}
            return _for_a_while(chance, change, SLOWDOWN_AT, SLOWDOWN_FOR, seconds)
        case "surges":
            change = {"unseen_ratio": unseen_ratio + chance.uniform(*SURGE_RATIO)}
            return _for_a_while(chance, change, SURGE_AT, SURGE_FOR, seconds)
        case _:
            return ()


def _bearable(schedule: tuple[Change, ...], facts: Mapping[str, Any]) -> tuple[Change, ...]:
    """Where nodes crash and others call, leave enough for fresh and for them."""
    fresh_ratio, steady_ratio = facts["fresh_ratio"], facts["unseen_ratio"]
    unseen_max = max(steady_ratio, BEARABLE_RATIO - fresh_ratio)
    bearable = list[Change]()
    for change in schedule:
        asked = change.unseen_ratio
        unseen_ratio = min(steady_ratio if asked is None else asked, unseen_max)
        least_ratio = (fresh_ratio + unseen_ratio) / BEARABLE_RATIO if unseen_ratio > 0 else 0.0
        update = {
            "capacity_ratio": max(change.capacity_ratio, least_ratio),
            "unseen_ratio": None if asked is None else unseen_ratio,
        }
        bearable.append(change.model_copy(update=update))
    return tuple(bearable)


def _for_a_while(
    chance: Random,
    change: dict[str, float],
    at: tuple[float, float],
    lasts: tuple[float, float],
    seconds: float,
) -> tuple[Change, ...]:
    at_s = chance.uniform(*at) * seconds
    end_s = at_s + chance.uniform(*lasts) * seconds
    return (Change(at_s=at_s, **change), Change(at_s=end_s))


def _log_uniform(chance: Random, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return low * math.exp(chance.random() * math.log(high / low))


def _maybe(chance: Random, share: float, bounds: tuple[float, float]) -> float:
    """Draw from `bounds` in a share of worlds, 0 in the others; draws alike in both."""
    is_there, value = chance.random() < share, chance.uniform(*bounds)
    return value if is_there else 0.0


def _pick(chance: Random, shares: tuple[tuple[str, float], ...]) -> str:
    drawn = chance.random()
    for name, share in shares[:-1]:
        if drawn < share:
            return name
        drawn -= share
    return shares[-1][0]
