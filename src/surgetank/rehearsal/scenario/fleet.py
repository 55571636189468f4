"""The fleet's demand: how many arrive when, and which of them are whose. Pure.

Arrivals are drawn from the seed alone, so that every variant meets the same fleet.
"""

from collections.abc import Iterator
from math import exp

from surgetank.core.ports import Chance
from surgetank.rehearsal.scenario.schema import (
    ANONYMOUS,
    Creates,
    Demand,
    Fleet,
    Making,
    NodePools,
    Readers,
    Reads,
    Region,
    RunnerPools,
    Scenario,
)

DAY_H = 24.0
_GOLDEN_RATIO = 0.6180339887498949
_STEP_S = 60.0
"""Demand is taken as even for so long."""


def demand_ratio(demand: Demand, *, local_h: float) -> float:
    """Demand at a local hour, as a share of the busiest hour's: a bell on a quiet floor."""
    distance_h = abs(local_h - demand.busy_hour) % DAY_H
    distance_h = min(distance_h, DAY_H - distance_h)
    bell = exp(-((distance_h / demand.busy_width_h) ** 2))
    return demand.quiet_ratio + (1.0 - demand.quiet_ratio) * bell


def local_h(region: Region, *, at: float) -> float:
    """The hour of the day in `region` at an instant, from 0 to below 24."""
    return (at / 3600.0 + region.utc_offset_h) % DAY_H


def arrivals(
    fleet: Fleet, region: Region, demand: Demand, *, start_at: float, end_at: float, chance: Chance
) -> Iterator[float]:
    """Instants at which `fleet` wants something in `region`, in order.

    One arrival falls at a random place in each unit of expected demand. A Poisson process, thinned
    to a thousandth, would waver thirty times as much as the crowd that it stands for.
    """
    rate_per_s = fleet.peak_per_s * region.size
    expected = 0.0
    due = chance.random()
    number = 0
    at = start_at
    while at < end_at:
        ratio = demand_ratio(demand, local_h=local_h(region, at=at + _STEP_S / 2))
        now_per_s = rate_per_s * (ratio if isinstance(fleet, Making) else 1.0)
        until = expected + now_per_s * _STEP_S
        while due < until:
            arrives_at = at + (due - expected) / now_per_s
            if arrives_at < end_at:
                yield arrives_at
            number += 1
            due = number + chance.random()
        expected = until
        at += _STEP_S


def spread_s(period_s: float, *, ratio: float, chance: float) -> float:
    """A retry's pause: the period give or take a share of it, evenly; `chance` from 0 to 1."""
    return period_s * (1.0 - ratio + 2.0 * ratio * chance)


def way_of(reads: Reads, index: int) -> str:
    """How the machines of the arrival numbered `index` (from 0) read artifacts.

    Ways are dealt out evenly over any stretch of arrivals, not drawn.
    """
    place = (index * _GOLDEN_RATIO) % 1.0
    for way in Reads.model_fields:
        share: float = getattr(reads, way)
        if place < share:
            return way
        place -= share
    return ANONYMOUS


def is_in_share(index: int, share: float) -> bool:
    """Whether the arrival numbered `index` (from 0) is among a `share` spread evenly over all."""
    return int((index + 1) * share) > int(index * share)


def busiest_tokens_per_s(scenario: Scenario, region: Region) -> float:
    """Tokens a second that `region` wants at its busiest hour, every create at its first try."""
    return region.size * sum(_tokens_per_s(one, scenario.cloud.reads) for one in scenario.fleet)


def machines_of(fleet: Making) -> float:
    """Machines that one arrival asks for, on the mean: a pod asks for a part of a node."""
    match fleet:
        case Creates():
            return fleet.instances
        case NodePools():
            return 1.0 / fleet.pods_per_node
        case RunnerPools():
            return 1.0


def _tokens_per_s(fleet: Fleet, reads: Reads) -> float:
    if isinstance(fleet, Readers):
        return fleet.peak_per_s
    return fleet.peak_per_s * machines_of(fleet) * (fleet.tokens + reads.identity)
