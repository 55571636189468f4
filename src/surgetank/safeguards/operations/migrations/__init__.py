"""Schema of the stores, as numbered files of SQL, one folder for each."""

from importlib import resources


def migrations(database: str) -> tuple[str, ...]:
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
    return tuple(file.read_text(encoding="utf-8") for file in files)
