"""HTTP between named hosts, in memory and in virtual time.

A request is handled in a task of its own on the server's host, so a client that gives up stops
nothing there: work done for callers who have gone is what tips services over, and an in-process
call that dies with its caller would hide it.

What is as on sockets: statuses, headers, bodies whole and streamed, back pressure, places among
the connections to a host, connect, read and pool time-outs, refusals, replies to nobody. What is
left out: a handshake's round trip (connections are taken to be kept open), TLS, names in DNS.
"""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import Context, copy_context
from math import inf
from traceback import extract_tb
from types import MappingProxyType
from typing import Any, NoReturn

from surgetank.core.errors import (
    DependencyError,
    DependencyTimeoutError,
    InvalidInputError,
    SimulationError,
)
from surgetank.core.http import Handler, Request, Response, Timeouts
from surgetank.core.ports import Chance  # noqa: TC001 - kept beside its peers; no circle
from surgetank.runtime.simulation.chance import stream
from surgetank.runtime.simulation.link import Link, Links
from surgetank.runtime.simulation.loop import (
    NumberedFuture,
    NumberedTask,
    VirtualLoop,
    wake,
)
from surgetank.runtime.simulation.pipe import Pipe, WholeBody, close, collect

__all__ = ["InMemoryHttpClient", "Link", "Network"]  # `Link`: who lays one asks here

BODY_BYTES_MAX = 1 << 20
"""What a server takes of a request's body; more is answered 413."""
CONNECTIONS_MAX = 100
"""Of one client to one host, as the live client has it."""
ROUTES_LIMIT = 10_000
"""Hosts that one client may have asked; a fleet has some tens."""
DEFECTS_LIMIT = 100
_SEGMENT_BYTES = 1460  # The least that is sent at once over Ethernet.
_SEGMENT_S = (
    0.1  # A slow body comes in pieces of this long, so that a slow one is not a stopped one.
)
_NO_BODY = frozenset({204, 304})
_NO_NAMES: Mapping[str, str] = MappingProxyType({})


class _Service:
    """A host that is served."""

    __slots__ = ("body_bytes_max", "context", "handler", "is_stopped")

    def __init__(self, handler: Handler, body_bytes_max: int, context: Context) -> None:
        self.handler = handler
        self.body_bytes_max = body_bytes_max
        self.context = context
        self.is_stopped = False


class _Route:
    """From one client to one host: the link, the service, and the places that are taken."""

    __slots__ = (
        "chance", "epoch", "is_whole", "link", "places_taken", "service", "source", "target",
        "waiters",
    )  # fmt: skip

    def __init__(self, source: str, target: str) -> None:
        self.source = source
        self.target = target
        self.epoch = -1
        self.link = Link()
        self.is_whole = False  # Bodies arrive at once, and all of them.
        self.service: _Service | None = None
        self.places_taken = 0
        self.waiters: deque[NumberedFuture[None]] = deque()
        self.chance: Chance | None = None


