"""Every store, under one suite; each runs in virtual time."""

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


@pytest.fixture(params=["file", "memory"])
def with_store(request: pytest.FixtureRequest, tmp_path: Path) -> WithStore:
    """Run a test's body with an empty store."""
    path = ":memory:" if request.param == "memory" else str(tmp_path / "operations.db")

    def play(body: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
        async def main(loop: VirtualLoop) -> None:
            del loop
            store: Store = await SQLiteStore.open(
                path, InlineBlocking(), open_max=20, pending_writes_max=30
            )
            await body(store)
            await store.close()
            await store.close()

        run(main)

    return play


@pytest.fixture
def record() -> Callable[..., Record]:
    """Make the record of a new operation."""

    def make(key: str, *, now: float = 100.0, deadline_at: float | None = None) -> Record:
        steps = tuple(
            Step(name, Dependency(f"{name}@eastus"), "http", '{"snow": "☃"}', fallback=fallback)
            for name, fallback in (("vm", None), ("disk", "{}"))
        )
        new = NewOperation(key, "create_vm", "eastus", steps, deadline_at=deadline_at)
        return new_record(new, now=now)

    return make
