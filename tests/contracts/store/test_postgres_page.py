"""What the how-to on PostgreSQL tells people to run does what it says."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from surgetank.core.errors import DependencyError
from surgetank.runtime import config
from surgetank.safeguards.operations.record import Record

psycopg = pytest.importorskip("psycopg", reason="the package psycopg is not installed")

from surgetank.safeguards.operations.postgres import PostgresStore  # noqa: E402 - after the check

New = Callable[..., Record]
PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "operations-on-postgresql.md"
COUNT = "select count(*) from pg_stat_activity where application_name = 'surgetank'"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def run(server: Any, text: str, *, role: str, database: str) -> None:
    """Run SQL of the page under names that nobody has yet: tests share a server."""
    for statement in text.split(";\n"):
        if statement.strip():
            named = re.sub(r"\bapp\b", database, statement)
            named = named.replace("create database surgetank", f"create database {database}")
            server.psql(re.sub(r"\bsurgetank\b", role, named))


def address(server: Any, *, role: str, database: str) -> str:
    uri: str = server.get_uri(database)
    return uri.replace("//postgres:@", f"//{role}@")


async def connections(place: str, new: New) -> int:
    """Use all its ways, and count its connections."""
    store = await PostgresStore.open(place)
    store.listen(lambda: None)
    await asyncio.gather(*(store.submit(new(f"k{number}")) for number in range(300)))
    await store.take("none", now=0.0, limit=1, decide=lambda _: [])
    await store.survey()
    connection = await psycopg.AsyncConnection.connect(place)
    found = await (await connection.execute(COUNT)).fetchone()
    await connection.close()
    await store.close()
    count: int = found[0] if found else 0
    return count


def test_a_role_that_owns_its_database_needs_nothing_else(
    postgres_server: Any, record: New
) -> None:
    run(postgres_server, blocks("sql")[0], role="owner_role", database="owned")
    place = address(postgres_server, role="owner_role", database="owned")
    assert asyncio.run(connections(place, record)) == 5


def test_a_role_in_anothers_database_makes_its_schema_and_then_needs_no_right(
    postgres_server: Any, record: New
) -> None:
    _, grant, revoke = blocks("sql")
    postgres_server.psql("create database others")
    run(postgres_server, grant, role="guest_role", database="others")
    place = address(postgres_server, role="guest_role", database="others")
    asyncio.run(connections(place, record))
    run(postgres_server, revoke, role="guest_role", database="others")
    assert asyncio.run(connections(place, record)) == 5


def test_a_role_without_the_right_to_make_a_schema_is_told(
    postgres_server: Any, record: New
) -> None:
    postgres_server.psql("create database strangers")
    postgres_server.psql("create role stranger_role login")
    place = address(postgres_server, role="stranger_role", database="strangers")
    with pytest.raises(DependencyError, match="permission denied"):
        asyncio.run(connections(place, record))


def test_the_file_of_the_page_is_good(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    file = tmp_path / "surgetank.toml"
    file.write_text(text)
    assert config.read(file).store.startswith("postgresql://surgetank@db.example/surgetank")
