"""What a worker does with the leases of one dependency, and what it brings to the ledger."""

import math
from dataclasses import replace

import pytest

from surgetank.control.breaker import BreakerPolicy, Phase
from surgetank.control.evidence import Evidence, EvidencePolicy
from surgetank.control.governor import GovernorPolicy
from surgetank.control.lease import RETRIES_MAX, Report, Shared, SharePolicy
from surgetank.control.peer.steps import Steps
from surgetank.control.share import begin, exchange
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit, Refusal
from surgetank.safeguards.operations.leaseholder import ASK_AGAIN_S, EARLY_SHARE, Leaseholder

VM = Dependency("vm@eastus")
OK, FAULT = Outcome(OutcomeKind.OK), Outcome(OutcomeKind.TRANSIENT)
SHARE = SharePolicy()
POLICY = GovernorPolicy(
    law=Steps(step_share=1.0, step_s=1e9, rate_per_s_unlearnt=100.0),
    breaker=BreakerPolicy(failure_limit=3, probe_limit=1, open_s=10.0),
    evidence=EvidencePolicy(samples_min=10**9, interval_s_max=1e9),
)


class Pair:
    """A worker and the state that it shares, on one clock."""

    def __init__(self, policy: GovernorPolicy = POLICY, name: str = "a") -> None:
        self.now = 1_000.0
        self.shared: Shared = begin(policy, dependency=VM, now=self.now)
        self.holder = Leaseholder(name, VM, policy, SHARE, now=self.now)

    def ask(
        self, lane: Lane = Lane.BACKLOG, *, retry: bool = False, weight: int = 1
    ) -> Permit | Refusal:
        refusal = self.holder.refusal(lane=lane, retry=retry, now=self.now, chance=0.5)
        if refusal is not None:
            return refusal
        return self.holder.take(lane=lane, retry=retry, now=self.now, weight=weight)

    def take(self, lane: Lane = Lane.FRESH, *, retry: bool = False, weight: int = 1) -> Permit:
        answer = self.ask(lane, retry=retry, weight=weight)
        assert isinstance(answer, Permit), f"refused: {answer}"
        return answer

    def refused(self, lane: Lane = Lane.BACKLOG, *, retry: bool = False) -> Refusal:
        answer = self.ask(lane, retry=retry)
        assert isinstance(answer, Refusal)
        return answer

    def end(self, permit: Permit, outcome: Outcome = OK) -> None:
        self.holder.report(permit, outcome, now=self.now)

    def exchange(self) -> Report:
        """Go to the ledger and back."""
        report = self.holder.collect(now=self.now)
        self.shared, lease = exchange(self.shared, report, SHARE, now=self.now)
        self.holder.renew(lease, report, now=self.now)
        return report

    def bound(self, **fields: float) -> None:
        """Let the law decide otherwise."""
        release = self.shared.governor.release._replace(**fields)  # type: ignore[attr-defined]
        self.shared = self.shared._replace(governor=self.shared.governor._replace(release=release))


@pytest.fixture
def pair() -> Pair:
    return Pair()


def fail(pair: Pair) -> None:
    """Let so many fresh calls fail that the breaker opens."""
    for _ in range(3):
        pair.end(pair.take(), FAULT)
    pair.exchange()


def test_a_worker_that_hears_the_breaker_open_lets_nobody_through_and_tells_at_once(
    pair: Pair,
) -> None:
    pair.exchange()
    for permit in [pair.take() for _ in range(3)]:
        pair.end(permit, FAULT)
    assert (pair.holder.due_at, pair.refused(Lane.FRESH).reason) == (pair.now, "breaker_open")
    assert pair.refused(Lane.FRESH).retry_at == pytest.approx(pair.now + ASK_AGAIN_S)
    pair.exchange()
    assert pair.refused(Lane.FRESH).retry_at >= pair.now + 10.0


def test_where_others_fared_better_the_ledger_has_the_last_word(pair: Pair) -> None:
    pair.exchange()
    for permit in [pair.take() for _ in range(3)]:
        pair.end(permit, FAULT)
    report = pair.holder.collect(now=pair.now)
    _, lease = exchange(pair.shared, report._replace(results=()), SHARE, now=pair.now)
    pair.holder.renew(lease, report, now=pair.now)
    assert isinstance(pair.ask(Lane.FRESH), Permit)


