"""Durable operations: stored before they are acknowledged, then run until they end."""

import math
from collections.abc import Callable, Mapping, Sequence

import structlog

from surgetank.core.errors import (
    ConflictError,
    InvalidInputError,
    RefusedError,
)
from surgetank.core.operation import NewOperation, OperationId, OperationState
from surgetank.core.ports import Chance, Clock, Permits
from surgetank.core.value import Lane
from surgetank.safeguards.operations.action import Action
from surgetank.safeguards.operations.hold import (
    Hold,
    HoldScope,
    Released,
    check_hold,
    holds_gate,
)
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.progress import (
    cancel,
    let_go,
    new_record,
    redrive,
)
from surgetank.safeguards.operations.queue import LEASED, NEXT, read_queue
from surgetank.safeguards.operations.record import Change, Receipt, Record
from surgetank.safeguards.operations.runner import Runner
from surgetank.safeguards.operations.store import PAGE_MAX, Filter, Page, Store, Survey

_UNHELD = (LEASED, NEXT)
"""Begin the texts of queues that no hold stops."""
MOVED_MAX = 8
"""Times that a cancellation looks again at an operation that others move meanwhile."""


class Operations:
    """Takes in operations and runs them; several workers may share a store."""

    def __init__(
        self,
        *,
        store: Store,
        permits: Permits,
        actions: Mapping[str, Action],
        clock: Clock,
        chance: Chance,
        policy: OperationsPolicy,
        worker: str,
        watch: Callable[[Record], None] | None = None,
    ) -> None:
        """Stand ready; nothing is read before the first step.

        Args:
            store: Where operations are kept; its owner closes it, after this.
            permits: Who gives leave to call.
            actions: What makes the calls, by name.
            clock: The time.
            chance: For the waits between tries.
            policy: All limits.
            worker: Names this process among those that share the store, for people.
            watch: Told each record that this worker has let go of or ended, once it is stored.
        """
        self._store = store
        self._actions = dict(actions)
        self._clock = clock
        self._policy = policy
        self._runner = Runner(
            store=store,
            permits=permits,
            actions=self._actions,
            clock=clock,
            chance=chance,
            policy=policy,
            worker=worker,
            watch=watch,
        )
        self._log = structlog.get_logger("surgetank.operations").bind(worker=worker)

    async def submit(self, new: NewOperation) -> Receipt:
        """Take in an operation. It is durable when this returns; safe to repeat with its key.

        Raises:
            InvalidInputError: it cannot be run, or names an action that this worker lacks.
            ConflictError: the key was used for another body.
            QueueFullError: too many are unfinished, or wait to be written; nothing was taken in.
            RefusedError: the service is closing.
            DependencyError: the store failed; `may_have_acted` says whether it may be stored.
        """
        if self._runner.is_closing:
            raise RefusedError("this worker is closing: submit to another")
        for step in new.steps:
            if step.action not in self._actions:
                raise InvalidInputError(f"{new.key}: no action is named {step.action!r}")
        record = new_record(new, now=self._clock.now())
        is_new = await self._store.submit(record)
        if is_new:
            self._runner.note(record)
            self._runner.note_deadline(record)
        return Receipt(record.id, is_new)

    async def get(self, operation_id: OperationId) -> Record | None:
        """Read one operation; None when it is not, or no longer, stored."""
        return await self._store.read(operation_id)

    async def find(self, wanted: Filter, *, after: int = 0, limit: int = PAGE_MAX) -> Page:
        """List operations in order of submission, those numbered above `after`; see `Store.find`.

        Raises:
            InvalidInputError: `limit` is not from 1 to `PAGE_MAX`.
            DependencyError: the store failed.
        """
        if not 1 <= limit <= PAGE_MAX:
            raise InvalidInputError(f"a page has 1 to {PAGE_MAX} operations, not {limit}")
        return await self._store.find(wanted, after=after, limit=limit)

    async def cancel(
        self, operation_id: OperationId, *, also_under_way: bool = True
    ) -> Record | None:
        """End an operation that nobody wants any more, before it costs more; safe to repeat.

        Steps that were done stay done: what they made is its owner's to clean up. One whose call
        is under way is told to stop before the next, unless `also_under_way` is false: it then
        goes on. One that has ended stays as it is.

        Returns:
            As it stands now: ended, or with `stop` set. None when it is not stored.

        Raises:
            ConflictError: others moved it again and again: ask again.
            DependencyError: the store failed; `may_have_acted` says whether it may have ended.
        """
        for _ in range(MOVED_MAX):
            before = await self._store.read(operation_id)
            if before is None:
                return None
            after = cancel(before, now=self._clock.now())
            if after is not None:
                (saved,) = await self._store.save([Change(before, after)])
                if saved:
                    self._runner.tell_of_end(before, after)
                    return after._replace(fence=before.fence + 1)
            elif before.queue != LEASED or before.is_owing or not also_under_way:
                return before
            elif await self._store.stop(operation_id, OperationState.CANCELLED):
                return before._replace(stop=OperationState.CANCELLED.value)
        raise ConflictError(f"operation {operation_id} moved {MOVED_MAX} times meanwhile")

    async def redrive(
        self, operation_id: OperationId, *, is_done: bool | None = None
    ) -> Record | None:
        """Begin again an operation that ended badly, as backlog and so behind the release.

        Args:
            operation_id: Names it.
            is_done: Of one that is unknown, whether its call was made after all.

        Returns:
            As it stands now; None when it is not stored.

        Raises:
            ConflictError: it cannot begin again, or others moved it meanwhile.
            DependencyError: the store failed; `may_have_acted` says whether it may have begun.
        """
        before = await self._store.read(operation_id)
        if before is None:
            return None
        if before.subject:
            newest = await self._store.generation(before.subject)
            if newest is not None and newest > before.generation:
                raise ConflictError(f"{operation_id}: generation {newest} took its place")
        after = redrive(before, is_done=is_done, now=self._clock.now())
        (saved,) = await self._store.save([Change(before, after)])
        if not saved:
            raise ConflictError(f"operation {operation_id} was moved meanwhile: ask again")
        self._runner.note(after)
        self._log.info("operation.redriven", operation_id=operation_id)
        return after._replace(fence=before.fence + 1)

    async def hold(self, hold: Hold) -> Hold:
        """Stop work from beginning, in all workers of the store; calls under way go on.

        A worker that did not hear of it learns within `scan_s`.

        Raises:
            InvalidInputError: it cannot be a hold.
            QueueFullError: there are too many.
            DependencyError: the store failed; `may_have_acted` says whether it may hold.
        """
        check_hold(hold)
        held = await self._store.hold(hold)
        self._log.warning("operations.held", scope=held.scope.value, name=held.name, by=held.by)
        self._runner.look_again()
        return held

    async def holds(self) -> tuple[Hold, ...]:
        """Read what is held, oldest first."""
        return (await self._store.survey()).holds

    async def release(
        self, scope: HoldScope, name: str = "", *, limit: int | None = None
    ) -> Released:
        """Let what is held go, as backlog and so behind the release.

        Args:
            scope: Of the hold.
            name: Of the hold.
            limit: So many operations and no more; the hold stands until none is left. None lifts
                the hold at once.

        Raises:
            InvalidInputError: there is no such hold.
            DependencyError: the store failed; `may_have_acted` says whether some were let go.
        """
        survey = await self._store.survey()
        held = [each for each in survey.holds if each[:2] == (scope, name)]
        if not held:
            raise InvalidInputError(f"no hold of {scope} {name}".rstrip())
        (hold,) = held
        released = Released(0, is_lifted=True)
        if limit is not None:
            released = await self._let_go(hold, survey, limit=limit)
        if released.is_lifted:
            await self._store.release(hold.number)
            self._log.warning("operations.released", scope=scope.value, name=name)
        self._runner.look_again()
        return released

    async def counts(self, lane: Lane | None = None) -> dict[OperationState, int]:
        """Count operations by state, of one lane or of both; every state has an entry."""
        counts = dict.fromkeys(OperationState, 0)
        for tally in await self._store.tally():
            if lane is None or tally.lane is lane:
                counts[tally.state] += tally.operations
        return counts

    async def owed(self) -> int:
        """Count optional steps that were skipped and are still to be done."""
        return sum(tally.owed for tally in await self._store.tally())

    @property
    def in_flight(self) -> int:
        """Operations of this worker whose calls are under way."""
        return self._runner.in_flight

    async def step(self, now: float) -> float | None:
        """Do one batch of work; see `Runner.step`."""
        return await self._runner.step(now)

    async def run(self) -> None:
        """Step until closed; a store that fails is tried again."""
        await self._runner.run()

    async def close(self) -> None:
        """Take in no more, let calls under way end for `close_s`, cut off the rest."""
        await self._runner.close()

    async def _let_go(self, hold: Hold, survey: Survey, *, limit: int) -> Released:
        """Let at most `limit` operations past a hold, and past all that were set before it.

        The hold is to be lifted when none is left that it stopped.
        """
        went = 0
        while went < limit and (queues := _held_queues(hold, survey)):
            for queue in queues:
                more, is_all = await self._let_go_queue(hold, queue, limit=limit - went)
                went += more
                if not is_all:
                    return Released(went, is_lifted=False)
            survey = await self._store.survey()  # Workers may have moved some meanwhile.
        if went < limit and hold.scope in (HoldScope.REGION, HoldScope.KIND):
            more, is_all = await self._look_for(hold, limit=limit - went)
            return Released(went + more, is_lifted=is_all)
        return Released(went, is_lifted=went < limit)

    async def _let_go_queue(self, hold: Hold, queue: str, *, limit: int) -> tuple[int, bool]:
        """Let go what is in one queue: how many, and whether nobody moved any meanwhile."""
        went = 0
        while went < limit:
            size = min(limit - went, self._policy.batch)
            due = await self._store.due(queue, now=math.inf, limit=size)
            saved = await self._let_go_all(hold, due.records)
            went += saved
            if saved < len(due.records):
                return went, False
            if len(due.records) < size:
                break
        return went, True

    async def _look_for(self, hold: Hold, *, limit: int) -> tuple[int, bool]:
        """Let go what a hold of a region or kind stops, though no worker has come across it yet.

        Returns:
            How many went, and whether none is left.
        """
        went, after = 0, 0
        wanted = Filter(
            states=(OperationState.READY, OperationState.WAITING),
            region=hold.name if hold.scope is HoldScope.REGION else None,
            kind=hold.name if hold.scope is HoldScope.KIND else None,
        )
        while went < limit:
            page = await self._store.find(wanted, after=after, limit=PAGE_MAX)
            stopped = [
                each
                for each in page.records
                if hold.number > each.let_go and not (each.queue or LEASED).startswith(_UNHELD)
            ][: limit - went]
            saved = await self._let_go_all(hold, stopped)
            went += saved
            if saved < len(stopped):
                return went, False
            if page.next_after is None:
                break
            after = page.next_after
        return went, went < limit

    async def _let_go_all(self, hold: Hold, records: Sequence[Record]) -> int:
        if not records:
            return 0
        changes = [Change(each, let_go(each, hold=hold.number)) for each in records]
        return sum(map(bool, await self._store.save(changes)))


def _held_queues(hold: Hold, survey: Survey) -> list[str]:
    """Queues that are held as a whole: by priority, then longest due first."""
    gates = {queue: read_queue(queue) for queue in survey.queues if not queue.startswith(_UNHELD)}
    held = [queue for queue, gate in gates.items() if holds_gate((hold,), gate)]
    return sorted(held, key=lambda queue: (-gates[queue].priority, survey.queues[queue]))
