"""A limit on calls in flight by latency against a baseline, and by what concurrency does to both.

Source: failsafe-go/failsafe-go, tag v0.9.7 (commit 5759a5e, 16 August 2026), `adaptivelimiter/
adaptivelimiter.go` with `internal/util/{average,median,windows,util}.go`.

Kept: limits from 1 to 200, starting at 20; windows of 1 to 30 s and 50 samples; the 90th percentile
of a window, its median over 5 windows, the average of that over 5 and a baseline over 10, both plain
for the first 10; the queue as the share of the limit by which latency exceeds its baseline; steps
by the decimal logarithm of the limit, up below 3 of them, down above 6; while the limit is full,
down where more concurrency brings less throughput, or latency and no throughput, over 50 windows;
at most 5 times what was in flight.

Adapted: a look at an interval is a window, and its percentile is of at most 32 latencies. Only
calls that succeeded have one here; there every call has that was not cancelled. So an interval
without a success changes nothing, as a window without samples there. "Full" is full at any moment
of the interval, there at its end. Correlations are computed anew from the windows kept, there from
running sums. There the limiter refuses whatever exceeds it, of every caller; here backlog waits,
and fresh is refused only when it fills the limit alone. The optional wider window of concurrency
is left out. The breaker in front of it here is not part of it, so what it knows outlives an opening.
"""

import math
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from surgetank.control.evidence import EvidencePolicy, Interval
from surgetank.control.peer.bound import ONLY_MODE, UNPACED_PER_S, limited
from surgetank.control.peer.window import log10_step
from surgetank.core.errors import InvalidInputError

WARMUP_WINDOWS = 10
"""Windows of which averages are plain, and below which nothing is correlated."""
MEDIAN_WINDOWS = 5
"""Windows whose median is taken."""
NO_HIGHS = (0.0,) * MEDIAN_WINDOWS
CORRELATION_WINDOWS = 50
"""Windows that are correlated."""
NO_WINDOWS = (0.0,) * CORRELATION_WINDOWS
ALPHA_STEPS = 3.0
"""Queue below which the limit grows, in steps."""
BETA_STEPS = 6.0
"""Queue above which it shrinks, in steps."""
SPREAD_MIN = 0.01
"""Relative spread below which a number has not moved, and correlates with nothing."""
THROUGHPUT_WEAK = 0.3
"""Correlation of throughput with concurrency below which more of it brings little."""
THROUGHPUT_FLAT = 0.2
"""Relative spread of throughput below which it is flat."""
LATENCY_STRONG = 0.5
"""Correlation of latency with concurrency above which more of it is paid for."""


class Kind(IntEnum):
    """What is correlated."""

    CONCURRENCY = 0
    THROUGHPUT = 1
    LATENCY = 2


class Parameters(NamedTuple):
    """A `Failsafe` as numbers; the same names."""

    limit_start: float
    limit_min: float
    limit_max: float
    limit_multiple: float
    recent_windows: float
    baseline_windows: float
    is_fresh_limited: int


