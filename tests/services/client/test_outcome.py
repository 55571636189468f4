"""How ends of bodies and answers are read."""

from types import SimpleNamespace
from urllib.error import HTTPError

import pytest

from surgetank.client import outcome_of
from surgetank.core.errors import (
    BreakerOpenError,
    DependencyError,
    DependencyRejectedError,
    DependencyThrottledError,
    DependencyTimeoutError,
)
from surgetank.core.value import OutcomeKind

NOW = 1_000.0


class RequestsError(Exception):
    """As requests and httpx raise: the answer is on it."""

    def __init__(self, status: int) -> None:
        super().__init__("no")
        self.response = SimpleNamespace(status_code=status, headers={"Retry-After": "5"})


@pytest.mark.parametrize(
    ("end", "kind", "retry_at"),
    [
        (None, OutcomeKind.OK, None),
        ({"a": 1}, OutcomeKind.OK, None),
        (SimpleNamespace(status=204), OutcomeKind.OK, None),
        (SimpleNamespace(status="done"), OutcomeKind.OK, None),
        (SimpleNamespace(status=7), OutcomeKind.OK, None),
        (SimpleNamespace(status=403, headers=None), OutcomeKind.BLOCKED, None),
        (SimpleNamespace(status_code=500, headers={}), OutcomeKind.TRANSIENT, None),
        (RequestsError(429), OutcomeKind.THROTTLED, NOW + 5.0),
        (RequestsError(404), OutcomeKind.PERMANENT, None),
        (HTTPError("http://x/", 503, "", {}, None), OutcomeKind.THROTTLED, None),  # type: ignore[arg-type]  # headers
        (TimeoutError(), OutcomeKind.TIMEOUT, None),
        (ConnectionRefusedError(), OutcomeKind.TRANSIENT, None),
        (RuntimeError("x" * 1_000), OutcomeKind.TRANSIENT, None),
        (DependencyThrottledError("", may_have_acted=False, retry_at=7.0), "throttled", 7.0),
        (DependencyTimeoutError("", may_have_acted=True), OutcomeKind.TIMEOUT, None),
        (DependencyRejectedError("", may_have_acted=False), OutcomeKind.PERMANENT, None),
        (DependencyError("", may_have_acted=False), OutcomeKind.TRANSIENT, None),
    ],
)
def test_an_end_is_read_as_most_callers_would(
    end: object, kind: str, retry_at: float | None
) -> None:
    outcome = outcome_of(end, NOW)
    assert outcome is not None
    assert (outcome.kind, outcome.retry_at) == (kind, retry_at)
    assert len(outcome.detail) <= 200


@pytest.mark.parametrize("end", [KeyboardInterrupt(), GeneratorExit(), BreakerOpenError("no")])
def test_an_end_that_says_nothing_of_the_dependency_gives_the_permit_back(end: object) -> None:
    assert outcome_of(end, NOW) is None
