"""A server of permits on a socket, in a thread of its own: what clients without asyncio ask."""

import asyncio
import json
import secrets
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from surgetank.client import Client
from surgetank.control.breaker import BreakerPolicy
from surgetank.control.governor import GovernorPolicy
from surgetank.core.http import Handler, Request, Response
from surgetank.core.problem import problem
from surgetank.core.route import Routes
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Refusal
from surgetank.runtime.live.clock import SystemClock
from surgetank.runtime.live.http_server import RunningServer, serve
from surgetank.safeguards.operations.permits import GovernedPermits
from surgetank.safeguards.operations.permits_api import PermitsApi

PATIENCE_S = 30.0


@dataclass
class Office:
    """Governors, and the server that asks them; breakers open at the third failure, for long."""

    open_s: float = 300.0
    clock: SystemClock = field(default_factory=SystemClock)
    permits: GovernedPermits = field(init=False)
    api: PermitsApi = field(init=False)
    url: str = ""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    requests: list[Request] = field(default_factory=list[Request])
    asked: threading.Event = field(default_factory=threading.Event)
    """Set by the first request."""

    def __post_init__(self) -> None:
        breaker = BreakerPolicy(
            failure_limit=3, probe_limit=1, open_s=self.open_s, open_s_max=self.open_s
        )
        self.permits = GovernedPermits(
            default=GovernorPolicy(breaker=breaker), clock=self.clock, chance=Random(1)
        )
        self.api = PermitsApi(
            self.permits, clock=self.clock, new_id=lambda: secrets.token_urlsafe(16)
        )

    def handler(self) -> Handler:
        """Answer who knows the token."""
        routes = Routes(self.api.routes(), now=self.clock.now)

        async def handle(request: Request) -> Response:
            self.requests.append(request)
            self.asked.set()
            if request.headers.get("authorization") != f"Bearer {self.token}":
                return problem("unauthenticated", "who are you?")
            return await routes.handle(request)

        return handle

    def kinds(self) -> list[str]:
        """Give the kinds of the outcomes that were told, in order."""
        told = [request for request in self.requests if request.path.endswith("/outcome")]
        return [json.loads(request.body)["kind"] for request in told]

    def break_down(self, dependency: str) -> None:
        """Open the breaker of a dependency."""
        for _ in range(3):
            given = self.permits.ask([Dependency(dependency)], lane=Lane.FRESH)
            assert not isinstance(given, Refusal)
            self.permits.report(given[0], Outcome(OutcomeKind.TRANSIENT))

    def in_flight(self, dependency: str) -> int:
        return self.permits.views()[Dependency(dependency)].in_flight

    def state(self, dependency: str) -> str:
        return self.permits.views()[Dependency(dependency)].state


@contextmanager
def serving(handler: Handler) -> Generator[str]:
    """Serve in a thread while the context lasts; gives the URL."""
    started = threading.Event()
    told: dict[str, Any] = {}

    async def main() -> None:
        async with serve(handler) as server:
            told.update(server=server, loop=asyncio.get_running_loop(), stop=asyncio.Event())
            started.set()
            await told["stop"].wait()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    try:
        assert started.wait(PATIENCE_S)
        server: RunningServer = told["server"]
        yield server.url
        assert server.defects == []
    finally:
        told["loop"].call_soon_threadsafe(told["stop"].set)
        thread.join(PATIENCE_S)


@pytest.fixture
def office() -> Generator[Office]:
    """Give a running server of permits."""
    office = Office()
    with serving(office.handler()) as office.url:
        yield office


@pytest.fixture
def short_office() -> Generator[Office]:
    """Give one whose breakers open for a moment."""
    office = Office(open_s=0.3)
    with serving(office.handler()) as office.url:
        yield office


@pytest.fixture
def serve_in_thread() -> Callable[[Handler], Any]:
    """Serve any handler in a thread."""
    return serving


Connect = Callable[..., Client]


@pytest.fixture
def connect() -> Generator[Connect]:
    """Make clients that are closed after the test."""
    with ExitStack() as stack:

        def connect(url: str, token: str | None = None, **more: Any) -> Client:
            return stack.enter_context(Client(url, token, **more))

        yield connect
