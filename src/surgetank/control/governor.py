"""The governor of one dependency: breaker, retry budget and release, composed.

`admit` gives leave to call or says why not and when to ask again; `record` takes what became of
the call. Both take a state and return the next. A caller that needs leave of several dependencies
asks each in turn and, when one refuses, throws away the states of those that agreed: nothing was
taken. (It should keep the state of the one that refused: it remembers that backlog waits.)

Rules, in this order: a breaker that is not closed admits only its probes; fresh calls are bounded
in number only while fresh alone is too much for the dependency; backlog calls are paced at the
law's rate, and made only while fewer calls of both lanes are out than the law allows; a retry also
takes a token of the budget. Fresh is never refused on account of the backlog.

A backlog call may be the first of several: its weight says how many, and the pace advances by all
of them, as the others come in the fresh lane. Pace is a debt and never a precondition: the
heaviest call goes when the lightest would, and those after it wait longer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from surgetank.control import breaker as breakers
from surgetank.control import budget as budgets
from surgetank.control import evidence as evidences
from surgetank.control.breaker import (
    CLOSED,
    NO_EPOCH,
    Breaker,
    BreakerParameters,
    BreakerPolicy,
    Phase,
)
from surgetank.control.budget import Budget, BudgetPolicy
from surgetank.control.evidence import Evidence, EvidencePolicy
from surgetank.control.release import ReleasePolicy
from surgetank.control.signal import Decision, Law
from surgetank.core.errors import InvalidInputError
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit, Refusal

BREAKER_OPEN = "breaker_open"
RELEASE_HELD = "release_held"
IN_FLIGHT = "in_flight"
FRESH_SHED = "fresh_shed"
BUDGET_SPENT = "budget_spent"
WEIGHT_MAX = 100
"""Calls that one permit is paced as at the most: three times the steps of the longest operation.
At a call a second those who come after wait for two minutes, less than a refusal's `hold_s_max`."""
RETRY_S_MIN = 0.001
"""Least seconds ahead of a refusal's `retry_at`: below it, float arithmetic could yield `now`."""
IN_FLIGHT_RETRY_S_MIN = 0.05
"""Least seconds until asking again for a free slot: shorter would be polling. Otherwise the time
between two calls at the law's pace: about as often a slot is freed."""
_ANSWERS = frozenset({OutcomeKind.OK, OutcomeKind.PERMANENT})
"""Outcomes of a working dependency, if only refusals; all others are failures to the breaker."""
_BACKLOG, _OK = Lane.BACKLOG, OutcomeKind.OK
"""Looked up once: each call compares them, and to name a member of an enumeration takes 0.1 us."""


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
    """Calls in flight, by the generation that admitted them; a generation is `lost_s`."""

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
        return Slots(self.generation, self.new + 1, self.old)

    def freed(self, generation: int) -> "Slots":
        """One less, unless it was given up as lost."""
        if generation == self.generation:
            return Slots(generation, max(0, self.new - 1), self.old)
        if generation == self.generation - 1:
            return Slots(self.generation, self.new, max(0, self.old - 1))
        return self


class Governor(NamedTuple):
    """The state of one dependency's governor: a value to compare, store and replay."""

    dependency: Dependency
    policy: GovernorPolicy
    limits: BreakerParameters
    """Of `policy.breaker`, as numbers: made once."""
    breaker: Breaker
    budget: Budget
    release: Decision
    evidence: Evidence
    fresh: Slots
    """Fresh calls in flight."""
    backlog: Slots
    """Backlog calls in flight."""
    due_at: float
    """The next backlog call may go then; earlier by at most `burst_s` of unused pace."""
    hold_until_at: float
    """The dependency asked for patience (Retry-After): no backlog before."""
    yield_until_at: float
    """Fresh asked while the breaker was open: probes are its own until then."""


