"""Operations in a store's file, when nothing serves: the routes of a server, within this process."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from surgetank.app.wiring import Live, actions, quiet_logs
from surgetank.core.http import Handler
from surgetank.core.route import Routes
from surgetank.runtime.assembly import Running, open_store
from surgetank.safeguards.operations.api.routes import operation_routes
from surgetank.safeguards.operations.command_action import CommandActionPolicy
from surgetank.safeguards.operations.permits import OpenPermits
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.service import Operations

__all__ = ["answering"]


@asynccontextmanager
async def answering(adapters: Live, file: Path) -> AsyncGenerator[Handler]:
    """Answer from a store's file while the context lasts; nothing is run.

    Raises:
        DependencyError: The file cannot be opened.
        IntegrityError: It is no store of ours.
    """
    quiet_logs()  # What operations log is for servers; the answer says it here.
    ports = adapters.ports
    running = Running()
    try:
        store = await open_store(running, ports, directory=file.parent, store=file.name)
        operations = Operations(
            store=store,
            permits=OpenPermits(clock=ports.clock),
            actions=actions(adapters, CommandActionPolicy()),
            clock=ports.clock,
            chance=ports.chance,
            policy=OperationsPolicy(),
            worker="surgetank op",
        )
        routes = operation_routes(operations, clock=ports.clock, views=dict)
        yield Routes(routes, now=ports.clock.now).handle
    finally:
        await running.close()
