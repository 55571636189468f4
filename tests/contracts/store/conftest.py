"""Every store, under one suite: SQLite in virtual time, PostgreSQL on a real server."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from surgetank.core.operation import NewOperation, Step
from surgetank.core.value import Dependency
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.safeguards.operations.progress import new_record
from surgetank.safeguards.operations.record import Record
from surgetank.safeguards.operations.sqlite import SQLiteStore
from surgetank.safeguards.operations.store import Store

WithStore = Callable[[Callable[[Store], Coroutine[Any, Any, None]]], None]
OPEN_MAX, PENDING_MAX = 20, 30


def play_sqlite(path: str, body: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
    """Run a test's body with a file, in virtual time."""

    async def main(loop: VirtualLoop) -> None:
        del loop
        store: Store = await SQLiteStore.open(
            path, InlineBlocking(), open_max=OPEN_MAX, pending_writes_max=PENDING_MAX
        )
        await body(store)
        await store.close()
        await store.close()

    run(main)


def play_postgres(database: str, body: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
    """Run a test's body with a database, in real time."""
    from surgetank.safeguards.operations.postgres import (  # noqa: PLC0415 - an extra
        PostgresStore,
    )

    async def main() -> None:
        store: Store = await PostgresStore.open(
            database, open_max=OPEN_MAX, pending_writes_max=PENDING_MAX
        )
        await body(store)
        await store.close()
        await store.close()

    asyncio.run(main())


@pytest.fixture(params=["file", "memory", "postgres"])
def with_store(request: pytest.FixtureRequest, tmp_path: Path) -> WithStore:
    """Run a test's body with an empty store."""
    if request.param == "postgres":
        database: str = request.getfixturevalue("database")
        return lambda body: play_postgres(database, body)
    path = ":memory:" if request.param == "memory" else str(tmp_path / "operations.db")
    return lambda body: play_sqlite(path, body)


@pytest.fixture
def record() -> Callable[..., Record]:
    """Make the record of a new operation."""

    def make(
        key: str, *, now: float = 100.0, deadline_at: float | None = None, **changes: Any
    ) -> Record:
        steps = tuple(
            Step(name, Dependency(f"{name}@eastus"), "http", '{"snow": "☃"}', fallback=fallback)
            for name, fallback in (("vm", None), ("disk", "{}"))
        )
        new = NewOperation(key, "create_vm", "eastus", steps, deadline_at=deadline_at)
        return new_record(new._replace(**changes), now=now)

    return make