def test_what_is_heard_while_a_report_is_on_its_way_is_not_forgotten(pair: Pair) -> None:
    pair.exchange()
    permits = [pair.take() for _ in range(3)]
    report = pair.holder.collect(now=pair.now)
    for permit in permits:
        pair.end(permit, FAULT)
    _, lease = exchange(pair.shared, report, SHARE, now=pair.now)
    pair.holder.renew(lease, report, now=pair.now)
    assert (pair.holder.due_at, pair.refused(Lane.FRESH).reason) == (pair.now, "breaker_open")


def test_a_probe_that_closes_the_breaker_is_told_at_once(pair: Pair) -> None:
    fail(pair)
    pair.now += 20.0
    pair.ask(Lane.FRESH)
    pair.exchange()
    pair.end(pair.take(), OK)
    assert pair.holder.due_at == pair.now


def test_before_the_first_lease_fresh_flows_and_the_backlog_waits(pair: Pair) -> None:
    assert isinstance(pair.ask(Lane.FRESH), Permit)
    assert pair.refused().reason == "release_held"


def test_of_a_pace_a_refusal_says_that_its_instant_passes(pair: Pair) -> None:
    waits_for_lease = pair.refused()
    pair.exchange()
    pair.take(Lane.BACKLOG)
    waits_for_instant = pair.refused()
    assert (waits_for_lease.is_exact, waits_for_instant.is_exact) == (True, True)


def test_nobody_goes_to_the_ledger_before_somebody_asks(pair: Pair) -> None:
    assert pair.holder.due_at == math.inf
    pair.ask()
    assert pair.holder.due_at == pair.now


def test_a_refusal_names_the_next_instant_of_the_lease(pair: Pair) -> None:
    pair.ask()
    pair.exchange()
    pair.take(Lane.BACKLOG)
    refusal = pair.refused()
    assert refusal.retry_at == pytest.approx(pair.now + 0.01)
    pair.now = refusal.retry_at
    pair.take(Lane.BACKLOG)


@pytest.mark.parametrize(("late_s", "is_good"), [(0.9, True), (1.1, False)])
def test_of_a_slow_pace_an_instant_is_good_for_half_the_time_to_the_next(
    late_s: float, *, is_good: bool
) -> None:
    slow = Steps(step_share=1.0, step_s=1e9, rate_per_s_unlearnt=0.5)
    pair = Pair(replace(POLICY, law=slow))
    pair.ask()
    pair.exchange()
    pair.now += late_s
    assert isinstance(pair.ask(), Permit) is is_good


def test_an_instant_that_passed_unused_is_lost(pair: Pair) -> None:
    pair.ask()
    pair.exchange()
    pair.now += 0.055
    given = 0
    while isinstance(pair.ask(), Permit):
        given += 1
    assert given == 1


def queue_behind_another(pair: Pair) -> None:
    """Let another worker have all that may be given out."""
    other = Report("b", 0, Evidence(0.0), wants=1_000)
    pair.shared, _ = exchange(pair.shared, other, SHARE, now=pair.now)
    pair.ask()
    pair.exchange()


def test_without_permits_a_refusal_names_when_the_next_lease_is_expected(pair: Pair) -> None:
    queue_behind_another(pair)
    assert pair.refused().retry_at == pair.holder.lease.back_at


def test_while_its_worker_is_at_the_ledger_a_caller_asks_again_soon(pair: Pair) -> None:
    queue_behind_another(pair)
    pair.now = pair.holder.due_at
    pair.holder.collect(now=pair.now)
    assert pair.refused().retry_at == pair.now + ASK_AGAIN_S


def test_who_stops_asking_stops_going_to_the_ledger(pair: Pair) -> None:
    pair.ask()
    pair.exchange()
    pair.now += 10.0
    pair.exchange()
    assert pair.holder.due_at == math.inf


def test_a_worker_that_rested_does_not_take_the_ledger_for_gone(pair: Pair) -> None:
    pair.ask()
    pair.exchange()
    pair.now += 10.0
    pair.exchange()
    pair.now += 1_000.0
    assert pair.refused().reason == "release_held"
    assert pair.holder.alone is None


def test_weight_beyond_one_is_owed_by_all(pair: Pair) -> None:
    pair.ask()
    pair.exchange()
    pair.take(Lane.BACKLOG, weight=7)
    assert pair.exchange().debt == 6


