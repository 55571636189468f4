"""A connection to PostgreSQL: made when it is needed, let go of when in doubt.

A store has two, one that writes and one that reads, so that a server keeps two processes a node.
Work on one connection runs one piece at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg import conninfo, sql
from psycopg.pq import ConnStatus, TransactionStatus

from surgetank.core.errors import DependencyError, InvalidInputError, QueueFullError
from surgetank.safeguards.operations.postgres_error import translated, was_cut_off

T = TypeVar("T")
Connection = psycopg.AsyncConnection[tuple[Any, ...]]
Work = Callable[[Connection], Awaitable[T]]

WAITING_MAX = 1_000
"""Pieces of work that wait for one connection: who waits longer is better told at once."""

# Each statement looks rows up in an index; what was planned for a table that was empty, or that has
# no statistics yet, must not read all of it.
# Durable whatever the database's default is; another setting than `off` is the operator's choice.
_SETTINGS = """select set_config('statement_timeout', %s, false),
 set_config('lock_timeout', %s, false),
 set_config('idle_in_transaction_session_timeout', %s, false),
 set_config('synchronous_commit', case current_setting('synchronous_commit')
  when 'off' then 'on' else current_setting('synchronous_commit') end, false),
 set_config('enable_seqscan', 'off', false),
 set_config('enable_hashjoin', 'off', false),
 set_config('enable_mergejoin', 'off', false)"""


class Limits(NamedTuple):
    """How long the server is waited for, in seconds, each above 0."""

    connect_s: float = 5.0
    statement_s: float = 5.0
    """One statement, its waits for locks included; the server ends it."""
    answer_s: float = 15.0
    """All statements of one transaction; when the server does not answer, we hang up."""


class Session:
    """One connection."""

    def __init__(self, address: str, limits: Limits, *, enter: Work[None] | None = None) -> None:
        """Stand ready; nothing is connected yet.

        Args:
            address: Of the database, as libpq reads it: `postgresql://...` or `host=... ...`.
            limits: How long to wait.
            enter: Run on each new connection before it is used, within `connect_s`; what it raises
                ends the connection.

        Raises:
            InvalidInputError: `address` cannot be read.
        """
        try:
            given = conninfo.conninfo_to_dict(address)
        except psycopg.ProgrammingError:  # Its text may hold a password.
            raise InvalidInputError(
                "the store's address is no PostgreSQL one: write postgresql://user@host/database"
            ) from None
        self._arguments: dict[str, Any] = {"application_name": "surgetank", **given}
        self._limits = limits
        self._enter = enter
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._connection: Connection | None = None
        self._is_closed = False

    async def run(self, work: Work[T], *, is_repeatable: bool) -> T:
        """Run `work` with the connection, alone, and return what it returns.

        Args:
            work: Leaves no transaction open. Run twice when the connection ends under it and
                `is_repeatable`.
            is_repeatable: Running it twice does what running it once does.

        Raises:
            QueueFullError: `WAITING_MAX` others wait already.
            DependencyError: the server failed; `may_have_acted` only when not `is_repeatable`.
            IntegrityError: the database is damaged or not ours.
        """
        assert not self._is_closed, "a closed store is not used"
        if self._waiting >= WAITING_MAX:
            raise QueueFullError(f"{WAITING_MAX} reads wait for the store already")
        self._waiting += 1
        try:
            async with self._turn:
                connection = await self._connected()
                try:
                    return await self._use(connection, work, may_have_acted=not is_repeatable)
                except DependencyError as error:
                    if not (is_repeatable and was_cut_off(error)):
                        raise
                connection = await self._connected()
                return await self._use(connection, work, may_have_acted=False)
        finally:
            self._waiting -= 1

    async def hear(self, channel: str, told: Callable[[], None]) -> None:
        """Listen until the connection ends, which is an error.

        Args:
            channel: Its name.
            told: Called once it listens, and then for each notice.

        Raises:
            DependencyError: the server cannot be reached, or hung up.
            IntegrityError: the database is damaged or not ours.
        """
        async with self._turn:
            connection = await self._connected()
            try:
                with translated(may_have_acted=False):
                    await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
                    told()
                    async for _ in connection.notifies():
                        told()
            finally:
                await self._hang_up()

    async def close(self) -> None:
        """Hang up; safe to repeat."""
        self._is_closed = True
        await self._hang_up()

    async def _use(self, connection: Connection, work: Work[T], *, may_have_acted: bool) -> T:
        try:
            with translated(may_have_acted=may_have_acted):
                async with asyncio.timeout(self._limits.answer_s):
                    return await work(connection)
        except BaseException:
            await self._hang_up()  # What became of its transaction is the server's to decide.
            raise

    async def _connected(self) -> Connection:
        if self._connection is not None and _is_alive(self._connection):
            return self._connection
        await self._hang_up()
        with translated(may_have_acted=False):
            async with asyncio.timeout(self._limits.connect_s):
                self._connection = await self._connect()
        return self._connection

    async def _connect(self) -> Connection:
        connection = await psycopg.AsyncConnection.connect(
            **self._arguments,
            autocommit=True,  # We begin and commit ourselves.
            prepare_threshold=0,  # Few statements, each often.
        )
        try:
            statement_ms = str(max(1, round(1000 * self._limits.statement_s)))
            await connection.execute(_SETTINGS, (statement_ms,) * 3)
            if self._enter is not None:
                await self._enter(connection)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _is_alive(connection: Connection) -> bool:
    """Whether the server has not hung up since the last answer: it may have been started anew.

    What it said last is read first, that it hung up second.
    """
    try:
        connection.pgconn.consume_input()
        connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return False
    is_idle = connection.pgconn.transaction_status == TransactionStatus.IDLE
    return connection.pgconn.status == ConnStatus.OK and is_idle