def start(policy: GovernorPolicy, *, dependency: Dependency, now: float) -> Governor:
    """A dependency never seen before: closed, and both lanes flow."""
    generation = math.floor(now / policy.lost_s)
    return Governor(
        dependency,
        policy,
        (policy.breaker or BreakerPolicy()).parameters(),
        Breaker(),
        budgets.start(policy.budget or BudgetPolicy(), now=now),
        policy.law.start(now=now),
        Evidence(now),
        Slots(generation),
        Slots(generation),
        due_at=now,
        hold_until_at=now,
        yield_until_at=now,
    )


def admit(
    state: Governor, *, lane: Lane, retry: bool, now: float, chance: float, weight: int = 1
) -> tuple[Governor, Permit | Refusal]:
    """Ask to make one call, perhaps the first of several.

    Args:
        state: Of the dependency's governor.
        lane: Fresh is never refused on account of the backlog.
        retry: Whether this call was made before and failed.
        now: Seconds on the caller's clock; never before an earlier call's.
        chance: From 0 (included) to 1 (excluded): when a shed call may come back.
        weight: Calls that the backlog's pace advances by, this one among them; from 1 to
            `WEIGHT_MAX`. Fresh calls and probes are not paced and weigh 1.

    Returns:
        The next state, and a permit to give to `record`, or a refusal whose `retry_at` is after
        `now` and at most `hold_s_max` away.
    """
    if state.breaker.phase != CLOSED:
        return _admit_probe(state, lane=lane, now=now)
    if lane is _BACKLOG:
        admitted, answer = _admit_backlog(state, now=now, weight=weight)
    else:
        admitted, answer = _admit_fresh(state, now=now, chance=chance)
    if not retry or isinstance(answer, Refusal):
        return admitted, answer
    budget = _spend(state, now=now)
    if isinstance(budget, Refusal):
        return state, budget
    return admitted._replace(budget=budget), answer


def record(state: Governor, permit: Permit, outcome: Outcome, *, now: float) -> Governor:
    """Report how the call of `permit` ended, once; late reports of past epochs only free a slot."""
    (
        dependency, policy, limits, breaker, budget, release, evidence, fresh, backlog,
        due_at, hold_at, yield_at,
    ) = state  # fmt: skip
    lane, asked_at = permit.lane, permit.asked_at
    in_flight = fresh.new + fresh.old + backlog.new + backlog.old
    generation = math.floor(asked_at / policy.lost_s)
    if lane is _BACKLOG:
        backlog = backlog.freed(generation)
    else:
        fresh = fresh.freed(generation)
    if permit.epoch != breaker.epoch:
        return state._replace(fresh=fresh, backlog=backlog)
    kind, _, retry_at = outcome
    if kind is _OK and policy.budget is not None:
        budget = budgets.deposit(budget, policy.budget, now=now)
    if retry_at is not None and kind is OutcomeKind.THROTTLED:
        hold_at = max(hold_at, min(retry_at, now + policy.hold_s_max))
    was = breaker.phase
    if policy.breaker is not None:
        is_failure = kind not in _ANSWERS
        breaker = breakers.record(
            breaker,
            limits,
            permit.epoch,
            is_failure=is_failure,
            is_blocked=is_failure and kind is OutcomeKind.BLOCKED,
            now=now,
            retry_at=-math.inf if retry_at is None else retry_at,
        )
    if breaker.phase == CLOSED:
        evidence = evidences.gather(
            evidence,
            kind=kind,
            lane=lane,
            latency_s=max(0.0, now - asked_at),
            in_flight=in_flight,
        )
    recorded = Governor(
        dependency, policy, limits, breaker, budget, release, evidence, fresh, backlog,
        due_at, hold_at, yield_at,
    )  # fmt: skip
    return _follow(recorded, was=was, now=now)


