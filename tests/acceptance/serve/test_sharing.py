"""Two servers of one store share their governors, on PostgreSQL and on a file of SQLite."""

from collections.abc import Callable
from typing import Any

import pytest

Serve = Callable[..., Any]
BREAKER = {"dependency": "compute@eastus"}
BACKLOG = {"dependency": "compute@eastus", "lane": "backlog"}
SLOW = """[governor.law]
rate_per_s_unlearnt = 0.01
"""
"""One call of the backlog in 100 s."""


@pytest.fixture(params=["postgres", "sqlite"])
def store(request: pytest.FixtureRequest) -> str:
    """What the file says of a store whose servers share their governors."""
    if request.param == "sqlite":
        return ""  # In the file of the folder, as is the default.
    return f'store = "{request.getfixturevalue("database")}"'


def asked(server: Any, wanted: dict[str, Any]) -> tuple[int, Any]:
    """Ask for a permit."""
    answer: tuple[int, Any] = server.ask("POST", "/v1/permits", wanted)
    return answer


def blocked(server: Any) -> None:
    """Make a call that a policy refuses."""
    status, given = asked(server, BREAKER)
    assert status == 200
    told = {"kind": "blocked"}
    assert server.ask("POST", f"/v1/permits/{given['id']}/outcome", told)[0] == 204


def refused(server: Any) -> Any:
    """Ask until the breaker refuses."""
    status, body = 200, None
    while status == 200:
        status, body = asked(server, BREAKER)
    return body


def is_done(_: int, body: Any) -> bool:
    """Whether an operation has succeeded."""
    return bool(body["state"] == "succeeded")


def test_two_servers_obey_one_pace(serve: Serve, store: str) -> None:
    first, second = serve(store, SLOW), serve(store, SLOW)
    assert asked(first, {**BACKLOG, "wait_s": 30})[0] == 200
    status, body = asked(second, {**BACKLOG, "wait_s": 2})
    assert (status, body["code"]) == (429, "release_held")


def test_a_breaker_that_one_opened_refuses_at_the_other(serve: Serve, store: str) -> None:
    first, second = serve(store), serve(store)
    for _ in range(3):
        blocked(first)
    assert refused(second)["code"] == "breaker_open"


def test_what_was_learnt_outlives_the_servers(serve: Serve, store: str) -> None:
    first = serve(store)
    for _ in range(3):
        blocked(first)
    assert first.stop()[0] == 0
    assert refused(serve(store))["code"] == "breaker_open"


def test_operations_are_run_under_shared_governors(serve: Serve, store: str) -> None:
    server = serve(store)
    assert server.ask("GET", "/readyz")[0] == 200
    status, receipt = server.ask("POST", "/v1/operations", server.new("k1", lane="backlog"))
    assert status == 201
    path = f"/v1/operations/{receipt['id']}"
    server.until("GET", path, is_done)
    (dependency,) = server.ask("GET", "/v1/dependencies")[1]["dependencies"]
    assert dependency["name"] == "compute@eastus"
    assert server.stop()[0] == 0
