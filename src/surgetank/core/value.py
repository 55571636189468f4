"""The small values that every room speaks in: lane, dependency, outcome, permit.

Times are seconds on the caller's clock; sizes are bytes; ratios are from 0 to 1.
"""

from enum import StrEnum
from typing import NamedTuple, NewType

Dependency = NewType("Dependency", str)
"""A shared service of one region, written `service@region`, as `identity@eastus`."""


def dependency(service: str, region: str) -> Dependency:
    """Name the dependency on `service` in `region`."""
    return Dependency(f"{service}@{region}")


class Lane(StrEnum):
    """Who waits for a call. Fresh goes first."""

    FRESH = "fresh"
    BACKLOG = "backlog"


class OutcomeKind(StrEnum):
    """What became of a call, by what it says about trying again."""

    OK = "ok"
    THROTTLED = "throttled"
    """Too fast (429, 503 with Retry-After): later helps."""
    BLOCKED = "blocked"
    """A policy said no; retrying cannot help until somebody changes it."""
    TRANSIENT = "transient"
    """A fault of the moment (5xx, reset): soon helps."""
    TIMEOUT = "timeout"
    """No answer: later may help, and the call may have acted."""
    PERMANENT = "permanent"
    """The call itself is wrong: nothing helps."""


class Outcome(NamedTuple):
    """One call's end."""

    kind: OutcomeKind
    detail: str = ""
    """What the dependency said, for people: at most 200 characters."""
    retry_at: float | None = None
    """The instant from which the dependency allows another try, or None when it did not say."""


class Permit(NamedTuple):
    """Leave to make one call; give it back with `Permits.report`."""

    dependency: Dependency
    lane: Lane
    epoch: int
    """The breaker's epoch when it was given: reports of past epochs change nothing."""
    asked_at: float
    weight: int = 1
    """Calls that it was paced as, the first of which it is leave to make; 1 or more."""


class Refusal(NamedTuple):
    """No leave now."""

    dependency: Dependency
    reason: str
    """A stable word: `breaker_open`, `release_held`, `in_flight`, `fresh_shed`, `budget_spent`."""
    retry_at: float
    """Asking before this instant gets the same answer."""
    is_exact: bool = False
    """Whether who asks much later than that may find that leave has come and gone."""
