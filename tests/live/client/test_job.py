"""Jobs of one call that share governors in a file, asked as `surgetank run` asks them."""

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from surgetank.client.job import Job
from surgetank.control.budget import BudgetPolicy
from surgetank.control.governor import GovernorPolicy
from surgetank.control.peer.steps import Steps
from surgetank.core.errors import (
    BreakerOpenError,
    DependencyError,
    IntegrityError,
    InvalidInputError,
    RefusedError,
    ReleaseHeldError,
)
from surgetank.core.value import Lane, Outcome, OutcomeKind

VM = "vm@eastus"
SLOW = GovernorPolicy(law=Steps(step_share=1.0, rate_per_s_unlearnt=0.01))
FAST = GovernorPolicy(law=Steps(step_share=1.0, rate_per_s_unlearnt=10.0))
ONE_RETRY = GovernorPolicy(budget=BudgetPolicy(tokens_max=1.0))
Do = Callable[..., None]


@pytest.fixture
def do(tmp_path: Path) -> Do:
    """Let a job make its call, and end so; None gives its permit back."""

    def do(
        outcome: OutcomeKind | None = OutcomeKind.OK,
        policy: GovernorPolicy | None = None,
        *,
        lane: Lane = Lane.FRESH,
        retry: bool = False,
        wait_s: float = 0.0,
    ) -> None:
        with Job(str(tmp_path / "governors.db"), policy) as job:
            held = job.ask(VM, lane=lane, retry=retry, wait_s=wait_s)
            assert held.is_governed
            held.settle(None if outcome is None else Outcome(outcome))

    return do


def test_what_three_calls_showed_the_fourth_job_is_told_at_once(do: Do) -> None:
    for _ in range(3):
        do(OutcomeKind.BLOCKED)
    with pytest.raises(BreakerOpenError):
        do()


def test_a_permit_that_was_given_back_teaches_nobody(do: Do) -> None:
    for kind in (OutcomeKind.BLOCKED, OutcomeKind.BLOCKED, None):
        do(kind)
    do()


def test_a_pace_holds_the_next_job(do: Do) -> None:
    do(policy=SLOW, lane=Lane.BACKLOG)
    with pytest.raises(ReleaseHeldError):
        do(policy=SLOW, lane=Lane.BACKLOG)


def test_a_job_waits_for_its_turn(do: Do) -> None:
    for _ in range(5):
        do(policy=FAST, lane=Lane.BACKLOG, wait_s=30.0)


def test_retries_of_all_jobs_take_of_one_budget(do: Do) -> None:
    do(policy=ONE_RETRY, retry=True)
    with pytest.raises(RefusedError, match="budget_spent"):
        do(policy=ONE_RETRY, retry=True)


def test_a_wait_that_is_none_is_refused(do: Do) -> None:
    with pytest.raises(InvalidInputError, match="wait_s"):
        do(wait_s=-1.0)


def test_without_its_file_a_job_goes_on_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = str(tmp_path / "nowhere" / "governors.db")
    with caplog.at_level(logging.WARNING, "surgetank.client"), Job(file) as job:
        held = job.ask(VM)
        held.settle(Outcome(OutcomeKind.OK))
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith(f"{VM} is called without a permit: {file}: ")
    assert not held.is_governed


def test_without_its_file_a_job_may_fail_closed(tmp_path: Path) -> None:
    file = str(tmp_path / "nowhere" / "governors.db")
    with Job(file, is_fail_open=False) as job, pytest.raises(DependencyError) as raised:
        job.ask(VM)
    assert raised.value.__notes__ == [f"the file of governors: {file}"]


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "operations.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("create table operation (number integer)")
    with (
        Job(str(file), is_fail_open=False) as job,
        pytest.raises(IntegrityError, match="file of its own"),
    ):
        job.ask(VM)
