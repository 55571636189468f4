"""Procrastinate's side: asynchronous tasks, as many at once as the batch, woken by LISTEN."""

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import Any

from operations_peers.postgres import count
from operations_peers.side import FILL_BATCH, PAYLOAD, Settings, Submitted, submit_all

procrastinate: Any = import_module("procrastinate")

QUEUE = "bench"
CONNECTIONS = 16
"""In a process; not tuned further."""


class Procrastinate:
    """Claims one job a statement; the batch is its concurrency."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def prepare(self) -> None:
        """Make the tables."""

        async def main() -> None:
            app = self._app()
            async with app.open_async():
                await app.schema_manager.apply_schema_async()

        asyncio.run(main())

    def fill(self, operations: int) -> None:
        """Queue jobs, many to a statement."""

        async def main() -> None:
            app = self._app()
            task = app.configure_task("nothing", queue=QUEUE)
            async with app.open_async():
                for begun in range(0, operations, FILL_BATCH):
                    size = min(FILL_BATCH, operations - begun)
                    await task.batch_defer_async(*[{"payload": PAYLOAD}] * size)

        asyncio.run(main())

    def work(self, ready: Callable[[], None], tick: Callable[[], None]) -> None:
        """Drain until ended."""

        async def nothing(payload: str) -> None:
            del payload
            tick()

        async def main() -> None:
            app = self._app()
            app.task(name="nothing", queue=QUEUE)(nothing)
            async with app.open_async():
                ready()
                await app.run_worker_async(
                    queues=[QUEUE], concurrency=self.settings.batch, install_signal_handlers=False
                )

        asyncio.run(main())

    def left(self) -> int:
        """Count jobs that have not succeeded."""
        return count(
            self.settings.address,
            "select count(*) from procrastinate_jobs where status <> 'succeeded'",
        )

    def submit(self) -> Submitted:
        """Submit jobs one by one over its pool."""

        async def main() -> Submitted:
            app = self._app()
            task = app.configure_task("nothing", queue=QUEUE)
            async with app.open_async():
                return await submit_all(lambda _: task.defer_async(payload=PAYLOAD), self.settings)

        return asyncio.run(main())

    def _app(self) -> Any:
        connector = procrastinate.PsycopgConnector(
            conninfo=self.settings.address,
            min_size=CONNECTIONS,
            max_size=CONNECTIONS,
            timeout=self.settings.bound_s,
        )
        return procrastinate.App(connector=connector)
