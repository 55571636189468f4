"""One story, told by the same services on the virtual clock and on real sockets.

A mirror, a token broker and durable operations stand between a stand-in cloud and its machines
while the policy blocks reads and the token service turns everybody away. None of the three can
tell which clock it runs on: what they answer is the same, word for word.
"""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Protocol

import pytest

from surgetank.cloud.agent import MachineAgent
from surgetank.cloud.blob import Account
from surgetank.cloud.client import ArtifactClient, TokenClient, TokenTry, manifest
from surgetank.cloud.compute import Compute
from surgetank.cloud.identity import Identity
from surgetank.cloud.remediation import RemediationJob, restore
from surgetank.cloud.station import Station, StationPolicy
from surgetank.core.http import Handler, Request, Timeouts
from surgetank.core.operation import NewOperation, OperationState, Step
from surgetank.core.ports import HttpClient
from surgetank.core.value import Dependency
from surgetank.runtime.assembly import Ports, Running, start_broker, start_mirror, start_operations
from surgetank.runtime.live.blocking import WorkerThread
from surgetank.runtime.live.clock import SystemClock
from surgetank.runtime.live.http_client import LiveHttpClient
from surgetank.runtime.live.http_server import serve
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.network import Network
from surgetank.safeguards.broker.policy import BrokerPolicy
from surgetank.safeguards.broker.service import TokenBroker
from surgetank.safeguards.mirror.policy import Kind, MirrorPolicy, Rule
from surgetank.safeguards.operations.http_action import HttpAction, HttpActionPolicy
from surgetank.safeguards.operations.permits import OpenPermits
from surgetank.safeguards.operations.policy import OperationsPolicy
from surgetank.safeguards.operations.service import Operations

TIMEOUTS = Timeouts(connect_s=2.0, read_s=5.0, pool_s=5.0)
PACKAGE = b"PK\x03\x04 the package"


class Place(Protocol):
    """Where the story plays."""

    ports: Ports

    async def serve(self, name: str, handler: Handler) -> str:
        """Serve `handler` and say at which authority."""
        ...

    def client(self) -> HttpClient:
        """A way onto the network."""
        ...


class VirtualPlace:
    """In memory, on the virtual clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.network = Network(loop)
        self.ports = Ports(VirtualClock(loop), Random(1), InlineBlocking())

    async def serve(self, name: str, handler: Handler) -> str:
        self.network.serve(name, handler)
        return name

    def client(self) -> HttpClient:
        return self.network.client("somewhere")


class LivePlace:
    """On loopback, on the system's clock."""

    def __init__(self, stack: AsyncExitStack, http: LiveHttpClient, worker: WorkerThread) -> None:
        self.stack = stack
        self.http = http
        self.ports = Ports(SystemClock(), Random(1), worker)

    async def serve(self, name: str, handler: Handler) -> str:
        del name
        running = await self.stack.enter_async_context(serve(handler))
        return running.url.removeprefix("http://")

    def client(self) -> HttpClient:
        return self.http


@dataclass(slots=True)
class Town:
    """A stand-in cloud of one region, and the safeguards before it."""

    place: Place
    account: Account
    station: Station
    told: list[str]
    running: Running = field(default_factory=Running)
    at: dict[str, str] = field(default_factory=dict[str, str])
    """Authorities by name."""

    async def open(self, directory: Path) -> tuple[Compute, TokenBroker, Operations]:
        """Serve the cloud, then start mirror, broker and operations."""
        ports, http = self.place.ports, self.place.client()
        permits = OpenPermits(clock=ports.clock)
        self.at["origin"] = await self.place.serve("origin", self.account.handle)
        identity = Identity("here", self.station, ports.clock)
        self.at["issuer"] = await self.place.serve("issuer", identity.handle)
        mirror = await start_mirror(
            self.running,
            ports,
            directory=directory / "mirror",
            http=http,
            permits=permits,
            policy=MirrorPolicy(rules=_rules(self.at["origin"])),
        )
        self.at["mirror"] = await self.place.serve("mirror", mirror.handle)
        broker = start_broker(
            self.running,
            ports,
            http=http,
            permits=permits,
            policy=BrokerPolicy(dependency=Dependency("identity@here"), upstream=self.at["issuer"]),
        )
        self.at["broker"] = await self.place.serve("broker", broker.handle)
        compute = Compute(
            region="here",
            clock=ports.clock,
            boot_s=0.0,
            start_agent=lambda name: _agent(self.place, self.told, name, self.at["broker"]),
        )
        self.at["plane"] = await self.place.serve(compute.host, compute.handle)
        policy = HttpActionPolicy(timeouts=TIMEOUTS)
        operations = await start_operations(
            self.running,
            ports,
            file=str(directory / "operations.sqlite"),
            permits=permits,
            actions={"http": HttpAction(client=http, clock=ports.clock, policy=policy)},
            policy=OperationsPolicy(),
            worker="here",
        )
        return compute, broker, operations

    def mirrored(self, path: str) -> str:
        """The URL of an artifact by way of the mirror."""
        return f"http://{self.at['mirror']}/{self.at['origin']}{path}"

    async def create(self, operations: Operations, name: str) -> None:
        """Create a machine and wait until it serves."""
        clock = self.place.ports.clock
        new = _create(name, self.at["plane"], self.mirrored("/ext/manifest.xml"))
        receipt = await operations.submit(new)
        record = None
        while record is None or record.finished_at is None:
            await clock.sleep_until(clock.now() + 0.02)
            record = await operations.get(receipt.id)
        self.told.append(f"{name}: {record.state.value}")
        assert record.state is OperationState.SUCCEEDED, record


