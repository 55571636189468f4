"""Serves a `Handler` on a socket, by uvicorn with httptools.

The handler's work goes on when its client has gone, as it does on the network of a drill. What
belongs to the wire (framing, keep-alive) is added and taken off here: handlers see whole bodies
and their own headers.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import structlog
import uvicorn

from surgetank.core.http import Handler, Request, Response

BODY_BYTES_MAX = 1 << 20
"""What is taken of a request's body; more is answered 413."""
BODY_S_MAX = 60.0
"""For a request's body to come; longer is answered 408."""
CONCURRENCY_MAX = 2_000
"""Connections at once; more are answered 503 by uvicorn."""
GRACE_S = 5
"""For requests under way when the server stops; then they are cancelled."""
_DISCARDED_RATIO = 64  # So many times the limit is read and dropped before 413: most clients
# listen only when they have sent all.
_KEEP_ALIVE_S = 20  # Longer than our client keeps an idle connection, so that it closes first.
_NO_BODY = frozenset({204, 304})
_OF_THE_WIRE = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "transfer-encoding"}
)

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]


class RunningServer:
    """A server while it runs."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.handled = 0
        """Requests that the handler has answered."""
        self.defects: list[str] = []
        """What the handler raised; the first hundred."""

    @property
    def url(self) -> str:
        """Where it is, without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@asynccontextmanager
async def serve(
    handler: Handler,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    body_bytes_max: int = BODY_BYTES_MAX,
    body_s_max: float = BODY_S_MAX,
    concurrency_max: int = CONCURRENCY_MAX,
) -> AsyncGenerator[RunningServer]:
    """Serve `handler` while the context lasts; it then stops taking requests and ends those begun.

    Args:
        handler: Asked for each request, in a task of its own.
        host: Address to listen on.
        port: 0 for any that is free; `RunningServer.port` says which.
        body_bytes_max: Bytes of a request's body; more is answered 413.
        body_s_max: Seconds for a request's body to come; longer is answered 408.
        concurrency_max: Connections at once; more are answered 503.

    Raises:
        OSError: The address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    running = RunningServer(host, listener.getsockname()[1])
    config = uvicorn.Config(
        cast("Any", _application(handler, running, body_bytes_max, body_s_max)),
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        limit_concurrency=concurrency_max,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    config.load()
    server = uvicorn.Server(config)
    # Its `serve` would take over the process's signals; these three are what it does besides.
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield running
    finally:
        await server.shutdown(sockets=[listener])


def _application(
    handler: Handler, running: RunningServer, body_bytes_max: int, body_s_max: float
) -> Application:
    """Wrap `handler` as an ASGI application."""

    async def application(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        body = await _read_body(receive, body_bytes_max, body_s_max)
        if body is None:
            return
        if isinstance(body, bytes):
            request = _request(scope, body)
            try:
                response = await handler(request)
            except Exception as error:  # noqa: BLE001 - a defect: answered, kept and logged
                _note_defect(running, request, error)
                response = Response(500)
            running.handled += 1
        else:
            response = body
        try:
            await _send_response(scope["method"], response, receive, send)
        except Exception as error:  # noqa: BLE001 - uvicorn then breaks the connection
            _note_defect(running, _request(scope, b""), error)

    return application


async def _read_body(receive: Receive, bytes_max: int, s_max: float) -> bytes | Response | None:
    """The whole body, or what to answer instead; None when the client left half-way."""
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(s_max):
            is_more = True
            while is_more and size <= bytes_max * _DISCARDED_RATIO:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                piece: bytes = message.get("body", b"")
                size += len(piece)
                if size <= bytes_max:
                    pieces.append(piece)
                is_more = bool(message.get("more_body", False))
    except TimeoutError:
        return Response(408, {"connection": "close"})
    if size > bytes_max:
        return Response(413, {"connection": "close"} if is_more else {})
    return b"".join(pieces)


def _request(scope: Mapping[str, Any], body: bytes) -> Request:
    headers: dict[str, str] = {}
    host = ""
    pairs: Sequence[tuple[bytes, bytes]] = scope["headers"]
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "host":
            host = value
        elif name not in _OF_THE_WIRE:
            # Repeated names are joined. Source: RFC 9110, section 5.3.
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    path: str = scope["raw_path"].decode("latin-1")
    query: str = scope["query_string"].decode("latin-1")
    return Request(scope["method"], host, path, query, headers, body, scope["scheme"])


async def _send_response(method: str, response: Response, receive: Receive, send: Send) -> None:
    status, headers, body, chunks = response
    is_bare = method == "HEAD" or status in _NO_BODY
    if chunks is None and "content-length" not in headers and status not in _NO_BODY:
        headers = {**headers, "content-length": str(len(body))}
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    try:
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        if chunks is None or is_bare:
            await send({"type": "http.response.body", "body": b"" if is_bare else body})
        else:
            await _send_pieces(chunks, receive, send)
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


async def _send_pieces(chunks: AsyncIterator[bytes], receive: Receive, send: Send) -> None:
    """Send a body as it comes, until the client leaves."""
    left = asyncio.ensure_future(receive())  # the body was read: all that can come is the end
    try:
        async for piece in chunks:
            if left.done():
                return
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        left.cancel()


def _note_defect(running: RunningServer, request: Request, error: Exception) -> None:
    structlog.get_logger().error(
        "handler.failed", method=request.method, url=request.url, exc_info=error
    )
    if len(running.defects) < 100:  # noqa: PLR2004 - as documented at `defects`
        running.defects.append(f"{request.method} {request.url}: {error!r}")
