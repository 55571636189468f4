"""PostgreSQL's errors in our words: none crosses the store's boundary.

Source: https://www.postgresql.org/docs/current/errcodes-appendix.html.
"""

from collections.abc import Generator
from contextlib import contextmanager

import psycopg

from surgetank.core.errors import (
    DependencyError,
    DependencyRejectedError,
    DependencyTimeoutError,
    IntegrityError,
)

_ROLLED_BACK = ("40001", "40P01")  # Two transactions in each other's way; another try helps.
_TIMED_OUT = ("57014", "55P03", "25P03", "25P04")
_DAMAGED = ("XX001", "XX002", "42P01", "42703", "42883", "3F000")  # The last four: not our schema.
_REJECTED = ("42501",)  # Who may not connect at all is told without a code.
_ENDED = ("FATAL", "PANIC")  # The server ended the connection with this error.


@contextmanager
def translated(*, may_have_acted: bool) -> Generator[None, None, None]:
    """Translate what psycopg raises inside, and a time-out.

    Args:
        may_have_acted: Whether something may be written when no answer came.

    Raises:
        DependencyTimeoutError: no answer in time, or another transaction holds what we need.
        DependencyRejectedError: we may not use a table.
        DependencyError: the server is unreachable, refused or cut us off, or cannot write (disk full).
        IntegrityError: the database is damaged, or its schema is not ours.
    """
    try:
        yield
    except TimeoutError as error:
        raise DependencyTimeoutError(
            "the store gave no answer in time", may_have_acted=may_have_acted
        ) from error
    except OSError as error:
        raise DependencyError(
            f"the store cannot be reached: {error}", may_have_acted=may_have_acted
        ) from error
    except psycopg.Error as error:
        if error.sqlstate is None and not isinstance(error, psycopg.OperationalError):
            raise  # Our defect, not the world's.
        _raise(error, may_have_acted=may_have_acted)


def was_rolled_back(error: DependencyError) -> bool:
    """Whether a transaction was undone because another was in its way: another try helps."""
    return getattr(error.__cause__, "sqlstate", None) in _ROLLED_BACK


def was_cut_off(error: DependencyError) -> bool:
    """Whether the connection ended before its answer came: another one may bring it."""
    return isinstance(error.__cause__, psycopg.OperationalError) and _is_cut_off(error.__cause__)


def _is_cut_off(error: psycopg.Error) -> bool:
    return error.sqlstate is None or error.diag.severity_nonlocalized in _ENDED


def _raise(error: psycopg.Error, *, may_have_acted: bool) -> None:
    code = error.sqlstate
    said = str(error).strip()
    if code in _DAMAGED:
        raise IntegrityError(f"the store is damaged or not ours: {said}; restore a copy") from error
    acted = may_have_acted and _is_cut_off(error)
    if code in _TIMED_OUT:
        raise DependencyTimeoutError(f"the store is busy: {said}", may_have_acted=acted) from error
    if code in _REJECTED:
        raise DependencyRejectedError(
            f"the store refused us: {said}", may_have_acted=acted
        ) from error
    raise DependencyError(f"the store failed: {said}", may_have_acted=acted) from error
