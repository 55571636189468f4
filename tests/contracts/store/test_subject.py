"""Of one subject the newest generation runs, one operation at a time: on every store."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from surgetank.core.operation import OperationState, StepState
from surgetank.safeguards.operations.progress import begin, cancel, expire, redrive, stop
from surgetank.safeguards.operations.record import Change, Record, Saved
from surgetank.safeguards.operations.store import Filter, Store

WithStore = Callable[[Callable[[Store], Coroutine[Any, Any, None]]], None]
New = Callable[..., Record]
READY, RUNNING = OperationState.READY, OperationState.RUNNING
SUPERSEDED, EXPIRED = OperationState.SUPERSEDED, OperationState.EXPIRED
QUEUE = "0 vm@eastus"


@pytest.fixture
def wanted(record: New) -> New:
    """Make the record of a generation of the subject `blue`; its key is its generation."""

    def make(generation: int, **changes: Any) -> Record:
        key = changes.pop("key", f"g{generation}")
        return record(key, **{"subject": "blue", "generation": generation, **changes})

    return make


async def submitted(store: Store, record: Record) -> Record:
    assert await store.submit(record)
    return await stored(store, record)


async def stored(store: Store, record: Record) -> Record:
    found = await store.read(record.id)
    assert found is not None, "what was acknowledged is there"
    return found


async def leased(store: Store, record: Record) -> Record:
    """Submit and begin it."""
    before = await submitted(store, record)
    begun = begin(before, 0, lease_until=900.0, worker="w1")
    assert await store.save([Change(before, begun)]) == (Saved.DONE,)
    return begun._replace(fence=before.fence + 1)


async def ended(store: Store, before: Record) -> None:
    (saved,) = await store.save([Change(before, expire(before, now=200.0))])
    assert saved is Saved.DONE


async def states(store: Store, *records: Record) -> list[tuple[OperationState, str | None]]:
    """State and queue of each."""
    return [((found := await stored(store, each)).state, found.queue) for each in records]


def test_a_newer_one_ends_an_older_that_waits(with_store: WithStore, wanted: New) -> None:
    async def body(store: Store) -> None:
        older, newer = wanted(1), wanted(2, now=150.0)
        await store.submit(older)
        await store.submit(newer)
        assert await states(store, older, newer) == [(SUPERSEDED, None), (READY, QUEUE)]
        assert (await stored(store, older)).finished_at == 150.0
        assert await store.generation("blue") == 2

    with_store(body)


def test_a_newer_one_waits_for_an_older_whose_call_is_under_way(
    with_store: WithStore, wanted: New
) -> None:
    async def body(store: Store) -> None:
        older = await leased(store, wanted(1))
        newer = await submitted(store, wanted(2))
        assert newer.queue == f"={QUEUE}"
        assert (await stored(store, older)).stop == SUPERSEDED
        saved = await store.save([Change(older, older._replace(run_at=950.0))])
        assert saved == (Saved.STOPPED,)
        older = await stored(store, older)
        await store.save([Change(older, stop(older, SUPERSEDED, now=200.0))])
        assert await states(store, older, newer) == [(SUPERSEDED, None), (READY, QUEUE)]
        assert (await stored(store, older)).stop == ""

    with_store(body)


@pytest.mark.parametrize("generation", [0, 1])
def test_one_that_is_no_newer_ends_at_once(
    with_store: WithStore, wanted: New, generation: int
) -> None:
    async def body(store: Store) -> None:
        newest = await submitted(store, wanted(1))
        late = wanted(generation, key="late")
        assert await store.submit(late)
        assert await states(store, newest, late) == [(READY, QUEUE), (SUPERSEDED, None)]
        assert (await stored(store, late)).finished_at == late.created_at
        assert (await stored(store, late)).detail
        assert await store.generation("blue") == 1

    with_store(body)


def test_one_that_is_no_newer_ends_also_when_the_newest_has(
    with_store: WithStore, wanted: New
) -> None:
    async def body(store: Store) -> None:
        await ended(store, await submitted(store, wanted(2)))
        late = await submitted(store, wanted(1))
        assert late.state is SUPERSEDED

    with_store(body)


def test_a_newer_one_leaves_an_older_that_has_ended_alone(
    with_store: WithStore, wanted: New
) -> None:
    async def body(store: Store) -> None:
        older = await submitted(store, wanted(1))
        await ended(store, older)
        newer = await submitted(store, wanted(2))
        assert await states(store, older, newer) == [(EXPIRED, None), (READY, QUEUE)]

    with_store(body)


def test_a_third_takes_the_place_of_the_second_and_waits_for_the_first(
    with_store: WithStore, wanted: New
) -> None:
    async def body(store: Store) -> None:
        first = await leased(store, wanted(1))
        second, third = await submitted(store, wanted(2)), await submitted(store, wanted(3))
        assert (await states(store, second, third)) == [(SUPERSEDED, None), (READY, f"={QUEUE}")]
        await ended(store, first)
        assert await states(store, second, third) == [(SUPERSEDED, None), (READY, QUEUE)]

    with_store(body)


def test_the_end_of_one_that_waits_does_not_let_the_next_begin(
    with_store: WithStore, wanted: New
) -> None:
    async def body(store: Store) -> None:
        first = await leased(store, wanted(1))
        second = await submitted(store, wanted(2))
        cancelled = cancel(second, now=150.0)
        assert cancelled is not None, "it waits"
        await store.save([Change(second, cancelled)])
        third = await submitted(store, wanted(3))
        assert third.queue == f"={QUEUE}"
        await ended(store, first)
        assert (await stored(store, third)).queue == QUEUE

    with_store(body)


def test_one_that_owes_gives_its_debts_up_to_a_newer(with_store: WithStore, wanted: New) -> None:
    async def body(store: Store) -> None:
        older = await submitted(store, wanted(1))
        owed = older.progress[1]._replace(state=StepState.OWED)
        owing = older._replace(
            state=OperationState.SUCCEEDED,
            progress=(older.progress[0], owed),
            queue="1 disk@eastus",
            finished_at=120.0,
        )
        await store.save([Change(older, owing)])
        await store.submit(wanted(2))
        assert await states(store, older) == [(OperationState.SUCCEEDED, None)]
        assert sum(tally.owed for tally in await store.tally()) == 0

    with_store(body)


def test_the_same_key_again_changes_nothing(with_store: WithStore, wanted: New) -> None:
    async def body(store: Store) -> None:
        first = await leased(store, wanted(1))
        assert not await store.submit(wanted(1))
        second = await submitted(store, wanted(2))
        assert not await store.submit(wanted(2))
        assert not await store.submit(wanted(1))
        assert await states(store, first, second) == [(RUNNING, "!"), (READY, f"={QUEUE}")]

    with_store(body)


def test_many_in_one_commit_leave_the_newest(with_store: WithStore, wanted: New) -> None:
    async def body(store: Store) -> None:
        records = [wanted(generation) for generation in (2, 1, 4, 3)]
        assert all(await asyncio.gather(*map(store.submit, records)))
        found = [state for state, _ in await states(store, *records)]
        assert found == [SUPERSEDED, SUPERSEDED, READY, SUPERSEDED]
        assert await store.generation("blue") == 4
        counted = {tally.state: tally.operations for tally in await store.tally()}
        assert counted == {READY: 1, SUPERSEDED: 3}

    with_store(body)


def test_an_end_and_a_newer_one_in_one_commit_leave_nobody_waiting(
    with_store: WithStore, wanted: New
) -> None:
    async def body(store: Store) -> None:
        first = await leased(store, wanted(1))
        second = wanted(2)
        change = Change(first, expire(first, now=200.0))
        await asyncio.gather(store.save([change]), store.submit(second))
        assert await states(store, first, second) == [(EXPIRED, None), (READY, QUEUE)]

    with_store(body)


def test_subjects_do_not_meddle_with_each_other(with_store: WithStore, wanted: New) -> None:
    async def body(store: Store) -> None:
        blue = await leased(store, wanted(1))
        green = await submitted(store, wanted(2, subject="green"))
        none = await submitted(store, wanted(0, key="none", subject=""))
        assert [green.queue, none.queue] == [QUEUE, QUEUE]
        assert (await stored(store, blue)).stop == ""
        assert [await store.generation(name) for name in ("blue", "green", "")] == [1, 2, None]

    with_store(body)


def test_a_subject_is_forgotten_with_its_newest_operation(
    with_store: WithStore, wanted: New
) -> None:
    async def body(store: Store) -> None:
        await ended(store, await submitted(store, wanted(5)))
        assert await store.forget(before=150.0, limit=9) == 0
        assert await store.generation("blue") == 5
        assert await store.forget(before=300.0, limit=9) == 1
        assert await store.generation("blue") is None
        assert (await submitted(store, wanted(1))).queue == QUEUE

    with_store(body)


def test_a_subject_is_remembered_while_the_next_would_have_to_wait(
    with_store: WithStore, wanted: New
) -> None:
    async def body(store: Store) -> None:
        await leased(store, wanted(1))
        await ended(store, await submitted(store, wanted(2)))
        assert await store.forget(before=300.0, limit=9) == 1
        assert (await submitted(store, wanted(3))).queue == f"={QUEUE}"

    with_store(body)


def test_one_that_begins_again_waits_for_an_older_whose_call_is_under_way(
    with_store: WithStore, wanted: New
) -> None:
    async def body(store: Store) -> None:
        first = await leased(store, wanted(1))
        second = await submitted(store, wanted(2))
        await ended(store, second)
        expired = await stored(store, second)
        again = redrive(expired, is_done=None, now=250.0)
        assert await store.save([Change(expired, again)]) == (Saved.DONE,)
        assert (await stored(store, second)).queue == f"={again.queue}"
        await ended(store, first)
        assert (await stored(store, second)).queue == again.queue

    with_store(body)


def test_one_whose_place_was_taken_does_not_begin_again(with_store: WithStore, wanted: New) -> None:
    async def body(store: Store) -> None:
        older = await submitted(store, wanted(1))
        await ended(store, older)
        expired = await stored(store, older)
        again = Change(expired, redrive(expired, is_done=None, now=250.0))
        newer = await submitted(store, wanted(2))
        assert await store.save([again]) == (Saved.LOST,)
        assert await states(store, older, newer) == [(EXPIRED, None), (READY, QUEUE)]
        counted = {tally.state: tally.operations for tally in await store.tally()}
        assert counted == {READY: 1, EXPIRED: 1}

    with_store(body)


def test_a_page_shows_where_each_of_a_subject_stands(with_store: WithStore, wanted: New) -> None:
    async def body(store: Store) -> None:
        await leased(store, wanted(1))
        for generation in (2, 3):
            await store.submit(wanted(generation))
        page = await store.find(Filter(subject="blue"), after=0, limit=9)
        found = [(each.generation, each.state, each.stop) for each in page.records]
        assert found == [(1, RUNNING, SUPERSEDED), (2, SUPERSEDED, ""), (3, READY, "")]

    with_store(body)
