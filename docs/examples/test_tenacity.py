"""A retry policy that keeps a service down, and one that lets it recover: with tenacity."""

import pytest
from tenacity import (
    retry,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from surgetank.testing import CollapsingService, DependencyError, Stage, StationPolicy

STOP = stop_after_attempt(5) | stop_after_delay(30)
WAIT = wait_random_exponential(max=10)


class RetryBudget:
    """Ten retries, and one more for every ten calls that go well."""

    def __init__(self) -> None:
        self.left = 10.0

    def allows(self, error: BaseException) -> bool:
        """Whether to try again after `error`; tenacity asks after each failure."""
        if not isinstance(error, DependencyError) or self.left < 1:
            return False
        self.left -= 1
        return True

    def earn(self) -> None:
        """Count a call that went well."""
        self.left = min(10.0, self.left + 0.1)


@pytest.fixture
def service(stage: Stage) -> CollapsingService:
    """Two nodes that serve 10 calls a second, slow for half a minute."""
    service = stage.collapsing_service(StationPolicy(nodes=2, rate_per_s=10.0))
    stage.at(60.0, service.slow_down, 5.0)
    stage.at(90.0, service.slow_down, 1.0)
    return service


async def test_backoff_with_jitter_keeps_it_down(stage: Stage, service: CollapsingService) -> None:
    @retry(stop=STOP, wait=WAIT, retry=retry_if_exception_type(DependencyError), reraise=True)
    async def fetch() -> None:
        await service.call(timeout_s=3.0)

    load = await stage.load(fetch, rate_per_s=4.0, lasts_s=400.0)

    assert load.success_ratio(0.0, 60.0) == 1.0  # 40% of what it can serve
    assert load.amplification > 4.0  # of 5 attempts
    assert load.recovered_at() == float("inf")
    assert service.counts.crashes > 0  # nothing is wrong with it any more


async def test_a_budget_lets_it_recover(stage: Stage, service: CollapsingService) -> None:
    budget = RetryBudget()

    @retry(stop=STOP, wait=WAIT, retry=retry_if_exception(budget.allows), reraise=True)
    async def fetch() -> None:
        await service.call(timeout_s=3.0)
        budget.earn()

    load = await stage.load(fetch, rate_per_s=4.0, lasts_s=400.0)

    assert load.amplification < 1.1
    assert load.recovered_at() < 180.0
    assert service.counts.crashes == 0
