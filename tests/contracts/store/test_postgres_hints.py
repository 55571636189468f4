"""Nodes that share a database tell each other that there is something to do."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from surgetank.safeguards.operations.hold import Hold, HoldScope
from surgetank.safeguards.operations.record import Record

psycopg = pytest.importorskip("psycopg", reason="the package psycopg is not installed")

from surgetank.safeguards.operations.postgres import PostgresStore  # noqa: E402 - after the check

New = Callable[..., Record]


def play(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30):
            await body()

    asyncio.run(main())


async def listening(database: str) -> tuple[PostgresStore, asyncio.Event]:
    """A node that listens, once it does."""
    store, heard = await PostgresStore.open(database), asyncio.Event()
    store.listen(heard.set)
    await heard.wait()
    heard.clear()
    return store, heard


def test_a_node_is_told_of_what_another_took_in(database: str, record: New) -> None:
    async def body() -> None:
        here, heard = await listening(database)
        there = await PostgresStore.open(database)
        await there.submit(record("k"))
        await heard.wait()
        await asyncio.gather(here.close(), there.close())

    play(body)


def test_a_node_is_told_of_every_burst_though_not_of_every_write(
    database: str, record: New
) -> None:
    async def body() -> None:
        here, heard = await listening(database)
        there = await PostgresStore.open(database)
        for burst in range(3):
            await asyncio.gather(*(there.submit(record(f"{burst} {n}")) for n in range(50)))
            await heard.wait()
            heard.clear()
        await asyncio.gather(here.close(), there.close())

    play(body)


def test_a_node_is_told_of_a_hold_and_of_its_release(database: str) -> None:
    async def body() -> None:
        here, heard = await listening(database)
        there = await PostgresStore.open(database)
        held = await there.hold(Hold(HoldScope.ALL, "", 100.0))
        await heard.wait()
        heard.clear()
        await there.release(held.number)
        await heard.wait()
        await asyncio.gather(here.close(), there.close())

    play(body)


def test_a_node_whose_ear_was_cut_off_listens_again(
    database: str, record: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("surgetank.safeguards.operations.postgres_listen.LISTEN_RETRY_S", 0.05)

    async def body() -> None:
        here, heard = await listening(database)
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as other:
            await other.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen%%'"
            )
        await heard.wait()  # It listens again, and something may have been missed.
        heard.clear()
        there = await PostgresStore.open(database)
        await there.submit(record("k"))
        await heard.wait()
        await asyncio.gather(here.close(), there.close())

    play(body)
