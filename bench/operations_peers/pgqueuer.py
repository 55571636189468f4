"""PgQueuer's side: asyncpg, uvloop as its own command line uses, pooled submissions."""

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

from operations_peers.postgres import count
from operations_peers.side import FILL_BATCH, PAYLOAD, Settings, Submitted, submit_all

asyncpg: Any = import_module("asyncpg")
uvloop: Any = import_module("uvloop")
db: Any = import_module("pgqueuer.db")
queries: Any = import_module("pgqueuer.queries")
qm: Any = import_module("pgqueuer.qm")

ENTRY = "nothing"
CONNECTIONS = 16
"""For submissions; not tuned further."""


class PgQueuer:
    """Claims `batch` jobs at once and writes as many outcomes at once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def prepare(self) -> None:
        """Make the tables."""

        async def main() -> None:
            connection = await asyncpg.connect(self.settings.address)
            await queries.Queries(db.AsyncpgDriver(connection)).install()
            await connection.close()

        uvloop.run(main())

    def fill(self, operations: int) -> None:
        """Queue jobs, many to a statement."""

        async def main() -> None:
            connection = await asyncpg.connect(self.settings.address)
            queue = queries.Queries(db.AsyncpgDriver(connection))
            for begun in range(0, operations, FILL_BATCH):
                size = min(FILL_BATCH, operations - begun)
                await queue.enqueue([ENTRY] * size, [PAYLOAD.encode()] * size, [0] * size)
            await connection.execute("analyze")
            await connection.close()

        uvloop.run(main())

    def work(self, ready: Callable[[], None], tick: Callable[[], None]) -> None:
        """Drain until ended."""

        async def nothing(job: object) -> None:
            del job
            tick()

        async def main() -> None:
            connection = await asyncpg.connect(self.settings.address)
            manager = qm.QueueManager(queries.Queries(db.AsyncpgDriver(connection)))
            manager.entrypoint(ENTRY)(nothing)
            ready()
            await manager.run(batch_size=self.settings.batch, dequeue_timeout=timedelta(seconds=1))

        uvloop.run(main())

    def left(self) -> int:
        """Count jobs that are queued or picked: done ones are in its log."""
        return count(self.settings.address, "select count(*) from pgqueuer")

    def submit(self) -> Submitted:
        """Submit jobs one by one over a pool."""

        async def main() -> Submitted:
            async with asyncpg.create_pool(
                self.settings.address, min_size=CONNECTIONS, max_size=CONNECTIONS
            ) as pool:
                queue = queries.Queries(db.AsyncpgPoolDriver(pool))
                payload = PAYLOAD.encode()
                return await submit_all(lambda _: queue.enqueue(ENTRY, payload, 0), self.settings)

        submitted: Submitted = uvloop.run(main())
        return submitted
