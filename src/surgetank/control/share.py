"""One governor for many workers: what each reports is folded into it, and a lease is cut from it.

A worker comes now and then with a `Report` of all that it has seen since it last came, and leaves
with a `Lease` of what it may do until it comes again. Between the two it asks nobody.

Pace. The backlog's permits are instants, `every_s` apart on one line of time (GCRA): what one
worker was given no other gets, so that the total is exact for any number of workers. Nothing is
given out for an instant farther ahead than `ahead_s`, which is all that a cut of the rate comes
late by. An instant that passes unused is lost.

Turns. Workers with a backlog come in turn, each for a stretch of the line of half `ahead_s`. So
the more workers, the longer each stays away, and the store sees as many exchanges of twenty workers
as of two.

Window. What a worker has out, and was given to make, is its claim; a grant leaves the claims of all
within the law's window. Claims are known late, so that they may exceed it by what the pace lets
through in `ahead_s` and by a quarter of the window. A dependency that stalls is sent no more.

Everything here is pure, and every instant is on the ledger's clock (see `lease`). Source: GCRA is
ITU-T I.371; leases of capacity with an end, and ways on without their server, are those of Doorman
(Google, 2016).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from surgetank.control import budget as budgets
from surgetank.control import governor as governors
from surgetank.control.breaker import CLOSED, Phase
from surgetank.control.budget import Budget
from surgetank.control.governor import (
    IN_FLIGHT,
    RELEASE_HELD,
    Governor,
    GovernorPolicy,
    Slots,
)
from surgetank.control.lease import (
    RETRIES_MAX,
    WORKERS_MAX,
    Lease,
    Member,
    Report,
    Shared,
    SharePolicy,
    governor_shifted,
)
from surgetank.core.errors import QueueFullError
from surgetank.core.value import Dependency, Lane, Permit

STALL_SHARE = 0.25
"""Share of the window by which claims may exceed it: calls that have ended count until they are
reported, which a worker does when most of a stretch has."""
ROUNDING = 1e-6
"""A permit less than that away from its instant is not given sooner than it: floats are coarse."""
WAITS_TURNS = 2.0
"""A worker that waited for so many turns of all goes first, whoever comes."""
CLOCK_BACK_S_MAX = 1.0
"""A ledger's clock that is behind by no more stands still; by more, it was set back, and every
instant moves with it."""


def begin(policy: GovernorPolicy, *, dependency: Dependency, now: float) -> Shared:
    """Begin with a dependency never seen before, and no workers."""
    return Shared(now, now, governors.start(policy, dependency=dependency, now=now), ())


def exchange(
    shared: Shared, report: Report, share: SharePolicy, *, now: float
) -> tuple[Shared, Lease]:
    """Fold a worker's report into the state, and cut its lease.

    Args:
        shared: The state; its governor's policy is the one to obey.
        report: What the worker brings; counted once, so never bring it twice.
        share: How to share.
        now: On the ledger's clock. Where it was set back, all instants of the state move with it.

    Raises:
        QueueFullError: `WORKERS_MAX` others share this dependency. Nothing was counted.
    """
    shared, now = _on_time(shared, now=now)
    others = tuple(m for m in shared.members if m.worker != report.worker and now < m.until)
    if len(others) >= WORKERS_MAX:
        raise QueueFullError(f"{WORKERS_MAX} workers share {shared.governor.dependency} already")
    before = next((m for m in shared.members if m.worker == report.worker), None)
    if before is None or now >= before.until:
        before = Member(report.worker, now, now, now, 0, 0, 0, 0)
    visit = _Visit(report, before, others, share, now)
    state = _learn(shared.governor, visit)
    if report.is_leaving:
        gone = Shared(now, shared.leased_to_at, _counted(state, others, now=now), others)
        return gone, _nothing(gone.governor, now=now)
    state, probe = _probe(state, visit)
    state, retries = _retries(state, visit)
    grant = _grant(state, visit, leased_to_at=shared.leased_to_at)
    leased_to_at = shared.leased_to_at
    if grant.permits > 0:
        leased_to_at = grant.start_at + grant.permits / state.release.rate_per_s
        state = state._replace(due_at=leased_to_at)
    member = _member(state, visit, grant)
    members = tuple(sorted((*others, member)))
    state = _counted(state, members, now=now)
    waiting = sum(1 for m in members if m.wants > 0) or len(members)
    rate_per_s, fresh_max = state.release.rate_per_s, state.release.fresh_in_flight_max
    lease = Lease(
        governor=state,
        start_at=grant.start_at,
        every_s=1.0 / rate_per_s,
        permits=grant.permits,
        reason=grant.reason,
        probe=probe,
        fresh_max=member.fresh_held if math.isfinite(fresh_max) else math.inf,
        retries=retries,
        share_per_s=rate_per_s / waiting,
        share_in_flight=state.release.in_flight_max / waiting,
        back_at=member.back_at,
        until=member.until,
    )
    return Shared(now, leased_to_at, state, members), lease


class _Visit(NamedTuple):
    """A worker at the ledger."""

    report: Report
    before: Member
    """What was known of it."""
    others: Sequence[Member]
    """Those that are not gone."""
    share: SharePolicy
    now: float

    @property
    def waiting(self) -> list[Member]:
        """Others that want backlog calls."""
        return [m for m in self.others if m.wants > 0]


class _Grant(NamedTuple):
    """Permits of the backlog."""

    start_at: float
    permits: int
    reason: str
    """Why there are no more."""


def _on_time(shared: Shared, *, now: float) -> tuple[Shared, float]:
    """Take a clock that was set back for the truth, and one that is a little behind for a race."""
    behind_s = shared.at - now
    if behind_s <= CLOCK_BACK_S_MAX:
        return shared, max(now, shared.at)
    moved = tuple(
        m._replace(
            until=m.until - behind_s,
            back_at=m.back_at - behind_s,
            served_at=m.served_at - behind_s,
        )
        for m in shared.members
    )
    state = governor_shifted(shared.governor, -behind_s)
    return Shared(now, shared.leased_to_at - behind_s, state, moved), now


def _learn(state: Governor, visit: _Visit) -> Governor:
    """Fold in what the worker has seen, and what it owes."""
    report, others, now = visit.report, visit.others, visit.now
    if report.debt != 0:
        owed_s = report.debt / state.release.rate_per_s
        state = state._replace(due_at=max(now, max(now, state.due_at) + owed_s))
    if report.epoch != state.breaker.epoch:
        return state
    if report.probes_unused > 0 and state.breaker.phase == Phase.HALF_OPEN:
        probes = max(0, state.breaker.probes - report.probes_unused)
        state = state._replace(breaker=state.breaker._replace(probes=probes))
    claims = sum(m.claims for m in others)
    peak = max(report.evidence.in_flight_peak, report.fresh_out + report.backlog_out)
    evidence = report.evidence._replace(in_flight_peak=claims + peak)
    # One worker whose own network is down must not close the door for all.
    callers = 1 + sum(1 for m in others if m.claims > 0)
    told = state.limits.window_calls if callers == 1 else -(-state.limits.failure_limit // callers)
    return governors.absorb(
        state, evidence, report.results[-told:], now=now, retry_at=report.retry_at
    )


def _probe(state: Governor, visit: _Visit) -> tuple[Governor, Lane | None]:
    """Leave to make one probe, for a worker that somebody asked."""
    report = visit.report
    if state.breaker.phase == CLOSED or not (report.fresh_needs or report.wants):
        return state, None
    lane = Lane.FRESH if report.fresh_needs else Lane.BACKLOG
    state, answer = governors.admit(state, lane=lane, retry=False, now=visit.now, chance=0.0)
    return state, lane if isinstance(answer, Permit) else None


def _retries(state: Governor, visit: _Visit) -> tuple[Governor, int]:
    """Take tokens of the budget for a worker, after what it brings back."""
    policy, report = state.policy.budget, visit.report
    if policy is None:
        return state, RETRIES_MAX
    tokens = budgets.left(state.budget, policy, now=visit.now) + report.retries_unused
    left = min(policy.tokens_max, tokens)
    taken = min(report.retries_wanted, int(left))
    counted_at = max(visit.now, state.budget.counted_at)
    return state._replace(budget=Budget(left - taken, counted_at)), taken


def _grant(state: Governor, visit: _Visit, *, leased_to_at: float) -> _Grant:
    """Cut permits from the line of time, as the pace, the window and those who wait allow."""
    report, share, now = visit.report, visit.share, visit.now
    release, waiting = state.release, visit.waiting
    start_at = max(now, state.due_at, state.hold_until_at, leased_to_at)
    ahead_s = max(share.ahead_s, 1.0 / release.rate_per_s)
    paced = math.ceil((now + ahead_s - start_at) * release.rate_per_s - ROUNDING)
    excess = STALL_SHARE * release.in_flight_max + share.ahead_s * release.rate_per_s
    claims = report.fresh_out + report.backlog_out + report.pending
    claims += sum(m.claims for m in visit.others)
    free = math.floor(release.in_flight_max + excess) - claims
    reason = IN_FLIGHT if free < paced else RELEASE_HELD
    left = min(paced, free)
    longest_s = WAITS_TURNS * _turn_s(state, share) * (1 + len(waiting))
    served_at = min(visit.before.served_at, now - longest_s)
    first = sum(1 for m in waiting if m.served_at < served_at)
    if state.breaker.phase != CLOSED or _is_early(state, visit) or first >= left:
        return _Grant(start_at, 0, reason)
    return _Grant(start_at, max(0, min(left, report.wants)), reason)


def _turn_s(state: Governor, share: SharePolicy) -> float:
    """A stretch of the line of time: half of what may be given out, or one call."""
    return max(0.5 * share.ahead_s, 1.0 / state.release.rate_per_s)


def _is_early(state: Governor, visit: _Visit) -> bool:
    """Whether a worker comes to report, and its turn is later."""
    before, turn_s = visit.before, _turn_s(state, visit.share)
    is_queued = before.wants > 0 and len(visit.waiting) > 0
    return is_queued and visit.now < before.back_at - 0.5 * turn_s


def _member(state: Governor, visit: _Visit, grant: _Grant) -> Member:
    """What is known of the worker from now on."""
    report, now = visit.report, visit.now
    back_at = _back_at(state, visit)
    is_served = grant.permits > 0 or report.wants == 0
    held = _fresh_held(state.release.fresh_in_flight_max, visit)
    return Member(
        report.worker,
        until=back_at + visit.share.lease_s,
        back_at=back_at,
        served_at=now if is_served else visit.before.served_at,
        wants=report.wants,
        claims=report.fresh_out + report.backlog_out + report.pending + grant.permits,
        fresh_needs=report.fresh_needs,
        fresh_held=max(report.fresh_out, held),
    )


def _back_at(state: Governor, visit: _Visit) -> float:
    """The end of the queue of those who wait for a turn; a report at the latest in between."""
    share, now = visit.share, visit.now
    report_s = max(share.report_s, 0.5 * share.ahead_s * (1 + len(visit.others)))
    if visit.report.wants == 0 or state.breaker.phase != CLOSED:
        return now + report_s
    if _is_early(state, visit):
        return visit.before.back_at
    last_at = max((now, *(m.back_at for m in visit.waiting)))
    return min(now + report_s, last_at + _turn_s(state, share))


def _fresh_held(limit: float, visit: _Visit) -> int:
    """Fresh calls at once that a worker may have of a bound on all of them: a fair part.

    Where there are fewer than workers, who has one gives way to who waits.
    """
    mine = visit.report.fresh_needs
    if not math.isfinite(limit) or mine == 0:
        return 0
    needing = [m for m in visit.others if m.fresh_needs > 0]
    left, sharers = math.floor(limit), 1 + len(needing)
    for needs in sorted(m.fresh_needs for m in needing if m.fresh_needs < mine):
        left -= min(needs, left // sharers)
        sharers -= 1
    part = min(mine, left // sharers)
    is_scarce = limit < 1 + len(needing)
    if is_scarce and visit.before.fresh_held > 0 and any(m.fresh_held == 0 for m in needing):
        return 0
    free = math.floor(limit) - sum(m.fresh_held for m in visit.others)
    return max(0, min(max(1, part), free))


def _counted(state: Governor, members: Sequence[Member], *, now: float) -> Governor:
    """Show the claims of all as calls in flight, for who looks at the governor."""
    generation = math.floor(now / state.policy.lost_s)
    claims = sum(m.claims for m in members)
    return state._replace(fresh=Slots(generation), backlog=Slots(generation, claims))


def _nothing(state: Governor, *, now: float) -> Lease:
    """The lease of a worker that leaves."""
    return Lease(state, now, 1.0, 0, RELEASE_HELD, None, math.inf, 0, 0.0, 1.0, now, now)
