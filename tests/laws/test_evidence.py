"""Results become an interval when they say enough, and no sooner."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.control import evidence as evidences
from surgetank.control.evidence import LATENCIES_LIMIT, Evidence, EvidencePolicy
from surgetank.core.errors import InvalidInputError
from surgetank.core.value import Lane, OutcomeKind

POLICY = EvidencePolicy(samples_min=6, interval_s_min=0.5, interval_s_max=30.0)
KINDS = {
    ".": OutcomeKind.OK,
    "p": OutcomeKind.PERMANENT,
    "b": OutcomeKind.BLOCKED,
    "x": OutcomeKind.TRANSIENT,
    "t": OutcomeKind.TIMEOUT,
    "y": OutcomeKind.THROTTLED,
}


def told(
    evidence: Evidence,
    kind: OutcomeKind = OutcomeKind.OK,
    *,
    lane: Lane = Lane.FRESH,
    latency_s: float = 0.1,
    in_flight: int = 1,
) -> Evidence:
    return evidences.gather(
        evidence, kind=kind, lane=lane, latency_s=latency_s, in_flight=in_flight
    )


def gathered(results: str, *, lane: Lane = Lane.FRESH, latency_s: float = 0.1) -> Evidence:
    evidence = Evidence(100.0)
    for result in results:
        evidence = told(evidence, KINDS[result], lane=lane, latency_s=latency_s)
    return evidence


@pytest.mark.parametrize(
    ("is_enough", "results", "span_s"),
    [
        (False, "......", 0.4),
        (True, "......", 0.5),
        (False, ".....", 29.9),
        (True, "...", 30.0),
        (False, "..", 9_999.0),
        (True, "xxx", 0.5),
        (True, "..xx", 30.0),
        (True, ".xytp", 0.5),
        (False, "..xxx", 0.4),
        (False, "....x", 0.5),
        (False, "bbbbbb", 9_999.0),
    ],
)
def test_an_interval_closes_on_results_rather_than_on_time(
    *, is_enough: bool, results: str, span_s: float
) -> None:
    evidence = gathered(results)
    now = 100.0 + span_s
    assert evidences.is_enough(evidence, POLICY, now=now, late_s=math.inf) is is_enough


def test_three_late_calls_in_a_row_close_it_early_and_speak_for_it() -> None:
    evidence = gathered("...")
    for latency_s in (5.0, 6.0):
        evidence = told(evidence, latency_s=latency_s)
    assert not evidences.is_enough(evidence, POLICY, now=101.0, late_s=4.0)
    late = told(gathered("..", latency_s=5.0), latency_s=7.0)
    assert evidences.is_enough(late, POLICY, now=101.0, late_s=4.0)
    assert evidences.close(late, now=101.0, late_s=4.0)[0].latency_low_s == 5.0


def test_a_closed_interval_carries_the_counts_of_both_lanes() -> None:
    evidence = gathered("..x")
    for kind in (OutcomeKind.OK, OutcomeKind.PERMANENT, OutcomeKind.TIMEOUT):
        evidence = told(evidence, kind, lane=Lane.BACKLOG, latency_s=0.3)
    interval, after = evidences.close(evidence, now=102.0, late_s=math.inf)
    assert (interval.ok, interval.bad, interval.backlog_ok, interval.backlog_bad) == (4, 2, 2, 1)
    assert (interval.ended_at, interval.span_s, interval.latency_count) == (102.0, 2.0, 3)
    assert interval.latency_mean_s == pytest.approx(0.5 / 3)
    assert after == Evidence(102.0)


def test_throttled_calls_are_bad_ones_counted_by_themselves() -> None:
    interval, _ = evidences.close(gathered(".xyyt"), now=101.0, late_s=math.inf)
    assert (interval.bad, interval.throttled) == (4, 2)


def test_the_peak_is_of_this_interval_alone() -> None:
    evidence = Evidence(100.0)
    for in_flight in (3, 7, 5):
        evidence = told(evidence, in_flight=in_flight)
    interval, after = evidences.close(evidence, now=101.0, late_s=math.inf)
    assert interval.in_flight_peak == 7
    assert told(after, in_flight=4).in_flight_peak == 4


def test_an_interval_tells_low_high_mean_and_least_latency() -> None:
    evidence = Evidence(100.0)
    for number in range(11):
        evidence = told(evidence, latency_s=float(number))
    interval, _ = evidences.close(evidence, now=101.0, late_s=math.inf)
    assert interval[-4:] == (2.0, 9.0, 5.0, 0.0)


def test_an_interval_without_a_good_answer_has_no_latency() -> None:
    interval, _ = evidences.close(gathered("xxp"), now=101.0, late_s=1.0)
    assert interval.latency_count == 0
    assert interval[-4:] == (0.0, 0.0, 0.0, 0.0)


def test_an_interval_carries_what_the_law_refused() -> None:
    evidence = gathered("...")._replace(held=1, shed=2)
    interval, after = evidences.close(evidence, now=101.0, late_s=math.inf)
    assert (interval.held, interval.shed) == (1, 2)
    assert (after.held, after.shed) == (0, 0)


@given(st.lists(st.floats(0.0, 1e3), min_size=1, max_size=400))
def test_the_few_latencies_kept_span_a_busy_interval(latencies_s: list[float]) -> None:
    evidence = Evidence(0.0)
    for _ in range(2):  # The second interval knows from the first how thinly to keep them.
        for latency_s in latencies_s:
            evidence = told(evidence, latency_s=latency_s)
        kept = len(evidence.latencies)
        interval, evidence = evidences.close(evidence, now=evidence.began_at + 1.0, late_s=1e9)
        assert 1 <= kept <= LATENCIES_LIMIT
        low_s, high_s = interval.latency_low_s, interval.latency_high_s
        assert min(latencies_s) <= interval.latency_least_s <= low_s <= high_s <= max(latencies_s)
    assert evidence.stride == max(1, len(latencies_s) // LATENCIES_LIMIT)


def test_no_more_latencies_are_kept_than_the_limit() -> None:
    evidence = gathered("." * 3 * LATENCIES_LIMIT)
    assert len(evidence.latencies) == LATENCIES_LIMIT
    after = evidences.close(evidence, now=101.0, late_s=math.inf)[1]
    assert after.stride == 3


@pytest.mark.parametrize(
    "wrong",
    [{"samples_min": 2}, {"interval_s_min": 0.0}, {"interval_s_min": 2.0, "interval_s_max": 1.0}],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        EvidencePolicy(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a table of mixed numbers
