"""Every ledger, under one suite."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from surgetank.control.evidence import Evidence
from surgetank.control.governor import GovernorPolicy
from surgetank.control.lease import Report
from surgetank.control.peer.steps import Steps
from surgetank.core.value import Dependency, OutcomeKind
from surgetank.safeguards.operations.ledger import Ledger

WithLedger = Callable[[Callable[[Ledger], Coroutine[Any, Any, None]]], None]
VM, DISK = Dependency("vm@eastus"), Dependency("disk@eastus")
POLICY = GovernorPolicy()


def test_what_one_worker_was_given_no_other_gets(with_ledger: WithLedger) -> None:
    async def body(ledger: Ledger) -> None:
        first = await ledger.exchange(VM, Report("a", 0, Evidence(0.0), wants=1), POLICY)
        second = await ledger.exchange(VM, Report("b", 0, Evidence(0.0), wants=1), POLICY)
        end_at = first.lease.start_at + first.lease.permits * first.lease.every_s
        assert first.lease.permits == 1
        assert second.lease.start_at == pytest.approx(end_at, rel=1e-12)

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


def test_each_exchange_goes_by_the_policy_that_its_worker_brings(with_ledger: WithLedger) -> None:
    async def body(ledger: Ledger) -> None:
        await ledger.exchange(VM, Report("a", 0, Evidence(0.0)), POLICY)
        law = Steps(step_share=1.0, rate_per_s_unlearnt=77.0)
        steps = GovernorPolicy(law=law)
        answer = await ledger.exchange(VM, Report("b", 0, Evidence(0.0)), steps)
        assert answer.lease.every_s == pytest.approx(1 / 77.0)

    with_ledger(body)


def test_a_worker_that_leaves_is_known_no_more(with_ledger: WithLedger) -> None:
    async def body(ledger: Ledger) -> None:
        await ledger.exchange(VM, Report("a", 0, Evidence(0.0), backlog_out=3), POLICY)
        leaving = Report("a", 0, Evidence(0.0), is_leaving=True)
        answer = await ledger.exchange(VM, leaving, POLICY)
        assert answer.lease.governor.backlog.new == 0

    with_ledger(body)
