"""Waiting costs nothing, fresh goes first, and what is let in is finished."""

from collections.abc import Callable
from typing import Any

import pytest

from surgetank.core.operation import NewOperation, OperationState
from surgetank.core.value import Lane, OutcomeKind

Play = Callable[..., None]
New = Callable[..., NewOperation]
HELD = "release_held"


def test_backlog_asks_for_all_its_dependencies_at_once_and_keeps_the_permits(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        new = new_operation("k", "vm", "disk", "identity", lane=Lane.BACKLOG)
        receipt = await world.worker().submit(new)
        await world.pass_s(0.05)
        world.permits.refuse("identity@eastus", reason=HELD, for_s=1e6)  # After it was let in.
        await world.ended(receipt.id)
        assert world.permits.asked == [
            (("vm@eastus", "disk@eastus", "identity@eastus"), Lane.BACKLOG, False)
        ]
        assert [dependency for dependency, _ in world.permits.reported] == [
            "vm@eastus",
            "disk@eastus",
            "identity@eastus",
        ]

    play(main)


def test_backlog_is_let_in_by_all_dependencies_or_none(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("identity@eastus", reason=HELD, for_s=100, lane=Lane.BACKLOG)
        new = new_operation("k", "vm", "identity", lane=Lane.BACKLOG)
        record = await world.ended((await world.worker().submit(new)).id)
        assert record.finished_at - record.created_at == pytest.approx(100.2, abs=0.1)

    play(main)


def test_a_second_call_on_one_dependency_does_not_queue_again(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        new = new_operation(
            "k", "vm", "extension", lane=Lane.BACKLOG, extension={"dependency": "vm@eastus"}
        )
        await world.ended((await world.worker().submit(new)).id)
        assert [(asked, lane) for asked, lane, _ in world.permits.asked] == [
            (("vm@eastus", "vm@eastus"), Lane.BACKLOG),
            (("vm@eastus",), Lane.FRESH),
        ]

    play(main)


def test_a_failure_gives_back_the_permits_of_later_steps(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.script("vm", OutcomeKind.PERMANENT)
        new = new_operation("k", "vm", "disk", lane=Lane.BACKLOG)
        await world.ended((await world.worker().submit(new)).id)
        assert world.permits.out == []
        assert [dependency for dependency, _ in world.permits.reported] == ["vm@eastus"]

    play(main)


def test_fresh_goes_before_backlog_that_came_first(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        world.call_s = 10
        await worker.submit(new_operation("first", "vm"))
        await world.pass_s(1)
        for key, lane in (("old", Lane.BACKLOG), ("new", Lane.FRESH)):
            await worker.submit(new_operation(key, "vm", lane=lane))
        await world.pass_s(40)
        assert [arguments for _, arguments in world.calls] == [
            f"vm of {key}" for key in ("first", "new", "old")
        ]

    play(main, in_flight_max=1)


def test_one_lane_is_first_due_first_served(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        for number in range(30):
            await worker.submit(new_operation(f"{number:02}", "vm"))
            await world.pass_s(0.01)
        await world.pass_s(10)
        assert [arguments for _, arguments in world.calls] == [
            f"vm of {number:02}" for number in range(30)
        ]

    play(main, in_flight_max=3, batch=2)


def test_no_more_than_in_flight_max_are_under_way(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        world.call_s = 5
        for number in range(20):
            await worker.submit(new_operation(f"k{number}", "vm"))
        await world.pass_s(1)
        assert (worker.in_flight, len(world.calls)) == (4, 4)
        await world.pass_s(25)
        assert (await worker.counts())[OperationState.SUCCEEDED] == 20

    play(main, in_flight_max=4)


def test_a_call_of_minutes_holds_up_nobody(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        world.call_s = 600
        await worker.submit(new_operation("slow", "vm"))
        await world.pass_s(1)
        world.call_s = 0.1
        receipt = await worker.submit(new_operation("quick", "vm"))
        record = await world.ended(receipt.id)
        assert record.finished_at - record.created_at < 0.5

    play(main)


def test_fresh_work_refused_for_fresh_s_is_backlog(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=30)
        worker = world.worker()
        for number in range(40):
            await worker.submit(new_operation(f"k{number}", "vm"))
        await world.pass_s(29)
        assert (await worker.counts(Lane.BACKLOG))[OperationState.READY] == 0
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=1_000)
        await world.pass_s(2)
        assert (await worker.counts(Lane.BACKLOG))[OperationState.READY] == 40

    play(main, fresh_s=20, batch=16)


def test_a_breaker_that_closes_is_noticed_by_its_first_success(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        world.call_s = 5
        await worker.submit(new_operation("probe", "vm"))
        await world.pass_s(1)
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=1_000)
        receipt = await worker.submit(new_operation("k", "vm"))
        await world.pass_s(1)
        world.permits.refusals.clear()
        record = await world.ended(receipt.id)
        assert record.finished_at - record.created_at < 15

    play(main)


def test_sleepers_cost_one_question_a_refusal_and_no_write(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        world.permits.refuse("vm@eastus", reason="breaker_open", for_s=30)
        for number in range(2_000):
            await worker.submit(new_operation(f"k{number}", "vm", lane=Lane.BACKLOG))
        await world.pass_s(10)
        commits, asked = world.store.writes.commits, len(world.permits.asked)
        for _ in range(120):  # An hour, refused 30 s at a time.
            world.permits.refuse("vm@eastus", reason="breaker_open", for_s=30)
            await world.pass_s(30)
        scans = 121
        assert world.store.writes.commits - commits <= scans  # A scan forgets what is old.
        assert len(world.permits.asked) - asked <= 121
        assert (await worker.counts())[OperationState.READY] == 2_000

    play(main, scan_s=30)


def test_a_trickle_reads_no_more_than_it_lets_in(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        world.permits.refuse("vm@eastus", reason=HELD, for_s=1)
        for number in range(200):
            await worker.submit(new_operation(f"k{number}", "vm", lane=Lane.BACKLOG))
        await world.pass_s(1.5)
        world.permits.refusals.clear()
        await world.pass_s(20)
        assert (await worker.counts())[OperationState.SUCCEEDED] == 200

    play(main)


def test_what_was_refused_in_the_middle_is_finished_before_what_comes_later(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        world.permits.refuse("disk@eastus", reason="fresh_shed", for_s=10)
        await worker.submit(new_operation("early", "vm", "disk"))
        await world.pass_s(5)
        await worker.submit(new_operation("late", "disk"))
        await world.pass_s(10)
        assert [arguments for _, arguments in world.calls] == [
            "vm of early",
            "disk of early",
            "disk of late",
        ]

    play(main, in_flight_max=1)


def test_submissions_of_one_instant_share_a_commit(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        worker = world.worker()
        await world.pass_s(1)
        commits = world.store.writes.commits
        tasks = [
            world.loop.create_task(worker.submit(new_operation(f"k{number}", "vm")))
            for number in range(100)
        ]
        for task in tasks:
            await task
        assert world.store.writes.commits - commits <= 3

    play(main)
