"""The ledger in PostgreSQL beyond the contract: workers that come at once, and a server that fails."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from surgetank.control.evidence import Evidence
from surgetank.control.governor import GovernorPolicy
from surgetank.control.lease import Report
from surgetank.control.peer.steps import Steps
from surgetank.core.errors import (
    DependencyError,
    DependencyTimeoutError,
    IntegrityError,
    InvalidInputError,
)
from surgetank.core.value import Dependency, OutcomeKind

psycopg = pytest.importorskip("psycopg", reason="the package psycopg is not installed")

from surgetank.safeguards.operations.ledger_postgres import (  # noqa: E402 - after the check
    LIMITS,
    PostgresLedger,
)
from surgetank.safeguards.operations.postgres import PostgresStore  # noqa: E402 - after the check

VM, DISK = Dependency("vm@eastus"), Dependency("disk@eastus")
BLOCKED = Report("a", 0, Evidence(0.0), results=(OutcomeKind.BLOCKED,) * 3)
ASKS = Report("b", 0, Evidence(0.0))
POLICY = GovernorPolicy()
FAST = GovernorPolicy(law=Steps(step_share=1.0, rate_per_s_unlearnt=1e6))
WORKERS = 8


def play(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(body())


async def ask(database: str, query: str, *arguments: Any) -> list[Any]:
    """Run SQL beside the ledger."""
    connection = await psycopg.AsyncConnection.connect(database, autocommit=True)
    async with connection:
        found = await connection.execute(query, arguments)
        return await found.fetchall() if found.description else []


def test_workers_who_come_at_once_are_given_different_permits(database: str) -> None:
    async def body() -> None:
        ledgers = await asyncio.gather(*(PostgresLedger.open(database) for _ in range(WORKERS)))
        answers = await asyncio.gather(
            *(
                ledger.exchange(VM, Report(f"w{number}", 0, Evidence(0.0), wants=10), FAST)
                for number, ledger in enumerate(ledgers)
            )
        )
        spans = sorted(
            (lease.start_at, lease.start_at + lease.permits * lease.every_s)
            for lease, _ in answers
            if lease.permits > 0
        )
        # Instants of some 2e9 s are a quarter of a microsecond apart, less than the permits are.
        overlaps = [(a, b) for a, b in itertools.pairwise(spans) if b[0] < a[1] - 5e-7]
        assert (overlaps, len(spans) >= 2) == ([], True)
        for ledger in ledgers:
            await ledger.close()

    play(body)


def test_the_ledger_and_the_store_share_a_database(database: str) -> None:
    async def body() -> None:
        ledger, store = await asyncio.gather(
            PostgresLedger.open(database), PostgresStore.open(database)
        )
        answer = await ledger.exchange(VM, ASKS, POLICY)
        assert (answer.lease.governor.dependency, await store.tally()) == (VM, ())
        await ledger.close()
        await store.close()

    play(body)


def test_an_exchange_after_the_connection_was_cut_is_made_on_another(database: str) -> None:
    async def body() -> None:
        ledger = await PostgresLedger.open(database)
        await ledger.exchange(VM, BLOCKED, POLICY)
        await ask(
            database,
            """select pg_terminate_backend(pid, 5000) from pg_stat_activity
             where application_name = 'surgetank' and datname = current_database()""",
        )
        answer = await ledger.exchange(VM, ASKS, POLICY)
        assert answer.lease.governor.breaker.phase == 1
        await ledger.close()

    play(body)


def test_an_exchange_does_not_wait_for_a_row_that_is_not_let_go(database: str) -> None:
    async def body() -> None:
        ledger = await PostgresLedger.open(database, limits=LIMITS._replace(statement_s=0.1))
        await ledger.exchange(VM, ASKS, POLICY)
        async with await psycopg.AsyncConnection.connect(database) as other:
            await other.execute("select from surgetank.governor for update")
            with pytest.raises(DependencyTimeoutError) as raised:
                await ledger.exchange(VM, BLOCKED, POLICY)
            assert not raised.value.may_have_acted
        answer = await ledger.exchange(VM, ASKS, POLICY)
        assert answer.lease.governor.breaker.phase == 0
        await ledger.close()

    play(body)


def test_a_damaged_state_leaves_the_others_usable(database: str) -> None:
    async def body() -> None:
        ledger = await PostgresLedger.open(database)
        await ask(database, "insert into surgetank.governor values (%s, 'no state')", VM)
        with pytest.raises(IntegrityError, match="damaged"):
            await ledger.exchange(VM, BLOCKED, POLICY)
        answer = await ledger.exchange(DISK, ASKS, POLICY)
        assert answer.lease.governor.dependency == DISK
        await ledger.close()

    play(body)


def test_a_database_of_a_newer_release_is_refused(database: str) -> None:
    async def body() -> None:
        await (await PostgresLedger.open(database)).close()
        await ask(database, "insert into surgetank.migration values (999)")
        with pytest.raises(IntegrityError, match="schema version 999"):
            await PostgresLedger.open(database)

    play(body)


@pytest.mark.parametrize(
    ("address", "error"),
    [("host=/nowhere", DependencyError), ("nonsense", InvalidInputError)],
)
def test_an_address_that_leads_nowhere_is_told(address: str, error: type[Exception]) -> None:
    async def body() -> None:
        with pytest.raises(error):
            await PostgresLedger.open(address)

    play(body)
