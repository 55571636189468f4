"""One dependency as a worker sees it that shares its governor: a lease, and what to report.

Everything here is told the time, on the worker's own clock, and waits for nothing. Where the ledger
stays away for longer than a lease lasts, a governor of its own goes on (`control.alone`).
"""

import math
from collections import deque

from surgetank.control import alone as alones
from surgetank.control import budget as budgets
from surgetank.control import evidence as evidences
from surgetank.control import governor as governors
from surgetank.control.breaker import CLOSED
from surgetank.control.evidence import Evidence
from surgetank.control.governor import (
    BREAKER_OPEN,
    BUDGET_SPENT,
    FRESH_SHED,
    IN_FLIGHT,
    RELEASE_HELD,
    Governor,
    GovernorPolicy,
    Slots,
)
from surgetank.control.lease import WANTS_MAX, Lease, Report, SharePolicy
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit, Refusal

ASK_AGAIN_S = 0.005
"""Seconds until a refused caller asks again while its worker is at the ledger: five exchanges."""
WANTS_LEAST, WANTS_GROWTH = 8, 2
"""Backlog calls that a worker wants before it has made any; later, so many times what it made."""
DEMAND_S = 0.5
"""Seconds after the instant that a refusal named for which its caller is expected."""
EARLY_SHARE = 0.75
"""Share of the calls of a stretch whose ends are reported at once where the window is full."""
LATE_SHARE = 0.5
"""Share of the time to the next instant for which one is good, where that is more than `grace_s`:
a slow pace has few, and in no span are there more calls for it than half of one."""
NOTHING_PER_S = 1e-12
"""The share of a worker that never had a lease: a pace has to be above 0."""
ALONE_EPOCH = -(1 << 40)
"""Epochs of a governor of one's own begin there: no ledger's comes near."""


class _Stretch:
    """Permits of one lease: instants on the line of time."""

    __slots__ = ("every_s", "left", "next_at")

    def __init__(self, lease: Lease) -> None:
        self.next_at, self.every_s, self.left = lease.start_at, lease.every_s, lease.permits

    def drop(self, *, now: float, grace_s: float) -> None:
        """Forget the instants that passed unused."""
        before = now - max(grace_s, LATE_SHARE * self.every_s)
        if self.next_at < before:
            late = min(self.left, math.ceil((before - self.next_at) / self.every_s))
            self.next_at += late * self.every_s
            self.left -= late


