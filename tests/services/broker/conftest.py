"""A broker in virtual time, a token service that does as it is told, permits that can be refused."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from surgetank.core.http import Handler, Request, Response
from surgetank.core.value import Dependency, Lane, Outcome, Permit, Refusal
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.network import Network
from surgetank.safeguards.broker.policy import BrokerPolicy
from surgetank.safeguards.broker.service import TokenBroker

HOST = "169.254.169.254"
PATH = "/metadata/identity/oauth2/token"
IDENTITY = Dependency("identity@eastus")
START_AT = 1_770_077_280.0


@dataclass
class Issuer:
    """Issues numbered tokens, unless `script` says otherwise."""

    clock: VirtualClock
    life_s: int = 86_400
    delay_s: float = 0.0
    script: Handler | None = None
    requests: list[Request] = field(default_factory=list[Request])

    async def handle(self, request: Request) -> Response:
        self.requests.append(request)
        number = len(self.requests)
        if self.delay_s:
            await self.clock.sleep_until(self.clock.now() + self.delay_s)
        if self.script is not None:
            return await self.script(request)
        now = int(self.clock.now())
        fields = {
            "access_token": f"secret-{number}",
            "client_id": "c",
            "expires_in": str(self.life_s),
            "expires_on": str(now + self.life_s),
            "ext_expires_in": str(self.life_s),
            "not_before": str(now),
            "resource": "r",
            "token_type": "Bearer",
        }
        return Response(200, {}, json.dumps(fields).encode())

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Answer everything alike from now on."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        async def same(_: Request) -> Response:
            return Response(status, named, body)

        self.script = same

    def fail(self, status: int, error: str = "oops", **headers: str) -> None:
        """Answer everything with an error of the token service from now on."""
        body = json.dumps({"error": error, "error_description": "words"}).encode()
        self.answer(status, body, **headers)


@dataclass
class Permits:
    """Gives every permit, or refuses with `refusal`."""

    refusal: Refusal | None = None
    asked: list[tuple[Lane, bool]] = field(default_factory=list[tuple[Lane, bool]])
    given: int = 0
    given_back: int = 0
    reports: list[Outcome] = field(default_factory=list[Outcome])

    def ask(
        self, dependencies: Sequence[Dependency], *, lane: Lane, retry: bool = False
    ) -> tuple[Permit, ...] | Refusal:
        self.asked.append((lane, retry))
        if self.refusal is not None:
            return self.refusal
        self.given += len(dependencies)
        return tuple(Permit(each, lane, 0, 0.0) for each in dependencies)

    def report(self, permit: Permit, outcome: Outcome) -> None:
        assert permit.dependency == IDENTITY
        self.reports.append(outcome)

    def give_back(self, permit: Permit) -> None:
        assert permit.dependency == IDENTITY
        self.given_back += 1


class World:
    """One issuer, one network, one broker whose background work runs when it is due."""

    def __init__(self, loop: VirtualLoop, policy: BrokerPolicy) -> None:
        self.clock = VirtualClock(loop)
        self.network = Network(loop)
        self.issuer = Issuer(self.clock)
        self.permits = Permits()
        self.policy = policy
        self.steps = 0
        self._woken = asyncio.Event()
        self.network.serve(HOST, self.issuer.handle)
        self.broker = TokenBroker(
            policy,
            http=self.network.client("node"),
            clock=self.clock,
            chance=Random(1),
            permits=self.permits,
            wake=self._woken.set,
        )

    async def work(self) -> None:
        """Step the broker whenever it asks for it."""
        while True:
            self._woken.clear()
            self.steps += 1
            at = await self.broker.step(self.clock.now())
            try:
                async with asyncio.timeout(None if at is None else at - self.clock.now()):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def ask(self, query: str = "resource=r", *, method: str = "GET") -> Response:
        """Ask the broker as a client of the metadata endpoint does."""
        text = f"api-version=2018-02-01&{query}"
        request = Request(method, HOST, PATH, text, {"metadata": "true"})
        return await self.broker.handle(request)

    async def token(self, query: str = "resource=r") -> str:
        """The token that a client gets."""
        response = await self.ask(query)
        assert response.status == 200, response
        return str(json.loads(response.body)["access_token"])

    async def wait(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.now() + seconds)


Body = Callable[[World], Coroutine[Any, Any, None]]


@pytest.fixture
def play() -> Callable[..., None]:
    """Play a test's coroutine in virtual time; keywords change the broker's policy."""

    def start(body: Body, **settings: Any) -> None:
        async def main(loop: VirtualLoop) -> None:
            options: dict[str, Any] = {"dependency": IDENTITY} | settings
            world = World(loop, BrokerPolicy(**options))
            work = asyncio.create_task(world.work())
            await body(world)
            await world.broker.close()
            work.cancel()
            assert not world.network.defects
            permits = world.permits
            assert len(permits.reports) + permits.given_back == permits.given

        run(main, start_at=START_AT)

    return start
