"""A schema that is newer than ours: who may use it, and what becomes of those who use it already."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from surgetank.core.errors import IntegrityError
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.safeguards.operations.migrations import Schema, check_readable, migrations
from surgetank.safeguards.operations.record import Record, identify
from surgetank.safeguards.operations.sqlite import SQLiteStore
from surgetank.safeguards.operations.store import Store

New = Callable[..., Record]
CUT = """select pg_terminate_backend(pid, 5000) from pg_stat_activity
 where pid <> pg_backend_pid() and datname = current_database()"""


class SQLitePlace:
    """A file, and what a newer release says in it."""

    def __init__(self, folder: Path) -> None:
        self.ours = len(migrations("sqlite"))
        self._path = str(folder / "operations.db")

    async def open(self) -> Store:
        return await SQLiteStore.open(self._path, InlineBlocking(), busy_s=0.01)

    async def say(self, version: int, readable_from: int | None) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute(f"pragma user_version = {version}")
        if readable_from is not None:
            connection.execute("insert into migration values (?, ?)", (version, readable_from))
        connection.close()

    async def operations(self) -> int:
        connection = sqlite3.connect(self._path)
        ((found,),) = connection.execute("select count(*) from operation")
        connection.close()
        return int(found)

    async def forget(self) -> None:
        """Make it a store of before releases said who may use it."""
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("drop table migration")
        connection.close()


class PostgresPlace:
    """A database, and what a newer release says in it while nobody is connected."""

    def __init__(self, address: str) -> None:
        self.ours = len(migrations("postgres"))
        self._address = address

    async def open(self) -> Store:
        from surgetank.safeguards.operations.postgres import (  # noqa: PLC0415 - an extra
            PostgresStore,
        )

        return await PostgresStore.open(self._address)

    async def say(self, version: int, readable_from: int | None) -> None:
        keep = "insert into surgetank.migration (version, readable_from) values (%s, %s)"
        await self._ask((CUT, ()), (keep, (version, readable_from)))

    async def operations(self) -> int:
        ((found,),) = await self._ask(("select count(*) from surgetank.operation", ()))
        return int(found)

    async def forget(self) -> None:
        """Make it a store of before releases said who may use it."""
        await self._ask(("alter table surgetank.migration drop column readable_from", ()))

    async def _ask(self, *queries: tuple[Any, Any]) -> list[Any]:
        import psycopg  # noqa: PLC0415 - an extra

        rows = list[Any]()
        async with await psycopg.AsyncConnection.connect(self._address) as connection:
            for query, arguments in queries:
                found = await connection.execute(query, arguments)
                rows = await found.fetchall() if found.description else []
        return rows


Place = SQLitePlace | PostgresPlace


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a store may be."""
    if request.param == "sqlite":
        return SQLitePlace(tmp_path)
    return PostgresPlace(request.getfixturevalue("database"))


def play(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(body())


@pytest.mark.parametrize(
    ("found", "newest"), [((0, 0), 1), ((3, 3), 3), ((4, 3), 3), ((9, 2), 3), ((2, 1), 3)]
)
def test_a_release_that_is_new_enough_may_use_a_schema(found: Any, newest: int) -> None:
    check_readable(Schema(*found), newest=newest, name="it")


@pytest.mark.parametrize(("found", "newest"), [((4, 4), 3), ((9, 4), 3), ((2, 2), 1)])
def test_a_release_that_is_too_old_is_refused(found: Any, newest: int) -> None:
    with pytest.raises(IntegrityError, match=f"^it: schema version {found[0]} is for releases"):
        check_readable(Schema(*found), newest=newest, name="it")


def test_every_migration_says_who_may_use_a_store_then() -> None:
    for folder in ("sqlite", "postgres", "ledger"):
        for each in migrations(folder):
            assert 1 <= each.readable_from <= each.version


def test_starts_on_a_newer_schema_that_it_may_use(place: Place, record: New) -> None:
    async def body() -> None:
        store = await place.open()
        await store.submit(record("a"))
        await store.close()
        await place.say(place.ours + 1, place.ours)
        await place.say(place.ours + 2, 1)
        store = await place.open()
        assert await store.submit(record("b"))
        assert [await store.read(identify(key)) is not None for key in "ab"] == [True, True]
        await store.close()

    play(body)


@pytest.mark.parametrize(
    "later",
    [
        [(1, 1)],
        [(1, None)],  # Nothing is said: for its own version alone.
        [(1, 1), (2, 0)],  # What shut us out once is not taken back.
        [(1, 0), (2, 1)],
    ],
)
def test_refuses_a_newer_schema_that_it_may_not_use(
    place: Place, later: list[tuple[int, int | None]]
) -> None:
    async def body() -> None:
        await (await place.open()).close()
        for up, readable in later:
            await place.say(place.ours + up, None if readable is None else place.ours + readable)
        with pytest.raises(IntegrityError, match=f"schema version {place.ours + later[-1][0]} is"):
            await place.open()

    play(body)


def test_a_store_that_says_nothing_is_for_its_own_version(place: Place, record: New) -> None:
    async def body() -> None:
        await (await place.open()).close()
        await place.forget()
        store = await place.open()
        assert await store.submit(record("a"))
        await store.close()

    play(body)


def test_goes_on_when_a_schema_that_it_may_use_comes_meanwhile(place: Place, record: New) -> None:
    async def body() -> None:
        store = await place.open()
        await place.say(place.ours + 1, place.ours)
        assert await store.submit(record("a"))
        assert await store.read(identify("a")) is not None
        await store.close()

    play(body)


def test_writes_nothing_to_a_schema_that_it_may_not_use_any_more(place: Place, record: New) -> None:
    async def body() -> None:
        store, other = await place.open(), await place.open()
        await place.say(place.ours + 1, place.ours + 1)
        with pytest.raises(IntegrityError, match=f"schema version {place.ours + 1} is for"):
            await store.submit(record("a"))
        await place.say(place.ours + 2, 1)
        with pytest.raises(IntegrityError, match=f"{place.ours + 1} or more"):
            await other.submit(record("b"))
        for each in (store, other):
            await each.close()
        assert await place.operations() == 0

    play(body)
