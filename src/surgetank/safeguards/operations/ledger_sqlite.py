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
from surgetank.core.errors import IntegrityError
from surgetank.core.ports import Blocking
from surgetank.core.value import Dependency
from surgetank.safeguards.operations import ledger_text
from surgetank.safeguards.operations.ledger import Answer, Exchange, exchanging
from surgetank.safeguards.operations.sqlite_error import translated

BUSY_S = 1.0
"""Seconds to wait for other workers; an exchange takes less than a millisecond."""
SCHEMA_VERSION = 1
_SCHEMA = """create table if not exists governor (
 dependency text primary key, state text not null) strict, without rowid"""
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
    ) -> Self:
        """Open or create the file.

        Args:
            path: Of a file for this alone.
            blocking: Where SQLite runs.
            now: A clock that all processes of this host read alike, in seconds: the time since the
                host was started is one. It may jump: see `control.share`.
            share: How to share; workers should agree on it.

        Raises:
            DependencyError: the file cannot be opened or written.
            IntegrityError: it is damaged, or a newer release's.
        """
        return cls(await blocking.run(partial(_connect, path)), blocking, now, share)

    async def exchange(
        self, dependency: Dependency, report: Report, policy: GovernorPolicy
    ) -> Answer:
        """See `Ledger.exchange`."""
        work = exchanging(dependency, report, policy, self._share)
        return await self._blocking.run(partial(self._exchange, dependency, policy, work))

    async def close(self) -> None:
        """See `Ledger.close`."""
        await self._blocking.run(self._connection.close)

    def _exchange(self, dependency: Dependency, policy: GovernorPolicy, work: Exchange) -> Answer:
        connection = self._connection
        with translated(may_have_acted=True):
            connection.execute("begin immediate")
            try:
                found = connection.execute(
                    "select state from governor where dependency = ?", (dependency,)
                ).fetchone()
                kept = found and ledger_text.read(found[0], policy, dependency=dependency)
                shared, lease = work(kept, self._now())
                connection.execute(_KEEP, (dependency, ledger_text.write(shared)))
                connection.execute("commit")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("rollback")
                raise
        return Answer(lease, shared.at)


def _connect(path: str) -> sqlite3.Connection:
    with translated(may_have_acted=False):
        connection = sqlite3.connect(
            path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, uri=False
        )
    try:
        with translated(may_have_acted=False):
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            connection.execute("begin immediate")
            _check(connection, path)
            connection.execute(_SCHEMA)
            connection.execute(f"pragma user_version = {SCHEMA_VERSION}")
            connection.execute("commit")
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: str) -> None:
    version = int(connection.execute("pragma user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise IntegrityError(
            f"{path}: schema version {version}, but this release speaks up to "
            f"{SCHEMA_VERSION}; use the release that wrote it, or a newer one"
        )
