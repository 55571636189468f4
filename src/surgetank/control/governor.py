"""The governor of one dependency: breaker, retry budget and release, composed.

`admit` gives leave to call or says why not and when to ask again; `record` takes what became of
the call. Both take a state and return the next. A caller that needs leave of several dependencies
asks each in turn and, when one refuses, throws away the states of those that agreed: nothing was
taken. (It should keep the state of the one that refused: it remembers that backlog waits.)

Rules, in this order: a breaker that is not closed admits only its probes; fresh calls are let in by
the law's share, which is 1 unless fresh alone tips the dependency over; backlog calls are paced at
the law's rate and bounded in number; a retry also takes a token of the budget. Fresh is never
refused on account of the backlog.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from surgetank.control import budget as budgets
from surgetank.control import evidence as evidences
from surgetank.control.breaker import Breaker, BreakerPolicy, Phase
from surgetank.control.budget import Budget, BudgetPolicy
from surgetank.control.evidence import Evidence, EvidencePolicy
from surgetank.control.release import ReleasePolicy
from surgetank.control.signal import Law, Mode, Release
from surgetank.core.errors import InvalidInputError
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit, Refusal

BREAKER_OPEN = "breaker_open"
RELEASE_HELD = "release_held"
IN_FLIGHT = "in_flight"
FRESH_SHED = "fresh_shed"
BUDGET_SPENT = "budget_spent"
RETRY_S_MIN = 0.001
"""Least seconds ahead of a refusal's `retry_at`: below it, float arithmetic could yield `now`."""
IN_FLIGHT_RETRY_S_MIN = 0.05
"""Least seconds until asking again for a free slot: shorter would be polling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernorPolicy:
    """Settings of a governor; raises `InvalidInputError` if out of range."""

    breaker: BreakerPolicy | None = field(default_factory=BreakerPolicy)
    """None for no breaker: only for the peer that has none."""
    budget: BudgetPolicy | None = field(default_factory=BudgetPolicy)
    """None for unbounded retries: only for the peer that has none."""
    evidence: EvidencePolicy = field(default_factory=EvidencePolicy)
    law: Law = field(default_factory=ReleasePolicy)
    """The release law: `ReleasePolicy`, or one of `control.peer`."""
    burst_s: float = 0.1
    """Unused pace that may be caught up, in seconds; 0 or more. Covers callers that wake late."""
    hold_s_max: float = 300.0
    """Farthest `retry_at`, and longest Retry-After obeyed for the backlog, in seconds; above 0."""
    lost_s: float = 120.0
    """A permit not reported within this many seconds frees its slot, at the latest after twice as
    long; above 0. Longer than any call's time-out."""
    shed_s: float = 5.0
    """Least seconds until a shed fresh call may ask again; above 0."""
    fresh_first_s: float = 5.0
    """Seconds that probes are kept for fresh calls, if any asked while open; 0 or more."""

    def __post_init__(self) -> None:
        if not min(self.hold_s_max, self.lost_s, self.shed_s) > 0:
            raise InvalidInputError(f"out of range: {self}")
        if not (self.burst_s >= 0 and self.fresh_first_s >= 0):
            raise InvalidInputError(f"out of range: {self}")


class Slots(NamedTuple):
    """Backlog calls in flight, by the generation that admitted them; a generation is `lost_s`."""

    generation: int = 0
    new: int = 0
    old: int = 0

    def at(self, generation: int) -> "Slots":
        """Forget what is older than the generation before."""
        if generation <= self.generation:
            return self
        return Slots(generation, 0, self.new if generation == self.generation + 1 else 0)

    def taken(self) -> "Slots":
        """One more."""
        return self._replace(new=self.new + 1)

    def freed(self, generation: int) -> "Slots":
        """One less, unless it was given up as lost."""
        if generation == self.generation:
            return self._replace(new=max(0, self.new - 1))
        if generation == self.generation - 1:
            return self._replace(old=max(0, self.old - 1))
        return self


class Governor(NamedTuple):
    """The state of one dependency's governor: a value to compare, store and replay."""

    dependency: Dependency
    policy: GovernorPolicy
    breaker: Breaker
    budget: Budget
    release: Release
    evidence: Evidence
    slots: Slots
    due_at: float
    """The next backlog call may go then; earlier by at most `burst_s` of unused pace."""
    hold_until_at: float
    """The dependency asked for patience (Retry-After): no backlog before."""
    yield_until_at: float
    """Fresh asked while the breaker was open: probes are its own until then."""


class View(NamedTuple):
    """What an operator wants to know."""

    phase: Phase
    mode: Mode
    held: str
    """Reason for which a backlog call would be refused now, or empty."""
    waits_for: str
    """What has to happen next, in words."""
    retry_at: float | None
    """When a refused backlog call may ask again, or None when it would be let in."""
    rate_per_s: float
    delivered_per_s: float
    healthy_per_s: float
    fresh_share: float
    in_flight: int
    in_flight_max: int
    queue_delay_s: float
    base_s: float
    error_floor: float
    retries_left: float
    """Infinite without a budget."""