def absorb(
    state: Governor,
    evidence: Evidence,
    results: Sequence[OutcomeKind],
    *,
    now: float,
    retry_at: float = -math.inf,
) -> Governor:
    """Report at once how many calls of the present epoch ended, as `record` does one by one.

    Where workers share a governor, each brings what it has seen since it last came. The slots of
    their calls are counted by whoever shares it.

    Args:
        state: Of the dependency's governor.
        evidence: What the calls add to it; when it began does not matter.
        results: How the latest of them ended, oldest first: all that the breaker is told.
        now: Seconds on the caller's clock; never before an earlier call's.
        retry_at: The latest instant that the dependency named, if any.
    """
    policy, budget, breaker, hold_at = state.policy, state.budget, state.breaker, -math.inf
    if policy.budget is not None and evidence.latency_count > 0:
        budget = budgets.deposit(budget, policy.budget, now=now, count=evidence.latency_count)
    if evidence.throttled > 0:
        hold_at = min(retry_at, now + policy.hold_s_max)
    was, epoch = breaker.phase, breaker.epoch
    for kind in results:
        breaker = heard(state, breaker, kind, epoch=epoch, now=now, retry_at=retry_at)
    seen = state.evidence
    absorbed = state._replace(
        breaker=breaker,
        budget=budget,
        evidence=evidences.merge(seen, evidence) if breaker.phase == CLOSED else seen,
        hold_until_at=max(state.hold_until_at, hold_at),
    )
    return _follow(absorbed, was=was, now=now)


def heard(
    state: Governor,
    breaker: Breaker,
    kind: OutcomeKind,
    *,
    epoch: int,
    now: float,
    retry_at: float = -math.inf,
) -> Breaker:
    """Tell a breaker how a call ended, by the limits of its governor; nothing where it has none."""
    if state.policy.breaker is None:
        return breaker
    return breakers.record(
        breaker,
        state.limits,
        epoch,
        is_failure=kind not in _ANSWERS,
        is_blocked=kind is OutcomeKind.BLOCKED,
        now=now,
        retry_at=retry_at,
    )


def give_back(state: Governor, permit: Permit, *, now: float) -> Governor:
    """Undo a permit whose call was never made, instead of `record`: nothing is learnt.

    Its slot, the pace of its weight and its place among the probes are free again. A retry's token
    stays spent, which errs towards fewer retries.
    """
    policy, breaker, due_at = state.policy, state.breaker, state.due_at
    is_present = permit.epoch == breaker.epoch
    if is_present and breaker.phase == Phase.HALF_OPEN:
        breaker = breaker._replace(probes=max(0, breaker.probes - 1))
    generation = math.floor(permit.asked_at / policy.lost_s)
    if permit.lane is Lane.FRESH:
        return state._replace(breaker=breaker, fresh=state.fresh.freed(generation))
    if is_present and breaker.phase == CLOSED:
        due_at = max(due_at - permit.weight / state.release.rate_per_s, now - policy.burst_s)
    backlog = state.backlog.freed(generation)
    return state._replace(breaker=breaker, backlog=backlog, due_at=due_at)


def _admit_probe(state: Governor, *, lane: Lane, now: float) -> tuple[Governor, Permit | Refusal]:
    before = state.breaker
    breaker, epoch = breakers.admit(before, state.limits, now=now)
    if epoch == NO_EPOCH:
        if lane is Lane.FRESH and before.phase == Phase.OPEN:
            state = state._replace(yield_until_at=before.retry_at + state.policy.fresh_first_s)
        return state, _refuse(state, BREAKER_OPEN, before.retry_at, now=now)
    permit = Permit(state.dependency, lane, epoch, now)
    generation = math.floor(now / state.policy.lost_s)
    if lane is Lane.FRESH:
        return state._replace(breaker=breaker, fresh=state.fresh.at(generation).taken()), permit
    if now < state.yield_until_at:
        return state, _refuse(state, BREAKER_OPEN, state.yield_until_at, now=now)
    return state._replace(breaker=breaker, backlog=state.backlog.at(generation).taken()), permit


