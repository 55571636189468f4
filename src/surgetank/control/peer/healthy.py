"""What was healthy before: the rate that laws start again at a share of, and the best latency.

Operators know what their service used to bear. So that only the laws differ, those of operators
learn it as ours does: the most that was delivered in health, half forgotten after six hours.
"""

import math

from surgetank.control.evidence import Interval
from surgetank.control.signal import mix

WEIGHT_RESULTS = 8.0
"""An interval of that many results has half the say in the delivered rate."""
HALF_LIFE_S = 6 * 3600.0
"""The healthy rate is half forgotten after that: it shall outlast an outage, not a season."""
SPAN_S_MAX = 60.0
"""A longer interval forgets no more of the best latency than one of that many seconds."""


def error_ratio(interval: Interval) -> float:
    """Share of results that were bad; 0 without any."""
    return interval.bad / max(1, interval.ok + interval.bad)


def delivered(before_per_s: float, interval: Interval) -> float:
    """Answers of both lanes per second, smoothed; `before_per_s` is 0 when there was none."""
    results = interval.ok + interval.bad
    weight = results / (results + WEIGHT_RESULTS)
    return mix(before_per_s, interval.ok / interval.span_s, weight)


def healthy(before_per_s: float, delivered_per_s: float, interval: Interval) -> float:
    """The healthy rate after a healthy interval; 0 until something was delivered."""
    kept = math.exp(-math.log(2.0) * interval.span_s / HALF_LIFE_S)
    return max(delivered_per_s, kept * before_per_s)


def reference(healthy_per_s: float, unlearnt_per_s: float, least_per_s: float) -> float:
    """The healthy rate, or what stands for it until one is learnt; at least `least_per_s`."""
    return max(least_per_s, healthy_per_s if healthy_per_s > 0.0 else unlearnt_per_s)


def best_s(before_s: float, latency_s: float, interval: Interval, *, growth_per_s: float) -> float:
    """The best latency, slowly forgotten, so that a slower service can be well.

    Args:
        before_s: The best before; 0 until learnt.
        latency_s: Of the interval; means nothing when that has no latency.
        interval: The last.
        growth_per_s: Share of the best that is added per second.
    """
    if interval.latency_count == 0:
        return before_s
    if before_s == 0.0:
        return latency_s
    grown_s = before_s * (1.0 + growth_per_s * min(SPAN_S_MAX, interval.span_s))
    return min(grown_s, latency_s)
