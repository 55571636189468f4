"""Bodies passed on without being kept: bounded, under a permit, never unnoticed when broken."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from surgetank.core.errors import DependencyError
from surgetank.core.http import Request
from surgetank.core.value import Refusal
from surgetank.runtime.simulation.link import Link

if TYPE_CHECKING:
    from tests.services.mirror.conftest import World

Play = Callable[..., None]
HOST = "ext.blob.core.windows.net"
MANIFEST = b"<?xml version='1.0'?><PluginVersionManifest><Plugins/></PluginVersionManifest>"
PACKAGE = b"PK\x03\x04" + bytes(range(256)) * 16
LARGE = b"PK\x03\x04" + bytes(3 << 20)
M, P, ANY = "/c/m.xml", "/c/p.zip", "/c/any"


def test_a_passage_ends_even_if_nobody_reads_it(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[P] = LARGE
        world.network.link("mirror", HOST, Link(bytes_per_s=1e6))
        request = Request.to("GET", f"http://{HOST}{P}", headers={"authorization": "x"})
        assert (await world.mirror.handle(request)).status == 200
        await world.wait(61)
        assert len(world.permits.reports) == 1

    play(body, fetch_s=60.0)


def test_a_passage_that_breaks_breaks_for_the_client(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[P] = LARGE
        world.network.link("mirror", HOST, Link(truncate_after_bytes=2 << 20))
        with pytest.raises(DependencyError):
            await world.get(P, authorization="x")

    play(body)


def test_a_passage_without_an_origin_is_a_504(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.hang(world.clock)
        assert (await world.get(P, authorization="x")).status == 504
        world.network.stop(HOST)
        assert (await world.get(P, authorization="x")).status == 504

    play(body)


def test_a_passage_needs_a_permit_a_place_and_no_pin(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs |= {M: MANIFEST, P: PACKAGE}
        assert (await world.get(M, authorization="x")).status == 502
        now = world.clock.now()
        world.permits.refusal = Refusal(world.policy.rules[0].dependency, "in_flight", now + 9)
        refused = await world.get(P, authorization="x")
        assert (refused.status, refused.headers["retry-after"]) == (503, "9")
        world.permits.refusal = None
        world.origin.hang(world.clock, seconds=5)
        waiting = asyncio.create_task(world.get(P, authorization="x"))
        await world.wait(1)
        assert (await world.get(P, authorization="x")).status == 503
        assert (await waiting).status == 500

    play(body, waiters_max=1, pins={f"http://{HOST}{M}": "0" * 64})


def test_a_passage_that_never_got_a_place_gives_its_permit_back(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.hang(world.clock)
        before = [asyncio.create_task(world.get(path)) for path in (ANY, M)]
        await world.wait(1)
        assert (await world.get(P, authorization="x")).status == 504
        assert world.permits.given_back == 1
        assert [(await each).status for each in before] == [504, 504]

    play(body, fetches_max=1, read_s=100.0, fetch_s=30.0)
