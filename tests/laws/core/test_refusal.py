"""Refusals as errors."""

import pytest

from surgetank.core.errors import BreakerOpenError, RefusedError, ReleaseHeldError
from surgetank.core.refusal import refusal_error
from surgetank.core.value import Dependency, Refusal


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("breaker_open", BreakerOpenError),
        ("release_held", ReleaseHeldError),
        ("in_flight", ReleaseHeldError),
        ("fresh_shed", RefusedError),
        ("budget_spent", RefusedError),
    ],
)
def test_each_reason_becomes_the_error_of_its_kind(reason: str, kind: type[RefusedError]) -> None:
    error = refusal_error(Refusal(Dependency("identity@eastus"), reason, 107.5))

    assert type(error) is kind
    assert str(error) == f"identity@eastus: {reason}"
    assert error.retry_at == 107.5
