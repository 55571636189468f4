"""Schema of the stores, as numbered files of SQL, one folder for each; and who may use which.

Two releases run side by side on one store when the schema changes in two steps. A release first
adds what it needs, in a file that the release before can live with (expand). A later one takes away
what nobody needs any more, in a file that shuts out whoever does (contract). So the first line of
each file says the oldest version of the schema whose release may use a store that the file was
applied to:

    -- Readable from version 3.

A store keeps that number beside its version. The greatest of all its files is what counts.
"""

import re
from functools import cache
from importlib import resources
from typing import NamedTuple

from surgetank.core.errors import IntegrityError

_READABLE = re.compile(r"-- Readable from version (\d+)\.\n")


class Migration(NamedTuple):
    """One file of SQL."""

    version: int
    """Its number, from 1: the version of the schema once it is applied."""
    readable_from: int
    """The oldest release, by the version of its schema, that may use the store then."""
    script: str


class Schema(NamedTuple):
    """What a store says of its schema."""

    version: int
    """0 when there is none yet."""
    readable_from: int
    """The oldest release that may use it. A store of before this was kept says its own version."""


@cache
def migrations(database: str) -> tuple[Migration, ...]:
    """Read the SQL of every version of a schema, the first one first.

    Args:
        database: Its folder: `sqlite` for operations, `ledger` for shared governors in SQLite,
            `postgres` for both.
    """
    folder = resources.files(__name__) / database
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    numbers = [int(file.name.split("_", 1)[0]) for file in files]
    assert numbers == list(range(1, len(files) + 1)), "migrations are numbered from 1, with no gap"
    scripts = [file.read_text(encoding="utf-8") for file in files]
    return tuple(_migration(*pair) for pair in enumerate(scripts, start=1))


def check_readable(found: Schema, *, newest: int, name: str) -> None:
    """Refuse a schema that a newer release keeps for itself.

    Args:
        found: What the store says.
        newest: The version up to which this release speaks.
        name: Of the store, for people.

    Raises:
        IntegrityError: this release may not use it.
    """
    if newest < found.readable_from:
        raise IntegrityError(
            f"{name}: schema version {found.version} is for releases that speak "
            f"{found.readable_from} or more, but this release speaks up to {newest}; "
            "use the release that wrote it, or a newer one"
        )


def _migration(version: int, script: str) -> Migration:
    says = _READABLE.match(script)
    assert says is not None, f"migration {version} begins by saying who may use the store then"
    readable_from = int(says[1])
    assert 1 <= readable_from <= version, "the release that brings a migration can live with it"
    return Migration(version, readable_from, script)
