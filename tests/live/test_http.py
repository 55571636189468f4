"""What only sockets have: kept connections, wires spoken by hand, servers that stop."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from surgetank.core.errors import DependencyError, InvalidInputError
from surgetank.core.http import Request, Response, Timeouts
from surgetank.runtime.live.http_client import LiveHttpClient
from surgetank.runtime.live.http_server import RunningServer, serve

TIMEOUTS = Timeouts(connect_s=5.0, read_s=5.0, pool_s=5.0)


async def echo(request: Request) -> Response:
    headers = {name: value for name, value in request.headers.items() if name.startswith("x-")}
    return Response(200, headers, request.body)


def converse(sent: bytes, *, until: bytes) -> bytes:
    """Say `sent` to a server, and return what it says up to and with `until`."""

    async def main() -> bytes:
        async with serve(echo, body_bytes_max=100, body_s_max=0.2) as server:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(sent)
            async with asyncio.timeout(10):
                answer = await reader.readuntil(until)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            return answer

    return asyncio.run(main())


def with_wire(
    wire: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    story: Callable[[LiveHttpClient, str], Awaitable[None]],
) -> None:
    """Tell `story` against a server whose connections are each given to `wire`."""

    async def main() -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await wire(reader, writer)
            writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, LiveHttpClient() as client:
            await story(client, f"http://127.0.0.1:{port}/")

    asyncio.run(main())


def test_a_request_on_a_kept_connection_that_breaks_is_not_made_again() -> None:
    asked: list[bytes] = []

    async def wire(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        asked.append(await reader.readuntil(b"\r\n\r\n"))

    async def story(client: LiveHttpClient, url: str) -> None:
        request = Request.to("PUT", url)
        assert (await client.send(request, timeouts=TIMEOUTS)).status == 200
        with pytest.raises(DependencyError) as caught:
            await client.send(request, timeouts=TIMEOUTS)
        assert caught.value.may_have_acted

    with_wire(wire, story)
    assert len(asked) == 2


def test_only_what_the_caller_said_is_sent() -> None:
    heads: list[bytes] = []

    async def wire(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\ncontent-length: 0\r\n\r\n")
        await reader.read()

    async def story(client: LiveHttpClient, url: str) -> None:
        request = Request.to("GET", url + "a%20b?c=%2F", headers={"x-own": "1"})
        response = await client.send(request, timeouts=TIMEOUTS)
        assert response.headers["x-a"] == "1, 2"

    with_wire(wire, story)
    lines = heads[0].decode().split("\r\n")
    assert lines[0] == "GET /a%20b?c=%2F HTTP/1.1"
    assert [line.split(":")[0].lower() for line in lines[1:-2]] == ["host", "x-own"]


def test_what_is_not_http_is_an_error_that_may_have_acted() -> None:
    async def wire(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SMTP ready\r\n\r\n")
        await writer.drain()

    async def story(client: LiveHttpClient, url: str) -> None:
        with pytest.raises(DependencyError) as caught:
            await client.send(Request.to("GET", url), timeouts=TIMEOUTS)
        assert caught.value.may_have_acted

    with_wire(wire, story)


def test_a_url_that_names_no_host_is_the_callers_mistake() -> None:
    async def main() -> None:
        async with LiveHttpClient() as client:
            with pytest.raises(InvalidInputError):
                await client.send(Request("GET", "", "/"), timeouts=TIMEOUTS)

    asyncio.run(main())


def test_header_names_are_lowered_and_repeated_ones_joined() -> None:
    sent = b"GET / HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nx-one: 2\r\nX-Two: 3\r\n\r\n"
    answer = converse(sent, until=b"\r\n\r\n")
    assert b"x-one: 1, 2\r\n" in answer
    assert b"x-two: 3\r\n" in answer


def test_a_chunked_request_is_given_whole() -> None:
    sent = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = converse(sent + b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", until=b"abcde")
    assert b"content-length: 5" in answer


def test_an_endless_request_is_answered_before_its_end() -> None:
    sent = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999\r\n\r\n" + b"x" * 6_500
    answer = converse(sent, until=b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer


def test_a_request_that_does_not_come_to_its_end_is_answered_408() -> None:
    sent = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345"
    assert converse(sent, until=b"\r\n\r\n").startswith(b"HTTP/1.1 408 ")


def test_a_request_whose_sender_leaves_half_way_is_not_handled() -> None:
    async def main() -> int:
        async with serve(echo) as server:
            _, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345")
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            async with LiveHttpClient() as client:
                await client.send(Request.to("GET", server.url), timeouts=TIMEOUTS)
        return server.handled

    assert asyncio.run(main()) == 1


def test_more_connections_than_the_limit_are_answered_503() -> None:
    async def main() -> list[int]:
        go = asyncio.Event()

        async def wait(_: Request) -> Response:
            await go.wait()
            return Response(200)

        async with serve(wait, concurrency_max=2) as server, LiveHttpClient() as client:
            request = Request.to("GET", server.url)
            tasks = [asyncio.create_task(client.send(request, timeouts=TIMEOUTS)) for _ in range(3)]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            go.set()
            return sorted(response.status for response in await asyncio.gather(*tasks))

    assert asyncio.run(main())[-1] == 503


def test_a_server_that_stops_ends_what_it_began() -> None:
    async def main() -> tuple[int, RunningServer]:
        begun, go = asyncio.Event(), asyncio.Event()

        async def wait(_: Request) -> Response:
            begun.set()
            await go.wait()
            return Response(200)

        async with LiveHttpClient() as client:
            async with serve(wait) as server:
                request = Request.to("GET", server.url)
                task = asyncio.create_task(client.send(request, timeouts=TIMEOUTS))
                await begun.wait()
                asyncio.get_running_loop().call_later(0.05, go.set)
            response = await task
            with pytest.raises(DependencyError):
                await client.send(request, timeouts=TIMEOUTS)
        return response.status, server

    status, server = asyncio.run(main())
    assert (status, server.handled, server.defects) == (200, 1, [])


def test_a_port_that_is_taken_is_an_error() -> None:
    async def main() -> None:
        async with serve(echo) as server:
            with pytest.raises(OSError, match="in use"):
                async with serve(echo, port=server.port):
                    raise AssertionError("it cannot be served")

    asyncio.run(main())
