"""Names on loopback: what DNS and a hosts file do for a machine in the cloud.

Each service is called by the name that it has in the cloud and found where it listens here. A name
that nobody here serves is refused like an unknown host: nothing of a rehearsal calls the outside.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from surgetank.core.errors import DependencyError
from surgetank.core.http import Request, Response, Timeouts
from surgetank.core.ports import HttpClient


@dataclass(frozen=True, slots=True)
class NamedClient:
    """The `HttpClient` port for those who live in the stand-in cloud."""

    http: HttpClient
    addresses: Mapping[str, str]
    """`HOST:PORT` by name, lower case."""

    async def send(
        self, request: Request, *, timeouts: Timeouts, body_bytes_max: int = 1 << 20
    ) -> Response:
        """Make one request and read its whole body; see `HttpClient`."""
        led = self._lead(request)
        return await self.http.send(led, timeouts=timeouts, body_bytes_max=body_bytes_max)

    @asynccontextmanager
    async def stream(self, request: Request, *, timeouts: Timeouts) -> AsyncGenerator[Response]:
        """Make one request and give its body as `chunks`; see `HttpClient`."""
        async with self.http.stream(self._lead(request), timeouts=timeouts) as response:
            yield response

    def _lead(self, request: Request) -> Request:
        """Send `request` where its name is served; without TLS, which nothing here speaks."""
        address = self.addresses.get(request.host.lower())
        if address is None:
            raise DependencyError(f"{request.url}: nobody here has that name", may_have_acted=False)
        headers = {**request.headers, "host": request.host}
        return request._replace(scheme="http", host=address, headers=headers)
