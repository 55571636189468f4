"""Opens a SQLite file safely, and brings its schema to the version that this code speaks.

WAL so that readers and the writer do not wait for each other; `synchronous=FULL` so that a commit
survives the machine losing power, not only the process dying.
Source: https://sqlite.org/wal.html and https://sqlite.org/pragma.html#pragma_synchronous.
"""

import sqlite3

from surgetank.core.errors import IntegrityError, InvalidInputError
from surgetank.safeguards.operations.migrations import Schema, check_readable, migrations
from surgetank.safeguards.operations.sqlite_error import translated

VERSION_MIN = (3, 38, 0)
"""JSON functions are always there since 3.38. Strict tables came with 3.37, `returning` with 3.35
and `update from` with 3.33. Source: https://sqlite.org/changes.html."""
_STATEMENTS_CACHED = 128
_CHECKPOINT_PAGES = 4000
"""Checkpoint at 16 MB of log, not 4: a checkpoint syncs the whole file."""
_HISTORY = """create table if not exists migration (
 version integer primary key, readable_from integer not null) strict"""


def connect(path: str, *, busy_s: float) -> sqlite3.Connection:
    """Open or create the file, durable and migrated.

    Args:
        path: A file, or `:memory:` for one that dies with the connection.
        busy_s: Seconds to wait for another process that writes; at least 0.

    Raises:
        InvalidInputError: SQLite is too old.
        DependencyError: the file cannot be opened or written.
        IntegrityError: it is no store of ours, is damaged, or a newer release keeps it for itself.
    """
    check_version(sqlite3.sqlite_version_info)
    with translated(may_have_acted=False):
        connection = sqlite3.connect(
            path,
            timeout=busy_s,
            isolation_level=None,  # We begin and commit ourselves.
            check_same_thread=False,  # The Blocking port runs one call at a time.
            cached_statements=_STATEMENTS_CACHED,
            uri=False,
        )
    try:
        with translated(may_have_acted=False):
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
            connection.execute("pragma foreign_keys = on")
            connection.execute("pragma temp_store = memory")
            connection.execute(f"pragma wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def check_version(version: tuple[int, int, int]) -> None:
    """Refuse a SQLite that does not speak all that we say to it.

    Raises:
        InvalidInputError: it is older than `VERSION_MIN`.
    """
    if version < VERSION_MIN:
        have, wanted = (".".join(map(str, each)) for each in (version, VERSION_MIN))
        raise InvalidInputError(
            f"SQLite {have}: a store takes {wanted} or later; use a Python that is built with it"
        )


def migrate(connection: sqlite3.Connection, path: str, *, schema: str = "sqlite") -> None:
    """Apply what is missing, in one transaction.

    Args:
        connection: Of the file.
        path: Its name, for people.
        schema: The folder of `migrations`.

    Raises:
        IntegrityError: the file holds something else, or a schema that a newer release keeps for
            itself.
    """
    wanted = migrations(schema)
    if _version(connection) == len(wanted):
        return
    connection.execute("begin immediate")
    try:
        found = _checked(connection, path)  # Now that nobody else can migrate.
        check_readable(found, newest=len(wanted), name=path)
        if missing := wanted[found.version :]:
            connection.execute(_HISTORY)
        for version, readable_from, script in missing:
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute("insert into migration values (?, ?)", (version, readable_from))
            connection.execute(f"pragma user_version = {version}")
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def check_schema(connection: sqlite3.Connection, *, schema: str = "sqlite") -> None:
    """Refuse to write where a newer release has changed the schema since the file was opened.

    Within the transaction that writes, as nobody can change it then; it costs a microsecond.

    Args:
        connection: Of the file.
        schema: The folder of `migrations`.

    Raises:
        IntegrityError: the newer release keeps it for itself.
    """
    newest = len(migrations(schema))
    if _version(connection) > newest:
        check_readable(_schema(connection), newest=newest, name="the store")


def _checked(connection: sqlite3.Connection, path: str) -> Schema:
    found = _schema(connection)
    if found.version == 0 and connection.execute("select 1 from sqlite_master limit 1").fetchone():
        raise IntegrityError(f"{path}: holds other tables; give the store a file of its own")
    return found


def _schema(connection: sqlite3.Connection) -> Schema:
    version = _version(connection)
    query = "select 1 from sqlite_master where name = 'migration'"
    if connection.execute(query).fetchone() is None:
        return Schema(version, version)
    ((known, readable_from),) = connection.execute(
        "select max(version), max(readable_from) from migration"
    )
    return Schema(version, readable_from if known == version else version)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("pragma user_version").fetchone()[0])


def _statements(script: str) -> list[str]:
    """Split a script where SQLite says that a statement is complete: triggers hold semicolons."""
    statements, lines = list[str](), list[str]()
    for line in script.splitlines():
        lines.append(line)
        if sqlite3.complete_statement(text := "\n".join(lines)):
            statements.append(text)
            lines = []
    return statements
