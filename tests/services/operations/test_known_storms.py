"""Storms that others met and wrote down, in virtual time: what we promise instead.

Each test names its thread, of public trackers, and plays the shape of what happened there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from surgetank.control.backoff import BackoffPolicy
from surgetank.control.governor import GovernorPolicy
from surgetank.control.peer.sdk import Sdk, State
from surgetank.core.operation import NewOperation, OperationState
from surgetank.core.value import Lane, OutcomeKind
from surgetank.safeguards.operations.permits import GovernedPermits

Play = Callable[..., None]
New = Callable[..., NewOperation]
PACE_PER_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Paced(Sdk):
    """A law of one pace."""

    rate_per_s: float = PACE_PER_S

    def start(self, *, now: float) -> State:
        return Sdk.start(self, now=now)._replace(rate_per_s=self.rate_per_s)


def governed(world: Any) -> GovernedPermits:
    policy = GovernorPolicy(law=Paced())
    return GovernedPermits(default=policy, clock=world.clock, chance=Random(1))


def restart(world: Any, worker: Any, name: str) -> Any:
    """Kill a worker and start another, which knows nothing but the store."""
    world.kill(worker)
    return world.worker(name, permits=governed(world))


def test_temporal_3149_a_restart_does_not_open_the_rate_for_a_minute(
    play: Play, new_operation: New
) -> None:
    """The limiter began wide open and learnt its rate a minute after each restart."""

    async def main(world: Any) -> None:
        worker = world.worker(permits=governed(world))
        for number in range(300):
            await worker.submit(new_operation(f"k{number}", "vm", lane=Lane.BACKLOG))
        await world.pass_s(60)
        before = len(world.calls)
        restart(world, worker, "w2")
        called = list[int]()
        for _ in range(6):
            await world.pass_s(10)
            called.append(len(world.calls))
        assert before == pytest.approx(60 * PACE_PER_S, abs=3)
        each = [after - so_far for after, so_far in zip(called, [before, *called], strict=False)]
        assert max(each) <= 10 * PACE_PER_S + 3

    play(main)


def test_temporal_3145_what_has_expired_takes_nothing_from_the_rate(
    play: Play, new_operation: New
) -> None:
    """Each expired task took a token as if it were dispatched, and the backlog stood still."""

    async def main(world: Any) -> None:
        permits = governed(world)
        worker = world.worker(permits=permits)
        await worker.submit(new_operation("first", "vm", lane=Lane.BACKLOG))
        deadline_at = world.clock.now() + 0.5
        for number in range(500):
            late = new_operation(f"late{number}", "vm", lane=Lane.BACKLOG, deadline_at=deadline_at)
            await worker.submit(late)
        for number in range(20):
            await worker.submit(new_operation(f"k{number}", "vm", lane=Lane.BACKLOG))
        await world.pass_s(20 / PACE_PER_S + 3)
        counts = await worker.counts()
        assert counts[OperationState.EXPIRED] >= 498
        assert counts[OperationState.SUCCEEDED] >= 20
        assert not {argument for _, argument in world.calls[3:] if "late" in argument}

    play(main)


def test_temporal_11547_a_blip_does_not_shorten_waits_that_had_grown(
    play: Play, new_operation: New
) -> None:
    """One brief `Unavailable` reset long waits, and all came back at the shortest at once."""

    async def main(world: Any) -> None:
        script = [OutcomeKind.THROTTLED] * 5 + [OutcomeKind.TRANSIENT]
        world.script("vm", *script)
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", vm={"is_repeatable": True}))
        waits_s = list[float]()
        while len(world.calls) < len(script):
            await world.pass_s(0.25)
            record = await world.store.inner.read(receipt.id)
            if record.state is OperationState.WAITING and len(waits_s) < len(world.calls):
                waits_s.append(record.run_at - world.clock.now())
                if len(waits_s) == 3:  # Its store and its worker have a blip, too.
                    world.store.away_until = world.clock.now() + 1
        await world.pass_s(0.25)
        record = await worker.get(receipt.id)
        waits_s.append(record.run_at - world.clock.now())
        assert record.progress[0].tries == len(script)
        assert waits_s[-1] > retry.base_s, "longer than the first can be"

    retry = BackoffPolicy(base_s=2.0, cap_s=300.0)
    play(main, retry=retry, tries_max=20)


def test_argo_workflows_6599_a_restart_does_not_double_what_runs(
    play: Play, new_operation: New
) -> None:
    """A restarted controller counted none of what was running, and started as much again."""

    async def main(world: Any) -> None:
        world.call_s = 30
        running, most = 0, 0
        do = world.do

        async def counted(call: Any) -> Any:
            nonlocal running, most
            running += 1
            most = max(most, running)
            try:
                return await do(call)
            finally:
                running -= 1

        world.actions["do"] = counted
        worker = world.worker()
        for number in range(40):
            await worker.submit(new_operation(f"k{number}", "vm"))
        await world.pass_s(10)
        await worker.close()  # As a roll-out does: calls under way may end.
        world.workers.remove(worker)
        world.worker("w2")
        await world.pass_s(600)
        assert most == 5
        assert len(world.calls) == 40
        assert len({argument for _, argument in world.calls}) == 40

    play(main, in_flight_max=5, close_s=60)


def test_argo_workflows_6599_after_a_crash_nothing_runs_twice_before_its_lease_ends(
    play: Play, new_operation: New
) -> None:
    """What a crashed controller left running is left alone, though its successor has room."""

    async def main(world: Any) -> None:
        world.call_s = 30
        worker = world.worker()
        repeatable = {"vm": {"is_repeatable": True}}
        for number in range(5):
            await worker.submit(new_operation(f"k{number}", "vm", **repeatable))
        await world.pass_s(10)
        world.kill(worker)
        world.worker("w2")
        await world.pass_s(49)
        assert len(world.calls) == 5
        await world.pass_s(60)
        assert len(world.calls) == 10

    play(main, in_flight_max=5)


def test_crossplane_7703_what_came_while_a_breaker_was_open_is_not_lost_when_it_closes(
    play: Play, new_operation: New
) -> None:
    """Events were thrown away while it was open, so that nothing began when it had closed."""

    async def main(world: Any) -> None:
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=300)
        worker = world.worker()
        receipts = list[Any]()
        for number in range(30):
            receipts.append(await worker.submit(new_operation(f"k{number}", "vm")))
            await world.pass_s(10)
        ends = [await world.ended(receipt.id, within_s=60) for receipt in receipts]
        assert {end.state for end in ends} == {OperationState.SUCCEEDED}

    play(main, scan_s=86_400)
