"""Shared governors in a SQLite file: what it refuses, and what outlives its connection."""

import sqlite3
from pathlib import Path

import pytest

from surgetank.control.evidence import Evidence
from surgetank.control.governor import GovernorPolicy
from surgetank.control.lease import Report, SharePolicy
from surgetank.core.errors import DependencyError, DependencyTimeoutError, IntegrityError
from surgetank.core.value import Dependency, OutcomeKind
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.safeguards.operations import ledger_sqlite
from surgetank.safeguards.operations.ledger_sqlite import SQLiteLedger
from surgetank.safeguards.operations.migrations import migrations
from surgetank.safeguards.operations.sqlite_schema import migrate

VM = Dependency("vm@eastus")
BLOCKED = Report("a", 0, Evidence(0.0), results=(OutcomeKind.BLOCKED,) * 3)


async def opened(path: Path, *, busy_s: float = ledger_sqlite.BUSY_S) -> SQLiteLedger:
    return await SQLiteLedger.open(
        str(path), InlineBlocking(), now=lambda: 5.0, share=SharePolicy(), busy_s=busy_s
    )


def test_what_was_learnt_outlives_the_connection(tmp_path: Path) -> None:
    async def main(_: VirtualLoop) -> None:
        ledger = await opened(tmp_path / "governors.db")
        await ledger.exchange(VM, BLOCKED, GovernorPolicy())
        await ledger.close()
        ledger = await opened(tmp_path / "governors.db")
        answer = await ledger.exchange(VM, Report("b", 0, Evidence(0.0)), GovernorPolicy())
        assert answer.lease.governor.breaker.phase == 1
        await ledger.close()

    run(main)


def test_a_file_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "governors.db")
    connection.execute(f"pragma user_version = {len(migrations('ledger')) + 1}")
    connection.close()

    async def main(_: VirtualLoop) -> None:
        with pytest.raises(IntegrityError, match="newer"):
            await opened(tmp_path / "governors.db")

    run(main)


def test_a_file_that_a_newer_release_takes_is_written_to_no_more(tmp_path: Path) -> None:
    async def main(_: VirtualLoop) -> None:
        ledger = await opened(tmp_path / "governors.db")
        connection = sqlite3.connect(tmp_path / "governors.db")
        connection.execute(f"pragma user_version = {len(migrations('ledger')) + 1}")
        with pytest.raises(IntegrityError, match="the store: schema version"):
            await ledger.exchange(VM, BLOCKED, GovernorPolicy())
        assert connection.execute("select count(*) from governor").fetchone() == (0,)
        connection.close()
        await ledger.close()

    run(main)


def test_the_file_of_operations_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "operations.db", isolation_level=None)
    connection.execute("create table operation (number integer)")
    connection.close()

    async def main(_: VirtualLoop) -> None:
        with pytest.raises(IntegrityError, match="file of its own"):
            await opened(tmp_path / "operations.db")

    run(main)


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    async def main(_: VirtualLoop) -> None:
        with pytest.raises(DependencyError) as raised:
            await opened(tmp_path / "nowhere" / "governors.db")
        assert not raised.value.may_have_acted

    run(main)


def test_a_file_that_another_holds_counts_nothing(tmp_path: Path) -> None:
    async def main(_: VirtualLoop) -> None:
        ledger = await opened(tmp_path / "governors.db", busy_s=0.0)
        other = sqlite3.connect(tmp_path / "governors.db", isolation_level=None)
        other.execute("begin immediate")
        with pytest.raises(DependencyTimeoutError) as raised:
            await ledger.exchange(VM, BLOCKED, GovernorPolicy())
        assert not raised.value.may_have_acted
        other.close()
        answer = await ledger.exchange(VM, Report("b", 0, Evidence(0.0)), GovernorPolicy())
        assert answer.lease.governor.breaker.phase == 0
        await ledger.close()

    run(main)


def test_a_damaged_state_leaves_the_file_usable(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "governors.db", isolation_level=None)
    migrate(connection, "governors.db", schema="ledger")
    connection.execute("insert into governor values (?, 'no state')", (VM,))
    connection.close()

    async def main(_: VirtualLoop) -> None:
        ledger = await opened(tmp_path / "governors.db")
        with pytest.raises(IntegrityError, match="damaged"):
            await ledger.exchange(VM, BLOCKED, GovernorPolicy())
        disk = Dependency("disk@eastus")
        answer = await ledger.exchange(disk, Report("b", 0, Evidence(0.0)), GovernorPolicy())
        assert answer.at == 5.0
        await ledger.close()

    run(main)
