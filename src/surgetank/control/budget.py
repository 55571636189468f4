"""Retry budget: retries may be no more than a share of what succeeds.

A token bucket per dependency: each success adds `ratio` of a token, each retry takes one. When
nothing succeeds the budget runs dry, and retries cannot multiply an outage; a small trickle by
time lets a client that makes few calls retry at all.
Source: Google, "Site Reliability Engineering", 2016, ch. 21 (10% per client); Finagle
`RetryBudget` (20% and a minimum rate, after Twitter's experience); gRFC A6 (a bucket of 10 filled
by successes at 0.1).
"""

from dataclasses import dataclass
from typing import NamedTuple

from surgetank.core.errors import InvalidInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPolicy:
    """How many retries; raises `InvalidInputError` if out of range."""

    ratio: float = 0.1
    """Retries per success; from 0 to 1. A tenth, as the SRE book and gRFC A6."""
    tokens_max: float = 10.0
    """Retries that may come in one burst; at least 1. As gRFC A6."""
    refill_per_s: float = 1.0 / 60.0
    """Tokens a second that time adds; above 0. Finagle's 10 per second is for a service that is
    called thousands of times a second; one a minute is enough not to be stuck."""

    def __post_init__(self) -> None:
        if not 0 <= self.ratio <= 1 or not self.tokens_max >= 1 or not self.refill_per_s > 0:
            raise InvalidInputError(f"out of range: {self}")


class Budget(NamedTuple):
    """What is left, as of an instant."""

    tokens: float
    """From 0 to `tokens_max`."""
    counted_at: float
    """Seconds on the caller's clock up to which time has been counted."""


def start(policy: BudgetPolicy, *, now: float) -> Budget:
    """A full budget: the first trouble of a new process may be retried."""
    return Budget(policy.tokens_max, now)


def left(budget: Budget, policy: BudgetPolicy, *, now: float) -> float:
    """Tokens at `now`, from 0 to `tokens_max`."""
    refill = max(0.0, now - budget.counted_at) * policy.refill_per_s
    return min(policy.tokens_max, budget.tokens + refill)


def deposit(budget: Budget, policy: BudgetPolicy, *, now: float, count: int = 1) -> Budget:
    """Count a success, or `count` of them."""
    if budget.tokens >= policy.tokens_max:
        return budget
    tokens = left(budget, policy, now=now) + count * policy.ratio
    return Budget(min(policy.tokens_max, tokens), max(now, budget.counted_at))


def withdraw(budget: Budget, policy: BudgetPolicy, *, now: float) -> Budget | None:
    """Take one token for a retry, or None when there is none (see `retry_at`)."""
    tokens = left(budget, policy, now=now)
    return None if tokens < 1.0 else Budget(tokens - 1.0, max(now, budget.counted_at))


def retry_at(budget: Budget, policy: BudgetPolicy, *, now: float) -> float:
    """The instant when time alone will have filled one token; `now` if there is one."""
    return now + max(0.0, 1.0 - left(budget, policy, now=now)) / policy.refill_per_s