class Network:
    """The hosts of a drill and what lies between them."""

    def __init__(self, loop: VirtualLoop, *, seed: int = 0) -> None:
        """Make a network without hosts; `seed` is for jitter and loss, by pair of hosts."""
        self.handled = 0
        """Requests that a handler has answered."""
        self.refused = 0
        """Requests to hosts that nobody serves."""
        self.abandoned = 0
        """Replies to clients who had gone."""
        self.on_abandoned: Callable[[Response], None] | None = None
        """Told of each of them: what work was done for nobody."""
        self.on_sent: Callable[[str], None] = _tell_nobody
        """Told the host of each request that a client sends, whether it arrives or not."""
        self.defects: list[str] = []
        """What handlers raised, the first of them; a drill fails when there is any."""
        self.loop = loop
        self._seed = seed
        self._epoch = 0
        self._services: dict[str, _Service] = {}
        self._links = Links()
        self._serving: dict[int, NumberedTask[None]] = {}
        self._requests = 0

    @property
    def in_service(self) -> int:
        """Requests being handled or answered, whether anybody waits for them or not."""
        return len(self._serving)

    def serve(self, host: str, handler: Handler, *, body_bytes_max: int = BODY_BYTES_MAX) -> None:
        """Serve `host`, from this instant; its tasks inherit the context of this call.

        Raises:
            InvalidInputError: `host` is served already.
        """
        if host in self._services:
            raise InvalidInputError(f"{host} is served already; stop it first")
        self._services[host] = _Service(handler, body_bytes_max, copy_context())
        self._epoch += 1

    def stop(self, host: str) -> None:
        """Take no more requests at `host`; those begun go on. Stopping twice is harmless."""
        service = self._services.pop(host, None)
        if service is not None:
            service.is_stopped = True
            self._epoch += 1

    def link(self, source: str, target: str, link: Link) -> None:
        """Lay `link` from clients at `source` to `target`, from this instant.

        Args:
            source: A host, or the beginning of its name and `*`; `*` alone for all.
            target: Likewise.
            link: Of several rules that match, the last laid holds; without any, `Link()`.

        Raises:
            InvalidInputError: Figures out of range, or too many rules.
        """
        self._links.lay(source, target, link)
        self._epoch += 1

    def unlink(self, source: str, target: str) -> None:
        """Take back what `link` laid for the same two patterns; older rules show again."""
        self._links.take_back(source, target)
        self._epoch += 1

    def client(
        self,
        host: str,
        *,
        names: Mapping[str, str] = _NO_NAMES,
        connections_max: int = CONNECTIONS_MAX,
    ) -> "InMemoryHttpClient":
        """Make a client that lives at `host`.

        Args:
            host: Where it lives; need not be served.
            names: Names that mean another host here, as 169.254.169.254 does on a machine.
            connections_max: To one host at once; more wait for a place. At least 1.
        """
        return InMemoryHttpClient(self, host, names=names, connections_max=connections_max)

    # For clients

    def refresh(self, route: _Route) -> None:
        """Look again what lies between, if anything was laid, served or stopped since."""
        if route.epoch == self._epoch:
            return
        route.epoch = self._epoch
        route.service = self._services.get(route.target)
        route.link = link = self._links.between(route.source, route.target)
        route.is_whole = link.bytes_per_s == inf and link.truncate_after_bytes is None

    def arrive(self, route: _Route, request: Request, reply: NumberedFuture[Response]) -> None:
        """Let the server begin on `request`."""
        service = route.service
        if service is None or service.is_stopped:
            error = DependencyError(f"{request.url}: connection reset", may_have_acted=True)
            self.loop.call_later(route.link.latency_s, _fail, reply, error)
            return
        self._requests = number = self._requests + 1
        self._serving[number] = self.loop.create_task(
            self._handle(number, service, route, request, reply), context=service.context.copy()
        )

    def delay_s(self, route: _Route) -> float | None:
        """How long one message takes over `route` now; None when it vanishes."""
        link = route.link
        if link.is_cut:
            return None
        if not (link.jitter_s or link.loss_ratio):
            return link.latency_s
        if route.chance is None:
            route.chance = stream(self._seed, f"link {route.source} {route.target}")
        if route.chance.random() < link.loss_ratio:
            return None
        return link.latency_s + link.jitter_s * route.chance.random()

    # On the server's host

    async def _handle(
        self,
        number: int,
        service: _Service,
        route: _Route,
        request: Request,
        reply: NumberedFuture[Response],
    ) -> None:
        try:
            if len(request.body) > service.body_bytes_max:
                response = Response(413)
            else:
                try:
                    response = await service.handler(request)
                except Exception as error:  # noqa: BLE001 - a defect: answered and kept
                    self._note_defect(request, error)
                    response = Response(500)
            self.handled += 1
            response = _framed(request.method, response)
            if route.epoch != self._epoch:
                self.refresh(route)
            if route.is_whole and response.chunks is None:
                self._send_whole(route, response, reply)
            else:
                await self._send_in_pieces(route, request, response, reply)
        finally:
            del self._serving[number]

    def _send_whole(
        self, route: _Route, response: Response, reply: NumberedFuture[Response]
    ) -> None:
        delay_s = self.delay_s(route)
        if delay_s:
            self.loop.call_later(delay_s, self._deliver, reply, response)
        elif delay_s is not None:
            self._deliver(reply, response)

    async def _send_in_pieces(
        self,
        route: _Route,
        request: Request,
        response: Response,
        reply: NumberedFuture[Response],
    ) -> None:
        delay_s = self.delay_s(route)
        pieces = WholeBody(response.body) if response.chunks is None else response.chunks
        try:
            if delay_s is None:
                return
            pipe = Pipe(self.loop, request.url)
            head = Response(response.status, response.headers, chunks=pipe)
            self.loop.call_later(delay_s, self._deliver, reply, head)
            length = response.headers.get("content-length")
            if request.method == "HEAD" or response.status in _NO_BODY:
                length = None
            try:
                await self._pump(route, pieces, pipe, length)
            except ConnectionAbortedError:  # broken off on purpose: a fault that is played
                pipe.end(latency_s=route.link.latency_s, is_broken=True)
            except Exception as error:  # noqa: BLE001 - a defect: the client sees a broken body
                self._note_defect(request, error)
                pipe.end(latency_s=route.link.latency_s, is_broken=True)
        finally:
            await close(pieces)

    async def _pump(
        self, route: _Route, pieces: AsyncIterator[bytes], pipe: Pipe, length: str | None
    ) -> None:
        """Send `pieces` until they end, the client leaves or the link fails."""
        sent_bytes = 0
        async for piece in pieces:
            sent_bytes += len(piece)
            step = max(_SEGMENT_BYTES, int(min(route.link.bytes_per_s * _SEGMENT_S, len(piece))))
            for start in range(0, len(piece), step):
                self.refresh(route)
                if not await pipe.put(piece[start : start + step], route.link):
                    return
        if length is not None and int(length) != sent_bytes:
            raise InvalidInputError(f"content-length says {length}, the body has {sent_bytes}")
        pipe.end(latency_s=route.link.latency_s)

    def _deliver(self, reply: NumberedFuture[Response], response: Response) -> None:
        if not reply.done():
            reply.set_result(response)
            return
        self.abandoned += 1
        if self.on_abandoned is not None:
            self.on_abandoned(response)
        if isinstance(response.chunks, Pipe):
            response.chunks.close()

    def _note_defect(self, request: Request, error: Exception) -> None:
        frame = extract_tb(error.__traceback__)[-1]
        if len(self.defects) < DEFECTS_LIMIT:
            self.defects.append(
                f"{request.method} {request.url}: {error!r} at {frame.filename}:{frame.lineno}"
            )


