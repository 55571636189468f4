"""Celery's side, on Redis: acknowledged late, as many messages fetched ahead as the batch."""

import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any

from operations_peers.side import PAYLOAD, Settings, Submitted, submit_threaded

celery: Any = import_module("celery")
redis: Any = import_module("redis")

TASK, QUEUE = "nothing", "celery"
CONNECTIONS = 64
"""For submissions."""


class Celery:
    """One prefork child a worker; no results, no events, no gossip."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._app = celery.Celery(
            "bench", broker=f"redis+socket://{settings.address}", backend=None
        )
        self._app.conf.update(
            task_acks_late=True,
            task_ignore_result=True,
            worker_prefetch_multiplier=settings.batch,
            worker_send_task_events=False,
            worker_enable_remote_control=False,
            broker_connection_retry_on_startup=True,
            broker_pool_limit=CONNECTIONS,
        )

    def prepare(self) -> None:
        """Empty the broker."""
        self._redis().flushall()

    def fill(self, operations: int) -> None:
        """Queue tasks over one connection."""
        with self._app.producer_pool.acquire(block=True) as producer:
            for _ in range(operations):
                self._app.send_task(TASK, (PAYLOAD,), producer=producer)

    def work(self, ready: Callable[[], None], tick: Callable[[], None]) -> None:
        """Drain until ended."""

        def nothing(payload: str) -> None:
            del payload
            tick()

        logging.disable(logging.WARNING)
        self._app.task(name=TASK)(nothing)
        ready()
        self._app.worker_main(
            ["worker", "--pool=prefork", "--concurrency=1", "--without-gossip",
             "--without-mingle", "--without-heartbeat", "--loglevel=ERROR"]
        )  # fmt: skip

    def left(self) -> int:
        """Count tasks that are queued or not yet acknowledged."""
        client = self._redis()
        return int(client.llen(QUEUE)) + int(client.hlen("unacked"))

    def submit(self) -> Submitted:
        """Submit tasks one by one from threads."""
        return submit_threaded(lambda _: self._app.send_task(TASK, (PAYLOAD,)), self.settings)

    def _redis(self) -> Any:
        return redis.Redis(unix_socket_path=self.settings.address)
