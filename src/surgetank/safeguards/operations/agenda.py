"""What one worker knows of the queues: when each is next due, how far to look into it, what is held.

It is only what was read and noted: a scan of the store begins it anew.
"""

import math
from collections.abc import Mapping

from surgetank.core.value import Lane
from surgetank.safeguards.operations.gatekeeper import Gatekeeper
from surgetank.safeguards.operations.hold import holds_gate
from surgetank.safeguards.operations.queue import LEASED, NEXT


class Agenda:
    """Queues by when their first operation is due, longest due first within a lane."""

    def __init__(self, gatekeeper: Gatekeeper) -> None:
        self._gatekeeper = gatekeeper
        self._due: dict[str, float] = {}  # No operation of the queue is due before.
        self._reach: dict[str, int] = {}

    def clear(self) -> None:
        """Forget when queues are due: what is noted from now on stays."""
        self._due = {}

    def note_all(self, queues: Mapping[str, float]) -> None:
        """Note what a scan has read."""
        for queue, at in queues.items():
            self.note(queue, at)

    def note(self, queue: str, at: float) -> bool:
        """Remember that something of a queue is due; whether that is earlier than was known."""
        if queue.startswith(NEXT) or at >= self._due.get(queue, math.inf):
            return False
        self._due[queue] = at
        return True

    def leases_end_at(self) -> float:
        """When the first lease runs out, as far as is known."""
        return self._due.get(LEASED, math.inf)

    def take_leases(self) -> None:
        """Forget when leases run out: they are about to be read."""
        del self._due[LEASED]

    def open_queues(self, now: float) -> list[str]:
        """Queues that are due, not refused and not held: fresh first, then by priority."""
        due = list[tuple[bool, int, float, str]]()
        for queue, at in self._due.items():
            if at <= now and queue != LEASED and self._gatekeeper.opens_at(queue) <= now:
                gate = self._gatekeeper.gate(queue)
                if not self._is_held(queue):
                    due.append((gate.lane is Lane.BACKLOG, -gate.priority, at, queue))
        return [queue for _, _, _, queue in sorted(due)]

    def held_fresh(self, now: float) -> list[str]:
        """Queues of fresh work that are due and held."""
        return [
            queue
            for queue, at in self._due.items()
            if at <= now and queue != LEASED and self._is_held_fresh(queue)
        ]

    def take(self, queue: str, *, limit: int) -> int:
        """Forget when a queue is due, as it is about to be read; how many to read at the most.

        A queue that let in few last time will again: reading more would be in vain.
        """
        self._due.pop(queue, None)
        return min(limit, self._reach.pop(queue, limit))

    def remember_reach(self, queue: str, reach: int) -> None:
        """Read no more than this of a queue next time."""
        self._reach[queue] = reach

    def opens_at(self, queue: str) -> float:
        """The instant from which looking at a queue may help."""
        if queue.startswith((LEASED, NEXT)):
            return -math.inf
        return self._gatekeeper.opens_at(queue)

    def next_at(self) -> float:
        """When the first queue is due and neither refused nor held."""
        return min(
            (
                max(at, self._gatekeeper.opens_at(queue))
                for queue, at in self._due.items()
                if queue != LEASED and not self._is_held(queue)
            ),
            default=math.inf,
        )

    def _is_held(self, queue: str) -> bool:
        holds = self._gatekeeper.holds
        return bool(holds) and holds_gate(holds, self._gatekeeper.gate(queue))

    def _is_held_fresh(self, queue: str) -> bool:
        return self._gatekeeper.gate(queue).lane is Lane.FRESH and self._is_held(queue)