class InMemoryHttpClient:
    """The `HttpClient` port of one host; made by `Network.client`."""

    def __init__(
        self, network: Network, host: str, *, names: Mapping[str, str], connections_max: int
    ) -> None:
        self._network = network
        self._loop = network.loop
        self._host = host
        self._names = names
        self._connections_max = connections_max
        self._routes: dict[str, _Route] = {}

    async def send(
        self, request: Request, *, timeouts: Timeouts, body_bytes_max: int = 1 << 20
    ) -> Response:
        """Make one request and read its whole body; see `HttpClient`."""
        route = await self._take_place(request, timeouts)
        try:
            response = await self._exchange(route, request, timeouts)
            if response.chunks is None:
                size = len(response.body)
            else:
                body = await collect(response.chunks, body_bytes_max)
                size = len(body)
                response = Response(response.status, response.headers, body)
            if size > body_bytes_max:
                raise DependencyError(
                    f"{request.url}: the body exceeds {body_bytes_max} bytes", may_have_acted=True
                )
            return response
        finally:
            _give_place_back(route)

    @asynccontextmanager
    async def stream(self, request: Request, *, timeouts: Timeouts) -> AsyncGenerator[Response]:
        """Make one request and give its body as `chunks`; see `HttpClient`."""
        route = await self._take_place(request, timeouts)
        try:
            response = await self._exchange(route, request, timeouts)
            if response.chunks is None:
                yield Response(response.status, response.headers, b"", WholeBody(response.body))
                return
            try:
                yield response
            finally:
                await close(response.chunks)
        finally:
            _give_place_back(route)

    async def _exchange(self, route: _Route, request: Request, timeouts: Timeouts) -> Response:
        """Send `request` and wait for the head of its reply."""
        network, loop = self._network, self._loop
        network.on_sent(route.target)
        network.refresh(route)
        link = route.link
        if route.service is None or link.is_cut or link.latency_s * 2 > timeouts.connect_s:
            await self._fail_to_connect(route, request, timeouts)
        if link.bytes_per_s != inf and request.body:
            await _pause(loop, len(request.body) / link.bytes_per_s)
        reply: NumberedFuture[Response] = loop.create_future()
        delay_s = network.delay_s(route)
        if delay_s:
            loop.call_later(delay_s, network.arrive, route, request, reply)
        elif delay_s is not None:
            network.arrive(route, request, reply)
        timer = loop.call_later(timeouts.read_s, _expire, reply, request, timeouts)
        try:
            response = await reply
        except BaseException:
            if _has_result(reply):  # it came in the instant we left
                await close(reply.result().chunks)
            raise
        finally:
            timer.cancel()
        if isinstance(response.chunks, Pipe):
            response.chunks.read_s = timeouts.read_s
        return response

    async def _fail_to_connect(
        self, route: _Route, request: Request, timeouts: Timeouts
    ) -> NoReturn:
        there_and_back_s = 2 * route.link.latency_s
        if route.link.is_cut or there_and_back_s > timeouts.connect_s:
            await _pause(self._loop, timeouts.connect_s)
            raise DependencyTimeoutError(
                f"{request.url}: no connection in {timeouts.connect_s} s", may_have_acted=False
            )
        await _pause(self._loop, there_and_back_s)
        self._network.refused += 1
        raise DependencyError(f"{request.url}: connection refused", may_have_acted=False)

    # Places among the connections

    async def _take_place(self, request: Request, timeouts: Timeouts) -> _Route:
        route = self._routes.get(request.host)
        if route is None:
            route = self._new_route(request.host)
        if route.places_taken < self._connections_max:
            route.places_taken += 1
            return route
        place: NumberedFuture[None] = self._loop.create_future()
        route.waiters.append(place)
        timer = self._loop.call_later(timeouts.pool_s, _expire_wait, place, request, timeouts)
        try:
            await place
        except BaseException:
            if _has_result(place):  # it was given in the instant we left
                _give_place_back(route)
            elif place in route.waiters:
                route.waiters.remove(place)
            raise
        finally:
            timer.cancel()
        return route

    def _new_route(self, name: str) -> _Route:
        if len(self._routes) >= ROUTES_LIMIT:
            raise SimulationError(f"{self._host} asks more than {ROUTES_LIMIT} hosts: {name}")
        target = self._names.get(name, name)
        route = self._routes[name] = _Route(self._host, target)
        return route


