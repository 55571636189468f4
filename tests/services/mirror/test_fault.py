"""What a mirror does when origin, disk or process fail: nothing wrong is served or kept."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from surgetank.core.errors import DependencyError
from surgetank.core.http import Request, Response
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


@pytest.mark.parametrize("page", [ERROR_PAGE, b"", b"<Error/>", b"<PluginVersionManifest>"])
def test_an_error_page_with_status_200_does_not_replace_a_manifest(
    play: Play, page: bytes
) -> None:
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
        world.origin.answer(200, body=b"four", content_length="5")
        response = await world.get(ANY)
        assert response.status == 502
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


def test_a_body_over_the_limit_is_passed_on(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[ANY] = bytes(101)
        assert (await world.get(ANY)).body == bytes(101)
        assert (await world.get(ANY, range="bytes=0-1")).status == 200  # The stand-in has no 206.
        assert not world.mirror.entries()
        assert world.mirror.counts.not_kept == 2
        world.origin.blobs[ANY] = bytes(100)
        assert _source(await world.get(ANY)) == "miss"
        assert _source(await world.get(ANY)) == "hit"

    play(body, body_bytes_max=100)


def test_an_unannounced_body_over_the_limit_is_passed_on(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.answer(200, body=bytes(101))
        assert (await world.get(ANY)).body == bytes(101)
        assert not world.mirror.entries()

    play(body, body_bytes_max=100)


def test_a_full_mirror_keeps_what_it_has_and_still_serves_the_rest(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs |= {"/c/1": b"1", "/c/2": b"2", "/c/3": b"3"}
        for path in ("/c/1", "/c/2", "/c/3"):
            assert (await world.get(path)).status == 200
        assert [entry.url[-1] for entry in world.mirror.entries()] == ["1", "2"]
        assert (await world.get("/c/3")).body == b"3"
        assert world.mirror.counts.not_kept == 2

    play(body, entries_max=2)


def test_what_was_long_unused_gives_way_the_longest_first(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs |= {"/c/1": b"1", "/c/2": b"2", "/c/3": b"3"}
        await world.get("/c/2")
        await world.wait(10)
        await world.get("/c/1")
        await world.wait(2 * 86_400 + 1)
        await world.get("/c/3")
        assert [entry.url[-1] for entry in world.mirror.entries()] == ["1", "3"]
        assert world.mirror.counts.given_way == 1
        assert len(world.files("objects")) == len(world.files("entries")) == 2

    play(body, entries_max=2, unused_s=2 * 86_400.0)


def test_last_uses_outlive_a_restart(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs |= {"/c/1": b"1", "/c/2": b"2", "/c/3": b"3"}
        await world.get("/c/1")
        await world.get("/c/2")
        await world.wait(2 * 86_400)
        await world.get("/c/1")
        await world.restart()
        await world.wait(10)
        await world.get("/c/3")
        assert [entry.url[-1] for entry in world.mirror.entries()] == ["1", "3"]

    play(body, entries_max=2, unused_s=2 * 86_400.0)


def test_bytes_are_limited_and_a_refresh_counts_once(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs |= {"/c/1": b"a" * 60, "/c/2": b"b" * 50, "/c/3": b"a" * 60}
        await world.get("/c/1")
        await world.get("/c/2")
        await world.get("/c/3")  # Its bytes are held already.
        assert [entry.url[-1] for entry in world.mirror.entries()] == ["1", "3"]
        assert world.mirror.bytes_held == 60
        await world.mirror.remove(f"http://{HOST}/c/3")
        world.origin.blobs["/c/1"] = b"c" * 60
        await world.wait(301)
        assert (await world.get("/c/1")).body == b"c" * 60
        assert world.mirror.bytes_held == 60

    play(body, bytes_max=100, body_bytes_max=100)


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
