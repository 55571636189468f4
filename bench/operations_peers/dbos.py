"""DBOS's side: one queue, as many workflows at once as the batch, polled ten times a second."""

import logging
import os
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from operations_peers.postgres import count
from operations_peers.side import FILL_BATCH, PAYLOAD, Settings, Submitted, submit_threaded

dbos: Any = import_module("dbos")

QUEUE, WORKFLOW, VERSION = "bench", "nothing", "1"
POLL_S = 0.1
"""Its default is a second, which no batch fills."""
CONNECTIONS = 20


class Dbos:
    """Claims up to `batch` workflows a poll; each is one workflow without steps."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def prepare(self) -> None:
        """Make the tables and the queue."""
        self._configure()
        dbos.DBOS.listen_queues([])
        dbos.DBOS.launch()
        self._register()
        dbos.DBOS.destroy()

    def fill(self, operations: int) -> None:
        """Queue workflows, many to a transaction."""
        client = self._client()
        for begun in range(0, operations, FILL_BATCH):
            with client._sys_db.engine.begin() as connection:  # noqa: SLF001 - a caller's own engine would do
                for _ in range(min(FILL_BATCH, operations - begun)):
                    client.enqueue_in_transaction(connection, self._options(), PAYLOAD)
        client.destroy()

    def work(self, ready: Callable[[], None], tick: Callable[[], None]) -> None:
        """Drain until ended."""

        def nothing(payload: str) -> None:
            del payload
            tick()

        self._configure()
        dbos.DBOS.workflow(name=WORKFLOW)(nothing)
        ready()
        dbos.DBOS.launch()
        self._register()
        time.sleep(self.settings.bound_s + 60)

    def left(self) -> int:
        """Count workflows that have not succeeded."""
        return count(
            self.settings.address,
            "select count(*) from dbos.workflow_status where status <> 'SUCCESS'",
        )

    def submit(self) -> Submitted:
        """Submit workflows one by one: its client is synchronous below."""
        client = self._client()
        submitted = submit_threaded(
            lambda _: client.enqueue(self._options(), PAYLOAD), self.settings
        )
        client.destroy()
        return submitted

    def _configure(self) -> None:
        logging.disable(logging.WARNING)
        dbos.DBOS(
            config={
                "name": "bench",
                "system_database_url": self.settings.address,
                "log_level": "ERROR",
                "application_version": VERSION,
                "executor_id": f"worker-{os.getpid()}",
                "sys_db_pool_size": CONNECTIONS,
            }
        )

    def _register(self) -> None:
        dbos.DBOS.register_queue(
            QUEUE, worker_concurrency=self.settings.batch, polling_interval_sec=POLL_S
        )

    def _client(self) -> Any:
        return dbos.DBOSClient(system_database_url=self.settings.address)

    def _options(self) -> dict[str, str]:
        return {"queue_name": QUEUE, "workflow_name": WORKFLOW, "app_version": VERSION}
