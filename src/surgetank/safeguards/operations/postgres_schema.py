"""Brings a PostgreSQL database to the schema that this code speaks.

All is in the schema `surgetank`, so that a database may hold other things too. Nodes that start at
once take turns: who comes second finds the work done.

A connection holds a shared lock in the name of the version that its release speaks, for as long as
it is open. A migration that shuts older releases out first takes theirs, and so is refused while
one is connected; whose connections had ended meanwhile is refused when it connects again. So no
release ever writes to a schema that it may not use, and no transaction has to look.
"""

from collections.abc import Sequence
from typing import Any

from surgetank.core.errors import ConflictError, IntegrityError
from surgetank.safeguards.operations.migrations import (
    Migration,
    Schema,
    check_readable,
    migrations,
)
from surgetank.safeguards.operations.postgres_session import Connection

_TURN = (1400204883, -1)  # Of advisory locks; slots of the tally have the same first half.
_SPEAKERS = 1400204884  # First half of another kind: the second is the version that is spoken.
_HISTORY = """create table surgetank.migration (version integer primary key,
 applied_at timestamptz not null default now(), readable_from integer)"""
# Before this was kept, a release could use its own version alone.
_KEEP_READABLE = "alter table surgetank.migration add column if not exists readable_from integer"
_FOUND = """select max(version),
 max(coalesce((to_jsonb(m) ->> 'readable_from')::integer, version)) from surgetank.migration m"""


async def enter(connection: Connection) -> None:
    """Say on a new connection which version this release speaks, and hear whether it may.

    Raises:
        IntegrityError: the schema is somebody else's, or a newer release keeps it for itself.
        psycopg.Error: the database failed, or is being migrated to what we may not use.
    """
    ours = len(migrations("postgres"))
    await connection.execute("select pg_advisory_lock_shared(%s, %s)", (_SPEAKERS, ours))
    check_readable(await _found(connection), newest=ours, name="the database")


async def migrate(connection: Connection) -> None:
    """Apply what is missing, in one transaction; safe to repeat, and from many nodes at once.

    Raises:
        IntegrityError: the schema is somebody else's, or a newer release keeps it for itself.
        ConflictError: what is missing shuts out a release that still uses the database.
        psycopg.Error: the database failed; nothing was changed.
    """
    wanted = migrations("postgres")
    if (await _found(connection)).version == len(wanted):
        return
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(%s, %s)", _TURN)
        found = await _found(connection)  # Again, now that nobody else can migrate.
        check_readable(found, newest=len(wanted), name="the database")
        if found.version == 0:
            await connection.execute("create schema if not exists surgetank")
            await connection.execute(_HISTORY)
        if missing := wanted[found.version :]:
            await _shut_out(connection, found, missing)
            await _apply(connection, missing)


async def _shut_out(connection: Connection, found: Schema, missing: Sequence[Migration]) -> None:
    """Let no older release connect until the commit, after which it is refused."""
    oldest = max(each.readable_from for each in missing)
    for version in range(max(1, found.readable_from), oldest):
        lock = "select pg_try_advisory_xact_lock(%s, %s)"
        ((is_ours,),) = await (await connection.execute(lock, (_SPEAKERS, version))).fetchall()
        if not is_ours:
            raise ConflictError(
                f"servers of a release that speaks schema version {version} use the database, and "
                f"it becomes one for {oldest} or more: stop them, then start this one again"
            )


async def _apply(connection: Connection, missing: Sequence[Migration]) -> None:
    await connection.execute("set local statement_timeout = 0")  # An index may take hours.
    await connection.execute(_KEEP_READABLE)
    for version, readable_from, script in missing:
        query: Any = script  # A file of ours: as literal as what stands in the code.
        await connection.execute(query, prepare=False)  # Many statements.
        row = (version, readable_from)
        keep = "insert into surgetank.migration (version, readable_from) values (%s, %s)"
        await connection.execute(keep, row)


async def _found(connection: Connection) -> Schema:
    """What the database says of its schema.

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
        return Schema(0, 0)
    found = await connection.execute(_FOUND)
    version, readable_from = await found.fetchone() or (None, None)
    return Schema(version or 0, readable_from or 0)
