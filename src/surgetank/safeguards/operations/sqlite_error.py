"""SQLite's errors in our words: none crosses the store's boundary."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from surgetank.core.errors import DependencyError, DependencyTimeoutError, IntegrityError

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_UNWRITTEN = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, *_LOCKED)
_PRIMARY_CODE = 0xFF


@contextmanager
def translated(*, may_have_acted: bool) -> Generator[None, None, None]:
    """Translate what SQLite raises inside.

    Args:
        may_have_acted: Whether a failure here, other than a refusal to write, may have left
            something written.

    Raises:
        DependencyTimeoutError: another process holds the database locked; later helps.
        DependencyError: the database cannot be written or read (disk full, read-only, I/O).
        IntegrityError: the file is damaged or no database, or its tables are not ours any more.
    """
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # Our defect, not the world's.
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_CODE
        if code in _DAMAGED:
            raise IntegrityError(f"the store is damaged: {error}; restore a copy") from error
        if code == sqlite3.SQLITE_ERROR:  # What we say never changes: the schema must have.
            raise IntegrityError(
                f"the store is damaged or not ours: {error}; restore a copy"
            ) from error
        acted = may_have_acted and code not in _UNWRITTEN
        if code in _LOCKED:
            raise DependencyTimeoutError(
                f"the store is locked by another process: {error}", may_have_acted=acted
            ) from error
        raise DependencyError(f"the store failed: {error}", may_have_acted=acted) from error