async def tell(place: Place, directory: Path) -> list[str]:
    """Play the story and write down what everybody saw."""
    told: list[str] = []
    clock, http = place.ports.clock, place.client()
    account = Account("artifacts")
    capacity = StationPolicy(nodes=2, rate_per_s=1_000.0, service_s=0.001)
    station = Station(capacity, clock, Random(2))
    town = Town(place, account, station, told)
    compute, broker, operations = await town.open(directory)
    account.put("/ext/1.0.0.zip", PACKAGE)
    listing = manifest({"1.0.0": town.mirrored("/ext/1.0.0.zip")})
    account.put("/ext/manifest.xml", listing, content_type="application/xml")

    await town.create(operations, "before")
    job = RemediationJob({"artifacts": account}, ["artifacts", "gone"], 0.0, clock)
    told.append(f"blocked: {await job.run()}")
    at_origin = Request.to("GET", f"http://{town.at['origin']}/ext/manifest.xml")
    blocked = await http.send(at_origin, timeouts=TIMEOUTS)
    told.append(f"origin: {blocked.status} {blocked.headers['x-ms-error-code']}")
    station.open_ratio = 0.0
    await town.create(operations, "during")
    path = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=vault"
    alone = Request.to("GET", f"http://{town.at['issuer']}{path}", headers={"metadata": "true"})
    refused = await http.send(alone, timeouts=TIMEOUTS)
    told.append(f"a node without a broker: {refused.status}")
    restore(account)
    station.open_ratio = 1.0
    await town.create(operations, "after")
    told.append(f"refused reads: {account.refused > 0}, tokens issued: {broker.counts.fetches}")
    told.append(f"effects: {sorted(compute.effects.values())}")
    await town.running.close()
    return told


def _rules(origin: str) -> tuple[Rule, ...]:
    """What the mirror holds: manifests that may change, packages that may not."""
    changing = Rule(
        host=origin,
        dependency=Dependency("artifacts@here"),
        origin_scheme="http",
        path="*.xml",
        kind=Kind.MANIFEST,
        freshness_s=0.0,
    )
    fixed = replace(changing, path="*.zip", kind=Kind.PACKAGE, freshness_s=None, is_immutable=True)
    return changing, fixed


def _agent(place: Place, told: list[str], name: str, brokered: str) -> MachineAgent:
    """The agent of one machine of a node pool that shares a broker."""
    clock, http = place.ports.clock, place.client()
    artifacts = ArtifactClient(direct=http, plugin=http, clock=clock, timeouts=TIMEOUTS)

    def watch(one: TokenTry) -> None:
        told.append(f"{name}: {one}")

    tokens = TokenClient(http=http, clock=clock, timeouts=TIMEOUTS, watch=watch, authority=brokered)
    return MachineAgent(artifacts, tokens, clock, Random(3), 0.0)


def _create(name: str, plane: str, manifest_url: str) -> NewOperation:
    machine = f"http://{plane}/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute"
    machine += f"/virtualMachines/{name}"
    settings: tuple[tuple[str, str, str, dict[str, object]], ...] = (
        ("create", "compute@here", "", {}),
        ("install", "artifacts@here", "install", {"manifest": manifest_url, "version": "1.0.0"}),
        ("enroll", "identity@here", "enroll", {"resources": ["vault"]}),
    )
    return NewOperation(
        key=name,
        kind="create",
        region="here",
        steps=tuple(
            Step(
                step,
                Dependency(dependency),
                "http",
                json.dumps(
                    {
                        "method": "PUT",
                        "url": f"{machine}/extensions/{extension}" if extension else machine,
                        "body": {"properties": {"settings": arguments}},
                    }
                ),
                is_repeatable=True,
            )
            for step, dependency, extension, arguments in settings
        ),
    )


TOLD = [
    "before-0: TokenTry(is_first=True, is_ok=True)",
    "before: succeeded",
    "blocked: ('artifacts',)",
    "origin: 409 PublicAccessNotPermitted",
    "during-0: TokenTry(is_first=True, is_ok=True)",
    "during: succeeded",
    "a node without a broker: 503",
    "after-0: TokenTry(is_first=True, is_ok=True)",
    "after: succeeded",
    "refused reads: True, tokens issued: 1",
    "effects: [1, 1, 1, 1, 1, 1]",
]


def in_virtual_time(directory: Path) -> list[str]:
    async def main(loop: VirtualLoop) -> list[str]:
        return await tell(VirtualPlace(loop), directory)

    return run(main)


async def on_sockets(directory: Path) -> list[str]:
    async with AsyncExitStack() as stack:
        worker = WorkerThread()
        stack.push_async_callback(worker.close)
        http = await stack.enter_async_context(LiveHttpClient())
        return await tell(LivePlace(stack, http, worker), directory)


@pytest.mark.parametrize("clock", ["virtual", "live"])
def test_the_safeguards_cannot_tell_which_clock_they_run_on(clock: str, tmp_path: Path) -> None:
    if clock == "virtual":
        assert in_virtual_time(tmp_path) == TOLD
    else:
        assert asyncio.run(on_sockets(tmp_path)) == TOLD
