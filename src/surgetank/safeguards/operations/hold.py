"""Holds: work that people have stopped, by dependency, region, kind or all of it.

A hold stops calls that have not begun, also the next one of an operation under way; calls under
way go on. What it stops waits as backlog, so that what is let go goes through the release, by
degrees, and not all at once.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from surgetank.core.errors import InvalidInputError
from surgetank.core.value import Dependency
from surgetank.safeguards.operations.queue import Gate
from surgetank.safeguards.operations.record import NAME_CHARACTERS_MAX, Record

HOLDS_MAX = 1_000
"""Holds at once; each is looked at for every operation that begins."""
TEXT_CHARACTERS_MAX = 200
"""Of who holds, and why."""


class HoldScope(StrEnum):
    """What a hold's name is the name of."""

    ALL = "all"
    DEPENDENCY = "dependency"
    REGION = "region"
    KIND = "kind"


class Hold(NamedTuple):
    """Work that is not to begin."""

    scope: HoldScope
    name: str
    """Of the dependency, region or kind; empty for all."""
    since: float
    by: str = ""
    """Who says so, for people."""
    reason: str = ""
    """Why, for people."""
    number: int = 0
    """Given by the store: a later hold has a higher one, and holds again what was let go before."""


class Released(NamedTuple):
    """What came of a release."""

    operations: int
    """Let go one by one."""
    is_lifted: bool
    """Whether the hold is gone; else it still stops some, or others moved some meanwhile."""


def check_hold(hold: Hold) -> None:
    """Refuse what cannot be a hold.

    Raises:
        InvalidInputError: the name is missing, given for all, or too long; or a text is.
    """
    if (hold.scope is HoldScope.ALL) == bool(hold.name):
        wanted = "no name" if hold.scope is HoldScope.ALL else "a name"
        raise InvalidInputError(f"a hold of {hold.scope} has {wanted}: {hold.name[:80]!r}")
    if len(hold.name) > NAME_CHARACTERS_MAX or not hold.name.isprintable():
        raise InvalidInputError(f"a name has at most {NAME_CHARACTERS_MAX} printable characters")
    if max(len(hold.by), len(hold.reason)) > TEXT_CHARACTERS_MAX:
        raise InvalidInputError(f"who holds and why have at most {TEXT_CHARACTERS_MAX} characters")
    if not (hold.by + hold.reason).isprintable():
        raise InvalidInputError("who holds and why are printable")


def holds_gate(holds: Iterable[Hold], gate: Gate) -> bool:
    """Whether all that waits at a gate is held, whatever it is."""
    for hold in holds:
        if hold.number == gate.parked_by:
            return True
        if hold.number <= gate.let_go:
            continue
        if hold.scope is HoldScope.ALL:
            return True
        if hold.scope is HoldScope.DEPENDENCY and hold.name in gate.dependencies:
            return True
    return False


def holds_dependency(holds: Iterable[Hold], name: Dependency, *, let_go: int) -> bool:
    """Whether a dependency is not to be called by what all holds up to `let_go` have let go."""
    return any(
        hold.scope is HoldScope.DEPENDENCY and hold.name == name and hold.number > let_go
        for hold in holds
    )


def hold_of(holds: Iterable[Hold], record: Record) -> Hold | None:
    """The hold of all, its region or kind that keeps one operation from going on, if any."""
    for hold in holds:
        if hold.number <= record.let_go:
            continue
        if hold.scope is HoldScope.ALL:
            return hold
        if hold.scope is HoldScope.REGION and hold.name == record.region:
            return hold
        if hold.scope is HoldScope.KIND and hold.name == record.kind:
            return hold
    return None
