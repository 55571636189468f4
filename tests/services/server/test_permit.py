from collections.abc import Callable
from typing import Any

import pytest

from surgetank.safeguards.operations.permits_api import PermitsApiPolicy

Play = Callable[..., None]
WANTED = {"dependency": "vm@eastus"}


def test_the_limits_of_permits_are_those_of_the_configuration(play: Play) -> None:
    async def main(world: Any) -> None:
        assert (await world.ask("POST", "/v1/permits", WANTED)).status == 200
        refused = await world.ask("POST", "/v1/permits", WANTED)
        assert (refused.status, refused.body["code"]) == (429, "queue_full")

    play(main, permits=PermitsApiPolicy(open_max=1))


def test_a_server_that_drains_gives_no_permit(play: Play) -> None:
    async def main(world: Any) -> None:
        await world.server.drain()
        refused = await world.ask("POST", "/v1/permits", WANTED, who="worker")
        assert (refused.status, refused.body["code"]) == (503, "refused")

    play(main)


@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [("POST", "/outcome", {"kind": "ok"}), ("DELETE", "", None)],
    ids=["reported", "given back"],
)
def test_a_server_that_drains_takes_the_ends_of_permits_that_it_gave(
    play: Play, method: str, rest: str, body: Any
) -> None:
    async def main(world: Any) -> None:
        given = await world.ask("POST", "/v1/permits", WANTED, who="worker")
        await world.server.drain()
        path = f"/v1/permits/{given.body['id']}{rest}"
        assert (await world.ask(method, path, body, who="worker")).status == 204
        await world.clock.sleep_until(world.clock.now() + 1.0)  # Others are told at times.
        (dependency,) = (await world.ask("GET", "/v1/dependencies")).body["dependencies"]
        assert (dependency["name"], dependency["in_flight"]) == ("vm@eastus", 0)

    play(main)


def test_a_server_that_drains_takes_the_end_of_a_permit_from_workers_only(play: Play) -> None:
    async def main(world: Any) -> None:
        await world.server.drain()
        assert (await world.ask("DELETE", "/v1/permits/x", who="reader")).status == 403

    play(main)
