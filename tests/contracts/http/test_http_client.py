"""What every `HttpClient` does, on sockets and in memory, against the same service."""

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import NamedTuple, Protocol, TypeVar

import pytest

from surgetank.core.errors import DependencyError, DependencyTimeoutError
from surgetank.core.http import Request, Response, Timeouts
from surgetank.core.ports import Clock, HttpClient
from surgetank.runtime.live.clock import SystemClock
from surgetank.runtime.live.http_client import LiveHttpClient
from surgetank.runtime.live.http_server import serve
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.link import Link
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.network import Network

T = TypeVar("T")
PATIENT = Timeouts(connect_s=5.0, read_s=10.0, pool_s=10.0)
HASTY = Timeouts(connect_s=5.0, read_s=0.1, pool_s=0.1)
UNHURRIED = Timeouts(connect_s=5.0, read_s=0.6, pool_s=5.0)
WORK_S = 0.6
"""Far from the time-outs on both sides: a busy machine is late by up to a tenth of a second."""
SLOW_S = 0.15
LARGE = bytes(range(256)) * 8192  # 2 MiB
ZIPPED = gzip.compress(b"as it is", mtime=0)


class Service:
    """What is asked, by path."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.seen: list[Request] = []
        self.finished = asyncio.Event()
        self.closed = asyncio.Event()

    async def __call__(self, request: Request) -> Response:
        self.seen.append(request)
        match request.path:
            case "/work":
                await self.clock.sleep_until(self.clock.now() + WORK_S)
                self.finished.set()
                return Response(200, {}, b"worked")
            case "/defect":
                raise RuntimeError("a defect of the service")
            case "/large":
                return Response(200, {}, LARGE)
            case "/zipped":
                return Response(200, {"content-encoding": "gzip"}, ZIPPED)
            case "/status":
                headers = {"location": "/elsewhere", "retry-after": "7", "set-cookie": "a=b"}
                return Response(int(request.query), headers, b"said")
            case path if path.startswith("/pieces"):
                return self.in_pieces(path)
            case _:
                return Response(200, {"x-answer": "yes"}, request.body)

    def in_pieces(self, path: str) -> Response:
        headers = {"content-length": "99"} if path == "/pieces/short" else {}
        return Response(200, headers, chunks=self.pieces(path))

    async def pieces(self, path: str) -> AsyncIterator[bytes]:
        try:
            for number in range(6):
                if path == "/pieces/broken" and number == 3:
                    raise RuntimeError("a defect half-way")
                pause_s = SLOW_S if path == "/pieces/slow" else 0.01
                if path == "/pieces/stalled" and number == 3:
                    pause_s = WORK_S
                await self.clock.sleep_until(self.clock.now() + pause_s)
                yield b"%d" % number
        finally:
            self.closed.set()


class Site(NamedTuple):
    """Where a test takes place."""

    client: HttpClient
    clock: Clock
    service: Service
    url: str
    defects: list[str]

    async def get(self, path: str, timeouts: Timeouts = PATIENT) -> Response:
        return await self.client.send(Request.to("GET", self.url + path), timeouts=timeouts)


Story = Callable[[Site], Awaitable[T]]


class Play(Protocol):
    def __call__(self, story: Story[T], *, connections_max: int = 100) -> T: ...


def play_live(story: Story[T], *, connections_max: int = 100) -> T:
    async def main() -> T:
        clock = SystemClock()
        service = Service(clock)
        async with (
            serve(service, body_bytes_max=3 << 20) as server,
            LiveHttpClient(connections_max=connections_max) as client,
        ):
            return await story(Site(client, clock, service, server.url, server.defects))

    return asyncio.run(main())


def play_virtual(story: Story[T], *, connections_max: int = 100) -> T:
    async def main(loop: VirtualLoop) -> T:
        clock, network = VirtualClock(loop), Network(loop)
        service = Service(clock)
        network.serve("service", service, body_bytes_max=3 << 20)
        network.link("*", "*", Link(latency_s=0.001))
        client = network.client("client", connections_max=connections_max)
        return await story(Site(client, clock, service, "http://service", network.defects))

    return run(main)


@pytest.fixture(params=["sockets", "memory"])
def play(request: pytest.FixtureRequest) -> Play:
    return play_live if request.param == "sockets" else play_virtual


def test_the_service_sees_the_request_as_it_was_made(play: Play) -> None:
    async def story(site: Site) -> tuple[Request, Request]:
        url = f"{site.url}/a%2Fb/%C3%A9%20;v=1?x=%20+&y=a%3Db&&z"
        sent = Request.to("PUT", url, headers={"x-number": "1"}, body=b"\x00body")
        await site.client.send(sent, timeouts=PATIENT)
        return sent, site.service.seen[0]

    sent, seen = play(story)
    assert seen == sent


def test_the_caller_sees_status_headers_and_body(play: Play) -> None:
    async def story(site: Site) -> Response:
        return await site.client.send(
            Request.to("POST", site.url + "/echo", body=b"body"), timeouts=PATIENT
        )

    assert play(story) == Response(200, {"x-answer": "yes", "content-length": "4"}, b"body")


@pytest.mark.parametrize("status", [201, 301, 307, 401, 404, 409, 429, 500, 503])
def test_every_status_is_an_answer_and_nothing_is_followed(play: Play, status: int) -> None:
    async def story(site: Site) -> tuple[Response, int]:
        return await site.get(f"/status?{status}"), len(site.service.seen)

    response, asked = play(story)
    assert (response.status, response.body, asked) == (status, b"said", 1)
    assert response.headers["retry-after"] == "7"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_some_answers_have_no_body(play: Play, method: str, status: int) -> None:
    async def story(site: Site) -> tuple[Response, Response]:
        request = Request.to(method, f"{site.url}/status?{status}")
        response = await site.client.send(request, timeouts=PATIENT)
        return response, await site.get("/next")

    response, following = play(story)
    assert (response.status, response.body) == (status, b"")
    assert response.headers.get("content-length") == ("4" if method == "HEAD" else None)
    assert following.status == 200


def test_no_cookie_is_kept(play: Play) -> None:
    async def story(site: Site) -> Request:
        await site.get("/status?200")
        await site.get("/next")
        return site.service.seen[1]

    assert dict(play(story).headers) == {}


def test_nothing_is_decompressed(play: Play) -> None:
    async def story(site: Site) -> Response:
        return await site.get("/zipped")

    assert play(story).body == ZIPPED


def test_large_bodies_pass_both_ways(play: Play) -> None:
    async def story(site: Site) -> Response:
        request = Request.to("PUT", site.url + "/echo", body=LARGE)
        return await site.client.send(request, timeouts=PATIENT, body_bytes_max=len(LARGE))

    assert play(story).body == LARGE


def test_a_request_above_the_servers_limit_is_answered_413(play: Play) -> None:
    async def story(site: Site) -> tuple[int, int]:
        request = Request.to("PUT", site.url + "/echo", body=LARGE * 2)
        response = await site.client.send(request, timeouts=PATIENT)
        return response.status, len(site.service.seen)

    assert play(story) == (413, 0)


@pytest.mark.parametrize("path", ["/large", "/pieces"])
def test_a_body_above_the_callers_limit_is_an_error(play: Play, path: str) -> None:
    async def story(site: Site) -> tuple[bool, int]:
        limit = len(LARGE) - 1 if path == "/large" else 5
        request = Request.to("GET", site.url + path)
        with pytest.raises(DependencyError, match="exceeds") as caught:
            await site.client.send(request, timeouts=PATIENT, body_bytes_max=limit)
        return caught.value.may_have_acted, (await site.get("/next")).status

    assert play(story, connections_max=1) == (True, 200)


def test_a_body_at_the_callers_limit_is_whole(play: Play) -> None:
    async def story(site: Site) -> Response:
        request = Request.to("GET", site.url + "/pieces")
        return await site.client.send(request, timeouts=PATIENT, body_bytes_max=6)

    assert play(story).body == b"012345"


@pytest.mark.parametrize("path", ["/pieces/broken", "/pieces/short"])
def test_a_body_that_ends_early_is_an_error_and_may_have_acted(play: Play, path: str) -> None:
    async def story(site: Site) -> tuple[bool, int]:
        with pytest.raises(DependencyError) as caught:
            await site.get(path)
        assert not isinstance(caught.value, DependencyTimeoutError)
        return caught.value.may_have_acted, len(site.defects)

    assert play(story) == (True, 1)


def test_a_defect_is_answered_500_and_kept(play: Play) -> None:
    async def story(site: Site) -> tuple[Response, list[str]]:
        return await site.get("/defect"), site.defects

    response, defects = play(story)
    assert (response.status, response.body) == (500, b"")
    assert "/defect" in defects[0]
    assert "a defect of the service" in defects[0]


def test_a_read_time_out_does_not_stop_the_servers_work(play: Play) -> None:
    async def story(site: Site) -> bool:
        with pytest.raises(DependencyTimeoutError) as caught:
            await site.get("/work", HASTY)
        assert not site.service.finished.is_set()
        await site.service.finished.wait()
        return caught.value.may_have_acted

    assert play(story) is True


def test_a_caller_who_leaves_does_not_stop_the_servers_work(play: Play) -> None:
    async def story(site: Site) -> bool:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(WORK_S / 3):
                await site.get("/work")
        assert not site.service.finished.is_set()
        await site.service.finished.wait()
        return True

    assert play(story)


def test_who_finds_no_free_place_times_out_and_sent_nothing(play: Play) -> None:
    async def story(site: Site) -> tuple[bool, int, int]:
        async with asyncio.TaskGroup() as group:
            group.create_task(site.get("/work"))
            await site.clock.sleep_until(site.clock.now() + WORK_S / 3)
            with pytest.raises(DependencyTimeoutError, match="no free connection") as caught:
                await site.get("/next", HASTY)
        asked = len(site.service.seen)
        return caught.value.may_have_acted, asked, (await site.get("/next")).status

    assert play(story, connections_max=1) == (False, 1, 200)


def test_places_go_to_who_has_waited_longest_and_none_is_lost(play: Play) -> None:
    async def story(site: Site) -> list[str]:
        async with asyncio.TaskGroup() as group:
            group.create_task(site.get("/work"))
            for name in ("b", "c", "d", "e"):
                await site.clock.sleep_until(site.clock.now() + 0.02)
                task = group.create_task(site.get(f"/{name}"))
                if name == "c":
                    await site.clock.sleep_until(site.clock.now() + 0.02)
                    task.cancel()  # gives up while it waits
        return [request.path for request in site.service.seen]

    assert play(story, connections_max=1) == ["/work", "/b", "/d", "/e"]


def test_pieces_come_as_they_are_made(play: Play) -> None:
    async def story(site: Site) -> tuple[bytes, bytes]:
        request = Request.to("GET", site.url + "/pieces")
        async with site.client.stream(request, timeouts=PATIENT) as response:
            assert response.chunks is not None
            first = await anext(response.chunks)
            assert not site.service.closed.is_set()
            return first, b"".join([piece async for piece in response.chunks])

    assert play(story) == (b"0", b"12345")


@pytest.mark.parametrize("path", ["/large", "/status?200"])
def test_a_whole_body_can_be_streamed(play: Play, path: str) -> None:
    async def story(site: Site) -> bytes:
        request = Request.to("GET", site.url + path)
        async with site.client.stream(request, timeouts=PATIENT) as response:
            assert response.chunks is not None
            assert response.body == b""
            return b"".join([piece async for piece in response.chunks])

    assert play(story) == (LARGE if path == "/large" else b"said")


def test_who_stops_reading_frees_the_place_and_ends_the_body(play: Play) -> None:
    async def story(site: Site) -> int:
        request = Request.to("GET", site.url + "/pieces")
        async with site.client.stream(request, timeouts=PATIENT) as response:
            assert response.chunks is not None
            await anext(response.chunks)
        response = await site.get("/next")
        await site.service.closed.wait()
        return response.status

    assert play(story, connections_max=1) == 200


def test_a_slow_body_is_not_a_stopped_one(play: Play) -> None:
    async def story(site: Site) -> bytes:
        assert UNHURRIED.read_s < 6 * SLOW_S  # the whole takes longer than any one may
        return (await site.get("/pieces/slow", UNHURRIED)).body

    assert play(story) == b"012345"


def test_a_stopped_body_times_out(play: Play) -> None:
    async def story(site: Site) -> bool:
        with pytest.raises(DependencyTimeoutError) as caught:
            await site.get("/pieces/stalled", HASTY)
        return caught.value.may_have_acted

    assert play(story) is True


def test_a_hundred_at_once_are_answered_each_its_own(play: Play) -> None:
    async def story(site: Site) -> list[str]:
        async def ask(number: int) -> str:
            body = json.dumps(number).encode()
            request = Request.to("POST", site.url + "/echo", body=body)
            return str(json.loads((await site.client.send(request, timeouts=PATIENT)).body))

        return await asyncio.gather(*(ask(number) for number in range(100)))

    assert play(story) == [str(number) for number in range(100)]


def test_where_nobody_serves_the_connection_is_refused() -> None:
    async def story(client: HttpClient, url: str) -> bool:
        with pytest.raises(DependencyError) as caught:
            await client.send(Request.to("GET", url), timeouts=PATIENT)
        assert not isinstance(caught.value, DependencyTimeoutError)
        return caught.value.may_have_acted

    async def live() -> bool:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))  # taken, and not listened on
            async with LiveHttpClient() as client:
                return await story(client, f"http://127.0.0.1:{held.getsockname()[1]}/")

    async def virtual(loop: VirtualLoop) -> bool:
        return await story(Network(loop).client("client"), "http://nobody/")

    assert (asyncio.run(live()), run(virtual)) == (False, False)


@contextmanager
def full_backlog() -> Generator[int]:
    """A port whose queue of connections is full, so that one more is not answered."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        callers = [socket.socket() for _ in range(8)]
        try:
            for caller in callers:
                caller.setblocking(False)
                caller.connect_ex(("127.0.0.1", port))
            yield port
        finally:
            for caller in callers:
                caller.close()


def test_who_cannot_connect_in_time_sent_nothing() -> None:
    async def story(client: HttpClient, url: str) -> bool:
        timeouts = Timeouts(connect_s=0.2)
        with pytest.raises(DependencyTimeoutError) as caught:
            await client.send(Request.to("GET", url), timeouts=timeouts)
        return caught.value.may_have_acted

    async def live() -> bool:
        with full_backlog() as port:
            async with LiveHttpClient() as client:
                return await story(client, f"http://127.0.0.1:{port}/")

    async def virtual(loop: VirtualLoop) -> bool:
        network = Network(loop)
        network.serve("service", Service(VirtualClock(loop)))
        network.link("*", "service", Link(is_cut=True))
        return await story(network.client("client"), "http://service/")

    assert (asyncio.run(live()), run(virtual)) == (False, False)
