from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., None]
PATHS = {
    "/v1/holds/all": ("all", ""),
    "/v1/holds/dependency/compute%40eastus": ("dependency", "compute@eastus"),
    "/v1/holds/region/eastus": ("region", "eastus"),
    "/v1/holds/kind/create_vm": ("kind", "create_vm"),
}


@pytest.mark.parametrize("path", PATHS)
def test_what_is_held_is_not_begun(play: Play, path: str) -> None:
    async def main(world: Any) -> None:
        await world.ask("PUT", path, {"reason": "INC-1"})
        await world.submit("k1")
        await world.pass_s(600.0)
        assert world.origin.requests == []

    play(main)


@pytest.mark.parametrize("path", PATHS)
def test_a_hold_says_what_since_when_by_whom_and_why(play: Play, path: str) -> None:
    async def main(world: Any) -> None:
        await world.ask("PUT", path, {"reason": "INC-1"})
        shown = (await world.ask("GET", path)).body
        assert (shown["scope"], shown["name"]) == PATHS[path]
        assert shown["since"] == "2026-02-02T18:03:00.000Z"
        assert (shown["by"], shown["reason"]) == ("admin", "INC-1")
        assert (await world.ask("GET", "/v1/holds")).body == {"holds": [shown]}

    play(main)


@pytest.mark.parametrize("path", PATHS)
def test_a_hold_that_is_removed_stops_nothing(play: Play, path: str) -> None:
    async def main(world: Any) -> None:
        await world.ask("PUT", path, {})
        await world.submit("k1")
        answer = await world.ask("DELETE", path)
        assert answer.body == {"released": 0, "is_lifted": True}
        await world.pass_s(120.0)
        assert len(world.origin.requests) == 1

    play(main)


def test_held_operations_are_let_go_so_many_at_a_time(play: Play) -> None:
    async def main(world: Any) -> None:
        await world.ask("PUT", "/v1/holds/all", {})
        for number in range(5):
            await world.submit(f"k{number}")
        await world.pass_s(90.0)
        released = list[tuple[int, bool]]()
        for _ in range(3):
            answer = await world.ask("POST", "/v1/holds/all/release", {"limit": 2})
            released.append((answer.body["released"], answer.body["is_lifted"]))
            await world.pass_s(600.0)
            assert len(world.origin.requests) == sum(each for each, _ in released)
        assert released == [(2, False), (2, False), (1, True)]
        assert (await world.ask("GET", "/v1/holds")).body == {"holds": []}

    play(main)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("method", "end", "body"),
    [("GET", "", None), ("DELETE", "", None), ("POST", "/release", {"limit": 1})],
)
def test_a_hold_that_is_not_there_is_not_found(
    play: Play, path: str, method: str, end: str, body: Any
) -> None:
    async def main(world: Any) -> None:
        answer = await world.ask(method, f"{path}{end}", body)
        assert (answer.status, answer.body["code"]) == (404, "not_found")

    play(main)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/holds/everything/x", {}),
        ("PUT", "/v1/holds/all/x", {}),
        ("PUT", "/v1/holds/kind/" + "k" * 101, {}),
        ("PUT", "/v1/holds/kind/a%00b", {}),
        ("PUT", "/v1/holds/all", {"reason": "r" * 201}),
        ("PUT", "/v1/holds/all", {"why": "r"}),
        ("POST", "/v1/holds/all/release", {}),
        ("POST", "/v1/holds/all/release", {"limit": 0}),
        ("POST", "/v1/holds/all/release", {"limit": 1_000_001}),
    ],
)
def test_what_is_no_hold_is_refused(play: Play, method: str, path: str, body: Any) -> None:
    async def main(world: Any) -> None:
        assert (await world.ask(method, path, body)).status == 400

    play(main)
