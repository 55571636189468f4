"""The governor for people who keep their own orchestrator.

In this process, with asyncio::

    from surgetank.client import Governors, Lane

    governors = Governors.of_this_process()


    async def token() -> str:
        async with governors.permit("identity@eastus", lane=Lane.FRESH, wait_s=30):
            return await fetch_token()  # your code


    @governors.governed("compute@eastus")
    async def create(name: str) -> None: ...

Among processes and machines, over the HTTP API of a server, without asyncio::

    from surgetank.client import Client

    client = Client("http://127.0.0.1:8080", token)
    with client.permit("identity@eastus", wait_s=30):
        fetch_token()

How a body ends says how its call ended: see `outcome_of`. A refusal is raised as
`BreakerOpenError`, `ReleaseHeldError` or `RefusedError`, whose `retry_at` says when to ask again.
`surgetank.client.aiohttp_middleware` and `surgetank.client.celery_task` fit both to aiohttp and
Celery. The names in `__all__` are promised; all else may change. Times are seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from surgetank.client.blocking_clock import BlockingClock
    from surgetank.client.governors import Governors
    from surgetank.client.held import HeldPermit
    from surgetank.client.outcome import Classify, outcome_of
    from surgetank.client.remote import Client, Submitted
    from surgetank.control.governor import GovernorPolicy
    from surgetank.core.errors import (
        BreakerOpenError,
        ConflictError,
        DependencyError,
        InvalidInputError,
        QueueFullError,
        RefusedError,
        ReleaseHeldError,
    )
    from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind

__all__ = [
    "BlockingClock",
    "BreakerOpenError",
    "Classify",
    "Client",
    "ConflictError",
    "Dependency",
    "DependencyError",
    "GovernorPolicy",
    "Governors",
    "HeldPermit",
    "InvalidInputError",
    "Lane",
    "Outcome",
    "OutcomeKind",
    "QueueFullError",
    "RefusedError",
    "ReleaseHeldError",
    "Submitted",
    "outcome_of",
]

_HOMES = {
    "client.blocking_clock": ("BlockingClock",),
    "client.governors": ("Governors",),
    "client.held": ("HeldPermit",),
    "client.outcome": ("Classify", "outcome_of"),
    "client.remote": ("Client", "Submitted"),
    "control.governor": ("GovernorPolicy",),
    "core.errors": (
        "BreakerOpenError", "ConflictError", "DependencyError", "InvalidInputError",
        "QueueFullError", "RefusedError", "ReleaseHeldError",
    ),
    "core.value": ("Dependency", "Lane", "Outcome", "OutcomeKind"),
}  # fmt: skip


if not TYPE_CHECKING:  # which would take any name for one of ours

    def __getattr__(name: str) -> object:
        """Import a name when it is first asked for: who has no asyncio loads none."""
        for home, names in _HOMES.items():
            if name in names:
                return getattr(import_module(f"surgetank.{home}"), name)
        raise AttributeError(f"surgetank.client has no {name}")
