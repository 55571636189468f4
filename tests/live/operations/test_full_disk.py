"""A disk that is really full: a clear error, nothing acknowledged that is not there."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

WRITER = """
import asyncio, resource, signal, sys
from surgetank.core.errors import DependencyError
from surgetank.core.operation import NewOperation, Step
from surgetank.core.value import Dependency
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.safeguards.operations.progress import new_record
from surgetank.safeguards.operations.sqlite import SQLiteStore

async def main(path, bytes_max):
    store = await SQLiteStore.open(path, InlineBlocking())
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max))
    step = Step("vm", Dependency("vm@eastus"), "do", "x" * 4000)
    for number in range(10_000):
        new = NewOperation(f"k{number}", "x", "x", (step,))
        try:
            await store.submit(new_record(new, now=1.0))
        except DependencyError as error:
            print("failed", error.may_have_acted, error, flush=True)
            return
        print("stored", number, flush=True)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""
FILE_BYTES_MAX = 1_000_000


def test_a_full_disk_is_told_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="file sizes are limited on Unix only")
    assert resource.RLIMIT_FSIZE is not None
    path = tmp_path / "operations.db"
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", WRITER, str(path), str(FILE_BYTES_MAX)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    *stored, last = done.stdout.splitlines()
    assert len(stored) > 10
    assert last.startswith("failed"), last
    assert "the store failed" in last
    connection = sqlite3.connect(path)
    (found,) = connection.execute("select count(*) from operation").fetchone()
    (healthy,) = connection.execute("pragma integrity_check").fetchone()
    connection.close()
    # What was said to have failed may be there when it was said that it may have acted.
    assert found - len(stored) in ((0, 1) if last.startswith("failed True") else (0,))
    assert healthy == "ok"
