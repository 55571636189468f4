"""Workers that share a governor: one pace, one window, one breaker, whoever comes."""

import itertools
import math

import pytest

from surgetank.control import evidence as evidences
from surgetank.control.breaker import BreakerPolicy, Phase
from surgetank.control.evidence import Evidence, EvidencePolicy
from surgetank.control.governor import IN_FLIGHT, RELEASE_HELD, GovernorPolicy
from surgetank.control.lease import (
    RETRIES_MAX,
    WORKERS_MAX,
    Lease,
    Member,
    Offset,
    Report,
    Shared,
    SharePolicy,
    shifted,
)
from surgetank.control.peer.steps import Steps
from surgetank.control.share import begin, exchange
from surgetank.core.errors import InvalidInputError, QueueFullError
from surgetank.core.value import Dependency, Lane, OutcomeKind

IDENTITY = Dependency("identity@eastus")
SHARE = SharePolicy()
# The first step of a hundred is the whole of it: a pace of 100 calls a second that stays.
PACED = GovernorPolicy(
    law=Steps(step_share=1.0, step_s=1e9, rate_per_s_unlearnt=100.0),
    breaker=BreakerPolicy(failure_limit=8, probe_limit=1, open_s=30.0),
    evidence=EvidencePolicy(samples_min=1_000),
)


def begun(policy: GovernorPolicy = PACED) -> Shared:
    return begin(policy, dependency=IDENTITY, now=0.0)


def report(worker: str = "a", **fields: object) -> Report:
    return Report(worker, **{"epoch": 0, "evidence": Evidence(0.0), **fields})  # type: ignore[arg-type]


def come(shared: Shared, brought: Report, now: float) -> tuple[Shared, Lease]:
    return exchange(shared, brought, SHARE, now=now)


def instants(lease: Lease) -> list[float]:
    return [lease.start_at + i * lease.every_s for i in range(lease.permits)]


def test_a_lease_holds_no_instant_farther_ahead_than_it_may() -> None:
    _, lease = come(begun(), report(wants=1_000), 0.0)
    assert lease.permits == 10
    assert instants(lease)[-1] < SHARE.ahead_s


def test_permits_of_workers_do_not_overlap() -> None:
    shared, now, given = begun(), 0.0, list[float]()
    back = dict.fromkeys("abcd", 0.0)
    while now < 10.0:
        worker = min(back, key=lambda each: back[each])
        now = max(now, back[worker])
        shared, lease = come(shared, report(worker, wants=1_000), now)
        given += instants(lease)
        back[worker] = lease.back_at
    gaps = [after - before for before, after in itertools.pairwise(given)]
    assert min(gaps) > 0.01 - 1e-6
    assert len(given) > 990


def test_the_more_workers_the_longer_each_stays_away() -> None:
    shared, lease = begun(), None
    for worker in range(40):
        shared, lease = come(shared, report(str(worker).zfill(2), wants=1_000), 0.0)
    assert lease is not None
    assert lease.back_at == pytest.approx(2.0)


def test_claims_stay_within_the_window_and_its_excess() -> None:
    shared = begun()
    release = shared.governor.release._replace(in_flight_max=8.0)  # type: ignore[attr-defined]
    shared = shared._replace(governor=shared.governor._replace(release=release))
    shared, _ = come(shared, report("a", backlog_out=15), 0.0)
    _, lease = come(shared, report("b", wants=1_000), 0.0)
    assert (lease.permits, lease.reason) == (5, IN_FLIGHT)


def test_a_silent_worker_is_forgotten_with_its_claims() -> None:
    shared, lease = come(begun(), report("a", backlog_out=15), 0.0)
    shared, _ = come(shared, report("b"), lease.until)
    assert [member.worker for member in shared.members] == ["b"]


def test_a_worker_that_leaves_is_forgotten_at_once() -> None:
    shared, _ = come(begun(), report("a", backlog_out=15), 0.0)
    shared, lease = come(shared, report("a", is_leaving=True), 0.1)
    assert (shared.members, lease.permits) == ((), 0)


