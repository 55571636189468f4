"""Every limit of a mirror is reached, and the client is served all the same."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from surgetank.core.http import Response

if TYPE_CHECKING:
    from tests.services.mirror.conftest import World

Play = Callable[..., None]
HOST = "ext.blob.core.windows.net"
ANY = "/c/any"


def _source(response: Response) -> str:
    return response.headers["x-surgetank-source"]


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


def test_memory_holds_the_last_read_within_its_limit(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs |= {"/c/1": b"a" * 60, "/c/2": b"b" * 60, "/c/3": b"c" * 101}
        for path in ("/c/1", "/c/2", "/c/3"):
            await world.get(path)
        for file in world.files("objects"):
            file.unlink()
        assert _source(await world.get("/c/2")) == "hit"
        assert _source(await world.get("/c/1")) == "miss"
        assert _source(await world.get("/c/3")) == "miss"

    play(body, memory_bytes_max=100)


def test_prefetch_says_what_could_not_be_kept(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[ANY] = bytes(101)
        (done,) = await world.mirror.prefetch([f"http://{HOST}{ANY}"])
        assert (done.is_held, done.reason) == (False, "could not be kept")

    play(body, body_bytes_max=100)
