"""The permits' part of the OpenAPI document says what the routes do."""

import asyncio
import json
from contextlib import nullcontext
from random import Random
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest

from surgetank.control.governor import GovernorPolicy
from surgetank.core.http import Request, Response
from surgetank.runtime.live.clock import SystemClock
from surgetank.safeguards.operations.permits import GovernedPermits
from surgetank.safeguards.operations.permits_api import PermitsApi
from surgetank.safeguards.operations.permits_openapi import permits_openapi

KNOWN = "a token of some length"
HEADS = {"authorization": f"Bearer {KNOWN}"}
METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")
DOCUMENT = permits_openapi()


def ask(method: str, path: str, body: object = None) -> Response:
    clock = SystemClock()
    permits = GovernedPermits(default=GovernorPolicy(), clock=clock, chance=Random(1))
    api = PermitsApi(permits, clock=clock, new_id=lambda: "p0", tokens=[KNOWN])

    async def main() -> Response:
        raw = b"" if body is None else json.dumps(body).encode()
        response = await api.handle(Request(method, "here", path, "", HEADS, raw))
        if response.chunks is None:
            return response
        pieces = [piece async for piece in response.chunks]
        return response._replace(body=b"".join(pieces))

    return asyncio.run(main())


def schema(name: str) -> dict[str, Any]:
    """One schema, with the others where it looks for them."""
    return {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}


@pytest.mark.parametrize("path", DOCUMENT["paths"])
@pytest.mark.parametrize("method", METHODS)
def test_a_path_takes_the_methods_that_the_document_says(path: str, method: str) -> None:
    answer = ask(method, path.replace("{permit_id}", "p0"))
    assert (answer.status != 405) == (method.lower() in DOCUMENT["paths"][path])


@pytest.mark.parametrize("path", DOCUMENT["paths"])
def test_a_status_is_one_that_the_document_says(path: str) -> None:
    for method in METHODS:
        operation = DOCUMENT["paths"][path].get(method.lower())
        if operation is not None:
            answer = ask(method, path.replace("{permit_id}", "p0"), {"dependency": "vm@eastus"})
            assert str(answer.status) in operation["responses"]


def test_a_permit_is_what_the_schema_says() -> None:
    answer = ask("POST", "/v1/permits", {"dependency": "vm@eastus"})
    jsonschema.validate(json.loads(answer.body), schema("PermitGiven"))


def test_a_problem_is_what_the_schema_says() -> None:
    answer = ask("POST", "/v1/permits", {"dependency": "vm"})
    jsonschema.validate(json.loads(answer.body), schema("Problem"))


@pytest.mark.parametrize(
    ("name", "body", "is_valid"),
    [
        ("PermitWanted", {"dependency": "vm@eastus", "lane": "backlog", "wait_s": 30}, True),
        ("PermitWanted", {"dependency": "vm"}, False),
        ("OutcomeTold", {"kind": "throttled", "retry_after_s": 3.5}, True),
        ("OutcomeTold", {"kind": "odd"}, False),
    ],
)
def test_a_body_is_valid_as_the_routes_have_it(
    name: str, body: dict[str, Any], *, is_valid: bool
) -> None:
    with nullcontext() if is_valid else pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body, schema(name))


def test_every_name_that_is_referred_to_is_there() -> None:
    text = json.dumps(DOCUMENT)
    named = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= set(DOCUMENT["components"]["schemas"])
