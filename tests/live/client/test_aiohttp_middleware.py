"""The middleware in a real aiohttp session, before a real aiohttp server."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout, web
from yarl import URL

from surgetank.client import BreakerOpenError, Governors, Lane, ReleaseHeldError
from surgetank.client.aiohttp_middleware import permit_middleware
from surgetank.control.breaker import BreakerPolicy
from surgetank.control.governor import GovernorPolicy

POLICY = GovernorPolicy(breaker=BreakerPolicy(failure_limit=3))
Answer = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]


def dependency_of(url: URL) -> str | None:
    return None if url.path == "/free" else "service@here"


@asynccontextmanager
async def session_to(answer: Answer, **more: Any) -> AsyncGenerator[tuple[ClientSession, URL]]:
    """Give a governed session, and where the server is."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        address: tuple[str, int] = runner.addresses[0]
        middleware = permit_middleware(Governors.of_this_process(POLICY), dependency_of, **more)
        async with ClientSession(middlewares=[middleware]) as session:
            yield session, URL(f"http://{address[0]}:{address[1]}/")
    finally:
        await runner.cleanup()


def status(number: int, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=number, headers=headers, text="said")

    return answer


def test_an_answer_arrives_whole() -> None:
    async def main() -> None:
        async with session_to(status(200)) as (session, url), session.get(url) as response:
            assert (response.status, await response.text()) == (200, "said")

    asyncio.run(main())


def test_faults_open_the_breaker_and_no_more_is_sent() -> None:
    asked: list[str] = []

    async def fault(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(status=500)

    async def main() -> None:
        async with session_to(fault) as (session, url):
            for _ in range(3):
                async with session.get(url) as response:
                    assert response.status == 500
            with pytest.raises(BreakerOpenError):
                await session.get(url)
            async with session.get(url / "free") as response:  # no dependency, no permit
                assert response.status == 500

    asyncio.run(main())
    assert asked == ["/", "/", "/", "/free"]


def test_what_a_server_asks_for_holds_the_backlog() -> None:
    async def main() -> None:
        answer = status(429, **{"Retry-After": "60"})
        async with session_to(answer, lane=Lane.BACKLOG) as (session, url):
            async with session.get(url):
                pass
            with pytest.raises(ReleaseHeldError):
                await session.get(url)

    asyncio.run(main())


def test_a_request_that_times_out_counts() -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    async def main() -> None:
        async with session_to(hang) as (session, url):
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await session.get(url, timeout=ClientTimeout(total=0.05))
            with pytest.raises(BreakerOpenError):
                await session.get(url)

    asyncio.run(main())


def test_a_server_that_is_not_there_counts() -> None:
    async def main() -> None:
        async with session_to(status(200)) as (session, _):
            for _ in range(3):
                with pytest.raises(OSError):  # noqa: PT011 - of aiohttp's own class
                    await session.get("http://127.0.0.1:1/")
            with pytest.raises(BreakerOpenError):
                await session.get("http://127.0.0.1:1/")

    asyncio.run(main())
