"""Every ledger, under one suite."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from surgetank.control.evidence import Evidence
from surgetank.control.governor import GovernorPolicy
from surgetank.control.lease import Report
from surgetank.core.value import Dependency, OutcomeKind
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.safeguards.operations.ledger import Ledger, MemoryLedger
from surgetank.safeguards.operations.ledger_sqlite import SQLiteLedger

WithLedger = Callable[[Callable[[Ledger], Coroutine[Any, Any, None]]], None]
VM, DISK = Dependency("vm@eastus"), Dependency("disk@eastus")
POLICY = GovernorPolicy()


@pytest.fixture(params=["memory", "sqlite"])
def with_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> WithLedger:
    def play(body: Callable[[Ledger], Coroutine[Any, Any, None]]) -> None:
        async def main(loop: VirtualLoop) -> None:
            clock = VirtualClock(loop)
            ledger: Ledger = MemoryLedger(clock=clock)
            if request.param == "sqlite":
                path = str(tmp_path / "governors.db")
                ledger = await SQLiteLedger.open(path, InlineBlocking(), now=clock.now)
            await body(ledger)
            await ledger.close()

        run(main)

    return play


def test_what_one_worker_was_given_no_other_gets(with_ledger: WithLedger) -> None:
    async def body(ledger: Ledger) -> None:
        first = await ledger.exchange(VM, Report("a", 0, Evidence(0.0), wants=1), POLICY)
        second = await ledger.exchange(VM, Report("b", 0, Evidence(0.0), wants=1), POLICY)
        assert (first.lease.permits, second.lease.permits) == (1, 0)

    with_ledger(body)


def test_what_one_worker_saw_opens_the_breaker_of_its_dependency_alone(
    with_ledger: WithLedger,
) -> None:
    async def body(ledger: Ledger) -> None:
        results = (OutcomeKind.BLOCKED,) * 3
        await ledger.exchange(VM, Report("a", 0, Evidence(0.0), results=results), POLICY)
        vm = await ledger.exchange(VM, Report("b", 0, Evidence(0.0)), POLICY)
        disk = await ledger.exchange(DISK, Report("b", 0, Evidence(0.0)), POLICY)
        phases = [answer.lease.governor.breaker.phase for answer in (vm, disk)]
        assert phases == [1, 0]

    with_ledger(body)
