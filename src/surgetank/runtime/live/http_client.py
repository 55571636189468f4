"""HTTP over sockets: the `HttpClient` port by aiohttp.

Nothing is done behind the caller's back: no redirects, no cookies, no decompression, no proxies
from the environment, no second try on a kept connection that the server had closed.
"""

import asyncio
import io
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from math import inf
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from surgetank.core.errors import DependencyError, DependencyTimeoutError, InvalidInputError
from surgetank.core.http import Request, Response, Timeouts

CONNECTIONS_MAX = 100
"""To one host at once, as aiohttp has it for all hosts together."""
KEEP_ALIVE_S = 15.0
"""For which an idle connection is kept: less than servers commonly do, ours too."""
_BYTES_IN_ONE_WRITE = 1 << 20  # aiohttp warns of larger ones.
_NOT_ADDED = ("accept", "accept-encoding", "content-type", "user-agent")
_OF_THE_WIRE = frozenset({"connection", "keep-alive", "transfer-encoding"})


class _Places:
    """The connections to one host: how many may be open, and how many want one."""

    def __init__(self, connections_max: int) -> None:
        self.free = asyncio.Semaphore(connections_max)
        self.users = 0


class LiveHttpClient:
    """The `HttpClient` port of a running service; use it as an async context manager."""

    def __init__(self, *, connections_max: int = CONNECTIONS_MAX) -> None:
        """Make a client; opens nothing yet.

        Args:
            connections_max: To one host at once; more wait for a place. At least 1.
        """
        self._connections_max = connections_max
        self._places: dict[tuple[str, str], _Places] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=0,  # places are counted here, so that waiting for one has its own time-out
            limit_per_host=0,
            keepalive_timeout=KEEP_ALIVE_S,
            ttl_dns_cache=10,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            raise_for_status=False,
            skip_auto_headers=_NOT_ADDED,
        )
        # aiohttp has no option for it: a request that may have acted must not be made again.
        self._session._retry_connection = False  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - see above
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(
        self, request: Request, *, timeouts: Timeouts, body_bytes_max: int = 1 << 20
    ) -> Response:
        """Make one request and read its whole body; see `HttpClient`."""
        async with self.stream(request, timeouts=timeouts) as head:
            assert head.chunks is not None, "stream gives a body in pieces"
            body: list[bytes] = []
            size = 0
            async for piece in head.chunks:
                body.append(piece)
                size += len(piece)
                if size > body_bytes_max:
                    raise DependencyError(
                        f"{request.url}: the body exceeds {body_bytes_max} bytes",
                        may_have_acted=True,
                    )
            return Response(head.status, head.headers, b"".join(body))

    @asynccontextmanager
    async def stream(self, request: Request, *, timeouts: Timeouts) -> AsyncGenerator[Response]:
        """Make one request and give its body as `chunks`; see `HttpClient`."""
        async with self._place(request, timeouts):
            response = await self._exchange(request, timeouts)
            pieces = _pieces(response, request)
            try:
                yield Response(response.status, _headers(response), chunks=pieces)
            finally:
                await pieces.aclose()
                response.release()  # closes the connection if some of the body is unread

    async def _exchange(self, request: Request, timeouts: Timeouts) -> aiohttp.ClientResponse:
        """Send `request` and wait for the head of its reply."""
        assert self._session is not None, "the client is used inside its context"
        body = request.body
        try:
            return await self._session.request(
                request.method,
                URL(request.url, encoded=True),
                data=io.BytesIO(body) if len(body) > _BYTES_IN_ONE_WRITE else body or None,
                headers=request.headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    connect=timeouts.connect_s,  # the name's look-up, the socket and TLS
                    sock_connect=timeouts.connect_s,
                    sock_read=timeouts.read_s,
                    ceil_threshold=inf,
                ),
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _translated(error, request) from error

    @asynccontextmanager
    async def _place(self, request: Request, timeouts: Timeouts) -> AsyncGenerator[None]:
        """Hold one of the connections to this host."""
        key = (request.scheme, request.host)
        places = self._places.get(key)
        if places is None:
            places = self._places[key] = _Places(self._connections_max)
        places.users += 1
        try:
            try:
                async with asyncio.timeout(timeouts.pool_s):
                    await places.free.acquire()
            except TimeoutError as error:
                message = f"{request.url}: no free connection in {timeouts.pool_s} s"
                raise DependencyTimeoutError(message, may_have_acted=False) from error
            try:
                yield
            finally:
                places.free.release()
        finally:
            places.users -= 1
            if not places.users:
                del self._places[key]


async def _pieces(response: aiohttp.ClientResponse, request: Request) -> AsyncGenerator[bytes]:
    try:
        async for piece in response.content.iter_any():
            yield piece
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _translated(error, request) from error


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Names in lower case, repeated ones joined. Source: RFC 9110, section 5.3."""
    joined: dict[str, str] = {}
    for name, value in response.headers.items():
        key = name.lower()
        if key not in _OF_THE_WIRE:
            joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined


def _translated(error: Exception, request: Request) -> DependencyError | InvalidInputError:
    message = f"{request.url}: {type(error).__name__}: {error}"
    match error:
        case aiohttp.ConnectionTimeoutError():
            return DependencyTimeoutError(message, may_have_acted=False)
        case aiohttp.InvalidURL():
            return InvalidInputError(message)
        case TimeoutError():
            return DependencyTimeoutError(message, may_have_acted=True)
        case aiohttp.ClientConnectorError():
            return DependencyError(message, may_have_acted=False)
        case _:
            return DependencyError(message, may_have_acted=True)
