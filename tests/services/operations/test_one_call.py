"""Workers of one call that share governors, as the jobs of one machine: they ask by a lease."""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from surgetank.control.governor import GovernorPolicy
from surgetank.control.lease import Report
from surgetank.control.peer.steps import Steps
from surgetank.control.release import ReleasePolicy
from surgetank.core.errors import DependencyError, DependencyTimeoutError
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Refusal
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.safeguards.operations.ledger import Answer, Ledger, MemoryLedger
from surgetank.safeguards.operations.shared_permits import LAG_S, SharedPermits, with_lag

VM = Dependency("vm@eastus")
BLOCKED = Outcome(OutcomeKind.BLOCKED)
Worker = Callable[[str], SharedPermits]


class SilentLedger:
    """Never answers."""

    async def exchange(
        self, dependency: Dependency, report: Report, policy: GovernorPolicy
    ) -> Answer:
        del dependency, report, policy
        await asyncio.Event().wait()
        raise AssertionError("nobody waits so long")

    async def close(self) -> None: ...


class LostLedger(SilentLedger):
    """Is not there."""

    async def exchange(
        self, dependency: Dependency, report: Report, policy: GovernorPolicy
    ) -> Answer:
        del dependency, report, policy
        raise DependencyError("no such file", may_have_acted=False)


def play(main: Callable[[Worker], Coroutine[Any, Any, None]], ledger: Ledger | None = None) -> None:
    """Give workers of one call each that share a ledger, in virtual time."""

    async def whole(loop: VirtualLoop) -> None:
        clock = VirtualClock(loop)
        shared = ledger or MemoryLedger(clock=clock)

        def worker(name: str) -> SharedPermits:
            return SharedPermits(
                shared,
                worker=name,
                default=GovernorPolicy(),
                clock=clock,
                chance=Random(1),
                calls_max=1,
            )

        await main(worker)

    run(whole)


async def call(permits: SharedPermits, outcome: Outcome) -> Refusal | None:
    """Make the one call of a worker, if it may, and leave."""
    await permits.announce(VM, lane=Lane.FRESH, retry=False)
    permits.start()
    answer = permits.ask((VM,), lane=Lane.FRESH)
    if not isinstance(answer, Refusal):
        permits.report(answer[0], outcome)
    await permits.close()
    return answer if isinstance(answer, Refusal) else None


def test_what_one_call_showed_refuses_the_first_question_of_the_next() -> None:
    async def main(worker: Worker) -> None:
        refusals = [await call(worker(name), BLOCKED) for name in "abcd"]
        assert [refusal and refusal.reason for refusal in refusals] == [
            None,
            None,
            None,
            "breaker_open",
        ]

    play(main)


@pytest.mark.parametrize(
    ("ledger", "error"), [(SilentLedger(), DependencyTimeoutError), (LostLedger(), DependencyError)]
)
def test_a_ledger_that_is_away_is_told_before_anything_is_asked(
    ledger: Ledger, error: type[Exception]
) -> None:
    async def main(worker: Worker) -> None:
        with pytest.raises(error):
            await worker("a").announce(VM, lane=Lane.FRESH, retry=False)

    play(main, ledger)


def test_a_law_that_measures_knows_of_the_lag_and_another_is_as_it_was() -> None:
    fixed = GovernorPolicy(law=Steps(step_share=1.0))
    slow = GovernorPolicy(law=ReleasePolicy(lag_s=3.0))
    assert with_lag(GovernorPolicy()).law == ReleasePolicy(lag_s=LAG_S)
    assert (with_lag(slow), with_lag(fixed)) == (slow, fixed)
