"""What every store of operations promises."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from surgetank.core.errors import ConflictError, QueueFullError
from surgetank.core.operation import OperationState, StepState
from surgetank.core.value import Lane
from surgetank.safeguards.operations.progress import begin, expire
from surgetank.safeguards.operations.record import Change, Record, Saved, identify
from surgetank.safeguards.operations.store import Store

WithStore = Callable[[Callable[[Store], Coroutine[Any, Any, None]]], None]
New = Callable[..., Record]


async def stored(store: Store, record: Record) -> Record:
    """Submit and read back."""
    await store.submit(record)
    found = await store.read(record.id)
    assert found is not None, "what was acknowledged is there"
    return found


def test_reads_back_what_was_submitted(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        new = record("k", deadline_at=500.0)
        assert await stored(store, new) == new._replace(number=1)
        assert await store.read(identify("other")) is None

    with_store(body)


def test_the_same_key_and_body_is_stored_once(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        assert await store.submit(record("k"))
        assert not await store.submit(record("k", now=999.0))
        assert sum(tally.operations for tally in await store.tally()) == 1

    with_store(body)


@pytest.mark.parametrize("change", [{"kind": "x"}, {"region": "x"}, {"steps": ()}])
def test_the_same_key_with_another_body_conflicts(
    with_store: WithStore, record: New, change: dict[str, Any]
) -> None:
    async def body(store: Store) -> None:
        await store.submit(record("k"))
        with pytest.raises(ConflictError):
            await store.submit(record("k")._replace(**change))

    with_store(body)


def test_a_conflict_leaves_the_writes_beside_it_alone(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        await store.submit(record("k"))
        other = record("k")._replace(kind="x")
        results = await asyncio.gather(
            store.submit(record("a")),
            store.submit(other),
            store.submit(record("b")),
            return_exceptions=True,
        )
        assert (results[0], results[2]) == (True, True)
        assert isinstance(results[1], ConflictError)

    with_store(body)


def test_keeps_every_field_of_a_change(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        before = await stored(store, record("k"))
        begun = begin(before, 1, lease_until=160.0, worker="w1")
        step = begun.progress[1]._replace(
            tries=3,
            sleeps=2,
            is_fallback=True,
            is_given_up=True,
            checkpoint="here",
            detail="said",
        )
        after = begun._replace(
            progress=(begun.progress[0], step),
            lane=Lane.BACKLOG,
            finished_at=170.0,
            detail="why",
        )
        assert await store.save([Change(before, after)]) == (Saved.DONE,)
        assert await store.read(before.id) == after._replace(fence=1)

    with_store(body)


def test_a_change_from_a_stale_record_writes_nothing(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        before = await stored(store, record("k"))
        mine = begin(before, 0, lease_until=160.0, worker="w1")
        theirs = begin(before, 1, lease_until=170.0, worker="w2")
        saved = await store.save([Change(before, mine), Change(before, theirs)])
        assert saved == (Saved.DONE, Saved.LOST)
        assert await store.read(before.id) == mine._replace(fence=1)

    with_store(body)


def test_a_renewed_lease_cannot_be_taken_over(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        before = await stored(store, record("k"))
        await store.save([Change(before, begin(before, 0, lease_until=160.0, worker="w1"))])
        (lapsed,) = (await store.due("!", now=161.0, limit=9)).records
        assert await store.renew([(before.id, 1), (before.id, 0)], until=220.0) == (True, False)
        taken = lapsed._replace(state=OperationState.WAITING)
        assert await store.save([Change(lapsed, taken, due_by=161.0)]) == (Saved.LOST,)

    with_store(body)


def test_due_is_longest_due_first_and_says_when_the_next_is(
    with_store: WithStore, record: New
) -> None:
    async def body(store: Store) -> None:
        for key, now in (("c", 130.0), ("a", 110.0), ("b", 120.0), ("d", 140.0)):
            await store.submit(record(key, now=now))
        due = await store.due("0 vm@eastus", now=135.0, limit=2)
        assert ([each.key for each in due.records], due.next_at) == (["a", "b"], 130.0)
        due = await store.due("0 vm@eastus", now=135.0, limit=9)
        assert ([each.key for each in due.records], due.next_at) == (["a", "b", "c"], 140.0)
        assert await store.due("0 other", now=135.0, limit=9) == ((), None)

    with_store(body)


def test_queues_say_when_their_first_is_due(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        assert (await store.survey()).queues == {}
        for key, now in (("c", 130.0), ("a", 110.0)):
            await store.submit(record(key, now=now))
        before = await stored(store, record("b", now=105.0))
        await store.save([Change(before, begin(before, 0, lease_until=160.0, worker="w1"))])
        assert (await store.survey()).queues == {"0 vm@eastus": 110.0, "!": 160.0}

    with_store(body)


def test_late_is_what_waits_past_its_deadline(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        for key, at in (("b", 300.0), ("a", 200.0), ("c", 400.0), ("never", None)):
            await store.submit(record(key, deadline_at=at))
        begun = await stored(store, record("begun", deadline_at=150.0))
        await store.save([Change(begun, begin(begun, 0, lease_until=900.0, worker="w1"))])
        late = await store.late(now=300.0, limit=9)
        assert ([each.key for each in late.records], late.next_at) == (["a", "b"], 400.0)
        late = await store.late(now=300.0, limit=1)
        assert ([each.key for each in late.records], late.next_at) == (["a"], 300.0)

    with_store(body)


def test_forgets_only_what_ended_before_and_owes_nothing(
    with_store: WithStore, record: New
) -> None:
    async def body(store: Store) -> None:
        for key, ended_at, queue in (
            ("old", 200.0, None),
            ("new", 400.0, None),
            ("owes", 200.0, "1 x"),
        ):
            before = await stored(store, record(key))
            after = expire(before, now=ended_at)._replace(queue=queue)
            await store.save([Change(before, after)])
        await store.submit(record("open"))
        assert await store.forget(before=300.0, limit=9) == 1
        assert await store.read(identify("old")) is None
        assert sum(tally.operations for tally in await store.tally()) == 3

    with_store(body)


def test_tallies_by_lane_state_and_debt(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        for key in ("a", "b"):
            await store.submit(record(key))
        before = await stored(store, record("c"))
        step = before.progress[0]._replace(state=StepState.OWED)
        after = before._replace(state=OperationState.SUCCEEDED, progress=(step, before.progress[1]))
        await store.save([Change(before, after)])
        assert sorted(await store.tally()) == [
            (Lane.FRESH, OperationState.READY, 2, 0),
            (Lane.FRESH, OperationState.SUCCEEDED, 1, 1),
        ]

    with_store(body)


def test_takes_in_no_more_than_it_may_hold(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        for number in range(20):
            await store.submit(record(f"k{number}"))
        with pytest.raises(QueueFullError, match="20"):
            await store.submit(record("k20"))
        assert not await store.submit(record("k0"))

    with_store(body)


def test_more_writes_than_may_wait_are_refused_and_not_made(
    with_store: WithStore, record: New
) -> None:
    async def body(store: Store) -> None:
        before = await stored(store, record("k"))
        renewals = (store.renew([(before.id, 0)], until=200.0 + each) for each in range(40))
        results = await asyncio.gather(*renewals, return_exceptions=True)
        assert results.count((True,)) == 30
        assert sum(isinstance(result, QueueFullError) for result in results) == 10

    with_store(body)


def test_a_caller_that_goes_away_does_not_undo_its_write(
    with_store: WithStore, record: New
) -> None:
    async def body(store: Store) -> None:
        tasks = [asyncio.ensure_future(store.submit(record(key))) for key in ("a", "b")]
        await asyncio.ensure_future(store.tally())
        tasks[0].cancel()
        assert await tasks[1]
        assert await store.read(identify("a")) is not None

    with_store(body)
