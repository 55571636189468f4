"""The whole server in virtual time: its store and its audit trail on disk, its wire a function."""

import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from surgetank.core.errors import DependencyError
from surgetank.core.http import Handler, Request, Response
from surgetank.runtime.assembly import LedgerPorts, Ports
from surgetank.runtime.config import Configuration
from surgetank.runtime.policy import Reads, ServePolicy
from surgetank.runtime.server.service import Server, server
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.safeguards.operations.http_action import HttpAction, HttpActionPolicy

START_AT = 1_770_055_380.0
TOKENS = {"reader": "r" * 32, "worker": "w" * 32, "admin": "a" * 32}
ROLES = {"reader": "read", "worker": "work", "admin": "admin"}


class Answer(NamedTuple):
    """What was answered."""

    status: int
    headers: dict[str, str]
    body: Any
    """Read from JSON; None where nothing was said."""


@dataclass
class Origin:
    """What operations call: answers well, after a while."""

    clock: VirtualClock
    answer_s: float = 0.1
    status: int = 200
    requests: list[Request] = field(default_factory=list[Request])

    async def send(self, request: Request, **_: Any) -> Response:
        self.requests.append(request)
        await self.clock.sleep_until(self.clock.now() + self.answer_s)
        return Response(self.status)

    def stream(self, request: Request, **_: Any) -> Any:
        raise DependencyError(f"nothing streams: {request.url}", may_have_acted=False)


class Listener(NamedTuple):
    """A wire that is not there."""

    url: str


@dataclass
class World:
    """A server and who asks it."""

    loop: VirtualLoop
    clock: VirtualClock
    origin: Origin
    folder: Path
    server: Server

    async def ask(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        who: str | None = "admin",
        **headers: str,
    ) -> Answer:
        """Ask for something, with the token of a name or without one."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if who is not None:
            sent["authorization"] = f"Bearer {TOKENS.get(who, who)}"
        content = b""
        if body is not None:
            sent.setdefault("content-type", "application/json")
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
        path, _, query = target.partition("?")
        request = Request(method, "surgetank", path, query, sent, content)
        response = await self.server.gate.handle(request)
        said = response.body
        if response.chunks is not None:
            said = b"".join([piece async for piece in response.chunks])
        assert (response.status == 204) == (not said), "every answer says something"
        return Answer(response.status, dict(response.headers), json.loads(said or b"null"))

    async def submit(self, key: str, **changes: Any) -> str:
        """Submit an operation of one step; gives its id."""
        answer = await self.ask("POST", "/v1/operations", new(key, **changes))
        assert answer.status == 201, answer
        return str(answer.body["id"])

    async def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        await self.clock.sleep_until(self.clock.now() + seconds)


def new(key: str, **changes: Any) -> dict[str, Any]:
    """Describe an operation of one step."""
    arguments = {"url": f"http://compute/{key}"}
    step = {"name": "vm", "dependency": "compute@eastus", "arguments": arguments}
    return {"key": key, "kind": "create_vm", "region": "eastus", "steps": [step], **changes}


Play = Callable[..., None]


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    """A configuration whose reads take a token."""
    tokens = tmp_path / "tokens"
    tokens.write_text("".join(f"{name} {ROLES[name]} {TOKENS[name]}\n" for name in TOKENS))
    tokens.chmod(0o600)
    serve = ServePolicy(tokens=tokens, reads=Reads.TOKEN)
    return Configuration(directory=tmp_path, serve=serve)


@pytest.fixture
def play(configuration: Configuration) -> Play:
    """Play a coroutine in virtual time: it is handed a world."""

    def play(main: Callable[[World], Coroutine[Any, Any, None]], **serve: Any) -> None:
        changed = configuration.model_copy(update={"serve": replace(configuration.serve, **serve)})

        async def whole(loop: VirtualLoop) -> None:
            async with _world(loop, changed) as world:
                await main(world)

        run(whole, start_at=START_AT)

    return play


@asynccontextmanager
async def _world(loop: VirtualLoop, configuration: Configuration) -> AsyncGenerator[World]:
    clock = VirtualClock(loop)
    origin = Origin(clock)
    ports = Ports(clock, Random(1), InlineBlocking())
    http = HttpAction(client=origin, clock=clock, policy=HttpActionPolicy())
    async with server(
        configuration,
        ports,
        ledger_ports=LedgerPorts(InlineBlocking(), clock.now),
        actions={"http": http},
        serve=_listen,
        worker="w1",
    ) as running:
        yield World(loop, clock, origin, configuration.directory, running)


@asynccontextmanager
async def _listen(handler: Handler, **_: Any) -> AsyncGenerator[Listener]:
    del handler
    yield Listener("http://surgetank")
