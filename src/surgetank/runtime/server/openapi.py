"""The description of the HTTP API, made from its routes. Source: OpenAPI Specification 3.1.1."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from json import dumps
from typing import Any

from surgetank import __version__
from surgetank.core.http import Response
from surgetank.core.problem import CODES_OF_HTTP, MEDIA_TYPE, STATUS_OF_CODE
from surgetank.core.route import JSON, Call, Field, Route, Schema

OPENAPI = "/v1/openapi.json"

_PROBLEM = {
    "title": "Problem",
    "description": "An error, as RFC 9457 has it.",
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"enum": sorted({*CODES_OF_HTTP, *STATUS_OF_CODE})},
        "detail": {"type": "string"},
        "may_have_acted": {"type": "boolean"},
    },
    "required": ["type", "title", "status", "code", "detail"],
}


def openapi_route(routes: Sequence[Route]) -> Route:
    """Give the route that describes `routes`, itself included."""

    async def describe(_: Call) -> Response:
        return Response(HTTPStatus.OK, {"content-type": JSON}, body)

    own = Route(
        "GET", OPENAPI, describe, "Describe this API", None,
        answers={HTTPStatus.OK: {"title": "OpenAPI", "type": "object"}},
    )  # fmt: skip
    body = dumps(document([*routes, own]), separators=(",", ":")).encode()
    return own


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Describe routes, as JSON."""
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Surgetank",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _identifier(route),
        "summary": route.summary,
        "responses": _responses(route, schemas),
        "security": [] if route.role is None else [{"token": []}],
    }
    if route.role is not None:
        operation["description"] = f"Role: {route.role.name.lower()}."
    parameters = [
        *(_parameter(Field(name, {"type": "string"}, ""), "path") for name in _names(route.path)),
        *(_parameter(field, "query") for field in route.query),
        *(_parameter(field, "header") for field in route.headers),
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.body:
        content = {JSON: {"schema": _named(route.body, schemas)}}
        operation["requestBody"] = {
            "content": content,
            "required": bool(route.body.get("required")),
        }
    return operation


def _responses(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    responses = {
        str(int(status)): {
            "description": status.phrase,
            **({"content": {JSON: {"schema": _named(schema, schemas)}}} if schema else {}),
        }
        for status, schema in route.answers.items()
    }
    problem = {"$ref": "#/components/schemas/Problem"}
    refused = {"description": "A problem", "content": {MEDIA_TYPE: {"schema": problem}}}
    return {**responses, "default": refused}


def _named(schema: Schema, schemas: dict[str, Any]) -> Mapping[str, Any]:
    """Keep a schema, and those that it names, among the components; refer to it there."""
    held: Any = schema.get("$defs", {})
    name = str(schema["title"])
    schemas.update(held)
    schemas[name] = {key: value for key, value in schema.items() if key != "$defs"}
    return {"$ref": f"#/components/schemas/{name}"}


def _parameter(field: Field, where: str) -> dict[str, Any]:
    found = {"name": field.name, "in": where, "schema": dict(field.schema)}
    if where == "path":
        return {**found, "required": True}
    return {**found, "description": field.description}


def _names(path: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", path)


def _identifier(route: Route) -> str:
    words = [route.method.lower(), *re.findall(r"\w+", route.path.removeprefix("/v1"))]
    return "_".join(words)
