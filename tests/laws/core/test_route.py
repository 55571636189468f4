import asyncio
import json
from typing import Any

import pytest

from surgetank.core.errors import QueueFullError
from surgetank.core.http import Request, Response
from surgetank.core.route import QUERY_FIELDS_MAX, Call, Field, Role, Route, Routes

WORD = {"type": "string"}


async def _echo(call: Call) -> Response:
    said = {"names": dict(call.names), "query": dict(call.query), "who": call.who}
    return Response(200, body=json.dumps(said).encode())


async def _full(_: Call) -> Response:
    raise QueueFullError("full", retry_at=12.0)


ROUTES = Routes(
    [
        Route("GET", "/things/{id}", _echo, "One", Role.READ, query=(Field("a", WORD, ""),)),
        Route("GET", "/things/all", _full, "All", Role.READ),
        Route("PUT", "/things/{id}", _echo, "Put", Role.ADMIN),
    ],
    now=lambda: 10.0,
)


def _ask(method: str, path: str, query: str = "", **headers: str) -> tuple[Response, Any]:
    request = Request(method, "h", path, query, headers)
    response = asyncio.run(ROUTES.handle(request))
    return response, json.loads(response.body)


def test_a_name_in_the_path_is_decoded() -> None:
    assert _ask("GET", "/things/a%2Fb%20c")[1]["names"] == {"id": "a/b c"}


def test_a_name_is_not_empty() -> None:
    assert _ask("GET", "/things/")[0].status == 404


def test_a_plain_path_goes_before_a_name() -> None:
    assert _ask("GET", "/things/all")[0].status == 503


def test_an_error_of_ours_is_a_problem() -> None:
    response, body = _ask("GET", "/things/all")
    assert (body["code"], response.headers["retry-after"]) == ("queue_full", "2")


def test_a_query_is_given_in_the_order_sent() -> None:
    assert _ask("GET", "/things/x", "a=2&a=1&a=")[1]["query"] == {"a": ["2", "1", ""]}


def test_a_parameter_that_nobody_reads_is_refused_with_those_that_are() -> None:
    response, body = _ask("GET", "/things/x", "b=1")
    assert response.status == 400
    assert body["detail"] == "query: no parameter is named 'b'; it takes a"


@pytest.mark.parametrize(
    ("fields", "status"), [(QUERY_FIELDS_MAX, 200), (QUERY_FIELDS_MAX + 1, 400)]
)
def test_a_query_has_so_many_fields_at_most(fields: int, status: int) -> None:
    assert _ask("GET", "/things/x", "&".join(["a=1"] * fields))[0].status == status


def test_the_role_of_a_request_is_that_of_its_route() -> None:
    route = ROUTES.find(Request("PUT", "h", "/things/x"))
    assert route is not None
    assert route.role is Role.ADMIN


def test_two_routes_of_one_method_and_path_are_a_mistake() -> None:
    route = Route("GET", "/a", _echo, "", None)
    with pytest.raises(AssertionError, match="two routes: GET /a"):
        Routes([route, route], now=lambda: 0.0)


def test_who_calls_is_what_the_gate_says() -> None:
    headers = {"x-surgetank-caller": "alice"}
    response = asyncio.run(ROUTES.handle(Request("GET", "h", "/things/x", headers=headers)))
    assert json.loads(response.body)["who"] == "alice"