def start(policy: GovernorPolicy, *, dependency: Dependency, now: float) -> Governor:
    """A dependency never seen before: closed, and both lanes flow."""
    return Governor(
        dependency,
        policy,
        Breaker(policy.breaker or BreakerPolicy()),
        budgets.start(policy.budget or BudgetPolicy(), now=now),
        policy.law.start(now=now),
        Evidence(now),
        Slots(math.floor(now / policy.lost_s)),
        due_at=now,
        hold_until_at=now,
        yield_until_at=now,
    )


def admit(
    state: Governor, *, lane: Lane, retry: bool, now: float, chance: float
) -> tuple[Governor, Permit | Refusal]:
    """Ask to make one call.

    Args:
        state: Of the dependency's governor.
        lane: Fresh is never refused on account of the backlog.
        retry: Whether this call was made before and failed.
        now: Seconds on the caller's clock; never before an earlier call's.
        chance: From 0 (included) to 1 (excluded).

    Returns:
        The next state, and a permit to give to `record`, or a refusal whose `retry_at` is after
        `now` and at most `hold_s_max` away.
    """
    breaker = state.breaker
    if breaker.phase is not Phase.CLOSED:
        return _admit_probe(state, lane=lane, now=now)
    if lane is Lane.BACKLOG:
        return _admit_backlog(state, retry=retry, now=now)
    share = state.release.fresh_share
    if chance >= share:
        retry_at = now + state.policy.shed_s * (1.0 + chance)
        return state, _refuse(state, FRESH_SHED, retry_at, now=now)
    permit = Permit(state.dependency, lane, breaker.epoch, now)
    return _spend(state, permit, now=now) if retry else (state, permit)


def record(state: Governor, permit: Permit, outcome: Outcome, *, now: float) -> Governor:
    """Report how the call of `permit` ended, once; late reports of past epochs only free a slot."""
    dependency, policy, breaker, budget, release, evidence, slots, due_at, hold_at, yield_at = state
    kind, _, retry_at = outcome
    asked_at = permit.asked_at
    if permit.lane is Lane.BACKLOG:
        slots = slots.freed(math.floor(asked_at / policy.lost_s))
    if permit.epoch != breaker.epoch:
        return state._replace(slots=slots)
    if kind is OutcomeKind.OK and policy.budget is not None:
        budget = budgets.deposit(budget, policy.budget, now=now)
    if kind is OutcomeKind.THROTTLED and retry_at is not None:
        hold_at = max(hold_at, min(retry_at, now + policy.hold_s_max))
    was = breaker.phase
    if policy.breaker is not None:
        breaker = breaker.record(permit.epoch, kind, now=now, retry_at=retry_at)
    if breaker.phase is Phase.CLOSED:
        latency_s = max(0.0, now - asked_at)
        evidence = evidences.gather(evidence, kind=kind, lane=permit.lane, latency_s=latency_s)
    recorded = Governor(
        dependency, policy, breaker, budget, release, evidence, slots, due_at, hold_at, yield_at
    )
    return _follow(recorded, was=was, kind=kind, now=now)


def give_back(state: Governor, permit: Permit, *, now: float) -> Governor:
    """Undo a permit whose call was never made, instead of `record`: nothing is learnt.

    Its slot, its pace and its place among the probes are free again. A retry's token stays spent,
    which errs towards fewer retries.
    """
    policy, breaker, slots, due_at = state.policy, state.breaker, state.slots, state.due_at
    is_present = permit.epoch == breaker.epoch
    if is_present and breaker.phase is Phase.HALF_OPEN:
        breaker = breaker._replace(probes=max(0, breaker.probes - 1))
    if permit.lane is Lane.BACKLOG:
        slots = slots.freed(math.floor(permit.asked_at / policy.lost_s))
        if is_present and breaker.phase is Phase.CLOSED:
            due_at = max(due_at - 1.0 / state.release.rate_per_s, now - policy.burst_s)
    return state._replace(breaker=breaker, slots=slots, due_at=due_at)


def view(state: Governor, *, now: float) -> View:
    """Say where the dependency stands and what it waits for."""
    release = state.release
    policy = state.policy
    _, answer = admit(state, lane=Lane.BACKLOG, retry=False, now=now, chance=0.0)
    held, retry_at = ("", None) if isinstance(answer, Permit) else (answer.reason, answer.retry_at)
    slots = state.slots.at(math.floor(now / policy.lost_s))
    tokens = math.inf
    if policy.budget is not None:
        tokens = budgets.left(state.budget, policy.budget, now=now)
    return View(
        phase=state.breaker.phase,
        mode=Mode(release.mode),
        held=held,
        waits_for=_waits_for(state),
        retry_at=retry_at,
        rate_per_s=release.rate_per_s,
        delivered_per_s=release.delivered_per_s,
        healthy_per_s=release.healthy_per_s,
        fresh_share=release.fresh_share,
        in_flight=slots.new + slots.old,
        in_flight_max=release.in_flight_max,
        queue_delay_s=release.queue_delay_s,
        base_s=release.base_s,
        error_floor=release.error_floor,
        retries_left=tokens,
    )


