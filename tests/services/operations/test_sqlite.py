"""The SQLite store beyond the contract: its file, its schema, and what it says when disks fail."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import pytest

from surgetank.core.errors import (
    DependencyError,
    DependencyTimeoutError,
    IntegrityError,
    InvalidInputError,
    QueueFullError,
)
from surgetank.core.operation import NewOperation
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.safeguards.operations.migrations import migrations
from surgetank.safeguards.operations.progress import new_record
from surgetank.safeguards.operations.record import Record, identify
from surgetank.safeguards.operations.sqlite import SQLiteStore
from surgetank.safeguards.operations.sqlite_schema import check_version, connect

New = Callable[..., NewOperation]


def play(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def main(loop: VirtualLoop) -> None:
        del loop
        await body()

    run(main)


def open_store(path: Path, **limits: Any) -> Coroutine[Any, Any, SQLiteStore]:
    return SQLiteStore.open(str(path / "operations.db"), InlineBlocking(), busy_s=0.01, **limits)


def open_file(path: Path) -> tuple[sqlite3.Connection, SQLiteStore]:
    connection = connect(str(path / "operations.db"), busy_s=0.01)
    return connection, SQLiteStore(connection, InlineBlocking())


def record(new_operation: New, key: str, size: int = 0) -> Record:
    return new_record(new_operation(key, "vm", vm={"arguments": "x" * size}), now=100.0)


def test_a_sqlite_that_is_too_old_is_refused() -> None:
    with pytest.raises(
        InvalidInputError, match=r"^SQLite 3\.37\.2: a store takes 3\.38\.0 or later"
    ):
        check_version((3, 37, 2))


def test_the_oldest_sqlite_that_will_do_is_taken() -> None:
    check_version((3, 38, 0))


def test_a_commit_is_synced_and_readers_do_not_wait(tmp_path: Path) -> None:
    async def body() -> None:
        connection, store = open_file(tmp_path)
        found = {
            name: connection.execute(f"pragma {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
        await store.close()
        assert found == {
            "journal_mode": "wal",
            "synchronous": 2,
            "foreign_keys": 1,
            "busy_timeout": 10,
        }

    play(body)


def test_the_schema_has_a_version_and_opening_again_keeps_the_data(
    tmp_path: Path, new_operation: New
) -> None:
    async def body() -> None:
        connection, store = open_file(tmp_path)
        await store.submit(record(new_operation, "k"))
        version = connection.execute("pragma user_version").fetchone()[0]
        assert version == len(migrations("sqlite")) >= 1
        await store.close()
        store = await open_store(tmp_path)
        assert await store.read(identify("k")) is not None
        await store.close()

    play(body)


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        ("pragma user_version = 999", "schema version 999"),
        ("create table somebody (elses integer)", "other tables"),
    ],
)
def test_refuses_a_file_that_it_does_not_understand(
    tmp_path: Path, prepare: str, says: str
) -> None:
    connection = sqlite3.connect(tmp_path / "operations.db")
    connection.execute(prepare)
    connection.commit()
    connection.close()

    async def body() -> None:
        with pytest.raises(IntegrityError, match=says):
            await open_store(tmp_path)

    play(body)


@pytest.mark.parametrize("says", ["drop table tally", "alter table tally drop column owed"])
def test_a_table_that_is_not_ours_any_more_is_damage(tmp_path: Path, says: str) -> None:
    async def body() -> None:
        connection, store = open_file(tmp_path)
        connection.execute(says)
        with pytest.raises(IntegrityError, match="damaged or not ours: no such"):
            await store.tally()
        await store.close()

    play(body)


def test_refuses_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "operations.db").write_bytes(b"not a database at all" * 500)

    async def body() -> None:
        with pytest.raises(IntegrityError, match="damaged"):
            await open_store(tmp_path)

    play(body)


def test_refuses_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    async def body() -> None:
        with pytest.raises(DependencyError, match="unable to open") as caught:
            await open_store(tmp_path / "missing")
        assert not caught.value.may_have_acted

    play(body)


def test_a_full_disk_loses_nothing_that_was_acknowledged(
    tmp_path: Path, new_operation: New
) -> None:
    async def body() -> None:
        connection, store = open_file(tmp_path)
        pages = connection.execute("pragma page_count").fetchone()[0]
        connection.execute(f"pragma max_page_count = {pages + 20}")
        acknowledged = list[str]()

        async def fill() -> None:
            for number in range(100):
                await store.submit(record(new_operation, f"k{number}", size=2_000))
                acknowledged.append(f"k{number}")

        with pytest.raises(DependencyError, match="full") as caught:
            await fill()
        assert not caught.value.may_have_acted
        assert len(acknowledged) >= 5
        connection.execute("pragma max_page_count = 100000")
        assert await store.submit(record(new_operation, "after"))
        await store.close()
        store = await open_store(tmp_path)
        for key in (*acknowledged, "after"):
            assert await store.read(identify(key)) is not None
        assert await store.read(identify(f"k{len(acknowledged)}")) is None
        await store.close()

    play(body)


def test_a_read_only_store_says_so(tmp_path: Path, new_operation: New) -> None:
    async def body() -> None:
        connection, store = open_file(tmp_path)
        connection.execute("pragma query_only = on")
        with pytest.raises(DependencyError, match="readonly") as caught:
            await store.submit(record(new_operation, "k"))
        assert not caught.value.may_have_acted
        connection.execute("pragma query_only = off")
        assert await store.submit(record(new_operation, "k"))
        await store.close()

    play(body)


def test_a_lock_that_stays_is_a_timeout(tmp_path: Path, new_operation: New) -> None:
    async def body() -> None:
        store = await open_store(tmp_path)
        other = sqlite3.connect(tmp_path / "operations.db", isolation_level=None)
        other.execute("begin immediate")
        with pytest.raises(DependencyTimeoutError, match="locked") as caught:
            await store.submit(record(new_operation, "k"))
        assert not caught.value.may_have_acted
        other.execute("rollback")
        other.close()
        assert await store.submit(record(new_operation, "k"))
        await store.close()

    play(body)


def test_a_damaged_page_is_an_integrity_error(tmp_path: Path, new_operation: New) -> None:
    async def body() -> None:
        store = await open_store(tmp_path)
        for number in range(50):
            await store.submit(record(new_operation, f"k{number}", size=2_000))
        await store.close()
        file = tmp_path / "operations.db"
        content = bytearray(file.read_bytes())
        content[4096 : 4096 * 12] = b"\xff" * (4096 * 11)
        file.write_bytes(content)
        store = await open_store(tmp_path)
        with pytest.raises(IntegrityError, match="damaged"):
            await store.read(identify("k1"))
        await store.close()

    play(body)


def test_a_commit_holds_no_more_than_its_limit(tmp_path: Path, new_operation: New) -> None:
    async def body() -> None:
        store = await open_store(tmp_path, writes_per_commit=10)
        submissions = (store.submit(record(new_operation, f"k{number}")) for number in range(35))
        assert all(await asyncio.gather(*submissions))
        assert store.writes.commits == 4
        await store.close()

    play(body)


def test_closing_writes_what_waits(tmp_path: Path, new_operation: New) -> None:
    async def body() -> None:
        store = await open_store(tmp_path)
        waiting = asyncio.ensure_future(store.submit(record(new_operation, "k")))
        await asyncio.ensure_future(store.tally())
        await store.close()
        assert await waiting

    play(body)


def test_a_defect_in_a_write_reaches_its_caller(tmp_path: Path, new_operation: New) -> None:
    async def body() -> None:
        store = await open_store(tmp_path)
        await store.submit(record(new_operation, "k"))
        unwritable = record(new_operation, "k2")._replace(number=1, run_at=cast("float", object()))
        with pytest.raises(sqlite3.ProgrammingError):
            await store.submit(unwritable)
        assert sum(tally.operations for tally in await store.tally()) == 1
        await store.close()

    play(body)


def test_writes_of_a_cancelled_committer_do_not_wait_for_ever(
    tmp_path: Path, new_operation: New
) -> None:
    async def body() -> None:
        store = await open_store(tmp_path, writes_per_commit=1, pending_writes_max=2)
        writes = [
            asyncio.ensure_future(store.submit(record(new_operation, key))) for key in ("a", "b")
        ]
        refused = asyncio.ensure_future(store.submit(record(new_operation, "c")))
        await asyncio.wait([refused])
        assert isinstance(refused.exception(), QueueFullError)
        (committing,) = (
            task for task in asyncio.all_tasks() if task.get_name() == "operations.commit"
        )
        committing.cancel()
        await asyncio.wait(writes)
        assert writes[1].cancelled()
        await store.close()

    play(body)
