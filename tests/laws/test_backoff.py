"""Waits between tries are bounded and spread, and those of SDKs are as they were seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.control.backoff import (
    AGENT_FAULT,
    AGENT_THROTTLED,
    AZCORE_GO,
    AZURE_CORE,
    AZURE_STORAGE_BLOB,
    IMDS,
    NEVER,
    BackoffPolicy,
    Schedule,
    agent_schedule,
    delay_s,
)
from surgetank.core.errors import InvalidInputError

POLICY = BackoffPolicy(base_s=1.0, cap_s=60.0)


@pytest.mark.parametrize(
    ("attempt", "ceiling_s"), [(1, 1.0), (2, 2.0), (6, 32.0), (7, 60.0), (10_000, 60.0)]
)
def test_the_wait_spreads_from_zero_to_a_doubling_ceiling(attempt: int, ceiling_s: float) -> None:
    assert delay_s(POLICY, attempt=attempt, chance=0.0) == 0.0
    assert delay_s(POLICY, attempt=attempt, chance=0.5) == ceiling_s / 2


@given(st.integers(1, 10**9), st.floats(0.0, 1.0, exclude_max=True))
def test_no_wait_passes_the_cap(attempt: int, chance: float) -> None:
    assert 0.0 <= delay_s(POLICY, attempt=attempt, chance=chance) <= POLICY.cap_s


def test_a_first_try_has_no_wait() -> None:
    with pytest.raises(InvalidInputError, match="at least 1"):
        delay_s(POLICY, attempt=0, chance=0.5)


@pytest.mark.parametrize("wrong", [{"base_s": 0.0}, {"base_s": 2.0, "cap_s": 1.0}])
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        BackoffPolicy(**wrong)


@pytest.mark.parametrize(
    ("schedule", "retries", "total_s"),
    [
        (NEVER, 0, 0.0),
        (AZCORE_GO, 3, 5.6),
        (AZURE_CORE, 3, 4.8),
        (AZURE_STORAGE_BLOB, 3, 84.0),
        (IMDS, 5, 24.0),
        (AGENT_THROTTLED, 24, 24.0),
        (AGENT_FAULT, 5, 31.0),
    ],
)
def test_what_sdks_do_today(schedule: Schedule, retries: int, total_s: float) -> None:
    assert len(schedule.delays_s) == retries
    assert sum(schedule.delays_s) == pytest.approx(total_s)


def test_a_schedule_ends_in_giving_up() -> None:
    assert [AZURE_CORE.delay_s(attempt) for attempt in (1, 2, 3, 4)] == [0.0, 1.6, 3.2, None]
    with pytest.raises(AssertionError, match="counted from 1"):
        AZURE_CORE.delay_s(0)


@pytest.mark.parametrize(
    ("schedule", "statuses"),
    [
        (AGENT_THROTTLED, [403, 429, 503]),
        (AGENT_FAULT, [None, 205, 206, 500, 501, 502, 504, 507]),
        (NEVER, [200, 302, 404, 409, 410]),
    ],
)
def test_the_agent_retries_by_status(schedule: Schedule, statuses: list[int | None]) -> None:
    assert [agent_schedule(status) for status in statuses] == [schedule] * len(statuses)
