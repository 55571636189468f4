"""The fleet's demand: how many arrive when, and which of them are whose. Pure.

Arrivals are drawn from the seed alone, so that every variant meets the same fleet.
"""

from collections.abc import Iterator
from math import exp

from surgetank.core.ports import Chance
from surgetank.rehearsal.scenario.schema import Creates, Demand, Fleet, Region, Scenario

DAY_H = 24.0
RETRY_SPREAD = 0.1
"""Retries fall within this share of their period: no two clients keep step for ever. Assumed."""
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
        now_per_s = rate_per_s * (ratio if isinstance(fleet, Creates) else 1.0)
        until = expected + now_per_s * _STEP_S
        while due < until:
            arrives_at = at + (due - expected) / now_per_s
            if arrives_at < end_at:
                yield arrives_at
            number += 1
            due = number + chance.random()
        expected = until
        at += _STEP_S


def spread_s(period_s: float, *, chance: float) -> float:
    """A retry's pause: the period give or take `RETRY_SPREAD`, evenly; `chance` from 0 to 1."""
    return period_s * (1.0 - RETRY_SPREAD + 2.0 * RETRY_SPREAD * chance)


def is_in_share(index: int, share: float) -> bool:
    """Whether the arrival numbered `index` (from 0) is among a `share` spread evenly over all."""
    return int((index + 1) * share) > int(index * share)


def busiest_tokens_per_s(scenario: Scenario, region: Region) -> float:
    """Tokens a second that `region` wants at its busiest hour, every create at its first try."""
    return region.size * sum(
        one.peak_per_s * (one.instances * one.tokens if isinstance(one, Creates) else 1)
        for one in scenario.fleet
    )