def test_too_many_workers_are_told() -> None:
    members = tuple(Member(f"{i:04}", 9.0, 0.0, 0.0, 0, 0, 0, 0) for i in range(WORKERS_MAX))
    with pytest.raises(QueueFullError):
        come(begun()._replace(members=members), report("new"), 1.0)


def test_failures_of_all_open_the_breaker_for_all() -> None:
    shared = begun()
    for worker in "abcd":
        shared, _ = come(shared, report(worker, backlog_out=1), 0.0)
    for worker in "abcd":
        failed = (OutcomeKind.TRANSIENT,) * 20
        shared, _ = come(shared, report(worker, results=failed, backlog_out=1), 1.0)
    assert shared.governor.breaker.phase == Phase.OPEN


def test_failures_of_one_worker_close_no_door() -> None:
    shared = begun()
    for worker in "abcd":
        shared, _ = come(shared, report(worker, backlog_out=1), 0.0)
    for turn in range(20):
        for worker in "abcd":
            kind = OutcomeKind.TRANSIENT if worker == "a" else OutcomeKind.OK
            brought = report(worker, results=(kind,) * 20, backlog_out=1)
            shared, _ = come(shared, brought, float(turn))
    assert shared.governor.breaker.phase == Phase.CLOSED


def test_only_one_worker_is_given_the_one_probe() -> None:
    shared, _ = come(begun(), report(results=(OutcomeKind.TRANSIENT,) * 8), 0.0)
    epoch = shared.governor.breaker.epoch
    probes = list[Lane | None]()
    for worker in "ab":
        shared, lease = come(shared, report(worker, epoch=epoch, fresh_needs=1), 31.0)
        probes.append(lease.probe)
    assert probes == [Lane.FRESH, None]


def test_a_probe_that_nobody_made_is_there_for_another() -> None:
    shared, _ = come(begun(), report(results=(OutcomeKind.TRANSIENT,) * 8), 0.0)
    shared, lease = come(shared, report("a", fresh_needs=1), 31.0)
    epoch = lease.governor.breaker.epoch
    shared, _ = come(shared, report("a", epoch=epoch, probes_unused=1), 31.1)
    _, lease = come(shared, report("b", epoch=epoch, fresh_needs=1), 31.2)
    assert lease.probe is Lane.FRESH


def test_reports_of_a_past_epoch_teach_nothing() -> None:
    shared, _ = come(begun(), report(epoch=7, results=(OutcomeKind.TRANSIENT,) * 8), 0.0)
    assert shared.governor.breaker.phase == Phase.CLOSED


def test_retries_of_all_come_out_of_one_budget() -> None:
    shared, first = come(begun(), report("a", retries_wanted=8), 0.0)
    _, second = come(shared, report("b", retries_wanted=8), 0.0)
    assert (first.retries, second.retries) == (8, 2)


def test_bounded_fresh_is_divided_and_never_exceeded() -> None:
    shared = begun()
    release = shared.governor.release._replace(fresh_in_flight_max=4.0)  # type: ignore[attr-defined]
    shared = shared._replace(governor=shared.governor._replace(release=release))
    for turn in range(4):
        for worker in "abc":
            shared, _ = come(shared, report(worker, fresh_needs=9), float(turn))
            assert sum(member.fresh_held for member in shared.members) <= 4
    assert all(member.fresh_held >= 1 for member in shared.members)


def test_a_debt_is_paid_by_those_who_come_after() -> None:
    shared, _ = come(begun(), report("a", debt=100), 0.0)
    _, lease = come(shared, report("b", wants=10), 0.5)
    assert (lease.permits, lease.reason) == (0, RELEASE_HELD)


@pytest.mark.parametrize("by_s", [3600.0, -3600.0])
def test_a_clock_that_jumps_an_hour_gives_no_more_than_one_stretch_twice(by_s: float) -> None:
    shared, before = come(begun(), report("a", wants=1_000), 5_000.0)
    shared, lease = come(shared, report("a", wants=1_000), 5_000.0 + by_s)
    assert before.permits + lease.permits <= 20
    _, lease = come(shared, report("a", wants=1_000), 5_000.0 + by_s + 0.1)
    assert lease.permits > 0