class State(NamedTuple):
    """What the law has decided (the first five) and learnt (the rest)."""

    mode: int
    rate_per_s: float
    in_flight_max: float
    """The limit, rounded down."""
    fresh_in_flight_max: float
    late_s: float
    limit: float
    windows: int
    """Windows seen; at most `CORRELATION_WINDOWS`."""
    highs_s: tuple[float, ...]
    """High latencies of the last `MEDIAN_WINDOWS`, oldest first; 0 where none yet."""
    recent_s: float
    """Average of their medians."""
    recent_sum_s: float
    """Sum of the first of them, for the plain average."""
    baseline_s: float
    """Long-term average of `recent_s`."""
    baseline_sum_s: float
    peaks: tuple[float, ...]
    """Most calls at once in the last `CORRELATION_WINDOWS`, oldest first; 0 where none yet."""
    latencies_s: tuple[float, ...]
    """`recent_s` in the same windows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failsafe:
    """Settings; raises `InvalidInputError` if out of range."""

    limit_start: int = 20
    """First limit; from `limit_min` to `limit_max`."""
    limit_min: int = 1
    """Least limit; at least 1."""
    limit_max: int = 200
    """Greatest limit; at most 1e9."""
    limit_multiple: float = 5.0
    """The limit is at most so many times the calls that were in flight; at least 1."""
    recent_windows: int = 5
    """Windows that the present latency is averaged over; at least 1."""
    baseline_windows: int = 10
    """Windows that its baseline is averaged over; at least `recent_windows`."""
    is_fresh_limited: bool = True
    """Whether fresh calls are refused once they fill the limit alone, as the original refuses."""
    evidence: EvidencePolicy = field(
        default_factory=lambda: EvidencePolicy(
            samples_min=50, interval_s_min=1.0, interval_s_max=30.0
        )
    )
    """How often the law looks: the original's windows."""

    def __post_init__(self) -> None:
        limits = 1 <= self.limit_min <= self.limit_start <= self.limit_max <= 1e9  # noqa: PLR2004 - said in the docstring
        windows = 1 <= self.recent_windows <= self.baseline_windows
        if not (limits and windows and self.limit_multiple >= 1):
            raise InvalidInputError(f"out of range: {self}")

    def parameters(self) -> Parameters:
        """The policy as numbers."""
        return Parameters(
            float(self.limit_start),
            float(self.limit_min),
            float(self.limit_max),
            self.limit_multiple,
            float(self.recent_windows),
            float(self.baseline_windows),
            int(self.is_fresh_limited),
        )

    def start(self, *, now: float) -> State:
        """See `Law`."""
        return start(self.parameters(), now=now)

    def step(self, state: State, interval: Interval) -> State:
        """See `Law`."""
        return step(state, interval, self.parameters())

    def opened(self, state: State, *, now: float) -> State:
        """See `Law`: changes nothing."""
        return opened(state, self.parameters(), now=now)

    def closed(self, state: State, *, probes: int, now: float) -> State:
        """See `Law`: changes nothing."""
        return closed(state, self.parameters(), probes=probes, now=now)


