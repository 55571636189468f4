from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., None]
LATER = "2026-02-02T19:00:00Z"


async def _many(world: Any, count: int, **changes: Any) -> None:
    for number in range(count):
        await world.submit(f"k{number}", run_at=LATER, **changes)


async def _keys(world: Any, query: str) -> list[str]:
    page = (await world.ask("GET", f"/v1/operations?{query}")).body
    return [one["key"] for one in page["operations"]]


def test_pages_follow_one_another_to_the_end(play: Play) -> None:
    async def main(world: Any) -> None:
        await _many(world, 5)
        found, query = list[str](), "limit=2"
        while query:
            page = (await world.ask("GET", f"/v1/operations?{query}")).body
            assert len(page["operations"]) <= 2
            found += [one["key"] for one in page["operations"]]
            query = page["next"] and f"limit=2&cursor={page['next']}"
        assert found == ["k0", "k1", "k2", "k3", "k4"]

    play(main)


def test_a_page_has_fifty_where_nobody_says(play: Play) -> None:
    async def main(world: Any) -> None:
        await _many(world, 51)
        assert len(await _keys(world, "")) == 50

    play(main)


def test_the_largest_page_is_answered(play: Play) -> None:
    async def main(world: Any) -> None:
        await _many(world, 201)
        assert len(await _keys(world, "limit=200")) == 200

    play(main)


@pytest.mark.parametrize(
    "query",
    [
        "limit=201",
        "limit=0",
        "limit=-1",
        "limit=x",
        "limit=1&limit=2",
        "state=gone",
        "lane=slow",
        "kind=" + "k" * 101,
        "subject=" + "s" * 201,
        "cursor=x",
        "cursor=bnVsbA",
        "cursor=" + "A" * 1001,
        "colour=red",
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(play: Play, query: str) -> None:
    async def main(world: Any) -> None:
        answer = await world.ask("GET", f"/v1/operations?{query}")
        assert (answer.status, answer.body["code"]) == (400, "invalid_input")

    play(main)


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("kind=scale", ["b"]),
        ("region=westus", ["c"]),
        ("lane=backlog", ["d"]),
        ("subject=vmss%2Fblue", ["e"]),
        ("state=ready", ["a", "b", "c", "d", "e"]),
        ("state=failed", []),
        ("state=failed&state=ready&kind=scale", ["b"]),
    ],
)
def test_a_list_holds_what_was_asked_for(play: Play, query: str, keys: list[str]) -> None:
    async def main(world: Any) -> None:
        await world.submit("a", run_at=LATER)
        await world.submit("b", run_at=LATER, kind="scale")
        await world.submit("c", run_at=LATER, region="westus")
        await world.submit("d", run_at=LATER, lane="backlog")
        await world.submit("e", run_at=LATER, subject="vmss/blue")
        assert await _keys(world, query) == keys

    play(main)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/cancel"), ("POST", "/redrive")],
)
def test_an_operation_that_is_not_stored_is_not_found(play: Play, method: str, path: str) -> None:
    async def main(world: Any) -> None:
        answer = await world.ask(method, f"/v1/operations/absent{path}")
        assert (answer.status, answer.body["code"]) == (404, "not_found")

    play(main)


def test_what_waits_is_cancelled_at_once(play: Play) -> None:
    async def main(world: Any) -> None:
        identifier = await world.submit("k1", run_at=LATER)
        answer = await world.ask("POST", f"/v1/operations/{identifier}/cancel")
        assert (answer.status, answer.body["state"]) == (200, "cancelled")
        await world.pass_s(7200.0)
        assert world.origin.requests == []

    play(main)


def test_what_is_under_way_is_told_to_stop(play: Play) -> None:
    async def main(world: Any) -> None:
        identifier = await world.submit("k1")
        await world.pass_s(0.05)
        answer = await world.ask("POST", f"/v1/operations/{identifier}/cancel")
        assert (answer.body["state"], answer.body["stop"]) == ("running", "cancelled")

    play(main)


def test_what_failed_is_redriven_as_backlog(play: Play) -> None:
    async def main(world: Any) -> None:
        world.origin.status = 400
        identifier = await world.submit("k1")
        await world.pass_s(5.0)
        world.origin.status = 200
        answer = await world.ask("POST", f"/v1/operations/{identifier}/redrive")
        assert (answer.status, answer.body["lane"]) == (200, "backlog")
        await world.pass_s(60.0)
        shown = (await world.ask("GET", f"/v1/operations/{identifier}")).body
        assert shown["state"] == "succeeded"

    play(main)


def test_what_succeeded_is_not_redriven(play: Play) -> None:
    async def main(world: Any) -> None:
        identifier = await world.submit("k1")
        await world.pass_s(5.0)
        answer = await world.ask("POST", f"/v1/operations/{identifier}/redrive")
        assert (answer.status, answer.body["code"]) == (409, "conflict")

    play(main)


def test_operations_are_counted_by_state_and_lane(play: Play) -> None:
    async def main(world: Any) -> None:
        await _many(world, 2)
        await world.submit("d", run_at=LATER, lane="backlog")
        counts = (await world.ask("GET", "/v1/counts")).body
        assert (counts["states"]["ready"], counts["owed"]) == (3, 0)
        backlog = (await world.ask("GET", "/v1/counts?lane=backlog")).body
        assert backlog["states"]["ready"] == 1

    play(main)


def test_a_lane_that_is_none_is_refused(play: Play) -> None:
    async def main(world: Any) -> None:
        assert (await world.ask("GET", "/v1/counts?lane=slow")).status == 400

    play(main)


def test_where_each_governor_stands_is_shown_page_by_page(play: Play) -> None:
    async def main(world: Any) -> None:
        for name in ("b@eastus", "a@eastus"):
            step = {"name": "s", "dependency": name, "arguments": {"url": "http://x/"}}
            await world.submit(name, steps=[step])
        await world.pass_s(1.0)
        first = (await world.ask("GET", "/v1/dependencies?limit=1")).body
        assert [one["name"] for one in first["dependencies"]] == ["a@eastus"]
        assert (first["dependencies"][0]["phase"], first["dependencies"][0]["held"]) == (
            "closed",
            "",
        )
        rest = (await world.ask("GET", f"/v1/dependencies?cursor={first['next']}")).body
        assert ([one["name"] for one in rest["dependencies"]], rest["next"]) == (["b@eastus"], None)

    play(main)