def test_what_was_given_back_is_not_owed(pair: Pair) -> None:
    pair.ask()
    pair.exchange()
    pair.holder.give_back(pair.take(Lane.BACKLOG, weight=7), now=pair.now)
    report = pair.exchange()
    assert (report.debt, report.backlog_out, report.evidence.ok) == (-1, 0, 0)


def test_fresh_given_back_owes_nothing(pair: Pair) -> None:
    pair.holder.give_back(pair.take(), now=pair.now)
    report = pair.exchange()
    assert (report.debt, report.fresh_out) == (0, 0)


def test_what_a_worker_wants_grows_with_what_it_makes(pair: Pair) -> None:
    wants = list[int]()
    for _ in range(3):
        while isinstance(pair.ask(), Permit):
            pass
        wants.append(pair.exchange().wants)
        for _ in range(10):
            while isinstance(pair.ask(), Permit):
                pass
            pair.now += 0.01
    assert wants[0] == 8
    assert wants == sorted(wants)
    assert wants[-1] > 16


def test_bounded_fresh_is_shed_and_the_ledger_hears_how_much(pair: Pair) -> None:
    pair.take()
    pair.bound(fresh_in_flight_max=2.0)
    pair.exchange()
    pair.refused(Lane.FRESH)
    pair.exchange()
    pair.take()
    refusal = pair.refused(Lane.FRESH)
    assert (refusal.reason, refusal.retry_at) == ("fresh_shed", pair.now + 7.5)
    assert pair.exchange().evidence.shed == 1


def test_failures_shut_the_door_and_its_one_probe_opens_it(pair: Pair) -> None:
    fail(pair)
    assert pair.refused(Lane.FRESH).reason == "breaker_open"
    pair.now = pair.refused(Lane.FRESH).retry_at
    pair.exchange()
    probe = pair.take()
    assert pair.refused(Lane.FRESH).reason == "breaker_open"
    pair.end(probe)
    pair.exchange()
    assert pair.shared.governor.breaker.phase == Phase.CLOSED
    pair.take()


def test_a_probe_that_nobody_made_goes_back(pair: Pair) -> None:
    fail(pair)
    pair.now = pair.refused(Lane.FRESH).retry_at
    pair.exchange()
    assert pair.exchange().probes_unused == 1


def test_a_probe_given_back_may_be_made_again(pair: Pair) -> None:
    fail(pair)
    pair.now = pair.refused(Lane.FRESH).retry_at
    pair.exchange()
    pair.holder.give_back(pair.take(), now=pair.now)
    pair.take()


def test_what_ends_after_the_door_shut_is_not_reported(pair: Pair) -> None:
    late = pair.take()
    fail(pair)
    pair.end(late)
    assert pair.exchange().evidence.ok == 0


def test_patience_that_was_asked_for_is_kept_at_once(pair: Pair) -> None:
    pair.ask()
    pair.exchange()
    throttled = Outcome(OutcomeKind.THROTTLED, "", pair.now + 60.0)
    pair.end(pair.take(Lane.BACKLOG), throttled)
    pair.now += 0.01
    assert isinstance(pair.ask(), Refusal)
    pair.exchange()
    assert pair.refused().retry_at == pytest.approx(1_060.0)


def test_an_instant_named_without_throttling_holds_nothing(pair: Pair) -> None:
    pair.ask()
    pair.exchange()
    pair.end(pair.take(Lane.BACKLOG), Outcome(OutcomeKind.OK, "", pair.now + 60.0))
    pair.now += 0.01
    pair.take(Lane.BACKLOG)


def test_a_retry_waits_for_a_token_of_the_shared_budget(pair: Pair) -> None:
    pair.take()
    pair.exchange()
    assert pair.refused(Lane.FRESH, retry=True).reason == "budget_spent"
    pair.exchange()
    pair.take(retry=True)
    assert pair.refused(Lane.FRESH, retry=True).reason == "budget_spent"
    assert pair.shared.governor.budget.tokens == 9.0


def test_retries_that_were_not_made_go_back(pair: Pair) -> None:
    pair.refused(Lane.FRESH, retry=True)
    pair.exchange()
    assert pair.exchange().retries_unused == 1
    assert pair.shared.governor.budget.tokens == 10.0


def test_without_a_budget_retries_are_free_from_the_first_lease() -> None:
    pair = Pair(GovernorPolicy(law=POLICY.law, budget=None))
    refusal = pair.refused(Lane.FRESH, retry=True)
    assert refusal.retry_at <= pair.now + ASK_AGAIN_S
    pair.exchange()
    pair.take(retry=True)
    assert pair.holder.lease.retries == RETRIES_MAX


