"""Calls of your own under governors of this process."""

from collections.abc import Awaitable, Callable

from surgetank.client import Governors, Lane, Outcome, OutcomeKind, RefusedError

governors = Governors.of_this_process()


async def token(fetch: Callable[[], Awaitable[str]]) -> str | None:
    """Get a token, or None when the service should be left alone."""
    try:
        async with governors.permit("identity@eastus", lane=Lane.FRESH, wait_s=10):
            return await fetch()
    except RefusedError as refusal:
        print(f"not now: {refusal}; ask again at {refusal.retry_at}")  # noqa: T201 - an example
        return None


@governors.governed("compute@eastus", lane=Lane.BACKLOG, wait_s=600)
async def create(name: str, put: Callable[[str], Awaitable[int]]) -> int:
    """Create a machine, when the release lets it through."""
    return await put(name)


async def create_and_say(name: str, put: Callable[[str], Awaitable[int]]) -> None:
    """Say by hand how a call ended, where neither a result nor an exception does."""
    async with governors.permit("compute@eastus") as permit:
        status = await put(name)
        if status == 409:
            permit.report(Outcome(OutcomeKind.BLOCKED, "a policy refuses"))
