"""The token service: IMDS to the letter, and a station behind it."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from surgetank.cloud.identity import WORK_HEADER, Identity
from surgetank.control.admission import Admission
from surgetank.core.http import Headers, Response

if TYPE_CHECKING:
    from tests.services.cloud.conftest import Play, Stage

URL = "http://169.254.169.254/metadata/identity/oauth2/token"
QUERY = "?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F"
METADATA: Headers = {"metadata": "true"}
DAY_S = 86_400


def _fields(response: Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/json"
    fields: dict[str, Any] = json.loads(response.body)
    return fields


def _identity(stage: "Stage", **options: Any) -> Identity:
    return Identity("eastus", stage.station(**options), stage.clock)


async def _ask(
    stage: "Stage",
    identity: Identity,
    *,
    method: str = "GET",
    url: str = URL + QUERY,
    headers: Headers = METADATA,
) -> Response:
    return await stage.call(identity.handle, method, url, headers=headers)


def test_a_token_has_the_fields_of_the_metadata_service(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        response = await _ask(stage, _identity(stage))
        now = int(stage.clock.now())
        assert response.status == 200
        assert _fields(response) == {
            "access_token": "eastus.1",
            "client_id": "system-assigned",
            "expires_in": str(DAY_S),
            "expires_on": str(now + DAY_S),
            "ext_expires_in": str(DAY_S),
            "not_before": str(now),
            "resource": "https://management.azure.com/",
            "token_type": "Bearer",
        }

    play(body)


def test_every_field_is_a_string_whatever_the_life_of_a_token(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        identity = _identity(stage)
        identity.token_life_s = 3_600.75
        fields = _fields(await _ask(stage, identity))
        assert {type(value) for value in fields.values()} == {str}
        assert fields["expires_in"] == "3600"

    play(body)


def test_no_two_tokens_are_alike(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        identity = _identity(stage)
        tokens = [_fields(await _ask(stage, identity))["access_token"] for _ in range(3)]
        assert tokens == ["eastus.1", "eastus.2", "eastus.3"]
        assert identity.issued == 3

    play(body)


def test_the_identity_that_is_asked_for_is_named(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        response = await _ask(stage, _identity(stage), url=f"{URL}{QUERY}&client_id=mine")
        assert _fields(response)["client_id"] == "mine"

    play(body)


def test_the_header_may_be_written_in_capitals(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        response = await _ask(stage, _identity(stage), headers={"metadata": "True"})
        assert response.status == 200

    play(body)


WRONG: list[tuple[str, dict[str, Any], int, str, str]] = [
    ("no header", {"headers": {}}, 400, "invalid_request", "header not specified"),
    ("header is false", {"headers": {"metadata": "false"}}, 400, "invalid_request", "header not"),
    (
        "forwarded",
        {"headers": {"metadata": "true", "x-forwarded-for": "10.0.0.4"}},
        400,
        "invalid_request",
        "X-Forwarded-For",
    ),
    ("no query", {"url": URL}, 400, "invalid_request", "api-version"),
    ("no version", {"url": f"{URL}?resource=r"}, 400, "invalid_request", "api-version"),
    ("no resource", {"url": f"{URL}?api-version=2018-02-01"}, 400, "invalid_request", "resource"),
    (
        "empty resource",
        {"url": f"{URL}?api-version=2018-02-01&resource="},
        400,
        "invalid_request",
        "resource",
    ),
    ("another path", {"url": "http://h/metadata/other" + QUERY}, 404, "not_found", "path"),
    ("another method", {"method": "POST"}, 405, "method_not_allowed", "GET"),
]


@pytest.mark.parametrize(
    ("wrong", "status", "error", "words"), [pytest.param(*row[1:], id=row[0]) for row in WRONG]
)
def test_a_wrong_request_is_refused_before_it_costs_anything(
    play: "Play", wrong: dict[str, Any], status: int, error: str, words: str
) -> None:
    async def body(stage: "Stage") -> None:
        identity = _identity(stage)
        response = await _ask(stage, identity, **wrong)
        fields = _fields(response)
        assert (response.status, fields["error"]) == (status, error)
        assert words in fields["error_description"]
        assert (identity.station.queue_s(), stage.passed_s) == (0.0, 0.0)

    play(body)


def test_an_answer_says_how_much_work_was_behind_it(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        response = await _ask(stage, _identity(stage, rate_per_s=0.125))
        assert response.headers[WORK_HEADER] == "8.000"

    play(body)


def test_a_full_service_says_so(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        identity = _identity(stage, queue_s_max=3.0)
        await stage.crowd(identity.station, 4)
        response = await _ask(stage, identity)
        assert (response.status, _fields(response)["error"]) == (503, "service_unavailable")
        assert "retry-after" not in response.headers
        assert identity.issued == 0

    play(body)


@pytest.mark.parametrize(("waiting", "retry_after"), [(3, "1"), (33, "31")])
def test_admission_says_when_to_come_back_in_whole_seconds(
    play: "Play", waiting: int, retry_after: str
) -> None:
    async def body(stage: "Stage") -> None:
        admission = Admission(wait_s_max=2.0, retry_s_min=0.1)
        identity = _identity(stage, chance=stage.chance(0.0))
        await stage.crowd(identity.station, waiting)
        identity.station.admission = admission
        response = await _ask(stage, identity)
        assert (response.status, _fields(response)["error"]) == (429, "too_many_requests")
        assert response.headers["retry-after"] == retry_after

    play(body)


def test_a_call_that_is_lost_in_a_crash_gets_a_bad_gateway(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        identity = _identity(stage, crash_after_s=1.0)
        await stage.crowd(identity.station, 40)
        lost = stage.start(_ask(stage, identity))
        await stage.until(2.0)
        await stage.crowd(identity.station, 1)
        response = await lost
        assert (response.status, _fields(response)["error"]) == (502, "bad_gateway")

    play(body)
