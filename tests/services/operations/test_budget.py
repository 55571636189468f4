"""A spent retry budget is the retries' own trouble."""

from collections.abc import Callable
from random import Random
from typing import Any

from surgetank.control.budget import BudgetPolicy
from surgetank.control.governor import GovernorPolicy
from surgetank.core.operation import NewOperation, OperationState
from surgetank.core.value import Lane, OutcomeKind
from surgetank.safeguards.operations.permits import GovernedPermits

Play = Callable[..., None]
New = Callable[..., NewOperation]


def poor(world: Any) -> Any:
    """A worker whose governor affords one retry, and none for a long time after."""
    budget = BudgetPolicy(ratio=0.0, tokens_max=1.0, refill_per_s=1e-6)
    policy = GovernorPolicy(breaker=None, budget=budget)
    permits = GovernedPermits(default=policy, clock=world.clock, chance=Random(1))
    return world.worker(permits=permits)


def test_a_retry_that_nobody_can_afford_goes_on_as_backlog(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = poor(world)
        world.script("vm", OutcomeKind.TRANSIENT, OutcomeKind.TRANSIENT)
        receipt = await worker.submit(new_operation("k", "vm"))
        record = await world.ended(receipt.id)
        assert (record.state, record.lane) == (OperationState.SUCCEEDED, Lane.BACKLOG)

    play(main)


def test_first_tries_are_not_held_up_by_retries_that_nobody_can_afford(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        worker = poor(world)
        world.script("vm", *(OutcomeKind.TRANSIENT,) * 4)
        for key in ("a", "b"):
            await worker.submit(new_operation(key, "vm"))
        await world.pass_s(30.0)
        receipt = await worker.submit(new_operation("c", "vm"))
        record = await world.ended(receipt.id, within_s=2.0)
        assert (record.state, record.lane) == (OperationState.SUCCEEDED, Lane.FRESH)

    play(main)
