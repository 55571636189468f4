"""Builds the safeguards from ports and policies, in either clock.

A drill hands in virtual time and the in-memory network, production the system's clock and sockets;
what is built is the same, and cannot tell.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import NamedTuple

from surgetank.core.errors import DependencyError, InvalidInputError
from surgetank.core.ports import Blocking, Chance, Clock, HttpClient, Permits, Processes
from surgetank.safeguards.broker.policy import BrokerPolicy
from surgetank.safeguards.broker.service import TokenBroker
from surgetank.safeguards.mirror.policy import MirrorPolicy
from surgetank.safeguards.mirror.service import Mirror
from surgetank.safeguards.operations.action import Action
from surgetank.safeguards.operations.callable_action import load_actions
from surgetank.safeguards.operations.command_action import CommandAction, CommandActionPolicy
from surgetank.safeguards.operations.http_action import HttpAction, HttpActionPolicy
from surgetank.safeguards.operations.ledger import Ledger
from surgetank.safeguards.operations.ledger_sqlite import SQLiteLedger
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.record import Record
from surgetank.safeguards.operations.service import Operations
from surgetank.safeguards.operations.sqlite import SQLiteStore
from surgetank.safeguards.operations.store import Store

POSTGRES = "postgresql://"
"""How the address of a shared store begins."""
GOVERNORS_FILE = "governors.db"
"""Of governors that are shared on SQLite, in the configured directory."""


class Ports(NamedTuple):
    """What every service needs from outside, but for its way onto the network."""

    clock: Clock
    chance: Chance
    blocking: Blocking


class LedgerPorts(NamedTuple):
    """What a ledger of governors needs where it is a file."""

    blocking: Blocking
    """Its own: an exchange must not wait behind the commits of operations."""
    host_now: Callable[[], float]
    """A clock that all processes of this host read alike, in seconds."""


@dataclass(slots=True)
class Running:
    """Services that were started together and are closed together, in reverse order."""

    _closers: list[Callable[[], Awaitable[object]]] = field(
        default_factory=list[Callable[[], Awaitable[object]]]
    )

    _tasks: list["asyncio.Task[None]"] = field(default_factory=list["asyncio.Task[None]"])

    def add(
        self, close: Callable[[], Awaitable[object]], *, task: "asyncio.Task[None] | None" = None
    ) -> None:
        """Close this too; `task` runs until then, and `failure` waits for its defects."""
        self._closers.append(close)
        if task is not None:
            self.watch(task)

    def watch(self, task: "asyncio.Task[None]") -> None:
        """Let `failure` wait for the defects of a task that others close."""
        self._tasks.append(task)

    @property
    def is_failed(self) -> bool:
        """Whether a task ended before it was closed."""
        return any(task.done() for task in self._tasks)

    async def failure(self) -> None:
        """Wait until a task ends, and raise what it raised: a defect, or nothing once closed."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task

    async def close(self) -> None:
        """Close all, the last started first; safe to repeat."""
        while self._closers:
            await self._closers.pop()()


def make_actions(
    ports: Ports,
    *,
    http: HttpClient,
    http_policy: HttpActionPolicy,
    processes: Processes,
    command_policy: CommandActionPolicy,
    entry_points: Iterable[EntryPoint] = (),
) -> dict[str, Action]:
    """Make every action that a step may name: the built-in ones and those of other distributions.

    Args:
        ports: What all services need.
        http: Makes the calls of `http`.
        http_policy: Limits of `http`.
        processes: Runs the programs of `command`.
        command_policy: Limits of `command`.
        entry_points: Of the group `callable_action.GROUP`. What they name reaches for the world
            by itself, so a drill has none.

    Raises:
        ConfigError: An entry point cannot be used.
    """
    built_in: dict[str, Action] = {
        "http": HttpAction(client=http, clock=ports.clock, policy=http_policy),
        "command": CommandAction(processes=processes, policy=command_policy),
    }
    return {**built_in, **load_actions(entry_points, taken=built_in)}


async def start_operations(
    running: Running,
    ports: Ports,
    *,
    file: str,
    permits: Permits,
    actions: Mapping[str, Action],
    policy: OperationsPolicy,
    worker: str,
    watch: Callable[[Record], None] | None = None,
) -> Operations:
    """Open the store at `file` and run its operations until `running` is closed.

    `watch` is told each record that this worker has let go of.

    Raises:
        DependencyError: The file cannot be opened or written.
        IntegrityError: It is no store of ours, is damaged, or is of a newer release.
    """
    store = await SQLiteStore.open(file, ports.blocking)
    running.add(store.close)
    operations = Operations(
        store=store,
        permits=permits,
        actions=actions,
        clock=ports.clock,
        chance=ports.chance,
        policy=policy,
        worker=worker,
        watch=watch,
    )
    run_operations(running, operations, worker=worker)
    return operations


