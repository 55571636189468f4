"""Asks for leave to call and remembers refusals, so that nothing is asked, read or written in vain.

A refusal holds for a dependency and lane until its `retry_at`: until then the queues that need it
are left alone, however many operations wait in them.
"""

import math
from collections.abc import Sequence

from surgetank.control.governor import BREAKER_OPEN, BUDGET_SPENT
from surgetank.core.ports import Permits
from surgetank.core.refusal import ask_again_at
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit, Refusal
from surgetank.safeguards.operations.hold import Hold, holds_dependency
from surgetank.safeguards.operations.queue import (
    Gate,
    dependency_of,
    is_retry,
    lane_of,
    read_queue,
    weighed,
)
from surgetank.safeguards.operations.record import Record

REFUSALS_MAX = 10_000
"""Dependencies and lanes whose refusal is remembered; past it the oldest is forgotten and asked."""
GATES_MAX = 10_000
"""Queue texts that are kept read."""

HELD = "held"
"""People have stopped calls there: nobody is asked."""


class Leave:
    """What one operation was given since it was let in."""

    __slots__ = ("dependencies", "permits")

    def __init__(self) -> None:
        self.permits: dict[int, Permit] = {}
        """For calls to come, by position of the step."""
        self.dependencies: set[Dependency] = set()
        """Where it was let in: further calls there do not queue again."""


class Gatekeeper:
    """Permits for operations, and the memory of refusals."""

    def __init__(self, permits: Permits) -> None:
        self._permits = permits
        self._refusals: dict[tuple[Lane, Dependency], Refusal] = {}
        self._gates: dict[str, Gate] = {}
        self.holds: tuple[Hold, ...] = ()
        """Oldest first, as the store was last seen to keep them."""

    def opens_at(self, queue: str) -> float:
        """The instant from which asking for this queue may help; minus infinity when unrefused."""
        if not self._refusals:
            return -math.inf
        gate = self.gate(queue)
        opens_at = -math.inf
        for dependency in gate.dependencies:
            refusal = self._refusals.get((gate.lane, dependency))
            if refusal is None or (gate.has_way_round and refusal.reason == BREAKER_OPEN):
                continue
            opens_at = max(opens_at, refusal.retry_at)
        return opens_at

    def held(self, record: Record, dependency: Dependency) -> Refusal | None:
        """Refuse what people have stopped, whatever leave there was for it."""
        if self.holds and holds_dependency(self.holds, dependency, let_go=record.let_go):
            return Refusal(dependency, HELD, math.inf)
        return None

    def ask(
        self, record: Record, positions: Sequence[int], leave: Leave, *, now: float
    ) -> Refusal | None:
        """Ask for the calls of some steps at once: all permits go into `leave`, or none.

        Another try in the fresh lane takes of the retry budget; in the backlog the pace is budget
        enough.

        A further call where the operation was let in asks as fresh work: it was in the weight that
        was paced at the entrance, and ending what is begun frees more than beginning something
        else.
        """
        if not positions:
            return None
        lane = lane_of(record)
        called = (dependency_of(record, position) for position in positions)
        dependencies = [dependency for dependency in called if dependency is not None]
        if leave.dependencies.issuperset(dependencies):
            lane = Lane.FRESH
        retry = lane is Lane.FRESH and is_retry(record.progress[positions[0]])
        calls = weighed(record, dependencies) if lane is Lane.BACKLOG else dependencies
        answer = self._permits.ask(calls, lane=lane, retry=retry)
        if isinstance(answer, Refusal):
            if answer.reason == BUDGET_SPENT:  # It is said of retries, and of no first try.
                return answer
            return self._remember(lane, answer, now=now)
        if self._refusals:
            for dependency in dependencies:
                self._refusals.pop((lane, dependency), None)
        leave.permits.update(zip(positions, answer, strict=True))
        leave.dependencies.update(dependencies)
        return None

    def report(self, position: int, outcome: Outcome, leave: Leave) -> bool:
        """Say how the call of a step ended; nothing when it went without a permit.

        Returns:
            True when a queue may open for it: a breaker that refused may have heard the success
            that closes it, long before the instant that it named.
        """
        permit = leave.permits.pop(position, None)
        if permit is None:
            return False
        self._permits.report(permit, outcome)
        if outcome.kind is not OutcomeKind.OK or not self._refusals:
            return False
        may_open = False
        for lane in Lane:
            refusal = self._refusals.get((lane, permit.dependency))
            if refusal is not None and refusal.reason == BREAKER_OPEN:
                del self._refusals[lane, permit.dependency]
                may_open = True
        return may_open

    def use(self, position: int, leave: Leave, *, now: float) -> None:
        """Count a call's latency from when it is made, not from when its leave was given."""
        permit = leave.permits.get(position)
        if permit is not None and permit.asked_at != now:
            leave.permits[position] = permit._replace(asked_at=now)

    def give_back(self, leave: Leave) -> None:
        """Return permits whose calls were never made."""
        while leave.permits:
            self._permits.give_back(leave.permits.popitem()[1])

    def _remember(self, lane: Lane, refusal: Refusal, *, now: float) -> Refusal:
        refusal = refusal._replace(retry_at=ask_again_at(refusal, now=now))
        self._refusals.pop((lane, refusal.dependency), None)
        self._refusals[lane, refusal.dependency] = refusal
        if len(self._refusals) > REFUSALS_MAX:
            del self._refusals[next(iter(self._refusals))]
        return refusal

    def gate(self, queue: str) -> Gate:
        """Read a queue's text, or remember it."""
        gate = self._gates.get(queue)
        if gate is None:
            if len(self._gates) >= GATES_MAX:
                self._gates.clear()
            gate = self._gates[queue] = read_queue(queue)
        return gate
