"""Brings a PostgreSQL database to the schema that this code speaks.

All is in the schema `surgetank`, so that a database may hold other things too. Nodes that start at
once take turns: who comes second finds the work done.
"""

from collections.abc import Sequence
from typing import Any

from surgetank.core.errors import IntegrityError
from surgetank.safeguards.operations.migrations import migrations
from surgetank.safeguards.operations.postgres_session import Connection

_TURN = (1400204883, -1)  # Of advisory locks; slots of the tally have the same first half.
_HISTORY = """create table surgetank.migration (
 version integer primary key, applied_at timestamptz not null default now())"""


async def migrate(connection: Connection) -> None:
    """Apply what is missing, in one transaction; safe to repeat, and from many nodes at once.

    Raises:
        IntegrityError: the schema is somebody else's, or newer than ours.
        psycopg.Error: the database failed; nothing was changed.
    """
    wanted = migrations("postgres")
    if await _version(connection) == len(wanted):
        return
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(%s, %s)", _TURN)
        have = await _version(connection)  # Again, now that nobody else can migrate.
        if have > len(wanted):
            raise IntegrityError(
                f"the database has schema version {have}, but this release speaks up to "
                f"{len(wanted)}; use the release that wrote it, or a newer one"
            )
        if have == 0:
            await connection.execute("create schema if not exists surgetank")
            await connection.execute(_HISTORY)
        await _apply(connection, wanted[have:], first=have + 1)


async def _apply(connection: Connection, scripts: Sequence[str], *, first: int) -> None:
    await connection.execute("set local statement_timeout = 0")  # An index may take hours.
    for version, script in enumerate(scripts, start=first):
        query: Any = script  # A file of ours: as literal as what stands in the code.
        await connection.execute(query, prepare=False)  # Many statements.
        await connection.execute("insert into surgetank.migration values (%s)", (version,))


async def _version(connection: Connection) -> int:
    """The version of the schema; 0 when there is none.

    Raises:
        IntegrityError: the schema has our name but not our history.
    """
    found = await connection.execute(
        """select to_regclass('surgetank.migration') is not null,
         exists (select from pg_class where relnamespace = to_regnamespace('surgetank'))"""
    )
    is_ours, is_used = await found.fetchone() or (False, False)
    if not is_ours:
        if is_used:
            raise IntegrityError(
                "the schema surgetank holds other tables; give the store a database of its own"
            )
        return 0
    found = await connection.execute("select max(version) from surgetank.migration")
    row = await found.fetchone()
    return (row[0] if row else None) or 0
