"""A middleware for aiohttp's client (3.12 and later) that takes a permit for each request."""

from collections.abc import Callable

from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse
from yarl import URL

from surgetank.client.governors import Governors
from surgetank.core.value import Lane


def permit_middleware(
    governors: Governors,
    dependency_of: Callable[[URL], str | None],
    *,
    lane: Lane = Lane.FRESH,
    wait_s: float = 0.0,
) -> ClientMiddlewareType:
    """Make a middleware for `ClientSession(middlewares=...)` or for one request.

    A permit is ended by the head of its answer: by status and Retry-After. Each hop of a redirect
    is a request of its own. A refusal is raised where the request was made.

    Args:
        governors: Whom to ask.
        dependency_of: Gives the dependency that stands behind a URL, or None to call it without.
        lane: Who waits.
        wait_s: Seconds to wait for leave, of the request's own time-out.
    """

    async def middleware(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        dependency = dependency_of(request.url)
        if dependency is None:
            return await handler(request)
        async with governors.permit(dependency, lane=lane, wait_s=wait_s) as held:
            response = await handler(request)
            held.settle(governors.classify(response))
            return response

    return middleware
