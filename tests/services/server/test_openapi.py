"""The description of the API, and that what it describes is what answers."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types
from openapi_spec_validator import OpenAPIV31SpecValidator

from surgetank.core.http import Request
from surgetank.core.problem import CODES_OF_HTTP, STATUS_OF_CODE

Play = Callable[..., None]
PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "http-api.md").read_text()
FUZZED = settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
WORDS = st.one_of(
    st.text(max_size=300),
    st.sampled_from(["all", "dependency", "region", "kind", "fresh", "0", "200", "9" * 30, "e30"]),
)


async def _document(world: Any) -> dict[str, Any]:
    document: dict[str, Any] = (await world.ask("GET", "/v1/openapi.json")).body
    return document


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def _filled(path: str, word: str) -> str:
    return re.sub(r"\{\w+\}", lambda _: quote(word, safe="") or "x", path)


def test_the_description_is_openapi_3_1(play: Play) -> None:
    async def main(world: Any) -> None:
        document = await _document(world)
        assert document["openapi"].startswith("3.1.")
        OpenAPIV31SpecValidator(document).validate()

    play(main)


def test_every_route_that_is_described_is_answered(play: Play) -> None:
    async def main(world: Any) -> None:
        for method, path, operation in _operations(await _document(world)):
            answer = await world.ask(method, _filled(path, "region"))
            codes = {*operation["responses"]} | {"400", "404"}
            assert str(answer.status) in codes, (method, path, answer)
            assert answer.body.get("code") != "method_not_allowed"

    play(main)


def test_every_route_is_described(play: Play) -> None:
    async def main(world: Any) -> None:
        described = {(method, path) for method, path, _ in _operations(await _document(world))}
        assert {
            ("POST", "/v1/operations"),
            ("GET", "/v1/operations"),
            ("GET", "/v1/operations/{id}"),
            ("POST", "/v1/operations/{id}/cancel"),
            ("POST", "/v1/operations/{id}/redrive"),
            ("GET", "/v1/holds"),
            ("PUT", "/v1/holds/all"),
            ("DELETE", "/v1/holds/{scope}/{name}"),
            ("POST", "/v1/holds/{scope}/{name}/release"),
            ("GET", "/v1/counts"),
            ("GET", "/v1/dependencies"),
            ("GET", "/v1/audit"),
            ("GET", "/readyz"),
        } <= described

    play(main)


def test_answers_are_as_described(play: Play) -> None:
    async def main(world: Any) -> None:
        document = await _document(world)
        identifier = await world.submit("k1")
        await world.ask("PUT", "/v1/holds/region/eastus", {"reason": "r"})
        checked = 0
        for method, path, operation in _operations(document):
            if method == "GET":
                target = path.replace("{id}", identifier).replace("{scope}", "region")
                answer = await world.ask(method, target.replace("{name}", "eastus"))
                content = operation["responses"].get(str(answer.status))
                if content is not None:
                    schema = content["content"]["application/json"]["schema"]
                    whole = {**schema, "components": document["components"]}
                    validator: Any = Draft202012Validator(whole)
                    validator.validate(answer.body)
                    checked += 1
        assert checked >= 9

    play(main)


@FUZZED
@given(word=WORDS, field=WORDS, value=WORDS, body=st.none() | JSON_VALUES | st.binary(max_size=50))
def test_nothing_that_is_sent_is_a_defect(
    play: Play, word: str, field: str, value: str, body: Any
) -> None:
    async def main(world: Any) -> None:
        for method, path, operation in _operations(await _document(world)):
            names = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
            for name in [*names, field]:
                query = f"{quote(name)}={quote(value)}"
                answer = await world.ask(method, f"{_filled(path, word)}?{query}", body)
                assert answer.status < 500, (method, path, query, answer)

    play(main)


@FUZZED
@given(changes=st.dictionaries(st.sampled_from(["key", "kind", "region", "lane", "priority",
       "run_at", "deadline_at", "subject", "generation", "steps"]), JSON_VALUES, min_size=1),
       step=st.dictionaries(st.sampled_from(["name", "dependency", "action", "arguments",
       "fallback", "fallback_dependency", "probe", "is_optional"]), JSON_VALUES))  # fmt: skip
def test_no_operation_that_is_submitted_is_a_defect(
    play: Play, changes: dict[str, Any], step: dict[str, Any]
) -> None:
    first: dict[str, Any] = {"name": "a", "dependency": "d", "arguments": {}, **step}
    body: dict[str, Any] = {"key": "k", "kind": "", "region": "", "steps": [first], **changes}

    async def main(world: Any) -> None:
        answer = await world.ask("POST", "/v1/operations", body)
        assert answer.status < 500, answer
        if answer.status == 201:
            shown = await world.ask("GET", answer.headers["location"])
            assert shown.status == 200

    play(main)


@pytest.mark.parametrize("target", ["//", "/v1/", "/v1/operations/", "/v1/operations/a/b", "/%ff"])
def test_a_path_that_no_route_has_is_not_found(play: Play, target: str) -> None:
    async def main(world: Any) -> None:
        answer = await world.ask("GET", target)
        assert (answer.status, answer.body["code"]) == (404, "not_found")

    play(main)


def test_head_is_answered_as_get(play: Play) -> None:
    async def main(world: Any) -> None:
        response = await world.server.gate.handle(Request("HEAD", "surgetank", "/healthz"))
        assert response.status == 200

    play(main)


def test_a_method_that_a_path_does_not_take_names_those_that_it_does(play: Play) -> None:
    async def main(world: Any) -> None:
        answer = await world.ask("PATCH", "/v1/holds/all")
        assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET, PUT")

    play(main)


def test_every_route_is_on_the_page_of_the_api_with_its_role(play: Play) -> None:
    async def main(world: Any) -> None:
        for method, path, operation in _operations(await _document(world)):
            said = operation.get("description", "Role: anybody.")
            role = said.removeprefix("Role: ").removesuffix(".")
            assert f"| `{method} {path}` | {role} |" in PAGE

    play(main)


@pytest.mark.parametrize(("code", "status"), {**CODES_OF_HTTP, **STATUS_OF_CODE}.items())
def test_every_code_is_on_the_page_of_the_api_with_its_status(code: str, status: int) -> None:
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    (row,) = [each for each in rows if f"`{code}`" in each[0]]
    assert row[1] == str(int(status))