class Leaseholder:
    """Asks, reports and exchanges of one worker for one dependency."""

    def __init__(
        self,
        worker: str,
        dependency: Dependency,
        policy: GovernorPolicy,
        share: SharePolicy,
        *,
        now: float,
        calls_max: float = math.inf,
    ) -> None:
        """Begin without a lease: fresh calls flow, and the backlog waits for the ledger.

        Args:
            worker: Its name, as in `Report`.
            dependency: Whose governor.
            policy: The governor's.
            share: As the ledger's.
            now: On the worker's clock.
            calls_max: Calls that it will make; permits for more are not asked for.
        """
        state = governors.start(policy, dependency=dependency, now=now)
        self.dependency = dependency
        self.policy = policy
        self.lease = Lease(
            state, now, 1.0, 0, RELEASE_HELD, None, state.release.fresh_in_flight_max, 0,
            NOTHING_PER_S, 1.0, back_at=now, until=now + share.lease_s,
        )  # fmt: skip
        """The last, on the worker's clock."""
        self.due_at = math.inf
        """When to go to the ledger; infinite while nobody asks and nothing is out."""
        self.is_at_ledger = False
        """Whether a report is on its way: its lease may be here any moment."""
        self.alone: Governor | None = None
        """Without a ledger: a governor of its own."""
        self._breaker = state.breaker
        """The lease's, with what this worker has heard since: when that one would turn, the ledger
        is told at once, and nobody is let through an opened one until it has spoken."""
        self._worker = worker
        self._share = share
        self._alone_epoch = ALONE_EPOCH
        self._stretches = deque[_Stretch]()
        generation = math.floor(now / policy.lost_s)
        self._out = {lane: Slots(generation) for lane in Lane}
        self._wanted_until = dict.fromkeys(Lane, -math.inf)
        self._probe: Lane | None = None
        self._retries = 0
        self._claims = 0
        self._wants = 0
        self._calls_left = calls_max
        self._begin(now=now)

    def _begin(self, *, now: float) -> None:
        """Count anew what the next report says."""
        self._evidence = Evidence(now)
        self._results = deque[OutcomeKind](maxlen=self.lease.governor.limits.window_calls)
        self._named_at = -math.inf
        self._is_held = False
        self._used = self._ended = self._debt = self._shed = self._retries_asked = 0
        self._fresh_peak = self._count(Lane.FRESH, now=now)

    # Asking

    def expect(self, *, lane: Lane, retry: bool, now: float) -> None:
        """Say that a call is about to be asked for: the next report asks for leave to make it."""
        self._wanted_until[lane] = max(self._wanted_until[lane], now + DEMAND_S)
        self._retries_asked += int(retry)

    def refusal(self, *, lane: Lane, retry: bool, now: float, chance: float) -> Refusal | None:
        """Say why not, or None when `take` will give a permit. Remembers that somebody waits."""
        self._wanted_until[lane] = max(self._wanted_until[lane], now + DEMAND_S)
        if self.due_at == math.inf:
            self._wake(now=now)
        alone = self._goes_alone(now=now)
        if alone is not None:
            return self._refusal_alone(alone, lane=lane, retry=retry, now=now, chance=chance)
        refusal = self._refusal(lane=lane, now=now, chance=chance)
        if refusal is None and retry:
            refusal = self._retry_refusal(now=now)
        if refusal is not None:
            until = refusal.retry_at + DEMAND_S
            self._wanted_until[lane] = max(self._wanted_until[lane], until)
        return refusal

    def take(self, *, lane: Lane, retry: bool, now: float, weight: int) -> Permit:
        """Give the permit that `refusal` has just promised."""
        self._out[lane] = self._out[lane].at(self._generation(now)).taken()
        self._calls_left -= 1
        if self.alone is not None:
            self.alone, permit = governors.admit(
                self.alone, lane=lane, retry=retry, now=now, chance=0.0, weight=weight
            )
            assert isinstance(permit, Permit), "asked before"
            return permit
        breaker = self.lease.governor.breaker
        if retry:
            self._retries -= 1
        if breaker.phase != CLOSED:
            self._probe = None
            return Permit(self.dependency, lane, breaker.epoch, now)
        if lane is Lane.FRESH:
            self._fresh_peak = max(self._fresh_peak, self._count(lane, now=now))
            return Permit(self.dependency, lane, breaker.epoch, now)
        stretch = self._stretches[0]
        stretch.next_at += stretch.every_s
        stretch.left -= 1
        self._used += 1
        self._debt += weight - 1
        return Permit(self.dependency, lane, breaker.epoch, now, weight)

    def report(self, permit: Permit, outcome: Outcome, *, now: float) -> None:
        """Say how a call ended, once."""
        in_flight = sum(self._count(lane, now=now) for lane in Lane)
        self._free(permit)
        if self.alone is not None and self._alone_epoch <= permit.epoch < 0:
            self.alone = governors.record(self.alone, permit, outcome, now=now)
        elif permit.epoch == self.lease.governor.breaker.epoch:
            self._learn(permit, outcome, in_flight=in_flight, now=now)

    def give_back(self, permit: Permit, *, now: float) -> None:
        """Return a permit whose call was never made: nothing is learnt."""
        self._free(permit)
        if self.alone is not None and self._alone_epoch <= permit.epoch < 0:
            self.alone = governors.give_back(self.alone, permit, now=now)
        elif permit.epoch == (breaker := self.lease.governor.breaker).epoch:
            if breaker.phase != CLOSED:
                self._probe = permit.lane
            elif permit.lane is Lane.BACKLOG:
                self._debt -= permit.weight

    # Going to the ledger

    def collect(self, *, now: float) -> Report:
        """Take what is to be reported, once: whether it arrives or not, it is not said again."""
        fresh, backlog = (self._count(lane, now=now) for lane in (Lane.FRESH, Lane.BACKLOG))
        self._drop_late(now=now)
        pending = sum(stretch.left for stretch in self._stretches)
        is_more = self._calls_left > 0
        is_wanted = {lane: is_more and now < until for lane, until in self._wanted_until.items()}
        wants = WANTS_LEAST + WANTS_GROWTH * self._used if is_wanted[Lane.BACKLOG] else 0
        needs = max(1, self._fresh_peak + self._shed) if is_wanted[Lane.FRESH] else fresh
        evidence = self._evidence._replace(held=int(self._is_held), shed=self._shed)
        report = Report(
            self._worker,
            self.lease.governor.breaker.epoch,
            evidence,
            tuple(self._results),
            retry_at=self._named_at,
            fresh_out=fresh,
            backlog_out=backlog,
            pending=pending,
            wants=int(min(wants, WANTS_MAX, self._calls_left)),
            fresh_needs=min(needs, WANTS_MAX),
            debt=self._debt,
            retries_wanted=self._retries_asked,
            retries_unused=max(0, self._retries),
            probes_unused=int(self._probe is not None),
        )
        self._retries, self._probe, self.is_at_ledger = 0, None, True
        self._claims, self._wants = fresh + backlog + pending, report.wants
        self._begin(now=now)
        return report

    def renew(self, lease: Lease, report: Report, *, now: float) -> None:
        """Go by a new lease, on the worker's clock; a governor of one's own ends."""
        if lease.governor.breaker.epoch != self.lease.governor.breaker.epoch:
            self._stretches.clear()
            self._begin(now=now)
        if self.alone is not None:
            self._alone_epoch = self.alone.breaker.epoch + 1
            self.alone = None
        self.lease, self.is_at_ledger = lease, False
        self._probe, self._retries = lease.probe, lease.retries
        self._claims += lease.permits
        if lease.permits > 0:
            self._stretches.append(_Stretch(lease))
        is_idle = not (report.wants or report.fresh_needs or report.fresh_out or report.backlog_out)
        is_wanted = now < max(self._wanted_until.values())
        self.due_at = lease.back_at if is_wanted or not is_idle else math.inf
        self._breaker = lease.governor.breaker
        for kind in self._results:  # What was heard while the report was on its way.
            self._listen(kind, epoch=lease.governor.breaker.epoch, now=now)

    def go_without(self, *, until: float) -> None:
        """No lease came: try again then. What was collected stays unsaid."""
        self.due_at, self.is_at_ledger = until, False

    def state(self, *, now: float) -> Governor:
        """The governor, for who looks at it: the ledger's last, or one's own."""
        return self._goes_alone(now=now) or self.lease.governor

    # Inside

    def _generation(self, now: float) -> int:
        return math.floor(now / self.policy.lost_s)

    def _count(self, lane: Lane, *, now: float) -> int:
        slots = self._out[lane].at(self._generation(now))
        return slots.new + slots.old

    def _free(self, permit: Permit) -> None:
        generation = self._generation(permit.asked_at)
        self._out[permit.lane] = self._out[permit.lane].freed(generation)
        self._ended += 1

    def _wake(self, *, now: float) -> None:
        """Somebody asks after a rest: the last lease says what to do until the ledger has spoken."""
        self.due_at = now
        if self.alone is None:
            until = max(self.lease.until, now + self._share.lease_s)
            self.lease = self.lease._replace(back_at=now, until=until)

    def _goes_alone(self, *, now: float) -> Governor | None:
        """Without a ledger: one's own governor, with the pace of now."""
        if now < self.lease.until or self.due_at == math.inf:
            return self.alone
        if self.alone is None:
            self.alone = alones.alone(self.lease, epoch=self._alone_epoch, now=now)
            self._stretches.clear()
        self.alone = alones.fade(self.alone, self.lease, self._share, now=now)
        return self.alone

    def _refusal_alone(
        self, state: Governor, *, lane: Lane, retry: bool, now: float, chance: float
    ) -> Refusal | None:
        """Why not, by one's own governor; for no longer than until the ledger may be back."""
        after, answer = governors.admit(state, lane=lane, retry=retry, now=now, chance=chance)
        if isinstance(answer, Permit):
            return None
        self.alone = after
        return answer._replace(retry_at=min(answer.retry_at, now + self._share.lease_s))

    def _refusal(self, *, lane: Lane, now: float, chance: float) -> Refusal | None:
        """Why not, by the lease."""
        lease, state = self.lease, self.lease.governor
        if state.breaker.phase != CLOSED:
            if self._probe is lane:
                return None
            return self._no(BREAKER_OPEN, state.breaker.retry_at, now=now)
        if self._breaker.phase != CLOSED:
            return self._no(BREAKER_OPEN, now, now=now)
        if lane is Lane.BACKLOG:
            return self._backlog_refusal(now=now)
        if self._count(lane, now=now) < lease.fresh_max:
            return None
        self._shed += 1
        retry_at = now + self.policy.shed_s * (1.0 + chance)
        return Refusal(self.dependency, FRESH_SHED, retry_at)

    def _backlog_refusal(self, *, now: float) -> Refusal | None:
        self._drop_late(now=now)
        if self._stretches and self._stretches[0].next_at <= now:
            return None
        self._is_held = True
        if self._stretches:
            return Refusal(self.dependency, RELEASE_HELD, self._stretches[0].next_at, is_exact=True)
        if self._wants == 0:
            self.due_at = min(self.due_at, now)
        refusal = self._no(self.lease.reason, self.lease.governor.hold_until_at, now=now)
        return refusal._replace(is_exact=True)  # The next lease may be here then.

    def _retry_refusal(self, *, now: float) -> Refusal | None:
        self._retries_asked += 1
        if self._retries > 0:
            return None
        policy, budget = self.policy.budget, self.lease.governor.budget
        at = now if policy is None else budgets.retry_at(budget, policy, now=now)
        return self._no(BUDGET_SPENT, at, now=now)

    def _no(self, reason: str, at: float, *, now: float) -> Refusal:
        """Refuse until `at`, and until a lease is expected."""
        at = max(at, now + ASK_AGAIN_S, now if self.is_at_ledger else self.due_at)
        retry_at = min(at, now + self.policy.hold_s_max)
        return Refusal(self.dependency, reason, retry_at)

    def _drop_late(self, *, now: float) -> None:
        while self._stretches:
            stretch = self._stretches[0]
            stretch.drop(now=now, grace_s=self._share.grace_s)
            if stretch.left > 0:
                return
            self._stretches.popleft()

    def _learn(self, permit: Permit, outcome: Outcome, *, in_flight: int, now: float) -> None:
        kind, _, retry_at = outcome
        self._results.append(kind)
        self._listen(
            kind,
            epoch=permit.epoch,
            now=now,
            retry_at=-math.inf if retry_at is None else retry_at,
        )
        if retry_at is not None:
            self._named_at = max(self._named_at, retry_at)
            if kind is OutcomeKind.THROTTLED:
                # The ledger hears of it now, and gives nothing out before then.
                self._stretches.clear()
                self.due_at = min(self.due_at, now)
        self._evidence = evidences.gather(
            self._evidence,
            kind=kind,
            lane=permit.lane,
            latency_s=max(0.0, now - permit.asked_at),
            in_flight=in_flight,
        )
        is_full = self.lease.reason == IN_FLIGHT and self._wants > 0
        if is_full and self._ended >= EARLY_SHARE * self._claims:
            self.due_at = min(self.due_at, now)

    def _listen(
        self, kind: OutcomeKind, *, epoch: int, now: float, retry_at: float = -math.inf
    ) -> None:
        """Let the breaker hear how a call ended, and tell the ledger at once when it turns."""
        was = self._breaker.phase
        self._breaker = governors.heard(
            self.lease.governor, self._breaker, kind, epoch=epoch, now=now, retry_at=retry_at
        )
        if self._breaker.phase != was:
            self.due_at = min(self.due_at, now)
