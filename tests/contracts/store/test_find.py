"""What every store promises of lists of operations."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from surgetank.core.operation import OperationState
from surgetank.core.value import Lane
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.safeguards.operations.progress import begin, expire
from surgetank.safeguards.operations.record import Change, Record
from surgetank.safeguards.operations.sqlite import SQLiteStore
from surgetank.safeguards.operations.store import EXAMINED_MAX, Filter, Store

WithStore = Callable[[Callable[[Store], Coroutine[Any, Any, None]]], None]
New = Callable[..., Record]
EVERYTHING = Filter()


async def submitted(store: Store, record: Record) -> Record:
    await store.submit(record)
    found = await store.read(record.id)
    assert found is not None, "what was acknowledged is there"
    return found


async def filled(store: Store, record: New) -> None:
    """Five operations that differ in all that can be filtered by."""
    await store.submit(record("a", lane=Lane.BACKLOG))
    await store.submit(record("b", kind="x"))
    await store.submit(record("c", region="x"))
    await store.submit(record("d", subject="x"))
    ends = await submitted(store, record("e"))
    await store.save([Change(ends, expire(ends, now=200.0))])
    begins = await submitted(store, record("f"))
    await store.save([Change(begins, begin(begins, 0, lease_until=900.0, worker="w1"))])


async def found(store: Store, wanted: Filter, *, limit: int = 9) -> str:
    """Keys on all pages."""
    keys, after = "", 0
    while True:
        page = await store.find(wanted, after=after, limit=limit)
        assert len(page.records) <= limit
        keys += "".join(each.key for each in page.records)
        if page.next_after is None:
            return keys
        assert page.next_after > after, "pages go on"
        after = page.next_after


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        (EVERYTHING, "abcdef"),
        (Filter(lane=Lane.BACKLOG), "a"),
        (Filter(kind="x"), "b"),
        (Filter(region="x"), "c"),
        (Filter(subject="x"), "d"),
        (Filter(subject=""), "abcef"),
        (Filter(states=(OperationState.EXPIRED,)), "e"),
        (Filter(states=(OperationState.EXPIRED, OperationState.RUNNING)), "ef"),
        (Filter(states=(OperationState.READY,), lane=Lane.FRESH, region="eastus"), "bd"),
        (Filter(kind="x", region="x"), ""),
        (Filter(kind="' or 1=1 --"), ""),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 200])
def test_lists_what_passes_the_filter_in_order_of_submission(
    with_store: WithStore, record: New, wanted: Filter, keys: str, limit: int
) -> None:
    async def body(store: Store) -> None:
        await filled(store, record)
        assert await found(store, wanted, limit=limit) == keys

    with_store(body)


def test_nothing_stored_is_a_page_without_a_next(with_store: WithStore) -> None:
    async def body(store: Store) -> None:
        assert await store.find(EVERYTHING, after=0, limit=9) == ((), None)

    with_store(body)


def test_a_page_holds_whole_records(with_store: WithStore, record: New) -> None:
    async def body(store: Store) -> None:
        await filled(store, record)
        page = await store.find(EVERYTHING, after=0, limit=9)
        assert list(page.records) == [await store.read(each.id) for each in page.records]

    with_store(body)


def test_pages_leave_nothing_out_when_operations_are_forgotten_between_them(
    with_store: WithStore, record: New
) -> None:
    async def body(store: Store) -> None:
        await filled(store, record)
        first = await store.find(EVERYTHING, after=0, limit=5)
        assert first.next_after is not None
        assert await store.forget(before=300.0, limit=9) == 1
        rest = await store.find(EVERYTHING, after=first.next_after, limit=5)
        assert [each.key for each in rest.records] == ["f"]

    with_store(body)


def test_one_page_looks_at_no_more_than_it_may_and_says_where_to_go_on(record: New) -> None:
    async def main(loop: VirtualLoop) -> None:
        del loop
        store = await SQLiteStore.open(":memory:", InlineBlocking(), pending_writes_max=20_000)
        keys = [f"k{number}" for number in range(EXAMINED_MAX + 1)]
        await asyncio.gather(*(store.submit(record(key)) for key in keys))
        await store.submit(record("last", kind="x"))
        first = await store.find(Filter(kind="x"), after=0, limit=9)
        assert first == ((), EXAMINED_MAX)
        (rest, then) = await store.find(Filter(kind="x"), after=EXAMINED_MAX, limit=9)
        assert ([each.key for each in rest], then) == (["last"], None)
        await store.close()

    run(main)
