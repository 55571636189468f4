"""Parts of artifacts: given from what was read whole and found sound."""

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.services.mirror.conftest import World

Play = Callable[..., None]
MANIFEST = b"<?xml version='1.0'?><PluginVersionManifest><Plugins/></PluginVersionManifest>"
PACKAGE = b"PK\x03\x04" + bytes(range(256)) * 16
M, P = "/c/m.xml", "/c/p.zip"


@pytest.mark.parametrize("name", ["range", "x_ms_range"])
def test_who_asks_for_a_part_first_makes_the_mirror_read_the_whole(play: Play, name: str) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[P] = PACKAGE
        part = await world.get(P, **{name: "bytes=4-9"})
        assert (part.status, part.body) == (206, PACKAGE[4:10])
        (asked,) = world.origin.requests
        assert not {"range", "x-ms-range"} & set(asked.headers)
        world.origin.block()
        assert (await world.get(P)).body == PACKAGE

    play(body)


def test_parts_are_given_while_the_origin_refuses(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        await world.get(M)
        world.origin.block()
        await world.wait(301)
        part = await world.get(M, x_ms_range="bytes=0-4")
        assert (part.status, part.body) == (206, MANIFEST[:5])
        assert part.headers["x-surgetank-source"] == "stale"

    play(body)


def test_no_part_is_given_of_what_is_not_sound(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.answer(200, body=b"<html>", content_type="text/html")
        assert (await world.get(P, x_ms_range="bytes=0-3")).status == 502

    play(body)


def test_a_full_disk_costs_the_reader_of_a_part_nothing(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        shutil.rmtree(world.directory / "incoming")
        part = await world.get(M, range="bytes=0-4")
        assert (part.status, part.body) == (206, MANIFEST[:5])

    play(body)


def test_a_full_disk_does_not_hide_that_a_part_lies_beyond_the_end(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        shutil.rmtree(world.directory / "incoming")
        part = await world.get(M, range="bytes=9999-")
        assert part.status == 416
        assert part.headers["content-length"] == str(len(part.body)) != "0"

    play(body)
