"""The rate that was healthy before, for laws that start again at a share of it.

Operators know what their service used to bear. So that only the laws differ, those of operators
learn it as ours does: the most that was delivered in health, half forgotten after six hours.
"""

import math

from surgetank.control.evidence import Interval

WEIGHT_RESULTS = 8.0
"""An interval of that many results has half the say in the delivered rate."""
HALF_LIFE_S = 6 * 3600.0
"""The healthy rate is half forgotten after that: it shall outlast an outage, not a season."""


def error_ratio(interval: Interval) -> float:
    """Share of results that were bad; 0 without any."""
    return interval.bad / max(1, interval.ok + interval.bad)


def delivered(before_per_s: float, interval: Interval) -> float:
    """Answers of both lanes per second, smoothed; `before_per_s` is 0 when there was none."""
    rate_per_s = interval.ok / interval.span_s
    if before_per_s == 0.0:
        return rate_per_s
    results = interval.ok + interval.bad
    weight = results / (results + WEIGHT_RESULTS)
    return before_per_s + weight * (rate_per_s - before_per_s)


def healthy(before_per_s: float, delivered_per_s: float, interval: Interval) -> float:
    """The healthy rate after a healthy interval; 0 until something was delivered."""
    kept = math.exp(-math.log(2.0) * interval.span_s / HALF_LIFE_S)
    return max(delivered_per_s, kept * before_per_s)


def reference(healthy_per_s: float, unlearnt_per_s: float, least_per_s: float) -> float:
    """The healthy rate, or what stands for it until one is learnt; at least `least_per_s`."""
    return max(least_per_s, healthy_per_s if healthy_per_s > 0.0 else unlearnt_per_s)
