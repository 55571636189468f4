"""The permits' part of an OpenAPI 3.1 document, made from the models that read the bodies."""

from typing import Any

from pydantic.json_schema import models_json_schema

from surgetank.safeguards.operations.permits_api import (
    PATH,
    OutcomeTold,
    PermitGiven,
    PermitWanted,
    Problem,
)

_PERMIT_ID = {
    "name": "permit_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
}
_SAYS = {
    "400": "the request cannot be used",
    "401": "no bearer token that is known",
    "404": "no such permit, or it counts as lost",
    "409": "the permit ended in another way",
    "429": "not now: ask again at `retry_at`",
}


def permits_openapi() -> dict[str, Any]:
    """Give `paths` and `components` to merge into a document; a new value at each call."""
    _, schemas = models_json_schema(
        [(model, "validation") for model in (PermitWanted, OutcomeTold, PermitGiven, Problem)],
        ref_template="#/components/schemas/{model}",
    )
    told = {"204": {"description": "ended; the same again is the same"}}
    given = {
        "description": "leave to make one call",
        "content": {"application/json": {"schema": _named("PermitGiven")}},
    }
    return {
        "paths": {
            PATH: {
                "post": _operation(
                    "askForPermit",
                    "Ask for leave to make one call, and wait for it",
                    {"200": given, **_problems("400", "401", "429")},
                    body="PermitWanted",
                )
            },
            f"{PATH}/{{permit_id}}": {
                "parameters": [_PERMIT_ID],
                "delete": _operation(
                    "giveBackPermit",
                    "Give a permit back whose call was never made",
                    {**told, **_problems("401", "404", "409")},
                ),
            },
            f"{PATH}/{{permit_id}}/outcome": {
                "parameters": [_PERMIT_ID],
                "post": _operation(
                    "reportOutcome",
                    "Say how the call of a permit ended",
                    {**told, **_problems("400", "401", "404", "409")},
                    body="OutcomeTold",
                ),
            },
        },
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(
    name: str, summary: str, responses: dict[str, Any], *, body: str | None = None
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "security": [{"bearer": []}],
        "responses": responses,
    }
    if body is not None:
        content = {"application/json": {"schema": _named(body)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _problems(*statuses: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": _named("Problem")}}
    return {each: {"description": _SAYS[each], "content": content} for each in statuses}


def _named(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}
