"""An aiohttp session that takes a permit for each request."""

from aiohttp import ClientSession
from yarl import URL

from surgetank.client import Governors
from surgetank.client.aiohttp_middleware import permit_middleware


def dependency_of(url: URL) -> str | None:
    """Name what stands behind a URL; None is called without a permit."""
    if url.path.startswith("/metadata/identity"):
        return "identity@eastus"
    return "management@eastus" if url.path.startswith("/subscriptions") else None


def session(governors: Governors) -> ClientSession:
    """Open a session; give all sessions of a process the same governors."""
    return ClientSession(middlewares=[permit_middleware(governors, dependency_of, wait_s=10)])