async def open_ledger(
    running: Running, ports: Ports, own: LedgerPorts, *, directory: Path, store: str
) -> Ledger:
    """Open where the governors of all servers of a store are shared, until `running` is closed.

    Args:
        running: Closes it.
        ports: Where blocking work runs.
        own: Needed by one in a file.
        directory: Where a file is kept; it is made.
        store: As for `open_store`.

    Raises:
        InvalidInputError: It is PostgreSQL, and the extra `postgres` is not installed.
        DependencyError: It cannot be opened or written.
        IntegrityError: It holds something else, is damaged, or is of a newer release.
    """
    if store.startswith(POSTGRES):
        with _needing_postgres(store):
            from surgetank.safeguards.operations.ledger_postgres import (  # noqa: PLC0415 - an extra
                PostgresLedger,
            )
        ledger: Ledger = await PostgresLedger.open(store)
    else:
        await ports.blocking.run(lambda: _make(directory))
        file = str(directory / GOVERNORS_FILE)
        ledger = await SQLiteLedger.open(file, own.blocking, now=own.host_now)
    running.add(ledger.close)
    return ledger


async def open_store(running: Running, ports: Ports, *, directory: Path, store: str) -> Store:
    """Open the store that a configuration names, until `running` is closed.

    Args:
        running: Closes it.
        ports: Where blocking work runs.
        directory: Where a relative file starts; it is made.
        store: A file of SQLite, or an address that begins with `postgresql://`.

    Raises:
        InvalidInputError: It is PostgreSQL, and the extra `postgres` is not installed.
        DependencyError: It cannot be opened or written.
        IntegrityError: It is no store of ours, is damaged, or is of a newer release.
    """
    if store.startswith(POSTGRES):
        with _needing_postgres(store):
            from surgetank.safeguards.operations.postgres import (  # noqa: PLC0415 - an extra
                PostgresStore,
            )
        shared = await PostgresStore.open(store)
        running.add(shared.close)
        return shared
    await ports.blocking.run(lambda: _make(directory))
    own = await SQLiteStore.open(str(directory / store), ports.blocking)
    running.add(own.close)
    return own


@contextmanager
def _needing_postgres(store: str) -> Generator[None]:
    """Say what to install where an import fails."""
    try:
        yield
    except ImportError as error:
        raise InvalidInputError(f"{store}: pip install 'surgetank[postgres]'") from error


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"{directory}: cannot be made: {error.strerror}"
        raise DependencyError(reason, may_have_acted=False) from error


def run_operations(running: Running, operations: Operations, *, worker: str) -> None:
    """Run operations until `running` is closed; `worker` names the task, for people."""
    task = asyncio.get_running_loop().create_task(operations.run(), name=f"operations {worker}")

    async def close() -> None:
        await operations.close()
        await task

    running.add(close, task=task)


async def start_mirror(
    running: Running,
    ports: Ports,
    *,
    directory: Path,
    http: HttpClient,
    permits: Permits,
    policy: MirrorPolicy,
) -> Mirror:
    """Open the mirror on `directory`; it serves until `running` is closed.

    Raises:
        ConflictError: Another mirror uses the directory.
    """
    mirror = Mirror(
        policy,
        directory=directory,
        http=http,
        clock=ports.clock,
        chance=ports.chance,
        blocking=ports.blocking,
        permits=permits,
    )
    await mirror.open()
    running.add(mirror.close)
    return mirror


def start_broker(
    running: Running,
    ports: Ports,
    *,
    http: HttpClient,
    permits: Permits,
    policy: BrokerPolicy,
) -> TokenBroker:
    """Start a node's broker and its background work, until `running` is closed."""
    woken = asyncio.Event()
    broker = TokenBroker(
        policy,
        http=http,
        clock=ports.clock,
        chance=ports.chance,
        permits=permits,
        wake=woken.set,
    )
    work = _step_when_due(broker.step, ports.clock, woken)
    task = asyncio.get_running_loop().create_task(work, name="broker")

    async def close() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await broker.close()

    running.add(close)
    return broker


async def _step_when_due(
    step: Callable[[float], Awaitable[float | None]], clock: Clock, woken: asyncio.Event
) -> None:
    """Call `step` whenever it asked to be called, or is woken."""
    while True:
        woken.clear()
        at = await step(clock.now())
        if at is None:
            await woken.wait()
            continue
        try:
            async with asyncio.timeout(max(0.0, at - clock.now())):
                await woken.wait()
        except TimeoutError:
            pass  # Due.
