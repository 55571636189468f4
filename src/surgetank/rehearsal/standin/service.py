"""Starts the stand-in cloud and its safeguards on loopback, and stops them in order.

The control endpoint comes up first and goes last. What others call starts before them and stops
after them: storage and identity, then mirror and broker, then the control plane whose machines
read by way of both.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple, Protocol

from surgetank.core.errors import InvalidInputError
from surgetank.core.http import Handler, Request, Response
from surgetank.core.ports import HttpClient
from surgetank.core.value import dependency
from surgetank.rehearsal.scenario.schema import Scenario
from surgetank.rehearsal.standin.control import Control, Phase, Town
from surgetank.rehearsal.standin.door import Door
from surgetank.rehearsal.standin.names import NamedClient
from surgetank.rehearsal.standin.region import CloudRegion, build_region
from surgetank.rehearsal.standin.storage import by_host, storage
from surgetank.runtime.assembly import Ports, Running, start_broker, start_mirror
from surgetank.safeguards.broker.policy import BrokerPolicy
from surgetank.safeguards.mirror.policy import MirrorPolicy, extension_rules
from surgetank.safeguards.operations.permits import OpenPermits

IMDS = "169.254.169.254"
COPIES_MAX = 1_000
"""Copies that the mirror holds: a scenario's extensions are some dozens, of two blobs each."""
COPIES_BYTES_MAX = 1 << 30
"""Bytes of all copies on disk."""
COPY_BYTES_MAX = 64 << 20
"""Bytes of one copy."""
SERVICES = ("control", "blob", "identity", "management", "mirror", "broker")
"""In the order of their ports."""


class Server(Protocol):
    """A service while it is served."""

    @property
    def url(self) -> str:
        """Where it is, without a path."""
        ...


class Serve(Protocol):
    """Serves a handler while its context lasts."""

    def __call__(
        self, handler: Handler, *, host: str, port: int
    ) -> AbstractAsyncContextManager[Server]:
        """Raise `OSError` when the address cannot be listened on."""
        ...


class Plan(NamedTuple):
    """What is to be served, and where."""

    scenario: Scenario
    region: str
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 0
    """The first of as many ports in a row as there are `SERVICES`; 0 for any that are free."""
    boot_s: float | None = None
    """Seconds from a machine's allocation until its agent runs; None for the scenario's."""
    token_gap_s: float | None = None
    """Mean seconds between the tokens of a new machine; None for the scenario's."""


class StandIn(NamedTuple):
    """The stand-in while it is up."""

    urls: Mapping[str, str]
    """Where each of `SERVICES` is."""
    region: CloudRegion


@asynccontextmanager
async def stand_in(
    plan: Plan, ports: Ports, *, http: HttpClient, serve: Serve, directory: Path
) -> AsyncGenerator[StandIn]:
    """Serve the stand-in while the context lasts; then end what is under way and close.

    Args:
        plan: What, and where.
        ports: Time, chance, and where blocking work runs.
        http: How services reach one another.
        serve: How each is put on a socket.
        directory: For the mirror's copies; what is there already is served again.

    Raises:
        InvalidInputError: There is no such region, the address is not a loopback one, or it
            cannot be listened on.
        ConflictError: Another mirror uses the directory.
    """
    _check_loopback(plan.host)
    region = build_region(
        plan.scenario, plan.region, ports, boot_s=plan.boot_s, token_gap_s=plan.token_gap_s
    )
    control = Control()
    async with AsyncExitStack() as stack:
        place = _Place(plan, serve, stack)
        await place.open("control", control.handle)
        control.town = await _open(place, region, ports, http=http, directory=directory)
        control.phase = Phase.READY
        try:
            yield StandIn({name: place.urls[name] for name in SERVICES}, region)
        finally:
            control.phase = Phase.STOPPING
            for door in control.town.doors.values():
                door.close()


@dataclass(slots=True)
class _Place:
    """Where services are put on their ports, one after another."""

    plan: Plan
    serve: Serve
    stack: AsyncExitStack
    urls: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def addresses(self) -> dict[str, str]:
        """Each service's `HOST:PORT`, by itself."""
        return {one: one for one in map(_address, self.urls.values())}

    async def open(self, name: str, handler: Handler) -> str:
        """Serve `handler` until the stack is closed; says at which `HOST:PORT`."""
        plan = self.plan
        port = plan.port + SERVICES.index(name) if plan.port else 0
        try:
            server = await self.stack.enter_async_context(
                self.serve(handler, host=plan.host, port=port)
            )
        except OSError as error:
            reason = f"cannot serve {name} on {plan.host} port {port}: {error.strerror}"
            raise InvalidInputError(f"{reason}; 0 takes ports that are free") from error
        self.urls[name] = server.url
        return _address(server.url)


async def _open(
    place: _Place, region: CloudRegion, ports: Ports, *, http: HttpClient, directory: Path
) -> Town:
    """Serve all but the control endpoint."""
    hosts = {one.name: one.host for one in region.accounts}
    doors: dict[str, Door] = {}

    async def open_door(name: str, handler: Handler) -> str:
        doors[name] = Door(handler)
        return await place.open(name, doors[name].handle)

    blob = await open_door("blob", storage(region.accounts))
    identity = await open_door("identity", region.identity.handle)
    origins = dict.fromkeys(hosts.values(), blob) | {IMDS: identity}

    running = Running()
    place.stack.push_async_callback(running.close)
    outward = NamedClient(http, origins)
    permits = OpenPermits(clock=ports.clock)
    mirror = await start_mirror(
        running,
        ports,
        directory=directory,
        http=outward,
        permits=permits,
        policy=_mirror_policy(region),
    )
    broker = start_broker(
        running, ports, http=outward, permits=permits, policy=_broker_policy(region)
    )

    async def mirrored(request: Request) -> Response:
        return await mirror.handle(by_host(request, hosts))

    safeguards = {
        **dict.fromkeys(hosts.values(), await open_door("mirror", mirrored)),
        IMDS: await open_door("broker", broker.handle),
    }
    compute = region.compute(
        ports,
        machine=NamedClient(http, place.addresses | safeguards),
        host=NamedClient(http, place.addresses | origins),
    )
    place.stack.push_async_callback(compute.close)
    await open_door("management", compute.handle)
    return Town(place.plan.scenario.name, ports.clock, region, mirror, broker, doors)


def _mirror_policy(region: CloudRegion) -> MirrorPolicy:
    hosts = [one.host for one in region.accounts]
    return MirrorPolicy(
        rules=extension_rules(hosts, dependency("artifacts", region.name)),
        entries_max=COPIES_MAX,
        bytes_max=COPIES_BYTES_MAX,
        body_bytes_max=COPY_BYTES_MAX,
    )


def _broker_policy(region: CloudRegion) -> BrokerPolicy:
    """Answer sooner than clients give up."""
    wait_s = region.timeouts.read_s
    return BrokerPolicy(
        dependency=dependency("identity", region.name),
        upstream=IMDS,
        answer_s=wait_s / 2,
        fetch_s=wait_s,
    )


def _check_loopback(host: str) -> None:
    try:
        is_loopback = ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise InvalidInputError(
            f"host {host!r}: only a loopback address, as 127.0.0.1 or ::1; nothing here asks who calls"
        )


def _address(url: str) -> str:
    return url.removeprefix("http://")