def _admit_fresh(
    state: Governor, *, now: float, chance: float
) -> tuple[Governor, Permit | Refusal]:
    (
        dependency, policy, limits, breaker, budget, release, evidence, fresh, backlog,
        due_at, hold_at, yield_at,
    ) = state  # fmt: skip
    fresh = fresh.at(math.floor(now / policy.lost_s))
    if fresh.new + fresh.old >= release.fresh_in_flight_max:
        evidence = evidence._replace(shed=evidence.shed + 1)
        at = now + policy.shed_s * (1.0 + chance)
        return state._replace(evidence=evidence), _refuse(state, FRESH_SHED, at, now=now)
    permit = Permit(dependency, Lane.FRESH, breaker.epoch, now)
    admitted = Governor(
        dependency, policy, limits, breaker, budget, release, evidence, fresh.taken(), backlog,
        due_at, hold_at, yield_at,
    )  # fmt: skip
    return admitted, permit


def _admit_backlog(
    state: Governor, *, now: float, weight: int
) -> tuple[Governor, Permit | Refusal]:
    assert 1 <= weight <= WEIGHT_MAX, "a debt has a greatest size"
    policy, release = state.policy, state.release
    at = max(state.due_at, state.hold_until_at)
    if now < at:
        return _held(state), _refuse(state, RELEASE_HELD, at, now=now)
    backlog = state.backlog.at(math.floor(now / policy.lost_s))
    if in_flight(state, now=now) >= release.in_flight_max:
        at = now + max(IN_FLIGHT_RETRY_S_MIN, 1.0 / release.rate_per_s)
        return _held(state), _refuse(state, IN_FLIGHT, at, now=now)
    due_at = max(state.due_at, now - policy.burst_s) + weight / release.rate_per_s
    permit = Permit(state.dependency, Lane.BACKLOG, state.breaker.epoch, now, weight)
    return state._replace(backlog=backlog.taken(), due_at=due_at), permit


def in_flight(state: Governor, *, now: float) -> int:
    """How many calls of both lanes are out, without those given up as lost."""
    generation = math.floor(now / state.policy.lost_s)
    fresh, backlog = state.fresh.at(generation), state.backlog.at(generation)
    return fresh.new + fresh.old + backlog.new + backlog.old


def _spend(state: Governor, *, now: float) -> Budget | Refusal:
    """Take a token of the retry budget, if it has any."""
    policy = state.policy.budget
    if policy is None:
        return state.budget
    budget = budgets.withdraw(state.budget, policy, now=now)
    if budget is not None:
        return budget
    retry_at = budgets.retry_at(state.budget, policy, now=now)
    return _refuse(state, BUDGET_SPENT, retry_at, now=now)


def _refuse(state: Governor, reason: str, at: float, *, now: float) -> Refusal:
    retry_at = min(max(at, now + RETRY_S_MIN) if at <= now else at, now + state.policy.hold_s_max)
    return Refusal(state.dependency, reason, retry_at)


def _held(state: Governor) -> Governor:
    if state.evidence.held:
        return state
    return state._replace(evidence=state.evidence._replace(held=1))


def _follow(state: Governor, *, was: int, now: float) -> Governor:
    """Let the law follow what was recorded."""
    if state.breaker.phase != was:
        return _turn(state, now=now)
    late_s = state.release.late_s
    if evidences.is_enough(state.evidence, state.policy.evidence, now=now, late_s=late_s):
        return _look(state, now=now)
    return state


def _turn(state: Governor, *, now: float) -> Governor:
    """The breaker has opened or closed: tell the law, and begin the evidence anew."""
    law = state.policy.law
    if state.breaker.phase == Phase.OPEN:
        release = law.opened(state.release, now=now)
        state = state._replace(yield_until_at=now)
    else:
        release = law.closed(state.release, probes=state.limits.probe_limit, now=now)
    return _paced(state, release, now=now)._replace(evidence=Evidence(now))


def _look(state: Governor, *, now: float) -> Governor:
    """Close the interval and let the law decide."""
    interval, evidence = evidences.close(state.evidence, now=now, late_s=state.release.late_s)
    release = state.policy.law.step(state.release, interval)
    return _paced(state, release, now=now)._replace(evidence=evidence)


def _paced(state: Governor, release: Decision, *, now: float) -> Governor:
    """Change the rate: calls owed or saved stay the same number of calls."""
    owed_s = (state.due_at - now) * state.release.rate_per_s / release.rate_per_s
    return state._replace(release=release, due_at=now + owed_s)
