"""The only place that decides what the process is made of: logging, and the live adapters."""

import logging
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import entry_points
from random import SystemRandom
from typing import TYPE_CHECKING, NamedTuple

import structlog

if TYPE_CHECKING:
    from surgetank.core.ports import HttpClient, Processes
    from surgetank.runtime.assembly import LedgerPorts, Ports
    from surgetank.runtime.live.http_server import RunningServer
    from surgetank.safeguards.operations.action import Action
    from surgetank.safeguards.operations.command_action import CommandActionPolicy


class Live(NamedTuple):
    """What services of a running process are made with."""

    ports: "Ports"
    http: "HttpClient"
    serve: "Callable[..., AbstractAsyncContextManager[RunningServer]]"
    """`runtime.live.http_server.serve`."""
    processes: "Processes"
    ledger_ports: "LedgerPorts"


@asynccontextmanager
async def live() -> AsyncGenerator[Live]:
    """Give the system's clock, chance, worker thread, sockets and programs while it lasts."""
    # Imported by who runs live: a drill in many processes needs none of it, and starts sooner.
    from surgetank.runtime.assembly import LedgerPorts, Ports  # noqa: PLC0415 - see above
    from surgetank.runtime.live.blocking import WorkerThread  # noqa: PLC0415 - see above
    from surgetank.runtime.live.clock import SystemClock, host_now  # noqa: PLC0415 - see above
    from surgetank.runtime.live.http_client import LiveHttpClient  # noqa: PLC0415 - see above
    from surgetank.runtime.live.http_server import serve  # noqa: PLC0415 - see above
    from surgetank.runtime.live.process import LiveProcesses  # noqa: PLC0415 - see above

    # Our server says what failed; what uvicorn adds are tracebacks of what a stop broke off.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    worker, aside = WorkerThread(), WorkerThread(name="surgetank-ledger")
    try:
        async with LiveHttpClient() as http:
            ports = Ports(SystemClock(), SystemRandom(), worker)
            ledger_ports = LedgerPorts(aside, host_now)
            yield Live(ports, http, serve, LiveProcesses(), ledger_ports)
    finally:
        await aside.close()
        await worker.close()


def actions(adapters: Live, command: "CommandActionPolicy | None") -> "dict[str, Action]":
    """Give what makes the calls of operations: without a policy for commands, none is run.

    Raises:
        ConfigError: Another distribution brings an action that cannot be used.
    """
    from surgetank.runtime.assembly import make_actions  # noqa: PLC0415 - as in `live`
    from surgetank.safeguards.operations.callable_action import GROUP  # noqa: PLC0415 - likewise
    from surgetank.safeguards.operations.command_action import (  # noqa: PLC0415 - likewise
        CommandActionPolicy,
    )
    from surgetank.safeguards.operations.http_action import (  # noqa: PLC0415 - likewise
        HttpActionPolicy,
    )

    made = make_actions(
        adapters.ports,
        http=adapters.http,
        http_policy=HttpActionPolicy(),
        processes=adapters.processes,
        command_policy=command or CommandActionPolicy(),
        entry_points=entry_points(group=GROUP),
    )
    return {name: each for name, each in made.items() if command or name != "command"}


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
