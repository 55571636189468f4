"""Runs what a configuration names, and serves it on one address until it is told to stop.

What it does at the end is in `Server.drain`: it says that it is not ready, takes in no more, lets
calls under way end, and only then stops listening.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from os import strerror
from typing import NamedTuple, Protocol

import structlog

from surgetank.core.errors import InvalidInputError
from surgetank.core.http import Handler
from surgetank.core.ports import Chance
from surgetank.core.route import Routes
from surgetank.runtime.assembly import (
    LedgerPorts,
    Ports,
    Running,
    open_ledger,
    open_store,
    run_operations,
)
from surgetank.runtime.config import Configuration
from surgetank.runtime.policy import ServePolicy, Sharing
from surgetank.runtime.server.audit import AuditTrail
from surgetank.runtime.server.gate import Gate, mount
from surgetank.runtime.server.health import Health, Phase
from surgetank.runtime.server.openapi import openapi_route
from surgetank.runtime.server.record import AuditRoutes
from surgetank.runtime.server.token import Tokens
from surgetank.safeguards.operations.action import Action
from surgetank.safeguards.operations.api.routes import operation_routes
from surgetank.safeguards.operations.permits import GovernedPermits
from surgetank.safeguards.operations.permits_api import PermitsApi
from surgetank.safeguards.operations.service import Operations
from surgetank.safeguards.operations.shared_permits import SharedPermits, with_lag

AUDIT_FOLDER = "audit"
"""Of the trail, in the configured directory."""


class Listening(Protocol):
    """A handler while it is served."""

    @property
    def url(self) -> str:
        """Where it is, without a path."""
        ...


class Serve(Protocol):
    """Serves a handler while its context lasts."""

    def __call__(
        self, handler: Handler, *, host: str, port: int, body_bytes_max: int, concurrency_max: int
    ) -> AbstractAsyncContextManager[Listening]:
        """Raise `OSError` when the address cannot be listened on."""
        ...


class Server(NamedTuple):
    """A server while it runs."""

    url: str
    gate: Gate
    health: Health
    running: Running

    async def failure(self) -> None:
        """Wait until what runs in the background ends by a defect, and raise that."""
        await self.running.failure()

    async def drain(self) -> None:
        """Say that it is not ready, take in no more, let calls under way end; safe to repeat."""
        self.health.phase = Phase.DRAINING
        await self.running.close()


@asynccontextmanager
async def server(
    configuration: Configuration,
    ports: Ports,
    *,
    ledger_ports: LedgerPorts,
    actions: Mapping[str, Action],
    serve: Serve,
    worker: str,
) -> AsyncGenerator[Server]:
    """Run and serve while the context lasts; then drain, unless that was done.

    Args:
        configuration: What to run, and where to listen.
        ports: Time, chance, and where blocking work runs.
        ledger_ports: For governors that are shared in a file.
        actions: What makes the calls of steps, by name.
        serve: How a handler is put on a socket.
        worker: Names this process among those that share the store, for people.

    Raises:
        InvalidInputError: The address cannot be listened on, or the file of tokens is wrong.
        DependencyError: The store or the audit trail cannot be opened.
        IntegrityError: The store or the audit trail is damaged.
    """
    policy = configuration.serve
    tokens = Tokens.read(policy.tokens)
    async with AsyncExitStack() as stack:
        opened, running = Running(), Running()
        stack.push_async_callback(opened.close)
        stack.push_async_callback(running.close)
        audit = await _audit(configuration, ports)
        store = await open_store(
            opened, ports, directory=configuration.directory, store=configuration.store
        )
        permits = await _permits(opened, configuration, ports, ledger_ports, worker=worker)
        operations = Operations(
            store=store,
            permits=permits,
            actions=actions,
            clock=ports.clock,
            chance=ports.chance,
            policy=configuration.operations,
            worker=worker,
        )
        health = Health(
            ask_store=operations.counts,
            store_s=policy.store_s,
            is_failed=lambda: running.is_failed,
        )
        gate = Gate(
            [mount("/", _routes(operations, permits, audit, health, ports, policy))],
            tokens=tokens,
            is_open=policy.is_open,
            audit=audit,
            health=health,
            clock=ports.clock,
        )
        listening = await _listen(stack, serve, gate, policy)
        # Only now: who cannot listen, as a second server by mistake, shall not make a call either.
        if isinstance(permits, SharedPermits):
            running.watch(permits.start())
            opened.add(permits.close)  # After the listening: ends of permits are told until then.
        run_operations(running, operations, worker=worker)
        found = Server(listening.url, gate, health, running)
        stack.push_async_callback(found.drain)
        health.phase = Phase.READY
        log = structlog.get_logger("surgetank.server")
        log.info("server.started", url=found.url, worker=worker, tokens=str(policy.tokens))
        yield found


async def _audit(configuration: Configuration, ports: Ports) -> AuditTrail:
    return await AuditTrail.open(
        configuration.directory / AUDIT_FOLDER,
        policy=configuration.serve.audit,
        blocking=ports.blocking,
        clock=ports.clock,
    )


async def _permits(
    opened: Running,
    configuration: Configuration,
    ports: Ports,
    ledger_ports: LedgerPorts,
    *,
    worker: str,
) -> GovernedPermits | SharedPermits:
    """Make the governors, shared or of this process alone."""
    governor = configuration.governor
    if configuration.sharing is Sharing.OWN:
        return GovernedPermits(default=governor, clock=ports.clock, chance=ports.chance)
    ledger = await open_ledger(
        opened,
        ports,
        ledger_ports,
        directory=configuration.directory,
        store=configuration.store,
    )
    # In a container the same process id comes again.
    name = f"{worker}-{_new_id(ports.chance)}"
    return SharedPermits(
        ledger,
        worker=name,
        default=with_lag(governor),
        clock=ports.clock,
        chance=ports.chance,
    )


def _routes(
    operations: Operations,
    permits: GovernedPermits | SharedPermits,
    audit: AuditTrail,
    health: Health,
    ports: Ports,
    policy: ServePolicy,
) -> Routes:
    clock, chance = ports.clock, ports.chance
    permits_api = PermitsApi(
        permits, clock=clock, new_id=lambda: _new_id(chance), policy=policy.permits
    )
    routes = (
        *health.routes(),
        *operation_routes(operations, clock=clock, views=permits.views),
        *permits_api.routes(),
        *AuditRoutes(audit).routes(),
    )
    return Routes([*routes, openapi_route(routes)], now=clock.now)


def _new_id(chance: Chance) -> str:
    """A name of 104 bits; live, chance is the system's, and nobody guesses it."""
    return "".join(f"{int(chance.random() * 2**52):013x}" for _ in range(2))


async def _listen(
    stack: AsyncExitStack, serve: Serve, gate: Gate, policy: ServePolicy
) -> Listening:
    """Serve until `stack` is closed."""
    listening = serve(
        gate.handle,
        host=policy.host,
        port=policy.port,
        body_bytes_max=policy.body_bytes_max,
        concurrency_max=policy.connections_max,
    )
    try:
        return await stack.enter_async_context(listening)
    except OSError as error:
        # `strerror` of a bind says the address again.
        reason = f"cannot listen on {policy.host} port {policy.port}: {strerror(error.errno or 0)}"
        raise InvalidInputError(reason) from error
