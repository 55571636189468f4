"""Hints between nodes: somebody put something in, so look sooner than you would have.

They are hints, no more: each node looks by itself every so often (`scan_s`), and what is lost while
a connection is down, or said too often, changes nothing but when work begins. A hint is sent after
the commit that it speaks of, outside of it: PostgreSQL lets transactions that notify commit only
one after another.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from surgetank.core.errors import DependencyError, IntegrityError, QueueFullError
from surgetank.safeguards.operations.postgres_session import Connection, Session

CHANNEL = "surgetank_operations"
TELL_S = 0.1
"""Seconds between two hints of a node: what comes in between is told at once afterwards."""
LISTEN_RETRY_S = 5.0
"""Seconds until a node whose connection ended listens again."""


class Teller:
    """Tells the other nodes, not too often."""

    def __init__(self, session: Session) -> None:
        """Stand ready; nothing is sent yet.

        Args:
            session: By which to tell.
        """
        self._session = session
        self._task: asyncio.Task[None] | None = None
        self._is_wanted = False

    def tell(self) -> None:
        """Tell the others soon."""
        self._is_wanted = True
        if self._task is None:
            loop = asyncio.get_running_loop()
            self._task = loop.create_task(self._tell(), name="operations.tell")

    async def close(self) -> None:
        """Tell no more."""
        await _end(self._task)
        self._task = None

    async def _tell(self) -> None:
        while self._is_wanted:
            self._is_wanted = False
            with suppress(DependencyError, IntegrityError, QueueFullError):  # It is only a hint.
                await self._session.run(_notify, is_repeatable=True)
            await _pause(TELL_S)
        self._task = None


class Listener:
    """Hears what other nodes tell."""

    def __init__(self, session: Session, told: Callable[[], None]) -> None:
        """Listen from now on, on a connection of its own.

        Args:
            session: Nobody else uses it.
            told: Called for each hint, and after each time that some may have been missed.
        """
        self._session = session
        self._told = told
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._listen(), name="operations.listen")

    async def close(self) -> None:
        """Hear no more."""
        await _end(self._task)

    async def _listen(self) -> None:
        while True:
            with suppress(DependencyError, IntegrityError):
                await self._session.hear(CHANNEL, self._told)
            await _pause(LISTEN_RETRY_S)


async def _notify(connection: Connection) -> None:
    await connection.execute(f"notify {CHANNEL}")


async def _pause(wait_s: float) -> None:
    """Wait; the clock of the loop does, as this runs live only."""
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            await asyncio.Event().wait()


async def _end(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
