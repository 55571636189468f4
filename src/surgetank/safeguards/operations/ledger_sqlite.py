"""A ledger in a SQLite file: the workers of one host share governors.

A small transaction for each exchange, `begin immediate`, so that workers take turns. It survives
the death of every process; a machine that loses power may lose the last exchanges
(`synchronous=normal`), which is no promise broken: what was permitted was permitted.
"""

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Self

from surgetank.control.governor import GovernorPolicy
from surgetank.control.lease import Report, SharePolicy
from surgetank.core.ports import Blocking
from surgetank.core.value import Dependency
from surgetank.safeguards.operations.ledger import Answer, Exchange, exchanging
from surgetank.safeguards.operations.sqlite_error import translated
from surgetank.safeguards.operations.sqlite_schema import (
    check_schema,
    check_version,
    migrate,
)

BUSY_S = 1.0
"""Seconds to wait for other workers; an exchange takes less than a millisecond."""
_KEEP = """insert into governor values (?, ?)
 on conflict (dependency) do update set state = excluded.state"""


class SQLiteLedger:
    """The `Ledger` in a file of its own."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        blocking: Blocking,
        now: Callable[[], float],
        share: SharePolicy,
    ) -> None:
        self._connection = connection
        self._blocking = blocking
        self._now = now
        self._share = share

    @classmethod
    async def open(
        cls,
        path: str,
        blocking: Blocking,
        *,
        now: Callable[[], float],
        share: SharePolicy = SharePolicy(),  # noqa: B008 - a value
        busy_s: float = BUSY_S,
    ) -> Self:
        """Open or create the file.

        Args:
            path: Of a file for this alone.
            blocking: Where SQLite runs.
            now: A clock that all processes of this host read alike, in seconds, as
                `runtime.live.clock.host_now`. It may jump: see `control.share`.
            share: How to share; workers should agree on it.
            busy_s: Seconds to wait for other workers; at least 0.

        Raises:
            InvalidInputError: SQLite is too old.
            DependencyError: the file cannot be opened or written.
            IntegrityError: it holds something else, is damaged, or a newer release keeps it.
        """
        return cls(await blocking.run(partial(_connect, path, busy_s)), blocking, now, share)

    async def exchange(
        self, dependency: Dependency, report: Report, policy: GovernorPolicy
    ) -> Answer:
        """See `Ledger.exchange`."""
        work = exchanging(dependency, report, policy, self._share)
        return await self._blocking.run(partial(self._exchange, dependency, work))

    async def close(self) -> None:
        """See `Ledger.close`."""
        await self._blocking.run(self._connection.close)

    def _exchange(self, dependency: Dependency, work: Exchange) -> Answer:
        connection = self._connection
        with translated(may_have_acted=True):
            connection.execute("begin immediate")
            try:
                check_schema(connection, schema="ledger")
                found = connection.execute(
                    "select state from governor where dependency = ?", (dependency,)
                ).fetchone()
                text, answer = work(found and found[0], self._now())
                connection.execute(_KEEP, (dependency, text))
                connection.execute("commit")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("rollback")
                raise
        return answer


def _connect(path: str, busy_s: float) -> sqlite3.Connection:
    check_version(sqlite3.sqlite_version_info)
    with translated(may_have_acted=False):
        connection = sqlite3.connect(
            path, timeout=busy_s, isolation_level=None, check_same_thread=False, uri=False
        )
    try:
        with translated(may_have_acted=False):
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            migrate(connection, path, schema="ledger")
    except BaseException:
        connection.close()
        raise
    return connection
