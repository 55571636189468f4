"""A shared governor's state as text: what a ledger keeps in one column.

JSON with a version. Fields are named, so that a law whose state has other fields begins anew rather
than reads one number for another. Infinities are written as Python's `json` does.
"""

import json
from typing import Any

from surgetank.control import governor as governors
from surgetank.control.breaker import Breaker
from surgetank.control.budget import Budget
from surgetank.control.evidence import Evidence
from surgetank.control.governor import GovernorPolicy
from surgetank.control.lease import Member, Shared
from surgetank.core.errors import IntegrityError
from surgetank.core.value import Dependency

VERSION = 1
"""Goes up when a field changes its meaning."""


def write(shared: Shared) -> str:
    """Write a state; its policy is not in it."""
    state = shared.governor
    kept = {
        "version": VERSION,
        "at": shared.at,
        "leased_to_at": shared.leased_to_at,
        "breaker": state.breaker._asdict(),
        "budget": state.budget._asdict(),
        "law": type(state.release).__name__,
        "release": state.release._asdict(),  # pyright: ignore[reportPrivateUsage]  # a NamedTuple of some law
        "evidence": state.evidence._asdict(),
        "due_at": state.due_at,
        "hold_until_at": state.hold_until_at,
        "yield_until_at": state.yield_until_at,
        "members": [member._asdict() for member in shared.members],
    }
    return json.dumps(kept, separators=(",", ":"))


def read(text: str, policy: GovernorPolicy, *, dependency: Dependency) -> Shared:
    """Read what `write` wrote.

    Another law than the one that wrote it, or one whose state has other fields, begins anew.

    Raises:
        IntegrityError: the text is damaged, or a newer release's.
    """
    try:
        kept: dict[str, Any] = json.loads(text)
        version = kept["version"]
        if version == VERSION:
            return _shared(kept, policy, dependency=dependency)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"the governor of {dependency} is damaged in the ledger: {error!r}; delete its row, "
            "and it begins anew"
        ) from error
    raise IntegrityError(
        f"the governor of {dependency} has version {version} in the ledger, but this release "
        f"speaks {VERSION}; use the release that wrote it, or a newer one"
    )


def _shared(kept: dict[str, Any], policy: GovernorPolicy, *, dependency: Dependency) -> Shared:
    at = float(kept["at"])
    state = governors.start(policy, dependency=dependency, now=at)
    release = state.release
    stored = {name: _frozen(value) for name, value in kept["release"].items()}
    if kept["law"] == type(release).__name__ and stored.keys() == release._asdict().keys():  # pyright: ignore[reportPrivateUsage]  # likewise
        release = type(release)(**stored)
    evidence = {name: _frozen(value) for name, value in kept["evidence"].items()}
    state = state._replace(
        breaker=Breaker(**kept["breaker"]),
        budget=Budget(**kept["budget"]),
        release=release,
        evidence=Evidence(**evidence),
        due_at=float(kept["due_at"]),
        hold_until_at=float(kept["hold_until_at"]),
        yield_until_at=float(kept["yield_until_at"]),
    )
    members = tuple(Member(**member) for member in kept["members"])
    return Shared(at, float(kept["leased_to_at"]), state, members)


def _frozen(value: Any) -> Any:
    """Tuples, as states have them, where JSON has lists."""
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # of any law
