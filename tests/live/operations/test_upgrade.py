"""Two releases on one store: today's, and a made-up next one, which is a copy with one migration more."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from surgetank.safeguards.operations.migrations import migrations

SUBMITTED = 800
TODAYS = 5_000
"""Ten seconds of submissions: a process of the next release takes some to start."""
LONG_S = 10.0
"""Twice as long as any other statement may take, and a connection to be made."""
NEW = """-- Readable from version {readable_from}.
{first}
alter table {schema}operation add column colour text;
create table {schema}paint (colour text primary key, litres integer not null);
create index operation_colour on {schema}operation (colour) where colour is not null;
"""

MIGRATING = """select 1 from pg_stat_activity where query like '%pg_sleep%' and state = 'active'
 and pid <> pg_backend_pid() and datname = current_database()"""
Release = Callable[..., Mapping[str, str]]


@pytest.fixture
def next_release(tmp_path: Path) -> Release:
    """Make the next release, which today's may use (0) or not (1); the environment to run it in.

    What is said to PostgreSQL first is said before the new column locks the table.
    """

    def make(later: int, postgres: str = "") -> Mapping[str, str]:
        spec = find_spec("surgetank")
        assert spec is not None
        assert spec.submodule_search_locations is not None
        (package,) = spec.submodule_search_locations
        copy = tmp_path / f"next{later}" / "surgetank"
        shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
        for folder, schema in (("sqlite", ""), ("postgres", "surgetank.")):
            ours = len(migrations(folder))
            first = postgres if schema else ""
            text = NEW.format(readable_from=ours + later, schema=schema, first=first)
            file = f"safeguards/operations/migrations/{folder}/{ours + 1:04}_colour.sql"
            (copy / file).write_text(text)
        # Nothing else of ours: what measures coverage would look for the copy when it is gone.
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return kept | {"PYTHONPATH": str(copy.parent)}

    return make


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store may be."""
    if request.param == "postgres":
        return str(request.getfixturevalue("database"))
    return str(tmp_path / "operations.db")


def ask(place: str, query: str) -> list[Any]:
    """Read something; of PostgreSQL's schema when it is there."""
    if "://" in place:
        import psycopg  # noqa: PLC0415 - an extra

        with psycopg.connect(place, options="-c search_path=surgetank") as connection:
            return list(connection.execute(query.encode()).fetchall())
    file = sqlite3.connect(place)
    try:
        return file.execute(query).fetchall()
    finally:
        file.close()


def states(place: str) -> dict[str, str]:
    name = "id" if "://" in place else "lower(hex(id))"
    return dict(ask(place, f"select {name}, state from operation"))  # noqa: S608 - ours


def versions(place: str) -> list[Any]:
    return [each for (each,) in ask(place, "select version from migration order by version")]


def ours(place: str) -> int:
    return len(migrations("postgres" if "://" in place else "sqlite"))


def test_two_releases_drain_one_store(
    place: str, fleet: Any, count: Any, next_release: Release
) -> None:
    environment = next_release(0)
    all_of_us = fleet(place)
    all_of_us.start("today", TODAYS)
    all_of_us.until(lambda: all_of_us.calls() > SUBMITTED)
    nodes = [f"next{number}" for number in range(4)]
    for name in nodes:
        all_of_us.start(name, SUBMITTED // 4, environment=environment)
    all_of_us.until(lambda: versions(place)[-1] == ours(place) + 1)
    assert all_of_us.is_running("today"), "the schema changed under it"
    all_of_us.start("again", SUBMITTED // 4)
    all_of_us.finish()
    assert versions(place) == list(range(1, ours(place) + 2)), "four nodes migrated once"
    counts = count(all_of_us, states(place))
    assert counts.acknowledged == TODAYS + 5 * (SUBMITTED // 4)
    assert counts.lost == counts.unfinished == counts.failed == counts.unknown == 0
    assert counts.finished_again == counts.calls_again == 0


def test_today_starts_and_drains_while_a_long_migration_runs(
    database: str, fleet: Any, count: Any, next_release: Release
) -> None:
    environment = next_release(0, f"select pg_sleep({LONG_S});")
    made = fleet(database)
    made.start("first", 1)
    made.finish()
    made.start("next", 1, environment=environment)
    made.until(lambda: bool(ask(database, MIGRATING)))
    made.start("today", SUBMITTED)
    made.finish("today")
    assert versions(database) == [*range(1, ours(database) + 1)], "it still runs"
    made.finish("next")
    assert versions(database)[-1] == ours(database) + 1
    assert count(made, states(database)).unfinished == 0


def test_a_store_of_the_next_release_alone_is_refused(
    place: str, fleet: Any, next_release: Release
) -> None:
    made = fleet(place)
    made.start("next", 1, environment=next_release(1))
    made.finish()
    made.start("today", 1)
    assert made.fail("today").startswith(
        f"surgetank.core.errors.IntegrityError: {place if '://' not in place else 'the database'}: "
        f"schema version {ours(place) + 1} is for releases that speak {ours(place) + 1} or more"
    )
    assert len(states(place)) == 1


def test_a_file_that_the_next_release_takes_is_written_to_no_more(
    tmp_path: Path, fleet: Any, count: Any, next_release: Release
) -> None:
    place, environment = str(tmp_path / "operations.db"), next_release(1)
    made = fleet(place)
    made.start("today", TODAYS, lease_s=3.0)
    made.until(lambda: made.calls() > SUBMITTED)
    made.start("next", SUBMITTED, environment=environment, lease_s=3.0)
    said = made.fail("today")
    assert said.startswith("surgetank.core.errors.IntegrityError: the store: schema version")
    made.finish("next")
    counts = count(made, states(place))
    assert SUBMITTED < counts.acknowledged < TODAYS + SUBMITTED
    assert counts.lost == counts.unfinished == counts.failed == 0
    assert counts.finished_again == counts.once_again == 0


def test_a_database_that_today_uses_is_not_taken_by_the_next_release(
    database: str, fleet: Any, count: Any, next_release: Release
) -> None:
    environment = next_release(1)
    made = fleet(database)
    made.start("today", TODAYS)
    made.until(lambda: made.calls() > SUBMITTED)
    made.start("early", 1, environment=environment)
    assert made.fail("early").startswith(
        "surgetank.core.errors.ConflictError: servers of a release that speaks schema version "
    )
    assert made.is_running("today")
    made.finish("today")
    made.start("next", SUBMITTED, environment=environment)
    made.finish("next")
    counts = count(made, states(database))
    assert counts.acknowledged == TODAYS + SUBMITTED
    assert counts.lost == counts.unfinished == counts.failed == counts.unknown == 0
    assert counts.finished_again == counts.calls_again == 0
