"""A mirror in virtual time, an origin that does as it is told, and permits that can be refused."""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest

from surgetank.core.http import Handler, Request, Response
from surgetank.core.value import Dependency, Lane, Outcome, Permit, Refusal
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.network import Network
from surgetank.safeguards.mirror.policy import Kind, MirrorPolicy, Rule
from surgetank.safeguards.mirror.service import Mirror

if TYPE_CHECKING:
    from surgetank.core.ports import HttpClient

HOST = "ext.blob.core.windows.net"
ARTIFACTS = Dependency("artifacts@eastus")
MANIFEST = b"<?xml version='1.0'?><PluginVersionManifest><Plugins/></PluginVersionManifest>"
START_AT = 1_770_055_380.0
RULES = (
    Rule(host=HOST, path="*.xml", kind=Kind.MANIFEST, dependency=ARTIFACTS, origin_scheme="http"),
    Rule(
        host=HOST,
        path="*.zip",
        kind=Kind.PACKAGE,
        dependency=ARTIFACTS,
        origin_scheme="http",
        freshness_s=3_600.0,
        is_immutable=True,
    ),
    Rule(host=HOST, dependency=ARTIFACTS, origin_scheme="http"),
)


@dataclass
class Origin:
    """Serves blobs by path, unless `script` says otherwise."""

    blobs: dict[str, bytes] = field(default_factory=dict[str, bytes])
    script: Handler | None = None
    requests: list[Request] = field(default_factory=list[Request])

    async def handle(self, request: Request) -> Response:
        self.requests.append(request)
        if self.script is not None:
            return await self.script(request)
        body = self.blobs.get(request.path)
        if body is None:
            return Response(404, {"x-ms-error-code": "BlobNotFound"}, b"<Error/>")
        etag = f'"0x{crc32(body):x}"'
        if request.headers.get("if-none-match") == etag:
            return Response(304, {"etag": etag})
        headers = {"etag": etag, "content-type": "text/x", "content-length": str(len(body))}
        return Response(200, headers, body)

    def answer(self, status: int, *, body: bytes = b"", **headers: str) -> None:
        """Answer everything alike from now on; underscores in names are hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        async def same(_: Request) -> Response:
            return Response(status, named, body)

        self.script = same

    def block(self) -> None:
        """Do as storage does since 18:03."""
        self.answer(409, body=b"<Error/>", x_ms_error_code="PublicAccessNotPermitted")

    def hang(self, clock: VirtualClock, *, seconds: float = 1e6) -> None:
        """Answer everything late, with an error page."""

        async def late(_: Request) -> Response:
            await clock.sleep_until(clock.now() + seconds)
            return Response(500)

        self.script = late

    def slow_down(self, clock: VirtualClock, *, seconds: float) -> None:
        """Answer as ever, but late."""

        async def late(request: Request) -> Response:
            await clock.sleep_until(clock.now() + seconds)
            self.requests.pop()
            script, self.script = self.script, None
            try:
                return await self.handle(request)
            finally:
                self.script = script

        self.script = late


@dataclass
class Permits:
    """Gives every permit, or refuses with `refusal`."""

    refusal: Refusal | None = None
    asked: list[Lane] = field(default_factory=list[Lane])
    given: int = 0
    given_back: int = 0
    reports: list[Outcome] = field(default_factory=list[Outcome])

    def ask(
        self, dependencies: Sequence[Dependency], *, lane: Lane, retry: bool = False
    ) -> tuple[Permit, ...] | Refusal:
        assert not retry
        self.asked.append(lane)
        if self.refusal is not None:
            return self.refusal
        self.given += len(dependencies)
        return tuple(Permit(each, lane, 0, 0.0) for each in dependencies)

    def report(self, permit: Permit, outcome: Outcome) -> None:
        assert permit.dependency == ARTIFACTS
        self.reports.append(outcome)

    def give_back(self, permit: Permit) -> None:
        assert permit.dependency == ARTIFACTS
        self.given_back += 1


class World:
    """One origin, one network, one directory; mirrors as many as a test starts."""

    def __init__(self, loop: VirtualLoop, directory: Path, policy: MirrorPolicy) -> None:
        self.clock = VirtualClock(loop)
        self.network = Network(loop)
        self.origin = Origin()
        self.permits = Permits()
        self.directory = directory
        self.policy = policy
        self.network.serve(HOST, self.origin.handle)
        self.http: HttpClient = self.network.client("mirror")
        self.mirror = self.new_mirror()

    def new_mirror(self) -> Mirror:
        return Mirror(
            self.policy,
            directory=self.directory,
            http=self.http,
            clock=self.clock,
            chance=Random(1),
            blocking=InlineBlocking(),
            permits=self.permits,
        )

    async def restart(self) -> None:
        """Close the mirror and open another on the same directory."""
        await self.mirror.close()
        self.mirror = self.new_mirror()
        await self.mirror.open()

    async def get(self, path: str, *, method: str = "GET", **headers: str) -> Response:
        """Ask the mirror under the origin's name and read the whole body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = await self.mirror.handle(
            Request.to(method, f"http://{HOST}{path}", headers=named)
        )
        return await whole(response)

    async def wait(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.now() + seconds)

    def files(self, folder: str) -> list[Path]:
        """Files below a folder of the mirror's directory."""
        return sorted(path for path in (self.directory / folder).rglob("*") if path.is_file())


async def whole(response: Response) -> Response:
    """`response` with its body read."""
    if response.chunks is None:
        return response
    chunks: AsyncIterator[bytes] = response.chunks
    return response._replace(body=b"".join([piece async for piece in chunks]), chunks=None)


Body = Callable[[World], Coroutine[Any, Any, None]]
Play = Callable[..., None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Play a test's coroutine in virtual time; keywords change the mirror's policy."""

    def start(body: Body, **settings: Any) -> None:
        async def main(loop: VirtualLoop) -> None:
            options: dict[str, Any] = {"rules": RULES} | settings
            world = World(loop, tmp_path / "mirror", MirrorPolicy(**options))
            await world.mirror.open()
            try:
                await body(world)
            finally:
                await world.mirror.close()
            assert not world.network.defects
            permits = world.permits
            assert len(permits.reports) + permits.given_back == permits.given

        run(main, start_at=START_AT)

    return start