def _admit_probe(state: Governor, *, lane: Lane, now: float) -> tuple[Governor, Permit | Refusal]:
    before = state.breaker
    breaker, epoch = before.admit(now=now)
    if epoch is None:
        if lane is Lane.FRESH and before.phase is Phase.OPEN:
            state = state._replace(yield_until_at=before.retry_at + state.policy.fresh_first_s)
        return state, _refuse(state, BREAKER_OPEN, before.retry_at, now=now)
    permit = Permit(state.dependency, lane, epoch, now)
    if lane is Lane.FRESH:
        return state._replace(breaker=breaker), permit
    if now < state.yield_until_at:
        return state, _refuse(state, BREAKER_OPEN, state.yield_until_at, now=now)
    slots = state.slots.at(math.floor(now / state.policy.lost_s)).taken()
    return state._replace(breaker=breaker, slots=slots), permit


def _admit_backlog(
    state: Governor, *, retry: bool, now: float
) -> tuple[Governor, Permit | Refusal]:
    policy = state.policy
    release = state.release
    at = max(state.due_at, state.hold_until_at)
    if now < at:
        return _held(state), _refuse(state, RELEASE_HELD, at, now=now)
    slots = state.slots.at(math.floor(now / policy.lost_s))
    if slots.new + slots.old >= release.in_flight_max:
        at = now + max(IN_FLIGHT_RETRY_S_MIN, release.mean_s)
        return _held(state), _refuse(state, IN_FLIGHT, at, now=now)
    due_at = max(state.due_at, now - policy.burst_s) + 1.0 / release.rate_per_s
    taken = state._replace(slots=slots.taken(), due_at=due_at)
    permit = Permit(state.dependency, Lane.BACKLOG, state.breaker.epoch, now)
    if not retry:
        return taken, permit
    spent, answer = _spend(taken, permit, now=now)
    return (spent if answer is permit else state), answer


def _spend(state: Governor, permit: Permit, *, now: float) -> tuple[Governor, Permit | Refusal]:
    policy = state.policy.budget
    if policy is None:
        return state, permit
    budget = budgets.withdraw(state.budget, policy, now=now)
    if budget is None:
        retry_at = budgets.retry_at(state.budget, policy, now=now)
        return state, _refuse(state, BUDGET_SPENT, retry_at, now=now)
    return state._replace(budget=budget), permit


def _refuse(state: Governor, reason: str, at: float, *, now: float) -> Refusal:
    retry_at = min(max(at, now + RETRY_S_MIN) if at <= now else at, now + state.policy.hold_s_max)
    return Refusal(state.dependency, reason, retry_at)


def _held(state: Governor) -> Governor:
    if state.evidence.held:
        return state
    return state._replace(evidence=state.evidence._replace(held=1))


def _follow(state: Governor, *, was: Phase, kind: OutcomeKind, now: float) -> Governor:
    """Let the law follow what was recorded."""
    if state.breaker.phase is not was:
        return _turn(state, was=was, kind=kind, now=now)
    late_s = state.release.late_s
    if evidences.is_enough(state.evidence, state.policy.evidence, now=now, late_s=late_s):
        return _look(state, now=now)
    return state


def _turn(state: Governor, *, was: Phase, kind: OutcomeKind, now: float) -> Governor:
    """The breaker has opened or closed: tell the law, and begin the evidence anew."""
    law = state.policy.law
    if state.breaker.phase is Phase.OPEN:
        is_overload = was is Phase.CLOSED and kind is not OutcomeKind.BLOCKED
        release = law.opened(state.release, is_overload=is_overload, now=now)
        state = state._replace(yield_until_at=now)
    else:
        probes = state.breaker.policy.probe_limit
        release = law.closed(state.release, probes=probes, now=now)
    return _paced(state, release, now=now)._replace(evidence=Evidence(now))


def _look(state: Governor, *, now: float) -> Governor:
    """Close the interval and let the law decide."""
    interval, evidence = evidences.close(state.evidence, now=now, late_s=state.release.late_s)
    release = state.policy.law.step(state.release, interval)
    return _paced(state, release, now=now)._replace(evidence=evidence)


def _paced(state: Governor, release: Release, *, now: float) -> Governor:
    """Change the rate: calls owed or saved stay the same number of calls."""
    owed_s = (state.due_at - now) * state.release.rate_per_s / release.rate_per_s
    return state._replace(release=release, due_at=now + owed_s)


_WAITS_FOR = {
    Mode.TRICKLE: "clean results at a trickle",
    Mode.RAMP: "the first sign of delay, or the end of the backlog",
    Mode.DRAIN: "the queue to empty",
    Mode.CRUISE: "the end of the backlog",
    Mode.PROBE: "the latency without a queue",
}


def _waits_for(state: Governor) -> str:
    if state.breaker.phase is Phase.OPEN:
        return "the breaker's open time to pass"
    if state.breaker.phase is Phase.HALF_OPEN:
        return "probes to succeed"
    if state.release.fresh_share < 1.0:
        return "clean results, to let more fresh in"
    return _WAITS_FOR[Mode(state.release.mode)]