def _give_place_back(route: _Route) -> None:
    """Hand the place on to who has waited longest."""
    waiters = route.waiters
    while waiters:
        place = waiters.popleft()
        if not place.done():
            place.set_result(None)
            return
    route.places_taken -= 1


def _framed(method: str, response: Response) -> Response:
    """The reply as a wire frames it: its length said, and no body where none may be."""
    status, headers, body, chunks = response
    length = headers.get("content-length")
    if method == "HEAD" or status in _NO_BODY:
        if length is None and method == "HEAD" and chunks is None:
            headers = {**headers, "content-length": str(len(body))}
        return Response(status, headers)
    if chunks is not None:
        return response
    if length is None:
        return Response(status, {**headers, "content-length": str(len(body))}, body)
    if length == str(len(body)):
        return response
    return Response(status, headers, b"", WholeBody(body))  # a defect, found as it is sent


async def _pause(loop: VirtualLoop, pause_s: float) -> None:
    """Wait; for a turn of the others at least, so that trying again and again is not endless."""
    future: NumberedFuture[None] = loop.create_future()
    timer = loop.call_later(pause_s, wake, future)
    try:
        await future
    finally:
        timer.cancel()


def _tell_nobody(host: str) -> None:
    """What a network does that nobody asked to be told of requests."""


def _has_result(future: NumberedFuture[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _fail(future: NumberedFuture[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _expire(reply: NumberedFuture[Response], request: Request, timeouts: Timeouts) -> None:
    if not reply.done():
        message = f"{request.url}: no answer in {timeouts.read_s} s"
        reply.set_exception(DependencyTimeoutError(message, may_have_acted=True))


def _expire_wait(place: NumberedFuture[None], request: Request, timeouts: Timeouts) -> None:
    if not place.done():
        message = f"{request.url}: no free connection in {timeouts.pool_s} s"
        place.set_exception(DependencyTimeoutError(message, may_have_acted=False))
