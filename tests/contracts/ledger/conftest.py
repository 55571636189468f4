"""Every ledger: in memory and SQLite in virtual time, PostgreSQL on a real server."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.safeguards.operations.ledger import Ledger, MemoryLedger
from surgetank.safeguards.operations.ledger_sqlite import SQLiteLedger

Body = Callable[[Ledger], Coroutine[Any, Any, None]]
WithLedger = Callable[[Body], None]


def play_in_process(path: Path | None, body: Body) -> None:
    """Run a test's body with a ledger in memory, or in a file, in virtual time."""

    async def main(loop: VirtualLoop) -> None:
        clock = VirtualClock(loop)
        ledger: Ledger = MemoryLedger(clock=clock)
        if path is not None:
            ledger = await SQLiteLedger.open(str(path), InlineBlocking(), now=clock.now)
        await body(ledger)
        await ledger.close()

    run(main)


def play_postgres(database: str, body: Body) -> None:
    """Run a test's body with a database, in real time."""
    from surgetank.safeguards.operations.ledger_postgres import (  # noqa: PLC0415 - an extra
        PostgresLedger,
    )

    async def main() -> None:
        ledger: Ledger = await PostgresLedger.open(database)
        await body(ledger)
        await ledger.close()
        await ledger.close()

    asyncio.run(main())


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def with_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> WithLedger:
    """Run a test's body with an empty ledger."""
    if request.param == "postgres":
        database: str = request.getfixturevalue("database")
        return lambda body: play_postgres(database, body)
    path = tmp_path / "governors.db" if request.param == "sqlite" else None
    return lambda body: play_in_process(path, body)
