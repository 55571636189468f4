"""A stage in virtual time: a clock, a network, stations and accounts to put on it."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, TypeVar

import pytest

from surgetank.cloud.compute import Compute
from surgetank.cloud.station import Served, Station, StationPolicy, Turned
from surgetank.control.admission import Admission
from surgetank.core.http import Handler, Request, Response
from surgetank.core.ports import Chance, HttpClient
from surgetank.core.value import Lane
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.network import Network

T = TypeVar("T")
START_AT = 1_770_055_380.0


@dataclass
class Fixed:
    """Chance that always gives `value`, and counts how often it was asked."""

    value: float = 0.5
    draws: int = 0

    def random(self) -> float:
        self.draws += 1
        return self.value


@dataclass
class Script:
    """A service that answers from a list, the last answer for ever; None never answers."""

    clock: VirtualClock
    answers: list[Response | None]
    asked_at: list[float] = field(default_factory=list[float])
    """Seconds since the start of the test."""
    requests: list[Request] = field(default_factory=list[Request])

    async def handle(self, request: Request) -> Response:
        self.asked_at.append(round(self.clock.now() - START_AT, 6))
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            await self.clock.sleep_until(self.clock.now() + 1e6)
            return Response(500)
        return answer


class Stage:
    """What a test of the stand-in cloud plays on."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.clock = VirtualClock(loop)
        self.network = Network(loop)
        self._loop = loop

    @property
    def passed_s(self) -> float:
        """Seconds since the test began, rounded to the microsecond."""
        return round(self.clock.now() - START_AT, 6)

    async def until(self, second: float) -> None:
        """Wait until so many seconds after the test began."""
        await self.clock.sleep_until(START_AT + second)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return self._loop.create_task(work)

    def chance(self, value: float) -> Fixed:
        return Fixed(value)

    def station(
        self, *, chance: Chance | None = None, admission: Admission | None = None, **policy: Any
    ) -> Station:
        """One warm node, one call a second, 0.2 s to an answer, no spread, no crashes."""
        settings: dict[str, Any] = {
            "nodes": 1,
            "rate_per_s": 1.0,
            "service_s": 0.2,
            "spread_ratio": 0.0,
            "crash_after_s": inf,
            "unhealthy_s": inf,
        }
        settings |= policy
        return Station(StationPolicy(**settings), self.clock, chance or Fixed(), admission)

    async def crowd(
        self, station: Station, calls: int, *, lane: Lane = Lane.FRESH
    ) -> list[asyncio.Task[Served | Turned]]:
        """Let `calls` arrive in this instant; returns when all are in line."""
        tasks = [self.start(station.serve(lane=lane)) for _ in range(calls)]
        await self.clock.sleep_until(self.clock.now())
        return tasks

    def script(self, host: str, *answers: Response | None) -> Script:
        """Serve `host` with these answers."""
        script = Script(self.clock, list(answers))
        self.network.serve(host, script.handle)
        return script

    async def call(self, handler: Handler, method: str, url: str, **options: Any) -> Response:
        """Ask a handler itself."""
        return await handler(Request.to(method, url, **options))

    def region(self, **settings: Any) -> "Region":
        return Region(self, **settings)

    def client(self, host: str = "vm") -> HttpClient:
        return self.network.client(host, connections_max=10_000)


SET = "/subscriptions/0/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/s"
INSTALL: dict[str, Any] = {"properties": {"settings": {"version": "1"}}}
BOOT_S = 40.0


@dataclass
class Agent:
    """Takes a while and then does as it is told."""

    stage: Stage
    name: str
    codes: Mapping[str, str | None]
    applied: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    at_once: int = 0

    async def apply(self, settings: dict[str, Any]) -> str | None:
        self.applied.append(settings)
        self.at_once += 1
        assert self.at_once == 1, "an agent does one thing at a time"
        await self.stage.clock.sleep_until(self.stage.clock.now() + 10.0)
        self.at_once -= 1
        return self.codes.get(self.name)


class Region:
    """A control plane with a scale set `s`, and the agents of its machines."""

    def __init__(self, stage: Stage, **settings: Any) -> None:
        self.agents: dict[str, Agent] = {}
        self.codes: dict[str, str | None] = {}
        self._stage = stage
        self.compute = Compute(
            region="eastus",
            clock=stage.clock,
            boot_s=BOOT_S,
            start_agent=self._start_agent,
            **settings,
        )
        self.host = f"http://{self.compute.host}"

    def _start_agent(self, name: str) -> Agent:
        assert name not in self.agents
        agent = self.agents[name] = Agent(self._stage, name, self.codes)
        return agent

    async def put(self, path: str, body: Any = None, *, raw: bytes = b"") -> Response:
        """PUT an object, or these bytes."""
        content = raw if body is None else json.dumps(body).encode()
        return await self._stage.call(self.compute.handle, "PUT", self.host + path, body=content)

    async def create(self, instances: int = 1) -> None:
        assert (await self.put(SET, {"sku": {"capacity": instances}})).status == 201

    async def install(self, path: str = SET, name: str = "e", body: Any = INSTALL) -> str:
        """Begin to install an extension; gives the address to poll."""
        response = await self.put(f"{path}/extensions/{name}", body)
        assert response.status == 201
        return response.headers["azure-asyncoperation"]

    async def poll(self, url: str, prefer: str | None = None) -> Response:
        headers = {} if prefer is None else {"prefer": prefer}
        return await self._stage.call(self.compute.handle, "GET", url, headers=headers)

    async def end(self, url: str) -> dict[str, Any]:
        """Wait until an operation is over; gives what a poll is told."""
        while (fields := fields_of(await self.poll(url, "wait=3600")))["status"] == "InProgress":
            pass
        return fields


def fields_of(response: Response) -> dict[str, Any]:
    """The fields of a JSON object."""
    assert response.headers["content-type"] == "application/json"
    fields: dict[str, Any] = json.loads(response.body)
    return fields


Play = Callable[[Callable[[Stage], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def play() -> Play:
    """Play a test's coroutine in virtual time; no service may have failed in a way of its own."""

    def start(body: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
        async def main(loop: VirtualLoop) -> None:
            stage = Stage(loop)
            await body(stage)
            assert not stage.network.defects

        run(main, start_at=START_AT)

    return start
