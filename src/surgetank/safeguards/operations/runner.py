"""The loop of a worker: recovers what lapsed, ends what is late, begins what is due.

It works in bounded steps. A step costs nothing for operations that wait: the worker knows when
each queue is next due and until when each is refused, and reads only queues that are due and open.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence

import structlog

from surgetank.core.errors import DependencyError, QueueFullError
from surgetank.core.ports import Chance, Clock, Permits
from surgetank.core.value import Lane, Refusal
from surgetank.safeguards.operations.action import Action
from surgetank.safeguards.operations.agenda import Agenda
from surgetank.safeguards.operations.engine import Advance, Engine, Flight
from surgetank.safeguards.operations.gatekeeper import Gatekeeper
from surgetank.safeguards.operations.hold import hold_of
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.progress import expire, park, park_for, recover
from surgetank.safeguards.operations.queue import LEASED
from surgetank.safeguards.operations.record import Change, Record, Saved
from surgetank.safeguards.operations.store import Store

DEMOTED_BATCHES_MAX = 16
"""Batches that a step moves from a refused queue to the backlog; the rest follow at the next."""

HEARD_S = 0.2
"""Seconds between two looks at the store that other workers asked for."""


class Batch:
    """What is to become of some operations of a queue that were read together."""

    __slots__ = ("advances", "flights", "refusal")

    def __init__(self) -> None:
        self.flights: list[Flight] = []
        self.advances: list[Advance] = []
        """One for each flight up to the first that was refused."""
        self.refusal: Refusal | None = None


class Runner:
    """Runs the operations of a store."""

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
        watch: Callable[[Record], None] | None,
    ) -> None:
        """Stand ready; for what is given, see `Operations`."""
        self._store = store
        self._clock = clock
        self._policy = policy
        self._watch = watch
        self._gatekeeper = Gatekeeper(permits)
        self._wake = asyncio.Event()
        self._engine = Engine(
            store=store,
            gatekeeper=self._gatekeeper,
            actions=actions,
            clock=clock,
            chance=chance,
            policy=policy,
            worker=worker,
            landed=self._landed,
            opened=self._wake.set,
        )
        self._log = structlog.get_logger("surgetank.operations").bind(worker=worker)
        self._agenda = Agenda(self._gatekeeper)
        self._deadline_at = math.inf  # No waiting operation expires before.
        self._scan_at = self._scanned_at = -math.inf
        self._forget_at = -math.inf
        self._call_at = math.inf  # When the next step is to be.
        self._stepping = asyncio.Lock()
        self.is_closing = False
        self._is_full = False

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
            if self.is_closing:
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
        self._store.listen(self.hear)
        while not self.is_closing:
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
            self.is_closing = True
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
        self._scanned_at = now
        self._scan_at = now + self._policy.scan_s
        self._deadline_at = now
        self._agenda.clear()
        survey = await self._store.survey()
        self._agenda.note_all(survey.queues)
        self._gatekeeper.holds = survey.holds
        for queue in self._agenda.held_fresh(now) if survey.holds else ():
            if not await self._demote(queue, now=now):
                self._scan_at = now  # The rest follows at the next step.
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
                    self.tell_of_end(change.before, change.after)
            self._log.info("operations.expired", operations=len(late.records))
        if late.next_at is not None:
            self._deadline_at = min(self._deadline_at, late.next_at)

    async def _recover(self, now: float) -> None:
        """Take over operations whose worker went silent."""
        if self._agenda.leases_end_at() > now:
            return
        self._agenda.take_leases()
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
                self.note(after)
                self.tell_of_end(before, after)

    async def _begin(self, now: float) -> None:
        """Begin what is due, longest due first within a lane."""
        begun = 0
        for queue in self._agenda.open_queues(now):
            room = min(self._policy.batch - begun, self._room())
            if room <= 0:
                break
            begun += await self._begin_from(queue, now=now, limit=room)
        self._is_full = self._room() == 0

    async def _begin_from(self, queue: str, *, now: float, limit: int) -> int:
        """Begin what one queue lets in; returns how many operations moved."""
        limit = self._agenda.take(queue, limit=limit)
        batch = Batch()

        def decide(records: Sequence[Record]) -> list[Change]:
            batch.flights = [Flight(record) for record in records]
            batch.advances, batch.refusal = self._advance_all(queue, batch.flights, now=now)
            pairs = zip(batch.flights, batch.advances, strict=False)  # Refused ones have none.
            return [Change(flight.record, advance.record) for flight, advance in pairs]

        try:
            due, saved = await self._store.take(queue, now=now, limit=limit, decide=decide)
            if due.next_at is not None:
                self._note_queue(queue, due.next_at)
            self._launch(batch, saved)
        finally:
            for flight in batch.flights:
                if flight.task is None:
                    self._gatekeeper.give_back(flight.leave)
        if len(due.records) == limit or batch.refusal is not None:
            self._agenda.remember_reach(queue, max(1, 2 * len(batch.advances)))
        if batch.refusal is not None and self._gatekeeper.gate(queue).lane is Lane.FRESH:
            await self._demote(queue, now=now)
        return sum(map(bool, saved))

    def _advance_all(
        self, queue: str, flights: list[Flight], *, now: float
    ) -> tuple[list[Advance], Refusal | None]:
        """Find each one's next call, up to the first that is refused: so would be the rest."""
        advances = list[Advance]()
        for flight in flights:
            hold = hold_of(self._gatekeeper.holds, flight.record)
            if hold is not None:
                advances.append(Advance(park_for(flight.record, hold=hold.number), None))
                continue
            advance = self._engine.advance(flight.record, flight.leave, now=now, is_entering=True)
            if advance.record.queue != queue:
                advances.append(advance)
            else:
                assert advance.refusal is not None, "who stays in its queue was refused"
            if advance.refusal is not None:
                self._note_queue(queue, flight.record.run_at)
                return advances, advance.refusal
        return advances, None

    def _launch(self, batch: Batch, saved: Sequence[Saved]) -> None:
        """Launch the calls of what was written down; what another worker took is left."""
        pairs = zip(batch.flights, batch.advances, strict=False)
        for (flight, advance), is_saved in zip(pairs, saved, strict=True):
            if not is_saved:
                continue
            record = advance.record._replace(fence=flight.record.fence + 1)
            if advance.position is None:
                self.note(record)
                self.tell_of_end(flight.record, record)
                continue
            flight.record, flight.position = record, advance.position
            flight.lease_until = record.run_at
            self._engine.launch(flight)

    def look_again(self) -> None:
        """Learn at the next step, which is at once, what is in the store."""
        self._scan_at = -math.inf
        self._wake.set()

    async def _demote(self, queue: str, *, now: float) -> bool:
        """Move what a refused or held queue has kept for too long to be fresh into the backlog.

        Returns:
            False when there may be more of it.
        """
        for _ in range(DEMOTED_BATCHES_MAX):
            due = await self._store.due(queue, now=now, limit=self._policy.batch)
            changes = [
                Change(each, park(each, now=now, policy=self._policy)) for each in due.records
            ]
            changes = [change for change in changes if change.after.lane is Lane.BACKLOG]
            if not changes:
                return True
            saved = await self._store.save(changes)
            for change, is_saved in zip(changes, saved, strict=True):
                if is_saved:
                    self.note(change.after)
            self._log.info("operations.demoted", operations=sum(map(bool, saved)), queue=queue)
        return False

    def _landed(self, record: Record) -> None:
        self.note(record)
        if record.subject and record.queue is None:
            self.look_again()  # The next of its subject may begin.
        if self._watch is not None:
            self._watch(record)
        if self._is_full:
            self._is_full = False
            self._wake.set()

    def tell_of_end(self, before: Record, after: Record) -> None:
        """Tell whoever watches of an operation that ended while no call of it was under way."""
        is_end = before.finished_at is None and after.finished_at is not None
        if is_end and self._watch is not None:
            self._watch(after)

    def note(self, record: Record) -> None:
        """Remember when an operation that nobody holds is due."""
        if record.queue is not None:
            self._note_queue(record.queue, record.run_at)

    def hear(self) -> None:
        """Look soon at what is in the store: another worker may have put something in."""
        at = max(self._clock.now(), self._scanned_at + HEARD_S)
        if at < self._scan_at:
            self._scan_at = at
            self._wake_by(at)

    def note_deadline(self, record: Record) -> None:
        """Remember when a new operation is late."""
        at = record.deadline_at
        if at is not None and at < self._deadline_at:
            self._deadline_at = at
            self._wake_by(at)

    def _note_queue(self, queue: str, at: float) -> None:
        if self._agenda.note(queue, at):
            self._wake_by(max(at, self._agenda.opens_at(queue)))

    def _wake_by(self, at: float) -> None:
        if at < self._call_at and not self._stepping.locked():
            self._wake.set()

    def _room(self) -> int:
        return self._policy.in_flight_max - len(self._engine.flights)

    def _next_at(self, now: float) -> float | None:
        at = min(self._scan_at, self._deadline_at, self._engine.renew_at(now=now))
        at = min(at, self._agenda.leases_end_at())
        if self._room() > 0:
            at = min(at, self._agenda.next_at())
        return at if at < math.inf else None
