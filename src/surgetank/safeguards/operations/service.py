"""Durable operations: stored before they are acknowledged, then run until they end.

The service works in bounded steps. A step costs nothing for operations that wait: it knows when
each queue is next due and until when each is refused, and reads only queues that are due and open.
"""

import asyncio
import math
from collections.abc import Callable, Mapping

import structlog

from surgetank.core.errors import (
    DependencyError,
    InvalidInputError,
    QueueFullError,
    RefusedError,
)
from surgetank.core.operation import NewOperation, OperationId, OperationState
from surgetank.core.ports import Chance, Clock, Permits
from surgetank.core.value import Lane, Refusal
from surgetank.safeguards.operations.action import Action
from surgetank.safeguards.operations.engine import Advance, Engine, Flight
from surgetank.safeguards.operations.gatekeeper import Gatekeeper
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.progress import (
    expire,
    new_record,
    park,
    recover,
    withdraw,
)
from surgetank.safeguards.operations.queue import LEASED, read_queue
from surgetank.safeguards.operations.record import Change, Receipt, Record
from surgetank.safeguards.operations.store import Store

DEMOTED_BATCHES_MAX = 16
"""Batches that a step moves from a refused queue to the backlog; the rest follow at the next."""


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
        self._watch = watch
        self._gatekeeper = Gatekeeper(permits)
        self._wake = asyncio.Event()
        self._engine = Engine(
            store=store,
            gatekeeper=self._gatekeeper,
            actions=self._actions,
            clock=clock,
            chance=chance,
            policy=policy,
            worker=worker,
            landed=self._landed,
            opened=self._wake.set,
        )
        self._log = structlog.get_logger("surgetank.operations").bind(worker=worker)
        self._queues: dict[str, float] = {}  # No operation of the queue is due before.
        self._deadline_at = math.inf  # No waiting operation expires before.
        self._reach: dict[str, int] = {}  # How many of a queue to look at next time.
        self._scan_at = -math.inf
        self._forget_at = -math.inf
        self._call_at = math.inf  # When the next step is to be.
        self._stepping = asyncio.Lock()
        self._is_closing = False
        self._is_full = False

    async def submit(self, new: NewOperation) -> Receipt:
        """Take in an operation. It is durable when this returns; safe to repeat with its key.

        Raises:
            InvalidInputError: it cannot be run, or names an action that this worker lacks.
            ConflictError: the key was used for another body.
            QueueFullError: too many are unfinished, or wait to be written; nothing was taken in.
            RefusedError: the service is closing.
            DependencyError: the store failed; `may_have_acted` says whether it may be stored.
        """
        if self._is_closing:
            raise RefusedError("this worker is closing: submit to another")
        for step in new.steps:
            if step.action not in self._actions:
                raise InvalidInputError(f"{new.key}: no action is named {step.action!r}")
        record = new_record(new, now=self._clock.now())
        is_new = await self._store.submit(record)
        if is_new:
            self._note(record)
            if record.deadline_at is not None and record.deadline_at < self._deadline_at:
                self._deadline_at = record.deadline_at
                self._wake_by(record.deadline_at)
        return Receipt(record.id, is_new)

    async def get(self, operation_id: OperationId) -> Record | None:
        """Read one operation; None when it is not, or no longer, stored."""
        return await self._store.read(operation_id)

    async def withdraw(self, operation_id: OperationId) -> bool:
        """End an operation that nobody wants any more, before it costs more; safe to repeat.

        Steps that were done stay done: what they made is its owner's to clean up.

        Returns:
            Whether it ended so, as expired. One whose call is under way goes on, and so does one
            that another worker moved at this instant: ask again.

        Raises:
            DependencyError: the store failed; `may_have_acted` says whether it may have ended.
        """
        before = await self._store.read(operation_id)
        after = None if before is None else withdraw(before, now=self._clock.now())
        if before is None or after is None:
            return False
        (is_saved,) = await self._store.save([Change(before, after)])
        if is_saved:
            self._tell_of_end(before, after)
        return is_saved

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
        return len(self._engine.flights)

    async def step(self, now: float) -> float | None:
        """Do one batch of work and say when to be called next, or sooner when woken.

        Recovers what lapsed, expires what is late, and begins at most `batch` operations, fresh
        ones first. Calls of operations run on as tasks of their own.

        Args:
            now: Seconds on the clock.

        Returns:
            An instant, perhaps past when more is due already; None when only a wake-up helps.

        Raises:
            DependencyError: the store failed; nothing is lost, try again later.
            IntegrityError: the store is damaged.
        """
        async with self._stepping:
            if self._is_closing:
                return None
            return await self._step(now)

    async def _step(self, now: float) -> float | None:
        try:
            if now >= self._scan_at:
                await self._scan(now)
            await self._engine.renew(now=now)
            if now >= self._deadline_at:
                await self._expire(now)
            await self._recover(now)
            await self._begin(now)
        except BaseException:
            self._scan_at = now + self._policy.save_retry_s  # Look at everything again.
            raise
        return self._next_at(now)

    async def run(self) -> None:
        """Step until closed; a store that fails is tried again."""
        while not self._is_closing:
            self._wake.clear()
            now = self._clock.now()
            try:
                at = await self.step(now)
            except (DependencyError, QueueFullError) as error:
                self._log.warning("store.failed", error=str(error))
                at = now + self._policy.save_retry_s
            self._call_at = math.inf if at is None else at
            await self._wait(at)

    async def close(self) -> None:
        """Take in no more, let calls under way end for `close_s`, cut off the rest."""
        async with self._stepping:  # What a step has written down as begun, it also launches.
            self._is_closing = True
        self._wake.set()
        await self._engine.close()

    async def _wait(self, at: float | None) -> None:
        if at is None:
            await self._wake.wait()
            return
        wait_s = at - self._clock.now()
        try:
            async with asyncio.timeout(max(0.0, wait_s)):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _scan(self, now: float) -> None:
        """Learn what is in the store: left by a crash, or put there by other workers."""
        self._scan_at = now + self._policy.scan_s
        self._deadline_at = now
        self._queues = {}  # What is noted while we read stays.
        for queue, at in (await self._store.queues()).items():
            self._queues[queue] = min(at, self._queues.get(queue, math.inf))
        if now >= self._forget_at:
            await self._forget(now)

    async def _forget(self, now: float) -> None:
        """Delete what is older than `keep_s`, at most 1% late once it is caught up with."""
        limit = self._policy.batch
        forgotten = await self._store.forget(before=now - self._policy.keep_s, limit=limit)
        if forgotten < limit:
            self._forget_at = now + self._policy.keep_s / 100

    async def _expire(self, now: float) -> None:
        self._deadline_at = math.inf
        late = await self._store.late(now=now, limit=self._policy.batch)
        if late.records:
            changes = [Change(each, expire(each, now=now)) for each in late.records]
            saved = await self._store.save(changes)
            for change, is_saved in zip(changes, saved, strict=True):
                if is_saved:
                    self._tell_of_end(change.before, change.after)
            self._log.info("operations.expired", operations=len(late.records))
        if late.next_at is not None:
            self._deadline_at = min(self._deadline_at, late.next_at)

    async def _recover(self, now: float) -> None:
        """Take over operations whose worker went silent."""
        if self._queues.get(LEASED, math.inf) > now:
            return
        del self._queues[LEASED]
        due = await self._store.due(LEASED, now=now, limit=self._policy.batch)
        if due.next_at is not None:
            self._note_queue(LEASED, due.next_at)
        lapsed = [each for each in due.records if each.id not in self._engine.flights]
        if len(lapsed) < len(due.records):  # Ours, with a renewal that failed or is on its way.
            self._note_queue(LEASED, now + self._policy.lease_s / 2)
        if not lapsed:
            return
        changes = [
            Change(each, recover(each, now=now, policy=self._policy), due_by=now) for each in lapsed
        ]
        saved = await self._store.save(changes)
        for (before, after, _), is_saved in zip(changes, saved, strict=True):
            if is_saved:
                self._log.warning(
                    "operation.recovered", operation_id=after.id, state=after.state.value
                )
                self._note(after)
                self._tell_of_end(before, after)

    async def _begin(self, now: float) -> None:
        """Begin what is due, longest due first within a lane."""
        begun = 0
        for queue in self._open_queues(now):
            room = min(self._policy.batch - begun, self._room())
            if room <= 0:
                break
            begun += await self._begin_from(queue, now=now, limit=room)
        self._is_full = self._room() == 0

    def _open_queues(self, now: float) -> list[str]:
        due = [
            (queue[0], at, queue)
            for queue, at in self._queues.items()
            if at <= now and queue != LEASED and self._gatekeeper.opens_at(queue) <= now
        ]
        return [queue for _, _, queue in sorted(due)]

    async def _begin_from(self, queue: str, *, now: float, limit: int) -> int:
        """Begin what one queue lets in; returns how many operations moved."""
        # A queue that let in few last time will again: reading more would be in vain.
        limit = min(limit, self._reach.pop(queue, limit))
        self._queues.pop(queue, None)
        due = await self._store.due(queue, now=now, limit=limit)
        if due.next_at is not None:
            self._note_queue(queue, due.next_at)
        flights = [Flight(record) for record in due.records]
        try:
            advances, refusal = self._advance_all(queue, flights, now=now)
            begun = await self._save(flights, advances)
        finally:
            for flight in flights:
                if flight.task is None:
                    self._gatekeeper.give_back(flight.leave)
        if len(due.records) == limit or refusal is not None:
            self._reach[queue] = max(1, 2 * len(advances))
        if refusal is not None and read_queue(queue).lane is Lane.FRESH:
            await self._demote(queue, now=now)
        return begun

    def _advance_all(
        self, queue: str, flights: list[Flight], *, now: float
    ) -> tuple[list[Advance], Refusal | None]:
        """Find each one's next call, up to the first that is refused: so would be the rest."""
        advances = list[Advance]()
        for flight in flights:
            advance = self._engine.advance(flight.record, flight.leave, now=now, is_entering=True)
            if advance.record.queue != queue:
                advances.append(advance)
            else:
                assert advance.refusal is not None, "who stays in its queue was refused"
            if advance.refusal is not None:
                self._note_queue(queue, flight.record.run_at)
                return advances, advance.refusal
        return advances, None

    async def _save(self, flights: list[Flight], advances: list[Advance]) -> int:
        """Write down what was found and launch the calls; what another worker took is left."""
        pairs = list(zip(flights, advances, strict=False))  # Refused ones have no advance.
        if not pairs:
            return 0
        changes = [Change(flight.record, advance.record) for flight, advance in pairs]
        saved = await self._store.save(changes)
        for (flight, advance), is_saved in zip(pairs, saved, strict=True):
            if not is_saved:
                continue
            record = advance.record._replace(fence=flight.record.fence + 1)
            if advance.position is None:
                self._note(record)
                self._tell_of_end(flight.record, record)
                continue
            flight.record, flight.position = record, advance.position
            flight.lease_until = record.run_at
            self._engine.launch(flight)
        return sum(saved)

    async def _demote(self, queue: str, *, now: float) -> None:
        """Move what a refused queue has held for too long to be fresh into the backlog."""
        for _ in range(DEMOTED_BATCHES_MAX):
            due = await self._store.due(queue, now=now, limit=self._policy.batch)
            changes = [
                Change(each, park(each, now=now, policy=self._policy)) for each in due.records
            ]
            changes = [change for change in changes if change.after.lane is Lane.BACKLOG]
            if not changes:
                return
            saved = await self._store.save(changes)
            for change, is_saved in zip(changes, saved, strict=True):
                if is_saved:
                    self._note(change.after)
            self._log.info("operations.demoted", operations=sum(saved), queue=queue)

    def _landed(self, record: Record) -> None:
        self._note(record)
        if self._watch is not None:
            self._watch(record)
        if self._is_full:
            self._is_full = False
            self._wake.set()

    def _tell_of_end(self, before: Record, after: Record) -> None:
        """Tell whoever watches of an operation that ended while no call of it was under way."""
        is_end = before.finished_at is None and after.finished_at is not None
        if is_end and self._watch is not None:
            self._watch(after)

    def _note(self, record: Record) -> None:
        """Remember when an operation that nobody holds is due."""
        if record.queue is not None:
            self._note_queue(record.queue, record.run_at)

    def _note_queue(self, queue: str, at: float) -> None:
        if at < self._queues.get(queue, math.inf):
            self._queues[queue] = at
            self._wake_by(max(at, self._gatekeeper.opens_at(queue)))

    def _wake_by(self, at: float) -> None:
        if at < self._call_at and not self._stepping.locked():
            self._wake.set()

    def _room(self) -> int:
        return self._policy.in_flight_max - len(self._engine.flights)

    def _next_at(self, now: float) -> float | None:
        at = min(self._scan_at, self._deadline_at, self._engine.renew_at(now=now))
        at = min(at, self._queues.get(LEASED, math.inf))
        if self._room() > 0:
            for queue, due_at in self._queues.items():
                if queue != LEASED:
                    at = min(at, max(due_at, self._gatekeeper.opens_at(queue)))
        return at if at < math.inf else None
