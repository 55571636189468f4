"""What the limiters of Netflix concurrency-limits read from a window of samples: from an interval.

Source: Netflix/concurrency-limits, commit 78a74b9 (12 January 2026, after v0.5.4), `WindowedLimit`,
`ImmutableAverageSampleWindow` and `Log10RootIntFunction`. A window there lasts 1 s, gives the
average round trip, the most calls in flight and whether any was dropped, and counts only when it
holds 10 samples.

Kept: these three readings, 1 s and 10 samples, of dropped calls too.

Adapted: a window with fewer samples is thrown away there; here it grows until it has them, which
favours these limiters where calls are few. An interval does not say how long failed calls took:
a throttled one is taken for quick, any other for a time-out. A drop there is a call that was
turned away or timed out; here transient faults are drops too, as an interval does not tell them
from time-outs.
"""

import math

from surgetank.control.evidence import EvidencePolicy, Interval

SAMPLES_MIN = 10
"""Samples of a window."""
WINDOW_S = 1.0
"""Length of a window, in seconds."""
WAIT_S_MAX = 30.0
"""A window with fewer samples is used after that many seconds; ours."""
TURNED_AWAY_S = 0.005
"""Time that a throttled call is taken to have lasted, in seconds; ours."""


def window_evidence() -> EvidencePolicy:
    """How often a law looks whose original has these windows."""
    return EvidencePolicy(
        samples_min=SAMPLES_MIN, interval_s_min=WINDOW_S, interval_s_max=WAIT_S_MAX
    )


def average_s(interval: Interval, timeout_s: float) -> float:
    """Average latency of all calls, failed ones too; 0 when nothing is known."""
    others = interval.bad - interval.throttled
    calls = interval.latency_count + interval.bad
    total_s = (
        interval.latency_count * interval.latency_mean_s
        + interval.throttled * TURNED_AWAY_S
        + others * timeout_s
    )
    return total_s / max(1, calls)


def log10_step(limit: float) -> float:
    """The decimal logarithm of a limit in whole numbers, and at least 1."""
    return float(max(1, int(math.log10(max(1.0, limit)))))
