"""What a governor has seen of one dependency since its law last looked.

Results gather here until they say enough for a decision; then they become an `Interval`, which is
all that a release law sees. Evidence is sparse in a replica of 1:1000 and plentiful in the real
thing, so an interval closes on results rather than on time: when it holds `samples_min`, or when
`interval_s_max` passed and at least 3, and early when 3 or more, and most, were bad or the last 3
were all late.
"""

from dataclasses import dataclass
from typing import NamedTuple

from surgetank.core.errors import InvalidInputError
from surgetank.core.value import Lane, OutcomeKind

RESULTS_MIN = 3
"""Fewest results that any decision rests on: one is an accident, two a coincidence."""
LATENCIES_LIMIT = 32
"""Latencies kept per interval: a low quantile of 32 is good to some 7 points, and sorting them once
per interval costs 2 us."""
LOW_QUANTILE = 0.2
"""The latency watched: low enough that slow calls and noise do not raise it, only a queue in front
of nearly all does; the minimum would miss a queue that now and then runs empty. The mean instead
cost 8 points of drain time in a study of 40 worlds."""
HIGH_QUANTILE = 0.9
"""The latency that nears the time-out first: a tenth of the callers are about to give up."""
_BACKLOG, _OK = Lane.BACKLOG, OutcomeKind.OK
"""Looked up once: each call compares them, and to name a member of an enumeration takes 0.1 us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidencePolicy:
    """When an interval closes; raises `InvalidInputError` if out of range."""

    samples_min: int = 12
    """Results that close an interval; at least 3."""
    interval_s_min: float = 0.5
    """Shortest interval in seconds; above 0. Longer than an ordinary answer takes, so that a
    decision can be seen before the next."""
    interval_s_max: float = 30.0
    """Seconds after which 3 results are enough; at least `interval_s_min`."""

    def __post_init__(self) -> None:
        if self.samples_min < RESULTS_MIN or not 0 < self.interval_s_min <= self.interval_s_max:
            raise InvalidInputError(f"out of range: {self}")


class Evidence(NamedTuple):
    """Results of the present interval."""

    began_at: float
    ok: int = 0
    """Answers of a working dependency, PERMANENT ones included."""
    bad: int = 0
    """Throttled, transient and timed-out calls. BLOCKED says nothing about load: not counted."""
    throttled: int = 0
    """Those of them that were throttled."""
    backlog_ok: int = 0
    backlog_bad: int = 0
    held: int = 0
    """1 when backlog had to wait for the law in this interval: it would use a higher rate."""
    shed: int = 0
    """Fresh calls that the law refused."""
    in_flight_peak: int = 0
    """Most calls of both lanes out at once."""
    latencies: tuple[float, ...] = ()
    """Seconds, of OK calls, in the order they came; at most `LATENCIES_LIMIT`."""
    stride: int = 1
    """Keeps every `stride`-th latency, so that the few kept span a busy interval."""
    latency_sum_s: float = 0.0
    latency_count: int = 0


class Interval(NamedTuple):
    """A closed interval, in the numbers that laws use."""

    ended_at: float
    span_s: float
    """Above 0."""
    ok: int
    bad: int
    throttled: int
    """Part of `bad`."""
    backlog_ok: int
    backlog_bad: int
    held: int
    shed: int
    in_flight_peak: int
    latency_count: int
    """OK calls with a latency; those below mean nothing when it is 0."""
    latency_low_s: float
    """The `LOW_QUANTILE` of latencies, or the least of the last 3 when all 3 were late."""
    latency_high_s: float
    """The `HIGH_QUANTILE`."""
    latency_mean_s: float
    latency_least_s: float


def gather(
    evidence: Evidence, *, kind: OutcomeKind, lane: Lane, latency_s: float, in_flight: int
) -> Evidence:
    """Add one result.

    Args:
        evidence: What was seen before.
        kind: How the call ended.
        lane: Whose it was.
        latency_s: From permit to report, 0 or more.
        in_flight: Calls of both lanes that were out until now, this one included: their number
            only falls at a result, so its peak is seen here.
    """
    (
        began_at, ok, bad, throttled, backlog_ok, backlog_bad, held, shed, peak,
        latencies, stride, total_s, count,
    ) = evidence  # fmt: skip
    is_backlog = lane is _BACKLOG
    if kind is _OK:
        ok += 1
        if count % stride == 0 and len(latencies) < LATENCIES_LIMIT:
            latencies = (*latencies, latency_s)
        total_s += latency_s
        count += 1
        backlog_ok += is_backlog
    elif kind is OutcomeKind.PERMANENT:
        ok += 1  # An answer, but of no use as a latency: refusals are quick.
        backlog_ok += is_backlog
    elif kind is not OutcomeKind.BLOCKED:
        bad += 1
        throttled += kind is OutcomeKind.THROTTLED
        backlog_bad += is_backlog
    return Evidence(
        began_at, ok, bad, throttled, backlog_ok, backlog_bad, held, shed, max(peak, in_flight),
        latencies, stride, total_s, count,
    )  # fmt: skip


def merge(evidence: Evidence, more: Evidence) -> Evidence:
    """Add what other callers of the same dependency have seen.

    Each call keeps the same say: where one kept every latency and another every tenth, the first
    gives up nine of ten. Of too many the latest stay.

    Args:
        evidence: Of the present interval.
        more: What was gathered beside it. When it began does not matter.
    """
    mine, theirs = _spacing(evidence), _spacing(more)
    latencies = (
        *_thinned(evidence.latencies, round(theirs / mine)),
        *_thinned(more.latencies, round(mine / theirs)),
    )
    while len(latencies) > LATENCIES_LIMIT:
        latencies = _thinned(latencies, 2)
    return Evidence(
        evidence.began_at,
        evidence.ok + more.ok,
        evidence.bad + more.bad,
        evidence.throttled + more.throttled,
        evidence.backlog_ok + more.backlog_ok,
        evidence.backlog_bad + more.backlog_bad,
        max(evidence.held, more.held),
        evidence.shed + more.shed,
        max(evidence.in_flight_peak, more.in_flight_peak),
        latencies,
        evidence.stride,
        evidence.latency_sum_s + more.latency_sum_s,
        evidence.latency_count + more.latency_count,
    )


def is_enough(evidence: Evidence, policy: EvidencePolicy, *, now: float, late_s: float) -> bool:
    """Whether to close the interval; `late_s` is the latency above which a call is late."""
    results = evidence.ok + evidence.bad
    span_s = now - evidence.began_at
    if results < RESULTS_MIN or span_s < policy.interval_s_min:
        return False
    if results >= policy.samples_min or span_s >= policy.interval_s_max:
        return True
    # Most must be bad: to stop at the third bad one would pick out unlucky intervals.
    is_bad = evidence.bad >= RESULTS_MIN and evidence.bad >= evidence.ok
    return is_bad or _are_late(evidence.latencies, late_s)


def close(evidence: Evidence, *, now: float, late_s: float) -> tuple[Interval, Evidence]:
    """Turn the evidence into an interval, and start the next."""
    latencies = evidence.latencies
    low_s = high_s = mean_s = least_s = 0.0
    if latencies:
        ranked = sorted(latencies)
        last = len(ranked) - 1
        low_s, high_s = ranked[int(LOW_QUANTILE * last)], ranked[int(HIGH_QUANTILE * last)]
        mean_s, least_s = evidence.latency_sum_s / evidence.latency_count, ranked[0]
    if _are_late(latencies, late_s):
        low_s = max(low_s, min(latencies[-RESULTS_MIN:]))
    began_at, ok, bad, throttled, backlog_ok, backlog_bad, held, shed, peak = evidence[:9]
    counts = (ok, bad, throttled, backlog_ok, backlog_bad, held, shed, peak)
    latency = (evidence.latency_count, low_s, high_s, mean_s, least_s)
    interval = Interval(now, now - began_at, *counts, *latency)
    stride = max(1, evidence.latency_count // LATENCIES_LIMIT)
    return interval, Evidence(now, stride=stride)


def _are_late(latencies: tuple[float, ...], late_s: float) -> bool:
    return len(latencies) >= RESULTS_MIN and min(latencies[-RESULTS_MIN:]) > late_s


def _spacing(evidence: Evidence) -> float:
    """Calls for each latency that was kept."""
    return evidence.latency_count / len(evidence.latencies) if evidence.latencies else 1.0


def _thinned(latencies: tuple[float, ...], step: int) -> tuple[float, ...]:
    """Keep every `step`-th, the last among them."""
    return latencies[:: -max(1, step)][::-1]
