"""What every store promises of holds."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from surgetank.core.errors import QueueFullError
from surgetank.safeguards.operations.hold import HOLDS_MAX, Hold, HoldScope
from surgetank.safeguards.operations.store import Store

WithStore = Callable[[Callable[[Store], Coroutine[Any, Any, None]]], None]
ALL = Hold(HoldScope.ALL, "", 100.5, "someone", "why ☃")
EAST = Hold(HoldScope.REGION, "eastus", 101.0)


async def holds(store: Store) -> tuple[Hold, ...]:
    return (await store.survey()).holds


def test_reads_back_what_is_held_oldest_first(with_store: WithStore) -> None:
    async def body(store: Store) -> None:
        assert await holds(store) == ()
        east, everything = await store.hold(EAST), await store.hold(ALL)
        assert await holds(store) == (east, everything)
        assert everything == ALL._replace(number=everything.number)
        assert 0 < east.number < everything.number

    with_store(body)


def test_a_hold_of_the_same_name_is_replaced_by_one_of_a_higher_number(
    with_store: WithStore,
) -> None:
    async def body(store: Store) -> None:
        first, other = await store.hold(EAST), await store.hold(ALL)
        again = await store.hold(EAST._replace(reason="still"))
        assert again.number > other.number > first.number
        assert await holds(store) == (other, again)

    with_store(body)


def test_the_same_name_in_another_scope_is_another_hold(with_store: WithStore) -> None:
    async def body(store: Store) -> None:
        await store.hold(EAST)
        await store.hold(EAST._replace(scope=HoldScope.KIND))
        assert len(await holds(store)) == 2

    with_store(body)


def test_numbers_rise_also_after_all_were_released(with_store: WithStore) -> None:
    async def body(store: Store) -> None:
        first = await store.hold(ALL)
        assert await store.release(first.number)
        assert (await store.hold(ALL)).number > first.number

    with_store(body)


def test_a_release_is_told_whether_there_was_such_a_hold(with_store: WithStore) -> None:
    async def body(store: Store) -> None:
        first = await store.hold(EAST)
        again = await store.hold(EAST)
        assert not await store.release(first.number)
        assert await store.release(again.number)
        assert not await store.release(again.number)
        assert await holds(store) == ()

    with_store(body)


def test_no_more_holds_than_may_be_and_one_of_them_can_still_be_replaced(
    with_store: WithStore,
) -> None:
    async def body(store: Store) -> None:
        names = [EAST._replace(name=f"r{number}") for number in range(HOLDS_MAX)]
        for start in range(0, HOLDS_MAX, 25):
            await asyncio.gather(*map(store.hold, names[start : start + 25]))
        with pytest.raises(QueueFullError, match=str(HOLDS_MAX)):
            await store.hold(ALL)
        replaced = await store.hold(names[0]._replace(reason="still"))
        found = await holds(store)
        assert (len(found), found[-1]) == (HOLDS_MAX, replaced)

    with_store(body)
