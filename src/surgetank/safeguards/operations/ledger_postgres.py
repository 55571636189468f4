"""A ledger in PostgreSQL: the workers of several hosts share governors.

A transaction of two round trips for each exchange, on a connection of its own: the row is locked
and read, and written back. An exchange locks the row of its one dependency and no other, so that
none waits for another in a circle. It does not wait for the disk (`synchronous_commit` off), and
nobody for it behind the lock: after a crash of the server the last exchanges may be missing, which
is no promise broken, as what was permitted was permitted.
"""

from functools import partial
from typing import Self

from surgetank.control.governor import GovernorPolicy
from surgetank.control.lease import Report, SharePolicy
from surgetank.core.value import Dependency
from surgetank.safeguards.operations.ledger import Answer, Exchange, exchanging
from surgetank.safeguards.operations.postgres_schema import migrate
from surgetank.safeguards.operations.postgres_session import Connection, Limits, Session

LIMITS = Limits(connect_s=1.0, statement_s=1.0, answer_s=1.0)
"""An exchange takes milliseconds, and a worker goes on without it. Who dies in the middle of one
holds the others up for that long."""

_LOCK = "select state from surgetank.governor where dependency = %s for update"
_BEGIN = "insert into surgetank.governor (dependency) values (%s) on conflict do nothing"
_NOW = "select extract(epoch from clock_timestamp())::double precision"
_KEEP = "update surgetank.governor set state = %s where dependency = %s"


class PostgresLedger:
    """The `Ledger` in a database, beside the operations of a store or alone."""

    def __init__(self, session: Session, share: SharePolicy) -> None:
        self._session = session
        self._share = share

    @classmethod
    async def open(
        cls,
        address: str,
        *,
        share: SharePolicy = SharePolicy(),  # noqa: B008 - a value
        limits: Limits = LIMITS,
    ) -> Self:
        """Open the database at `address`, migrated.

        Args:
            address: As libpq reads it; as for `PostgresStore.open`.
            share: How to share; workers should agree on it.
            limits: How long to wait for the server.

        Raises:
            InvalidInputError: `address` cannot be read.
            DependencyError: the database cannot be reached or written.
            IntegrityError: its schema is not ours, is damaged, or is a newer release's.
        """
        session = Session(address, limits)
        try:
            await session.run(migrate, is_repeatable=True)
        except BaseException:
            await session.close()
            raise
        return cls(session, share)

    async def exchange(
        self, dependency: Dependency, report: Report, policy: GovernorPolicy
    ) -> Answer:
        """See `Ledger.exchange`."""
        work = exchanging(dependency, report, policy, self._share)
        made = partial(_exchange, dependency=dependency, work=work)
        return await self._session.run(made, is_repeatable=False)

    async def close(self) -> None:
        """See `Ledger.close`."""
        await self._session.close()


async def _exchange(connection: Connection, *, dependency: Dependency, work: Exchange) -> Answer:
    async with connection.pipeline():
        await connection.execute("begin isolation level read committed")
        await connection.execute("set local synchronous_commit = off")
        locked = await connection.execute(_LOCK, (dependency,))
        read = await connection.execute(_NOW)  # A statement later: what it says, the lock is held.
        row = await locked.fetchone()
        if row is None:
            await connection.execute(_BEGIN, (dependency,))
            locked = await connection.execute(_LOCK, (dependency,))
            read = await connection.execute(_NOW)
            row = await locked.fetchone()
        now = await read.fetchone()
        assert row is not None, "it was put there, and nobody deletes it meanwhile"
        assert now is not None, "a select without a table gives a row"
        text, answer = work(row[0], now[0])
        await connection.execute(_KEEP, (text, dependency))
        await connection.execute("commit")
    return answer
