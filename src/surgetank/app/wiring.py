"""The only place that decides what the process is made of: logging, and the live adapters."""

import logging
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import SystemRandom
from typing import TYPE_CHECKING, NamedTuple

import structlog

if TYPE_CHECKING:
    from surgetank.core.ports import HttpClient, Processes
    from surgetank.runtime.assembly import Ports
    from surgetank.runtime.live.http_server import RunningServer


class Live(NamedTuple):
    """What services of a running process are made with."""

    ports: "Ports"
    http: "HttpClient"
    serve: "Callable[..., AbstractAsyncContextManager[RunningServer]]"
    """`runtime.live.http_server.serve`."""
    processes: "Processes"


@asynccontextmanager
async def live() -> AsyncGenerator[Live]:
    """Give the system's clock, chance, worker thread, sockets and programs while it lasts."""
    # Imported by who runs live: a drill in many processes needs none of it, and starts sooner.
    from surgetank.runtime.assembly import Ports  # noqa: PLC0415 - see above
    from surgetank.runtime.live.blocking import WorkerThread  # noqa: PLC0415 - see above
    from surgetank.runtime.live.clock import SystemClock  # noqa: PLC0415 - see above
    from surgetank.runtime.live.http_client import LiveHttpClient  # noqa: PLC0415 - see above
    from surgetank.runtime.live.http_server import serve  # noqa: PLC0415 - see above
    from surgetank.runtime.live.process import LiveProcesses  # noqa: PLC0415 - see above

    # Our server says what failed; what uvicorn adds are tracebacks of what a stop broke off.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    worker = WorkerThread()
    try:
        async with LiveHttpClient() as http:
            ports = Ports(SystemClock(), SystemRandom(), worker)
            yield Live(ports, http, serve, LiveProcesses())
    finally:
        await worker.close()


def configure_logs(level: int = logging.INFO) -> None:
    """Send events of `level` and above to standard error, one line of key=value each."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.KeyValueRenderer(key_order=["level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def quiet_logs() -> None:
    """Keep what services log out of a drill: thousands of events that its tables sum up."""
    configure_logs(logging.CRITICAL)