def test_a_clock_that_is_a_little_behind_stands_still() -> None:
    shared, _ = come(begun(), report("a"), 5.0)
    shared, _ = come(shared, report("b"), 4.9)
    assert shared.at == 5.0


def test_bounds_of_exchanges_narrow_how_clocks_differ() -> None:
    offset = Offset().seen(ledger_at=110.0, sent_at=9.0, got_at=11.0)
    offset = offset.seen(ledger_at=110.0, sent_at=9.5, got_at=11.5)
    assert (offset.least_s, offset.most_s) == (99.0, 100.5)


def test_a_clock_that_was_set_is_learnt_at_once() -> None:
    offset = Offset(99.0, 101.0).seen(ledger_at=3_710.0, sent_at=10.0, got_at=10.0)
    assert offset.middle_s == 3_700.0


def test_nothing_is_known_of_clocks_before_the_first_exchange() -> None:
    assert Offset().middle_s == 0.0


def test_latencies_of_two_keep_the_same_say() -> None:
    few = Evidence(0.0, latencies=(1.0,), latency_count=1)
    many = Evidence(0.0, latencies=(2.0,) * 32, latency_count=32 * 4)
    merged = evidences.merge(many, few._replace(latencies=(1.0,) * 8, latency_count=8))
    assert merged.latencies.count(1.0) == 2 // 2
    assert merged.latency_count == 136


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InvalidInputError):
        SharePolicy(ahead_s=0.0)


def test_without_a_bound_fresh_is_free() -> None:
    _, lease = come(begun(), report(fresh_needs=5), 0.0)
    assert lease.fresh_max == math.inf


def test_without_a_budget_retries_are_free() -> None:
    policy = GovernorPolicy(budget=None)
    _, lease = come(begun(policy), report(retries_wanted=8), 0.0)
    assert lease.retries == RETRIES_MAX


def test_a_report_before_its_turn_does_not_move_the_turn() -> None:
    shared, _ = come(begun(), report("a", wants=1_000), 0.0)
    shared, _ = come(shared, report("b", wants=1_000), 0.0)
    shared, queued = come(shared, report("d", wants=1_000), 0.0)
    shared, early = come(shared, report("d", wants=1_000), 0.01)
    assert (early.permits, early.back_at) == (0, queued.back_at)


def bounded_fresh(limit: float) -> Shared:
    shared = begun()
    release = shared.governor.release._replace(fresh_in_flight_max=limit)  # type: ignore[attr-defined]
    return shared._replace(governor=shared.governor._replace(release=release))


def test_who_needs_little_of_bounded_fresh_leaves_the_rest() -> None:
    shared, _ = come(bounded_fresh(10.0), report("a", fresh_needs=1), 0.0)
    _, lease = come(shared, report("b", fresh_needs=50), 0.0)
    assert lease.fresh_max == 9


def test_scarce_fresh_is_had_in_turn() -> None:
    shared, first = come(bounded_fresh(1.0), report("a", fresh_needs=1), 0.0)
    shared, second = come(shared, report("b", fresh_needs=1), 0.1)
    shared, yielded = come(shared, report("a", fresh_needs=1), 0.2)
    _, taken = come(shared, report("b", fresh_needs=1), 0.3)
    held = [lease.fresh_max for lease in (first, second, yielded, taken)]
    assert held == [1, 0, 0, 1]


def test_a_lease_is_the_same_on_another_clock() -> None:
    _, lease = come(begun(), report(wants=1_000), 0.0)
    moved = shifted(lease, by_s=50.0)
    assert instants(moved) == pytest.approx([at + 50.0 for at in instants(lease)])
    assert (moved.back_at, moved.until) == (lease.back_at + 50.0, lease.until + 50.0)
    assert moved.governor.breaker.retry_at == lease.governor.breaker.retry_at + 50.0
    assert moved.governor.budget.counted_at == lease.governor.budget.counted_at + 50.0
