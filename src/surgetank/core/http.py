"""HTTP as values: what services take and give, whichever wire carries it.

A service is a `Handler`. Over sockets an adapter turns it into an ASGI application; in virtual
time the in-memory network calls it directly. Bodies are whole unless `chunks` is set.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from surgetank.core.errors import InvalidInputError

Headers = Mapping[str, str]
"""Names in lower case; one value each."""
NO_HEADERS: Headers = MappingProxyType({})


class Request(NamedTuple):
    """One request, on either side of the wire."""

    method: str
    host: str
    """Authority: a name, with `:port` unless it is the scheme's own."""
    path: str
    """Begins with `/`; percent-encoded as sent."""
    query: str = ""
    """Without the `?`; percent-encoded as sent."""
    headers: Headers = NO_HEADERS
    body: bytes = b""
    scheme: str = "http"

    @classmethod
    def to(cls, method: str, url: str, *, headers: Headers = NO_HEADERS, body: bytes = b"") -> Self:
        """Build a request for an absolute http or https URL.

        Raises:
            InvalidInputError: `url` is not absolute, or of another scheme.
        """
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise InvalidInputError(f"not a URL: {url!r}: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InvalidInputError(f"not an absolute http(s) URL: {url!r}")
        path = parts.path or "/"
        return cls(method, parts.netloc, path, parts.query, headers, body, parts.scheme)

    @property
    def url(self) -> str:
        """The absolute URL."""
        return f"{self.scheme}://{self.host}{self.path}{'?' if self.query else ''}{self.query}"


class Response(NamedTuple):
    """One response, on either side of the wire."""

    status: int
    headers: Headers = NO_HEADERS
    body: bytes = b""
    chunks: AsyncIterator[bytes] | None = None
    """The body as it comes, when it is streamed; `body` is then empty."""


class Timeouts(NamedTuple):
    """How long a client waits, in seconds, each above 0."""

    connect_s: float = 5.0
    """For the connection: nothing was sent when it runs out."""
    read_s: float = 30.0
    """For the head, and again for each piece of the body: the call may have acted."""
    pool_s: float = 30.0
    """For a free place among the connections to this host: nothing was sent."""


Handler = Callable[[Request], Awaitable[Response]]
"""A service: must answer every request, and raises only on a defect (answered as 500)."""
