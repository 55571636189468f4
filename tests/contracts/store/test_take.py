"""What every store promises of taking what is due."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from surgetank.core.operation import OperationState
from surgetank.safeguards.operations.progress import begin, expire
from surgetank.safeguards.operations.record import Change, Record, Saved
from surgetank.safeguards.operations.store import Store, Taken

WithStore = Callable[[Callable[[Store], Coroutine[Any, Any, None]]], None]
New = Callable[..., Record]
QUEUE = "0 vm@eastus"


def begin_all(records: Sequence[Record]) -> list[Change]:
    return [Change(each, begin(each, 0, lease_until=900.0, worker="w1")) for each in records]


def begin_none(records: Sequence[Record]) -> list[Change]:
    del records
    return []


async def taken(store: Store, *, now: float = 135.0, limit: int = 9) -> Taken:
    return await store.take(QUEUE, now=now, limit=limit, decide=begin_all)


async def filled(store: Store, record: New) -> None:
    for key, now in (("c", 130.0), ("a", 110.0), ("b", 120.0), ("d", 140.0)):
        await store.submit(record(key, now=now))


def keys(taken: Taken) -> str:
    return "".join(each.key for each in taken.due.records)


def test_takes_what_is_due_longest_due_first(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        await filled(store, record)
        first = await taken(store, limit=2)
        assert (keys(first), first.saved) == ("ab", (Saved.DONE, Saved.DONE))
        assert keys(await taken(store)) == "c"
        for each in first.due.records:
            stored = await store.read(each.id)
            assert stored is not None
            assert (stored.state, stored.queue, stored.fence) == (OperationState.RUNNING, "!", 1)

    with_store(body)


def test_says_when_to_come_again(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        await filled(store, record)
        more = (await taken(store, limit=2)).due.next_at
        assert more is not None
        assert more <= 135.0
        assert (await taken(store)).due.next_at == 140.0
        assert (await taken(store, now=140.0)).due.next_at is None

    with_store(body)


def test_takes_nothing_of_another_queue(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        await filled(store, record)
        other = await store.take("0 disk@eastus", now=999.0, limit=9, decide=begin_all)
        assert other == (((), None), ())

    with_store(body)


def test_what_is_not_decided_on_stays(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        await filled(store, record)
        left = await store.take(QUEUE, now=999.0, limit=9, decide=begin_none)
        assert (keys(left), left.saved) == ("abcd", ())
        some = await store.take(
            QUEUE, now=999.0, limit=9, decide=lambda records: begin_all(records[1:2])
        )
        assert some.saved == (Saved.DONE,)
        assert keys(await taken(store, now=999.0)) == "acd"

    with_store(body)


def test_a_decision_that_raises_takes_nothing(with_store: WithStore, record: New) -> None:
    def decide(records: Sequence[Record]) -> list[Change]:
        raise LookupError(len(records))

    async def body(store: Store) -> None:
        await filled(store, record)
        with pytest.raises(LookupError, match="3"):
            await store.take(QUEUE, now=135.0, limit=9, decide=decide)
        assert keys(await taken(store)) == "abc"

    with_store(body)


def test_what_is_taken_and_ends_lets_the_next_of_its_subject_begin(
    with_store: WithStore, record: New
) -> None:
    def end_all(records: Sequence[Record]) -> list[Change]:
        return [Change(each, expire(each, now=200.0)) for each in records]

    async def body(store: Store) -> None:
        older = record("old", subject="blue", generation=1)
        newer = record("new", subject="blue", generation=2)
        await store.submit(older)
        (begun,) = (await taken(store)).due.records
        await store.submit(newer)
        begun = begun._replace(fence=1)
        landed = begun._replace(state=OperationState.WAITING, queue=QUEUE, run_at=120.0)
        assert await store.save([Change(begun, landed)]) == (Saved.STOPPED,)
        assert (await store.survey()).queues == {QUEUE: 120.0, f"={QUEUE}": 100.0}
        await store.take(QUEUE, now=135.0, limit=9, decide=end_all)
        assert (await store.survey()).queues == {QUEUE: 100.0}

    with_store(body)


def test_one_that_was_told_to_stop_says_so_to_who_takes_it(
    with_store: WithStore, record: New
) -> None:
    async def body(store: Store) -> None:
        await store.submit(record("k"))
        (begun,) = (await taken(store)).due.records
        begun = begun._replace(fence=1)
        assert await store.stop(begun.id, OperationState.CANCELLED)
        landed = begun._replace(state=OperationState.WAITING, queue=QUEUE, run_at=120.0)
        await store.save([Change(begun, landed)])
        (again,) = (await taken(store)).due.records
        assert again.stop == OperationState.CANCELLED
        assert not await store.stop(record("other").id, OperationState.CANCELLED)

    with_store(body)


def test_one_that_waits_cannot_be_told_to_stop(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        new = record("k")
        await store.submit(new)
        assert not await store.stop(new.id, OperationState.CANCELLED)
        stored = await store.read(new.id)
        assert stored is not None
        assert stored.stop == ""

    with_store(body)


def test_being_told_to_stop_takes_no_lease_away(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        await store.submit(record("k"))
        (begun,) = (await taken(store)).due.records
        assert await store.stop(begun.id, OperationState.CANCELLED)
        assert await store.renew([(begun.id, 1)], until=950.0) == (True,)

    with_store(body)


def test_an_end_that_was_reached_before_the_stop_is_no_stop(
    with_store: WithStore, record: New
) -> None:
    async def body(store: Store) -> None:
        await store.submit(record("k"))
        (begun,) = (await taken(store)).due.records
        await store.stop(begun.id, OperationState.CANCELLED)
        begun = begun._replace(fence=1)
        assert await store.save([Change(begun, expire(begun, now=200.0))]) == (Saved.DONE,)
        stored = await store.read(begun.id)
        assert stored is not None
        assert (stored.state, stored.stop) == (OperationState.EXPIRED, "")

    with_store(body)


def test_names_of_time_ordered_keys_keep_their_order(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        key = "018f3c1e-7b2a-7abc-8def-0123456789ab"
        new = record(key)
        assert new.id == "018f3c1e7b2a7abc8def0123456789ab"
        assert await store.submit(new)
        assert not await store.submit(record(key, now=999.0))
        for other in (key.upper(), new.id):
            assert await store.submit(record(other)), "another key is another operation"

    with_store(body)
