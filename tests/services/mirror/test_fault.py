"""What a mirror does when origin, disk or process fail: nothing wrong is served or kept."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from surgetank.core.errors import IntegrityError
from surgetank.core.http import Request, Response, Timeouts
from surgetank.runtime.simulation.link import Link

if TYPE_CHECKING:
    from tests.services.mirror.conftest import World

Play = Callable[..., None]
HOST = "ext.blob.core.windows.net"
MANIFEST = b"<?xml version='1.0'?><PluginVersionManifest><Plugins/></PluginVersionManifest>"
PACKAGE = b"PK\x03\x04" + bytes(range(256)) * 16
LARGE = b"PK\x03\x04" + bytes(3 << 20)
M, P, ANY = "/c/m.xml", "/c/p.zip", "/c/any"
ERROR_PAGE = b"<!DOCTYPE html><html><body>Sorry</body></html>"


def _source(response: Response) -> str:
    return response.headers["x-surgetank-source"]


class ShortClient:
    """A client that does not notice when a body is shorter than announced."""

    async def send(
        self, request: Request, *, timeouts: Timeouts, body_bytes_max: int = 1 << 20
    ) -> Response:
        raise NotImplementedError

    @asynccontextmanager
    async def stream(self, request: Request, *, timeouts: Timeouts) -> AsyncGenerator[Response]:
        assert (request.method, timeouts.read_s) == ("GET", 10.0)
        yield Response(200, {"content-length": "5"}, b"four")


@pytest.mark.parametrize("page", [ERROR_PAGE, b"", b"<Error/>", b"<PluginVersionManifest>"])
def test_an_error_page_with_status_200_does_not_replace_a_manifest(play: Play, page: bytes) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        await world.get(M)
        world.origin.answer(200, body=page)
        await world.wait(301)
        with capture_logs() as logs:
            assert (await world.get(M)).body == MANIFEST
        assert [log["event"] for log in logs] == ["mirror.origin_lied"]
        assert world.mirror.counts.origin_lied == 1

    play(body)


def test_an_error_page_with_status_200_is_not_served_as_a_package(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.answer(200, body=ERROR_PAGE)
        assert (await world.get(P)).status == 502
        assert not world.mirror.entries()

    play(body)


def test_a_package_that_changed_though_immutable_is_not_believed(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[P] = PACKAGE
        await world.get(P)
        world.origin.blobs[P] = PACKAGE + b"tampered"
        await world.wait(3_601)
        response = await world.get(P)
        assert (response.body, _source(response)) == (PACKAGE, "stale")
        assert world.mirror.counts.origin_lied == 1

    play(body)


def test_a_pinned_url_gives_the_pinned_bytes_or_none(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[ANY] = b"other"
        assert (await world.get(ANY)).status == 502
        world.origin.blobs[ANY] = b"right"
        assert (await world.get(ANY)).body == b"right"

    play(body, pins={f"http://{HOST}{ANY}": sha256(b"right").hexdigest()})


def test_a_body_cut_on_its_way_is_not_kept(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[P] = LARGE
        world.network.link("mirror", HOST, Link(truncate_after_bytes=2 << 20))
        assert (await world.get(P)).status == 502
        assert not world.files("incoming")
        assert not world.files("objects")
        world.network.unlink("mirror", HOST)
        assert (await world.get(P)).body == LARGE

    play(body)


def test_a_body_of_the_wrong_length_is_not_kept(play: Play) -> None:
    async def body(world: "World") -> None:
        world.http = ShortClient()
        await world.restart()
        assert (await world.get(ANY)).status == 502
        assert not world.mirror.entries()

    play(body)


def test_an_origin_that_drips_is_given_up(play: Play) -> None:
    async def body(world: "World") -> None:
        async def drip() -> AsyncIterator[bytes]:
            while True:
                yield b"x"
                await world.wait(1)

        async def script(_: Request) -> Response:
            return Response(200, chunks=drip())

        world.origin.script = script
        asked_at = world.clock.now()
        assert (await world.get(ANY)).status == 504
        assert world.clock.now() - asked_at == 20.0

    play(body, fetch_s=20.0)


def test_no_connection_is_a_502_and_a_stale_copy(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        await world.get(M)
        world.network.stop(HOST)
        await world.wait(301)
        assert _source(await world.get(M)) == "stale"
        assert (await world.get(P)).status == 502

    play(body)


def test_a_large_body_is_streamed_through_disk(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[P] = LARGE
        for source in ("miss", "hit"):
            response = await world.get(P)
            assert (response.body, _source(response)) == (LARGE, source)
        assert not world.files("incoming")
        part = await world.get(P, range="bytes=3145727-")
        assert (part.status, part.body) == (206, LARGE[3145727:])

    play(body)


@pytest.mark.parametrize(("path", "blob"), [(M, MANIFEST), (P, LARGE)])
@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 something else"])
def test_a_damaged_body_is_dropped_and_fetched_again(
    play: Play, path: str, blob: bytes, damage: bytes
) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[path] = blob
        await world.get(path)
        (file,) = world.files("objects")
        await world.restart()
        file.write_bytes(damage)
        response = await world.get(path)
        assert (response.body, _source(response)) == (blob, "miss")
        assert world.mirror.counts.damaged == 1
        assert _source(await world.get(path)) == "hit"

    play(body, memory_bytes_max=0)


def test_a_large_body_damaged_under_a_running_mirror_is_noticed(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[P] = LARGE
        await world.get(P)
        (file,) = world.files("objects")
        file.write_bytes(bytes(len(LARGE)))
        assert (await world.get(P)).body == LARGE
        assert world.mirror.counts.damaged == 1

    play(body)


def test_a_vanished_body_is_fetched_again(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs |= {M: MANIFEST, P: LARGE}
        await world.get(M)
        await world.get(P)
        for file in world.files("objects"):
            file.unlink()
        assert _source(await world.get(M)) == "miss"
        assert _source(await world.get(P)) == "miss"

    play(body, memory_bytes_max=0)


@pytest.mark.parametrize("damage", [b"", b"{}", b"[" * 9_999, b'{"sum": "x", "url": "y"}'])
def test_a_damaged_record_is_dropped_at_start(play: Play, damage: bytes) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs |= {M: MANIFEST, P: PACKAGE}
        await world.get(M)
        await world.mirror.close()
        world.files("entries")[0].write_bytes(damage)
        world.mirror = world.new_mirror()
        await world.mirror.open()
        assert world.mirror.counts.damaged == 1
        assert not world.files("objects")
        assert _source(await world.get(M)) == "miss"

    play(body)


def test_what_a_crash_leaves_is_swept_at_start(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        await world.get(M)
        kept = world.files("objects") + world.files("entries")
        await world.mirror.close()
        (world.directory / "incoming" / "0").write_bytes(b"half a bo")
        (world.directory / "entries" / "x.part").write_bytes(b"{")
        orphan = world.directory / "objects" / "ab"
        orphan.mkdir(exist_ok=True)
        (orphan / "cd").write_bytes(b"placed, but its record was not")
        world.mirror = world.new_mirror()
        await world.mirror.open()
        assert world.files("objects") + world.files("entries") == kept
        assert not world.files("incoming")
        assert _source(await world.get(M)) == "hit"
        assert world.mirror.counts.damaged == 0

    play(body)


def test_a_crash_while_fetching_leaves_the_old_copy(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[P] = PACKAGE
        await world.get(P)
        world.origin.blobs[P] = LARGE
        world.origin.slow_down(world.clock, seconds=5)
        await world.wait(3_601)
        client = asyncio.create_task(world.get(P))
        await world.wait(1)
        await world.restart()
        assert _source(await client) == "stale"
        world.origin.block()
        assert (await world.get(P)).body == PACKAGE

    play(body, revalidate_s=0.5)


def test_a_full_disk_costs_the_client_of_a_small_body_nothing(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        shutil.rmtree(world.directory / "incoming")
        with capture_logs() as logs:
            response = await world.get(M)
        assert (response.status, response.body) == (200, MANIFEST)
        assert [log["event"] for log in logs] == ["mirror.store_failed", "mirror.body_not_kept"]
        assert (world.mirror.counts.store_failed, world.mirror.counts.not_kept) == (1, 1)
        assert not world.mirror.entries()
        assert not world.files("objects")
        (world.directory / "incoming").mkdir()
        await world.get(M)
        assert _source(await world.get(M)) == "hit"

    play(body)


def test_a_full_disk_makes_a_large_body_pass_through(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[P] = LARGE
        shutil.rmtree(world.directory / "incoming")
        assert (await world.get(P)).body == LARGE
        assert (world.mirror.counts.store_failed, world.mirror.counts.passed_on) == (1, 1)
        assert not world.files("objects")

    play(body)


def test_a_record_that_cannot_be_written_leaves_no_body_behind(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        shutil.rmtree(world.directory / "entries")
        assert (await world.get(M)).body == MANIFEST
        assert not world.files("objects")
        (world.directory / "entries").mkdir()

    play(body)


def test_a_rule_that_is_gone_costs_no_copy(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs |= {M: MANIFEST}
        await world.get(M)
        rules = world.policy
        world.policy = type(rules)(rules=rules.rules[1:2])
        await world.restart()
        assert (await world.get(M)).status == 403
        world.policy = rules
        await world.restart()
        assert _source(await world.get(M)) == "hit"

    play(body)


def test_a_copy_dropped_while_its_origin_confirms_it_is_fetched_again(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        await world.get(M)
        await world.wait(301)
        world.origin.slow_down(world.clock, seconds=1)
        client = asyncio.create_task(world.get(M))
        await world.wait(0.5)
        await world.mirror.remove(f"http://{HOST}{M}")
        assert (await client).body == MANIFEST

    play(body)


@pytest.mark.parametrize("left", [None, 1 << 20])
def test_a_body_that_goes_while_it_is_read_is_cut_for_the_client(
    play: Play, left: int | None
) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[P] = LARGE
        await world.get(P)
        response = await world.mirror.handle(Request.to("GET", f"http://{HOST}{P}"))
        (file,) = world.files("objects")
        file.unlink()
        if left is not None:
            file.write_bytes(LARGE[:left])
        assert response.chunks is not None
        with pytest.raises(IntegrityError):
            [_ async for _ in response.chunks]

    play(body)


def test_a_removed_copy_does_not_come_back_by_a_late_note(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[P] = PACKAGE
        await world.get(P)
        await world.wait(86_400)
        world.origin.block()
        await world.get(P)
        assert await world.mirror.remove(f"http://{HOST}{P}")
        await world.wait(1)
        assert not world.files("entries")

    play(body)


def test_confirmations_reach_the_disk_once_an_hour(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        await world.get(M)
        (file,) = world.files("entries")
        written = file.read_bytes()
        await world.wait(3_599)
        await world.get(M)
        assert file.read_bytes() == written
        await world.wait(301)
        await world.get(M)
        assert file.read_bytes() != written

    play(body)


def test_what_cannot_be_moved_into_place_leaves_nothing_behind(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs |= {M: MANIFEST, P: LARGE}
        shutil.rmtree(world.directory / "objects")
        (world.directory / "objects").write_bytes(b"in the way")
        assert (await world.get(M)).body == MANIFEST
        assert (await world.get(P)).body == LARGE
        assert not world.files("incoming")
        assert world.mirror.counts.store_failed >= 2

    play(body)
