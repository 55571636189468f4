"""Leave to call, from the governors of this process: what mirror, broker and gateway are handed.

One governor for each dependency, begun when it is first asked for. Several are asked in turn, and
when one refuses, what the others gave is thrown away: nothing was taken. What is kept lives in
memory: after a restart a dependency counts as healthy until it shows otherwise.
"""

from collections.abc import Callable, Mapping, Sequence

import structlog

from surgetank.control import governor
from surgetank.control.breaker import Phase
from surgetank.control.governor import WEIGHT_MAX, Governor, GovernorPolicy
from surgetank.control.view import View, view
from surgetank.core.errors import InvalidInputError, QueueFullError
from surgetank.core.ports import Chance, Clock
from surgetank.core.value import Dependency, Lane, Outcome, Permit, Refusal

DEPENDENCIES_MAX = 10_000
"""Governors in one process: some 60 regions with a hundred services each, and room."""

_EVENTS: Mapping[Phase, str] = {
    Phase.OPEN: "breaker.opened",
    Phase.HALF_OPEN: "breaker.probed",
    Phase.CLOSED: "breaker.closed",
}


class GovernedPermits:
    """The `Permits` port over `control.governor`."""

    def __init__(
        self,
        *,
        default: GovernorPolicy,
        policies: Mapping[Dependency, GovernorPolicy] | None = None,
        clock: Clock,
        chance: Chance,
        changed: Callable[[Dependency, Phase, float], None] | None = None,
        dependencies_max: int = DEPENDENCIES_MAX,
    ) -> None:
        """Know nothing yet.

        Args:
            default: For dependencies without a policy of their own.
            policies: By dependency.
            clock: The time.
            chance: For when a fresh call that was shed may come back.
            changed: Told each change of a breaker's phase, and when, after it was logged.
            dependencies_max: Governors begun at the most.
        """
        self._dependencies_max = dependencies_max
        self._default = default
        self._policies = dict(policies or {})
        self._clock = clock
        self._chance = chance
        self._changed = changed
        self._governors: dict[Dependency, Governor] = {}
        self._log = structlog.get_logger("surgetank.operations")

    def ask(
        self, dependencies: Sequence[Dependency], *, lane: Lane, retry: bool = False
    ) -> tuple[Permit, ...] | Refusal:
        """Ask to call all of `dependencies`, in order; see `core.ports.Permits`.

        Raises:
            InvalidInputError: one stands more than `WEIGHT_MAX` times.
            QueueFullError: more than `dependencies_max` dependencies were named.
        """
        now = self._clock.now()
        taken = list[Governor]()
        permits = list[Permit]()
        for dependency in dict.fromkeys(dependencies):
            weight = dependencies.count(dependency)
            if weight > WEIGHT_MAX:
                raise InvalidInputError(f"{dependency}: {WEIGHT_MAX} calls at once, not {weight}")
            state = self._governor(dependency, now=now)
            after, answer = governor.admit(
                state,
                lane=lane,
                retry=retry,
                now=now,
                chance=self._chance.random(),
                weight=weight,
            )
            if isinstance(answer, Refusal):
                # It keeps in mind that work waits; what the others gave was never taken.
                self._keep(after, now=now)
                return answer
            taken.append(after)
            permits.append(answer)
        for state in taken:
            self._keep(state, now=now)
        return tuple(permits)

    def report(self, permit: Permit, outcome: Outcome) -> None:
        """Say how a call ended; see `core.ports.Permits`."""
        now = self._clock.now()
        state = self._governor(permit.dependency, now=now)
        self._keep(governor.record(state, permit, outcome, now=now), now=now)

    def give_back(self, permit: Permit) -> None:
        """Return a permit whose call was never made; see `core.ports.Permits`."""
        now = self._clock.now()
        state = self._governor(permit.dependency, now=now)
        self._keep(governor.give_back(state, permit, now=now), now=now)

    def views(self) -> dict[Dependency, View]:
        """Say for operators where each dependency stands, by name."""
        now = self._clock.now()
        return {
            dependency: view(state, now=now)
            for dependency, state in sorted(self._governors.items())
        }

    def _governor(self, dependency: Dependency, *, now: float) -> Governor:
        state = self._governors.get(dependency)
        if state is None:
            if len(self._governors) >= self._dependencies_max:
                raise QueueFullError(f"{self._dependencies_max} dependencies are governed already")
            policy = self._policies.get(dependency, self._default)
            state = governor.start(policy, dependency=dependency, now=now)
            self._governors[dependency] = state
        return state

    def _keep(self, state: Governor, *, now: float) -> None:
        dependency = state.dependency
        was = self._governors[dependency].breaker.phase
        self._governors[dependency] = state
        if state.breaker.phase != was:
            phase = Phase(state.breaker.phase)
            self._log.info(
                _EVENTS[phase],
                dependency=dependency,
                retry_at=state.breaker.retry_at,
                was=Phase(was).name.lower(),
            )
            if self._changed is not None:
                self._changed(dependency, phase, now)


class OpenPermits:
    """The `Permits` port without a governor: always yes."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock

    def ask(
        self, dependencies: Sequence[Dependency], *, lane: Lane, retry: bool = False
    ) -> tuple[Permit, ...] | Refusal:
        """Give leave."""
        del retry
        now = self._clock.now()
        return tuple(Permit(dependency, lane, 0, now) for dependency in dict.fromkeys(dependencies))

    def report(self, permit: Permit, outcome: Outcome) -> None:
        """Take note of nothing."""

    def give_back(self, permit: Permit) -> None:
        """Take note of nothing."""