def start(p: Parameters, *, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    first = State(
        ONLY_MODE,
        UNPACED_PER_S,
        1.0,
        math.inf,
        math.inf,
        limit=p.limit_start,
        windows=0,
        highs_s=NO_HIGHS,
        recent_s=0.0,
        recent_sum_s=0.0,
        baseline_s=0.0,
        baseline_sum_s=0.0,
        peaks=NO_WINDOWS,
        latencies_s=NO_WINDOWS,
    )
    return limited(first, p.limit_start, is_fresh_limited=p.is_fresh_limited)


def step(state: State, interval: Interval, p: Parameters) -> State:
    """See `Law`."""
    if interval.latency_count == 0 or interval.latency_high_s <= 0.0 or interval.in_flight_peak < 1:
        return state
    seen = _seen(state, interval, p)
    queue = float(math.ceil(seen.limit * (1.0 - seen.baseline_s / seen.recent_s)))
    is_full = interval.in_flight_peak >= state.in_flight_max
    one = log10_step(state.limit)
    if queue > BETA_STEPS * one or (is_full and is_overloaded(seen)):
        limit = state.limit - one
    elif queue < ALPHA_STEPS * one:
        limit = state.limit + one
    else:
        limit = state.limit
    most = p.limit_multiple * interval.in_flight_peak
    if limit > most:
        limit = state.limit - one if state.limit > most else most
    limit = max(p.limit_min, min(p.limit_max, limit))
    return limited(seen._replace(limit=limit), limit, is_fresh_limited=p.is_fresh_limited)


def opened(state: State, p: Parameters, *, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state


def closed(state: State, p: Parameters, *, probes: int, now: float) -> State:  # noqa: ARG001 - every law's signature
    """See `Law`."""
    return state


def _seen(state: State, interval: Interval, p: Parameters) -> State:
    """Filter the latency, and remember it beside the concurrency."""
    highs_s = state.highs_s[1:] + (interval.latency_high_s,)  # noqa: RUF005 - unpacking does not compile
    high_s = median(highs_s) if highs_s[0] > 0.0 else interval.latency_high_s
    first = state.windows < WARMUP_WINDOWS
    count = state.windows + 1.0
    recent_sum_s = state.recent_sum_s + high_s if first else state.recent_sum_s
    recent_s = _averaged(state.recent_s, high_s, 2.0 / (p.recent_windows + 1.0))
    if first:
        recent_s = recent_sum_s / count
    baseline_sum_s = state.baseline_sum_s + recent_s if first else state.baseline_sum_s
    baseline_s = _averaged(state.baseline_s, recent_s, 2.0 / (p.baseline_windows + 1.0))
    if first:
        baseline_s = baseline_sum_s / count
    return state._replace(
        windows=min(CORRELATION_WINDOWS, state.windows + 1),
        highs_s=highs_s,
        recent_s=recent_s,
        recent_sum_s=recent_sum_s,
        baseline_s=baseline_s,
        baseline_sum_s=baseline_sum_s,
        peaks=state.peaks[1:] + (1.0 * interval.in_flight_peak,),  # noqa: RUF005 - unpacking does not compile
        latencies_s=state.latencies_s[1:] + (recent_s,),  # noqa: RUF005 - unpacking does not compile
    )


def _averaged(before: float, new: float, weight: float) -> float:
    return before * (1.0 - weight) + new * weight


def median(values: tuple[float, ...]) -> float:
    """The middle value: as many are below it as above, or equal."""
    middle = values[0]
    for i in range(MEDIAN_WINDOWS):
        below = 0
        equal = 0
        for k in range(MEDIAN_WINDOWS):
            if values[k] < values[i]:
                below += 1
            elif values[k] == values[i]:
                equal += 1
        if below <= MEDIAN_WINDOWS // 2 < below + equal:
            middle = values[i]
    return middle


def is_overloaded(state: State) -> bool:
    """Whether more concurrency brings less throughput, or only latency."""
    if state.windows < WARMUP_WINDOWS:
        return False
    gain = correlation(state, Kind.THROUGHPUT.value)
    if gain < 0.0:
        return True
    is_flat = spread(state, Kind.THROUGHPUT.value) < THROUGHPUT_FLAT
    cost = correlation(state, Kind.LATENCY.value)
    return cost > LATENCY_STRONG and (gain < THROUGHPUT_WEAK or is_flat)


def _value(state: State, i: int, kind: int) -> float:
    """What the window `i` says."""
    if kind == Kind.CONCURRENCY:
        return state.peaks[i]
    if kind == Kind.THROUGHPUT:
        return state.peaks[i] / state.latencies_s[i]
    return state.latencies_s[i]


def _mean(state: State, kind: int) -> float:
    total = 0.0
    for i in range(CORRELATION_WINDOWS - state.windows, CORRELATION_WINDOWS):
        total += _value(state, i, kind)
    return total / state.windows


def spread(state: State, kind: int) -> float:
    """Standard deviation as a share of the mean."""
    mean = _mean(state, kind)
    total = 0.0
    for i in range(CORRELATION_WINDOWS - state.windows, CORRELATION_WINDOWS):
        apart = _value(state, i, kind) - mean
        total += apart * apart
    return math.sqrt(total / state.windows) / mean


def correlation(state: State, kind: int) -> float:
    """Of concurrency with `kind`, from -1 to 1; 0 where one of them has not moved."""
    x_spread = spread(state, Kind.CONCURRENCY.value)
    y_spread = spread(state, kind)
    if x_spread < SPREAD_MIN or y_spread < SPREAD_MIN:
        return 0.0
    x_mean = _mean(state, Kind.CONCURRENCY.value)
    y_mean = _mean(state, kind)
    total = 0.0
    for i in range(CORRELATION_WINDOWS - state.windows, CORRELATION_WINDOWS):
        apart = _value(state, i, Kind.CONCURRENCY.value) - x_mean
        total += apart * (_value(state, i, kind) - y_mean)
    return total / state.windows / (x_spread * x_mean * y_spread * y_mean)
