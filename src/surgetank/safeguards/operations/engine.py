"""Drives operations that this worker holds: makes their calls, one step after another.

Before each call the store says that it is about to be made; after it, the store says how it ended,
in the same write as the start of the next. Each operation is a task of its own, so a call of
minutes holds up nobody.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import structlog

from surgetank.control.governor import BREAKER_OPEN, BUDGET_SPENT
from surgetank.core.errors import ConflictError, DependencyError, IntegrityError, QueueFullError
from surgetank.core.operation import OperationId, OperationState, Step
from surgetank.core.ports import Chance, Clock
from surgetank.core.value import Lane, Outcome, OutcomeKind, Refusal
from surgetank.safeguards.operations.action import Action, ActionResult, StepCall, result_of
from surgetank.safeguards.operations.gatekeeper import Gatekeeper, Leave
from surgetank.safeguards.operations.hold import hold_of
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.progress import (
    begin,
    complete,
    expire,
    go_round,
    is_late,
    park,
    settle,
    stop,
)
from surgetank.safeguards.operations.queue import (
    LEASED,
    dependency_of,
    gated_positions,
    has_way_round,
    lane_of,
    next_position,
)
from surgetank.safeguards.operations.record import (
    CHECKPOINT_CHARACTERS_MAX,
    Change,
    Progress,
    Record,
    Saved,
)
from surgetank.safeguards.operations.store import Store
from surgetank.safeguards.operations.time_limit import TimeLimit


class Advance(NamedTuple):
    """Where an operation stands before its next call."""

    record: Record
    position: int | None
    """The step whose call is to be made; None when it waits or has ended."""
    refusal: Refusal | None = None
    """Why it waits."""


class Flight:
    """One operation that this worker holds."""

    __slots__ = ("is_saving", "lease_until", "leave", "position", "record", "task")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.position = 0
        self.leave = Leave()
        self.lease_until = record.run_at
        self.is_saving = False
        self.task: asyncio.Task[None] | None = None


class Engine:
    """The operations under way."""

    def __init__(
        self,
        *,
        store: Store,
        gatekeeper: Gatekeeper,
        actions: Mapping[str, Action],
        clock: Clock,
        chance: Chance,
        policy: OperationsPolicy,
        worker: str,
        landed: Callable[[Record], None],
        opened: Callable[[], None],
    ) -> None:
        """Stand ready.

        Args:
            store: Where operations are kept.
            gatekeeper: Who gives leave to call.
            actions: What makes the calls, by name.
            clock: The time.
            chance: For the waits between tries.
            policy: All limits.
            worker: Names this process.
            landed: Told each record that this worker has let go of.
            opened: Told when a queue that was refused may be asked for again.
        """
        self._store = store
        self._gatekeeper = gatekeeper
        self._actions = actions
        self._clock = clock
        self._chance = chance
        self._policy = policy
        self._worker = worker
        self._landed = landed
        self._opened = opened
        self._time_limit = TimeLimit(policy.step_s_max)
        self._is_closing = False
        self._log = structlog.get_logger("surgetank.operations").bind(worker=worker)
        self.flights: dict[OperationId, Flight] = {}

    def advance(self, record: Record, leave: Leave, *, now: float, is_entering: bool) -> Advance:
        """Find the next call and the leave for it; `leave` gains permits.

        In the backlog lane an operation that enters asks for all its steps at once, so that one
        let in is finished without queueing again; the fresh lane asks step by step.
        """
        ended = _ended(record, now=now)
        if ended is not None:
            return Advance(ended, None)
        if is_entering and lane_of(record) is Lane.BACKLOG:
            refusal = self._gatekeeper.ask(record, gated_positions(record), leave, now=now)
            if refusal is not None:
                return self._waiting(record, refusal, now=now)
        for _ in range(2 * len(record.steps) + 1):
            position = next_position(record)
            if position is None:
                return Advance(complete(record, now=now, policy=self._policy), None)
            refusal = self._leave(record, position, leave, now=now)
            if refusal is None:
                lease_until = now + self._policy.lease_s
                begun = begin(record, position, lease_until=lease_until, worker=self._worker)
                return Advance(begun, position)
            if not _goes_round(record, position, refusal):
                return self._waiting(record, refusal, now=now)
            record = go_round(record, position)
        raise AssertionError("each step is gone round at most twice")

    def _waiting(self, record: Record, refusal: Refusal, *, now: float) -> Advance:
        """Let it wait for leave.

        A retry that nobody can afford is no longer fresh: the backlog's pace is its budget, and the
        first tries beside it are not held up.
        """
        if refusal.reason == BUDGET_SPENT:
            record = record._replace(lane=Lane.BACKLOG)
            return Advance(park(record, now=now, policy=self._policy), None)
        return Advance(park(record, now=now, policy=self._policy), None, refusal)

    def launch(self, flight: Flight) -> None:
        """Make the calls of an operation whose first is written down as begun."""
        operation_id = flight.record.id
        assert operation_id not in self.flights, "one task an operation"
        self.flights[operation_id] = flight
        flight.task = asyncio.get_running_loop().create_task(
            self._drive(flight), name=f"operations.{operation_id}"
        )

    async def renew(self, *, now: float) -> None:
        """Renew the leases that are past half-time.

        Raises:
            DependencyError: the store failed; the leases stand as they did.
        """
        half_at = now + self._policy.lease_s / 2
        renewed = [
            flight
            for flight in self.flights.values()
            if flight.lease_until <= half_at and not flight.is_saving
        ]
        if not renewed:
            return
        until = now + self._policy.lease_s
        leases = [(flight.record.id, flight.record.fence) for flight in renewed]
        await self._store.renew(leases, until=until)
        for flight in renewed:
            # Where it was lost, the fence refuses our next write: nothing else to do here.
            flight.lease_until = max(flight.lease_until, until)

    def renew_at(self, *, now: float) -> float:
        """When to renew next; infinity when nothing is under way."""
        half_s = self._policy.lease_s / 2
        return min(
            (
                # A write that is on its way renews by itself, if the store lets it.
                max(flight.lease_until, now + 2 * half_s) - half_s
                if flight.is_saving
                else flight.lease_until - half_s
                for flight in self.flights.values()
            ),
            default=math.inf,
        )

    async def close(self) -> None:
        """Let calls under way end for `close_s`, begin no more, then cut off the rest.

        What is cut off stays written down as begun: its lease runs out, and it is recovered.
        """
        self._is_closing = True
        tasks = [flight.task for flight in self.flights.values() if flight.task is not None]
        if not tasks:
            return
        _, left = await asyncio.wait(tasks, timeout=self._policy.close_s)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _leave(self, record: Record, position: int, leave: Leave, *, now: float) -> Refusal | None:
        """Have leave for a call, where it needs any."""
        dependency = dependency_of(record, position)
        if dependency is None:
            return None
        refusal = self._gatekeeper.held(record, dependency)
        if refusal is not None or position in leave.permits:
            return refusal
        return self._gatekeeper.ask(record, (position,), leave, now=now)

    async def _drive(self, flight: Flight) -> None:
        try:
            while await self._settle(flight, await self._call(flight)):
                pass
        except ConflictError:
            self._log.warning("lease.lost", operation_id=flight.record.id)
        except IntegrityError:
            self._log.exception("store.damaged", operation_id=flight.record.id)
        finally:
            self._gatekeeper.give_back(flight.leave)
            del self.flights[flight.record.id]
            self._landed(flight.record)

    async def _call(self, flight: Flight) -> ActionResult:
        """Make the call of the present step; whatever happens is a result."""
        record, position = flight.record, flight.position
        self._gatekeeper.use(position, flight.leave, now=self._clock.now())
        step, progress = record.steps[position], record.progress[position]
        action = self._actions.get(step.action)
        if action is None:
            outcome = Outcome(OutcomeKind.PERMANENT, f"no action is named {step.action}")
            return ActionResult(outcome)
        call = StepCall(
            operation_id=record.id,
            step_name=step.name,
            dependency=dependency_of(record, position) or step.dependency,
            arguments=_arguments(step, progress),
            checkpoint=progress.checkpoint,
            save=partial(self._checkpoint, flight),
        )
        try:
            return await self._time_limit.run(action(call))
        except ConflictError:
            raise
        except TimeoutError as error:
            outcome = Outcome(OutcomeKind.TIMEOUT, str(error))
        except DependencyError as error:
            return result_of(error, checkpoint=_checkpoint_of(flight))
        except Exception as error:  # noqa: BLE001 - a defect of an action ends one call, not us
            self._log.exception("action.crashed", operation_id=record.id, step=step.name)
            outcome = Outcome(OutcomeKind.TRANSIENT, f"defect: {error!r}")
        checkpoint = _checkpoint_of(flight)
        return ActionResult(outcome, checkpoint, may_have_acted=not checkpoint)

    async def _settle(self, flight: Flight, result: ActionResult) -> bool:
        """Take in a call's end and write it down; True when the next call is to be made."""
        now = self._clock.now()
        if self._gatekeeper.report(flight.position, result.outcome, flight.leave):
            self._opened()
        moved = settle(
            flight.record,
            flight.position,
            result,
            now=now,
            chance=self._chance,
            policy=self._policy,
        )
        after = Advance(moved.record, None)
        if moved.goes_on:
            after = self._go_on(moved.record, flight.leave, now=now)
        is_stopped = await self._save(flight, after.record)
        if is_stopped:
            await self._stop(flight, after.record if after.position is None else moved.record)
        if is_stopped or after.position is None:
            self._log_end(flight.record)
            return False
        flight.position = after.position
        return True

    async def _stop(self, flight: Flight, record: Record) -> None:
        """End an operation as it was told to, instead of the call that is written down as begun."""
        while (state := await self._told(flight)) is None:
            await self._clock.sleep_until(self._clock.now() + self._policy.save_retry_s)
        await self._save(flight, stop(record, state, now=self._clock.now()))

    async def _told(self, flight: Flight) -> OperationState | None:
        """What an operation was told to become; None when the store does not answer."""
        record = flight.record
        try:
            stored = await self._store.read(record.id)
        except (DependencyError, QueueFullError) as error:
            self._log.warning("store.failed", operation_id=record.id, error=str(error))
            return None
        if stored is None or stored.fence != record.fence:
            raise ConflictError(f"operation {record.id}: another worker has taken over")
        return OperationState(stored.stop)

    def _go_on(self, record: Record, leave: Leave, *, now: float) -> Advance:
        is_stopped = self._is_closing or hold_of(self._gatekeeper.holds, record) is not None
        if is_stopped and next_position(record) is not None:
            return Advance(park(record, now=now, policy=self._policy), None)
        return self.advance(record, leave, now=now, is_entering=False)

    async def _checkpoint(self, flight: Flight, text: str) -> None:
        assert len(text) <= CHECKPOINT_CHARACTERS_MAX, "a checkpoint is small"
        record, position = flight.record, flight.position
        progress = record.progress[position]._replace(checkpoint=text)
        steps = (*record.progress[:position], progress, *record.progress[position + 1 :])
        lease_until = self._clock.now() + self._policy.lease_s
        await self._save(flight, record._replace(progress=steps, run_at=lease_until))

    async def _save(self, flight: Flight, after: Record) -> bool:
        """Write a change down, again and again while the store fails: it happened, after all.

        Returns:
            Whether it is to make no further call.

        Raises:
            ConflictError: the lease is lost; nothing was written.
            IntegrityError: the store is damaged.
        """
        flight.is_saving = True
        try:
            while not (saved := await self._saved(flight, after)):
                await self._clock.sleep_until(self._clock.now() + self._policy.save_retry_s)
                if after.queue == LEASED:  # A lease begins when it is written down.
                    after = after._replace(run_at=self._clock.now() + self._policy.lease_s)
        finally:
            flight.is_saving = False
        flight.record = after._replace(fence=flight.record.fence + 1)
        if after.queue == LEASED:
            flight.lease_until = after.run_at
        return saved is Saved.STOPPED

    async def _saved(self, flight: Flight, after: Record) -> Saved:
        before = flight.record
        try:
            (saved,) = await self._store.save((Change(before, after),))
            return saved or await self._found(before, after)
        except (DependencyError, QueueFullError) as error:
            self._log.warning("store.failed", operation_id=before.id, error=str(error))
            return Saved.LOST

    async def _found(self, before: Record, after: Record) -> Saved:
        """What became of a write that the store could not vouch for, if it was made after all.

        Its lease began then, perhaps long ago, and it may have been told to stop since.

        Raises:
            ConflictError: it was not made, or another worker has taken over since.
            DependencyError: the store failed.
        """
        stored = await self._store.read(before.id)
        made = after._replace(fence=before.fence + 1)
        if stored is not None and stored == made._replace(stop=stored.stop, run_at=stored.run_at):
            lease = (before.id, stored.fence)
            if after.queue != LEASED or (await self._store.renew([lease], until=after.run_at))[0]:
                return Saved.STOPPED if stored.stop else Saved.DONE
        raise ConflictError(f"operation {before.id}: another worker has taken over")

    def _log_end(self, record: Record) -> None:
        if record.state in (OperationState.FAILED, OperationState.UNKNOWN):
            self._log.warning(
                f"operation.{record.state.value}", operation_id=record.id, detail=record.detail
            )


def _ended(record: Record, *, now: float) -> Record | None:
    """What is to make no further call; None when it may."""
    if record.stop:
        return stop(record, OperationState(record.stop), now=now)
    return expire(record, now=now) if is_late(record, now=now) else None


def _goes_round(record: Record, position: int, refusal: Refusal) -> bool:
    """Whether to take a step's way round now rather than wait for leave.

    Backlog always does: debts are cheaper than a queue. Fresh work waits where a wait helps.
    """
    if not has_way_round(record, position):
        return False
    return lane_of(record) is Lane.BACKLOG or refusal.reason == BREAKER_OPEN


def _arguments(step: Step, progress: Progress) -> str:
    if progress.is_probing:
        return step.probe or ""
    return (step.fallback or "") if progress.is_fallback else step.arguments


def _checkpoint_of(flight: Flight) -> str:
    return flight.record.progress[flight.position].checkpoint
