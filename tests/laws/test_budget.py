"""Retries stay a share of successes, in any order of events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.control import budget as budgets
from surgetank.control.budget import Budget, BudgetPolicy
from surgetank.core.errors import InvalidInputError

POLICY = BudgetPolicy(ratio=0.1, tokens_max=10.0, refill_per_s=0.02)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 100.0)), max_size=200))
def test_is_never_negative_nor_above_its_limit_and_retries_stay_within_it(
    events: list[tuple[bool, float]],
) -> None:
    now, successes, retries = 0.0, 0, 0
    budget = budgets.start(POLICY, now=now)
    for is_success, pause_s in events:
        now += pause_s
        if is_success:
            budget, successes = budgets.deposit(budget, POLICY, now=now), successes + 1
        elif (spent := budgets.withdraw(budget, POLICY, now=now)) is not None:
            budget, retries = spent, retries + 1
        assert 0.0 <= budget.tokens <= POLICY.tokens_max
        earned = POLICY.ratio * successes + POLICY.refill_per_s * now
        assert retries <= POLICY.tokens_max + earned + 1e-6


def test_a_dry_budget_refuses_until_time_or_successes_fill_it() -> None:
    dry = Budget(0.5, 100.0)
    assert budgets.withdraw(dry, POLICY, now=100.0) is None
    assert budgets.retry_at(dry, POLICY, now=100.0) == 125.0
    assert budgets.withdraw(dry, POLICY, now=125.1) is not None
    for _ in range(6):
        dry = budgets.deposit(dry, POLICY, now=100.0)
    assert budgets.withdraw(dry, POLICY, now=100.0) is not None


def test_a_full_budget_has_no_wait_and_stays_as_it_is() -> None:
    full = budgets.start(POLICY, now=5.0)
    assert budgets.retry_at(full, POLICY, now=5.0) == 5.0
    assert budgets.deposit(full, POLICY, now=6.0) is full
    assert budgets.left(full, POLICY, now=1e9) == POLICY.tokens_max


def test_a_clock_that_steps_back_takes_nothing_away() -> None:
    assert budgets.left(Budget(3.0, 100.0), POLICY, now=90.0) == 3.0


@pytest.mark.parametrize(
    "wrong", [{"ratio": -0.1}, {"ratio": 1.1}, {"tokens_max": 0.9}, {"refill_per_s": 0.0}]
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        BudgetPolicy(**wrong)
