"""Managed identity of one region, answering as the instance metadata service (IMDS).

`GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=URI` with `Metadata: true`;
numbers in the reply are strings; errors are `{"error", "error_description"}`.
Its capacity is a `Station`, shared by every machine of the region. Left out: the limits that IMDS
sets each machine (20 requests a second, 5 at once), which no fleet of the drills comes near.
Source: Microsoft, "Azure Instance Metadata Service", errors and managed identity.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from surgetank.cloud.station import Station, Turned
from surgetank.core.http import Request, Response
from surgetank.core.ports import Clock

PATH = "/metadata/identity/oauth2/token"
WORK_HEADER = "x-surgetank-work-s"
"""Seconds of station work behind an answer: lets a drill count work done for callers who left."""


@dataclass(slots=True)
class Identity:
    """The token service of one region."""

    region: str
    station: Station
    clock: Clock
    token_life_s: float = 86_400.0
    """Seconds that a token lives. Source: Microsoft documents up to 24 hours."""
    issued: int = 0
    """Tokens that were made, whether anybody still waited for them or not."""

    async def handle(self, request: Request) -> Response:
        """Answer one request for a token."""
        query = parse_qs(request.query)
        refusal = _refuse(request, query)
        if refusal is not None:
            return refusal
        turn = await self.station.serve()
        if isinstance(turn, Turned):
            return _turned(turn)
        self.issued += 1
        client_id = query.get("client_id", ["system-assigned"])[0]
        return Response(
            200,
            {"content-type": "application/json", WORK_HEADER: f"{turn.work_s:.3f}"},
            self._token(client_id=client_id, resource=query["resource"][0]),
        )

    def _token(self, *, client_id: str, resource: str) -> bytes:
        now = int(self.clock.now())
        life_s = int(self.token_life_s)
        reply = {
            "access_token": f"{self.region}.{self.issued}",
            "client_id": client_id,
            "expires_in": str(life_s),
            "expires_on": str(now + life_s),
            "ext_expires_in": str(life_s),
            "not_before": str(now),
            "resource": resource,
            "token_type": "Bearer",
        }
        return json.dumps(reply).encode()


def _refuse(request: Request, query: Mapping[str, list[str]]) -> Response | None:
    """Turn away what no capacity is spent on."""
    if request.path != PATH:
        return _error(404, "not_found", "No such metadata path")
    if request.method != "GET":
        return _error(405, "method_not_allowed", "Only GET is supported")
    if "x-forwarded-for" in request.headers:
        return _error(400, "invalid_request", "X-Forwarded-For is not allowed")
    if request.headers.get("metadata", "").lower() != "true":
        return _error(400, "invalid_request", "Required metadata header not specified")
    missing = [name for name in ("api-version", "resource") if name not in query]
    if missing:
        return _error(400, "invalid_request", f"Required query variable is missing: {missing[0]}")
    return None


def _turned(turn: Turned) -> Response:
    texts = {
        429: ("too_many_requests", "Too many requests"),
        502: ("bad_gateway", "The service went away"),
        503: ("service_unavailable", "The service is temporarily unavailable"),
    }
    response = _error(turn.status, *texts[turn.status])
    if turn.retry_after_s is None:
        return response
    retry_after = {"retry-after": str(max(1, round(turn.retry_after_s)))}
    return response._replace(headers={**response.headers, **retry_after})


def _error(status: int, error: str, description: str) -> Response:
    body = json.dumps({"error": error, "error_description": description}).encode()
    return Response(status, {"content-type": "application/json"}, body)