def test_a_full_window_is_told_when_most_of_a_stretch_has_ended(pair: Pair) -> None:
    pair.bound(in_flight_max=4.0, rate_per_s=10.0)
    permits = list[Permit]()
    while pair.holder.lease.reason != "in_flight":
        answer = pair.ask()
        if isinstance(answer, Permit):
            permits.append(answer)
        pair.now += 0.1
        pair.exchange()
    before = pair.holder.due_at
    ends = math.ceil(EARLY_SHARE * len(permits))
    for permit in permits[: ends - 1]:
        pair.end(permit)
    assert pair.holder.due_at == before
    pair.end(permits[ends - 1])
    assert pair.holder.due_at == pair.now


def go_alone(pair: Pair) -> None:
    """Have a lease with a share, and let it end."""
    pair.ask()
    pair.exchange()
    pair.now = pair.holder.lease.until


def test_without_a_ledger_it_asks_itself_and_never_for_long(pair: Pair) -> None:
    go_alone(pair)
    pair.end(pair.take(Lane.BACKLOG))
    pair.now += 250.0
    pair.ask()
    refusal = pair.refused()
    assert pair.now < refusal.retry_at <= pair.now + SHARE.lease_s


def test_what_it_learns_alone_is_its_own(pair: Pair) -> None:
    go_alone(pair)
    for _ in range(3):
        pair.end(pair.take(), FAULT)
    assert pair.refused(Lane.FRESH).reason == "breaker_open"
    report = pair.exchange()
    assert report.evidence.bad == 0
    pair.take()


def test_a_call_of_the_lease_that_ends_alone_frees_nothing_there(pair: Pair) -> None:
    pair.ask()
    pair.exchange()
    permit = pair.take(Lane.BACKLOG)
    pair.now = pair.holder.lease.until
    own = pair.take(Lane.BACKLOG)
    pair.end(permit)
    state = pair.holder.state(now=pair.now)
    assert state.backlog.new + state.backlog.old == 1
    pair.holder.give_back(own, now=pair.now)
    state = pair.holder.state(now=pair.now)
    assert state.backlog.new + state.backlog.old == 0


def test_a_worker_that_never_had_a_lease_lets_only_fresh_go(pair: Pair) -> None:
    pair.ask()
    pair.now += SHARE.lease_s
    pair.take()
    assert isinstance(pair.ask(), Refusal)


def test_a_call_made_alone_that_ends_later_teaches_nobody(pair: Pair) -> None:
    go_alone(pair)
    own = pair.take()
    pair.exchange()
    pair.end(own, FAULT)
    report = pair.exchange()
    assert (report.evidence.bad, report.fresh_out) == (0, 0)


def test_a_lost_permit_s_slot_is_free_after_a_while(pair: Pair) -> None:
    permit = pair.take()
    pair.now += 2 * POLICY.lost_s
    pair.end(permit)
    assert pair.exchange().fresh_out == 0


def test_fresh_of_a_lease_given_back_alone_frees_its_slot(pair: Pair) -> None:
    permit = pair.take()
    go_alone(pair)
    pair.take()
    pair.holder.give_back(permit, now=pair.now)
    assert pair.exchange().fresh_out == 1


def test_what_was_made_alone_and_given_back_later_frees_its_slot(pair: Pair) -> None:
    go_alone(pair)
    own = pair.take()
    pair.exchange()
    pair.holder.give_back(own, now=pair.now)
    assert pair.exchange().fresh_out == 0


def test_a_worker_of_one_call_asks_for_one_permit_and_then_for_none() -> None:
    pair = Pair()
    pair.holder = Leaseholder("a", VM, POLICY, SHARE, now=pair.now, calls_max=1)
    pair.ask()
    before = pair.exchange()
    pair.take(Lane.BACKLOG)
    after = pair.exchange()
    assert (before.wants, after.wants, after.backlog_out) == (1, 0, 1)


def test_a_call_that_is_expected_has_a_lease_before_it_is_asked_for(pair: Pair) -> None:
    pair.holder.expect(lane=Lane.FRESH, retry=True, now=pair.now)
    report = pair.exchange()
    assert (report.fresh_needs, report.retries_wanted) == (1, 1)
    pair.take(Lane.FRESH, retry=True)
