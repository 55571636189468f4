"""The http action: requests, answers, and long-running operations that are followed to their end."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.core.errors import DependencyError, DependencyTimeoutError, InvalidInputError
from surgetank.core.http import Request, Response, Timeouts
from surgetank.core.operation import OperationId
from surgetank.core.value import Dependency, OutcomeKind
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.safeguards.operations.action import ActionResult, StepCall
from surgetank.safeguards.operations.http_action import (
    CODES_MAX,
    HEADERS_MAX,
    HttpAction,
    HttpActionPolicy,
)

URL = "http://management.eastus/subscriptions/s/virtualMachines/vm1?api-version=1"
POLL = "http://management.eastus/operations/7"
ACCEPTED = Response(201, {"azure-asyncoperation": POLL})
IN_PROGRESS = Response(200, {}, b'{"status": "InProgress"}')
SUCCEEDED = Response(200, {}, b'{"status": "Succeeded"}')
LOST = DependencyTimeoutError("no answer", may_have_acted=True)
DATE, IN_17_S = "Mon, 02 Feb 2026 18:03:00 GMT", "Mon, 02 Feb 2026 18:03:17 GMT"
Said = Response | DependencyError


@dataclass
class Client:
    """Answers from a list; `held_s` is how long a poll that asks for it is held."""

    clock: VirtualClock
    answers: list[Said]
    held_s: float = 0.0
    requests: list[Request] = field(default_factory=list[Request])
    times: list[float] = field(default_factory=list[float])

    async def send(
        self, request: Request, *, timeouts: Timeouts, body_bytes_max: int = 1 << 20
    ) -> Response:
        del timeouts, body_bytes_max
        self.requests.append(request)
        self.times.append(self.clock.now())
        if self.held_s and "prefer" in request.headers:
            await self.clock.sleep_until(self.clock.now() + self.held_s)
        answer = self.answers.pop(0)
        if isinstance(answer, DependencyError):
            raise answer
        return answer

    def stream(self, request: Request, *, timeouts: Timeouts) -> Any:
        raise NotImplementedError


@dataclass
class Played:
    """What came of one call."""

    result: ActionResult
    client: Client
    saved: list[str]


def play(
    *answers: Said,
    arguments: dict[str, Any] | str | None = None,
    checkpoint: str = "",
    held_s: float = 0.0,
    **limits: Any,
) -> Played:
    async def main(loop: VirtualLoop) -> Played:
        clock = VirtualClock(loop)
        client = Client(clock, list(answers), held_s)
        action = HttpAction(client=client, clock=clock, policy=HttpActionPolicy(**limits))
        saved = list[str]()

        async def save(text: str) -> None:
            assert len(client.requests) == len(saved) + 1, "saved before it is polled"
            saved.append(text)

        given = {"method": "PUT", "url": URL} if arguments is None else arguments
        text = given if isinstance(given, str) else json.dumps(given)
        call = StepCall(
            OperationId("0123"), "vm", Dependency("compute@eastus"), text, checkpoint, save
        )
        return Played(await action(call), client, saved)

    return run(main)


def failed(*codes: str, status: int = 200) -> Response:
    details = [{"code": code} for code in codes[1:]]
    error = {"code": codes[0], "message": "no", "details": details}
    return Response(status, {}, json.dumps({"status": "Failed", "error": error}).encode())


def test_sends_what_the_arguments_say_and_names_the_call() -> None:
    played = play(
        Response(200),
        arguments={"method": "PUT", "url": URL, "headers": {"X-A": "b"}, "body": {"a": 1}},
    )
    (request,) = played.client.requests
    assert (request.method, request.url, request.body) == ("PUT", URL, b'{"a": 1}')
    assert request.headers == {
        "x-a": "b",
        "content-type": "application/json",
        "x-ms-client-request-id": "0123-vm",
    }
    assert played.result.outcome.kind is OutcomeKind.OK


def test_a_text_body_is_sent_as_it_is() -> None:
    played = play(Response(204), arguments={"method": "POST", "url": URL, "body": "<a/>"})
    assert played.client.requests[0].body == b"<a/>"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("no json", "arguments: Invalid JSON"),
        ("[]", "arguments: Input should be an object"),
        ("{}", "url: Field required"),
        ({"url": "ftp://x"}, "not an absolute http(s) URL"),
        ({"url": URL, "urls": 1}, "urls = 1: Extra inputs are not permitted"),
        ({"url": URL, "method": "put"}, "method: String should match"),
        ({"url": URL, "headers": 1}, "headers = 1: Input should be an object"),
        ({"url": URL, "headers": {"a": 1}}, "headers.a = 1: Input should be a valid string"),
        ({"url": URL, "headers": {"a b": ""}}, "headers.a b.[key]: String should match"),
        ({"url": URL, "headers": {"a": "b\r\nc: d"}}, "headers.a: String should match"),
        (
            {"url": URL, "headers": {f"a{n}": "" for n in range(HEADERS_MAX + 1)}},
            "headers: Dictionary should have at most 64 items",
        ),
        ({"url": URL, "outcomes": {"status": {"99": "ok"}}}, "outcomes.status.99.[key]: Input"),
        ({"url": URL, "outcomes": {"status": {"404": "fine"}}}, "outcomes.status.404: Input"),
        (
            {"url": URL, "outcomes": {"code": {f"C{n}": "ok" for n in range(CODES_MAX + 1)}}},
            "outcomes.code: Dictionary should have at most 64 items",
        ),
    ],
)
def test_arguments_that_cannot_be_used_are_permanent_and_say_why(
    arguments: dict[str, Any] | str, said: str
) -> None:
    played = play(arguments=arguments)
    assert (played.result.outcome.kind, played.client.requests) == (OutcomeKind.PERMANENT, [])
    assert played.result.outcome.detail.startswith(said)


@pytest.mark.parametrize(
    ("answer", "kind", "may_have_acted"),
    [
        (Response(404), OutcomeKind.PERMANENT, False),
        (Response(408), OutcomeKind.TRANSIENT, False),
        (failed("AllocationFailed", status=409), OutcomeKind.TRANSIENT, False),
        (Response(400, {}, b'{"code": "TooManyRequests"}'), OutcomeKind.THROTTLED, False),
        (Response(403, {}, b'{"error": "invalid_request"}'), OutcomeKind.PERMANENT, False),
        (Response(429), OutcomeKind.THROTTLED, False),
        (Response(500), OutcomeKind.TRANSIENT, True),
        (
            Response(409, {"x-ms-error-code": "PublicAccessNotPermitted"}, b"<Error/>"),
            OutcomeKind.BLOCKED,
            False,
        ),
        (failed("Outer", "RequestDisallowedByPolicy", status=400), OutcomeKind.BLOCKED, False),
        (LOST, OutcomeKind.TIMEOUT, True),
        (DependencyError("refused", may_have_acted=False), OutcomeKind.TRANSIENT, False),
    ],
)
def test_an_answer_says_what_trying_again_would_do(
    answer: Said, kind: OutcomeKind, *, may_have_acted: bool
) -> None:
    result = play(answer).result
    assert (result.outcome.kind, result.may_have_acted) == (kind, may_have_acted)


@pytest.mark.parametrize(
    ("headers", "retry_at"),
    [
        ({"retry-after": "17"}, 17.0),
        ({"retry-after": "99999"}, 3600.0),
        ({"retry-after": IN_17_S, "date": DATE}, 17.0),
        ({"retry-after": DATE, "date": IN_17_S}, 0.0),
        ({"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT", "date": DATE}, 3600.0),
        ({"retry-after": IN_17_S}, None),
        ({"retry-after": IN_17_S, "date": "soon"}, None),
        ({"retry-after": "Mon, 45 Feb 2026 25:00:00 GMT", "date": DATE}, None),
        ({"retry-after": "-3"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_an_instant(headers: dict[str, str], retry_at: float | None) -> None:
    outcome = play(Response(503, headers)).result.outcome
    assert (outcome.kind, outcome.retry_at) == (OutcomeKind.THROTTLED, retry_at)


@given(st.text(), st.text())
def test_a_retry_after_of_any_words_is_an_instant_or_none(after: str, date: str) -> None:
    retry_at = play(Response(503, {"retry-after": after, "date": date})).result.outcome.retry_at
    assert retry_at is None or 0.0 <= retry_at <= 3600.0


OWN = {"code": {"Frozen": "blocked", "Known": "ok"}, "status": {"404": "ok", "409": "transient"}}


@pytest.mark.parametrize(
    ("answer", "kind", "may_have_acted"),
    [
        (Response(404), OutcomeKind.OK, False),
        (Response(409), OutcomeKind.TRANSIENT, False),
        (failed("Frozen", status=409), OutcomeKind.BLOCKED, False),
        (failed("ScopeLocked", status=409), OutcomeKind.TRANSIENT, False),
        (Response(400, {"x-ms-error-code": "Known"}), OutcomeKind.OK, False),
        (Response(429), OutcomeKind.THROTTLED, False),
        (Response(500), OutcomeKind.TRANSIENT, True),
    ],
)
def test_the_arguments_say_what_codes_and_statuses_of_their_call_mean(
    answer: Response, kind: OutcomeKind, *, may_have_acted: bool
) -> None:
    result = play(answer, arguments={"method": "PUT", "url": URL, "outcomes": OWN}).result
    assert (result.outcome.kind, result.may_have_acted) == (kind, may_have_acted)


def test_what_the_arguments_call_a_time_out_may_have_acted() -> None:
    outcomes = {"status": {"409": "timeout"}}
    result = play(Response(409), arguments={"url": URL, "outcomes": outcomes}).result
    assert (result.outcome.kind, result.may_have_acted) == (OutcomeKind.TIMEOUT, True)


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        (("VMExtensionProvisioningError", "Frozen"), OutcomeKind.BLOCKED),
        (("Known",), OutcomeKind.OK),
        (("Unheard",), OutcomeKind.PERMANENT),
    ],
)
def test_the_arguments_say_what_codes_of_a_failed_operation_mean(
    codes: tuple[str, ...], kind: OutcomeKind
) -> None:
    outcomes = {**OWN, "status": {"200": "transient", "201": "ok"}}
    arguments = {"method": "PUT", "url": URL, "outcomes": outcomes}
    assert play(ACCEPTED, failed(*codes), arguments=arguments).result.outcome.kind is kind


def test_what_the_arguments_say_of_statuses_is_not_said_of_polls() -> None:
    arguments = {"method": "PUT", "url": URL, "outcomes": {"status": {"500": "ok"}}}
    played = play(ACCEPTED, Response(500), arguments=arguments, poll_failures_max=1)
    assert (played.result.outcome.kind, played.result.checkpoint) == (
        OutcomeKind.TRANSIENT, played.saved[0],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("accepted", "polls", "polled"),
    [
        (ACCEPTED, [IN_PROGRESS, SUCCEEDED], POLL),
        (Response(202, {"location": POLL}), [Response(202), Response(200)], POLL),
        (
            Response(201, {}, b'{"properties": {"provisioningState": "Creating"}}'),
            [
                Response(200, {}, b'{"properties": {"provisioningState": "Updating"}}'),
                Response(200, {}, b'{"properties": {"provisioningState": "Succeeded"}}'),
            ],
            URL,
        ),
    ],
)
def test_follows_a_long_running_operation(
    accepted: Response, polls: list[Response], polled: str
) -> None:
    played = play(accepted, *polls)
    assert played.result.outcome.kind is OutcomeKind.OK
    assert [request.url for request in played.client.requests[1:]] == [polled, polled]
    assert len(played.saved) == 1


def test_an_address_to_poll_may_be_relative_and_change() -> None:
    played = play(
        Response(202, {"location": "/operations/7"}),
        Response(202, {"location": "8?api-version=1"}),
        Response(202),
        Response(200),
    )
    assert played.result.outcome.kind is OutcomeKind.OK
    moved = "http://management.eastus/operations/8?api-version=1"
    assert [request.url for request in played.client.requests[1:]] == [POLL, moved, moved]
    assert [json.loads(each)[0] for each in played.saved] == [POLL, moved]
    assert played.result.checkpoint == played.saved[-1]


def test_follows_an_operation_location() -> None:
    played = play(Response(202, {"operation-location": POLL}), IN_PROGRESS, SUCCEEDED)
    assert played.result.outcome.kind is OutcomeKind.OK
    assert played.client.requests[-1].url == POLL


def test_who_ignores_prefer_is_polled_every_thirty_seconds() -> None:
    played = play(ACCEPTED, IN_PROGRESS, IN_PROGRESS, SUCCEEDED)
    assert played.client.times == [0, 0, 30, 60]


def test_retry_after_paces_polls() -> None:
    paced = IN_PROGRESS._replace(headers={"retry-after": "5"})
    assert play(ACCEPTED, paced, paced, SUCCEEDED).client.times == [0, 0, 5, 10]


def test_a_retry_after_of_nothing_does_not_spin() -> None:
    hasty = IN_PROGRESS._replace(headers={"retry-after": "0"})
    assert play(ACCEPTED, hasty, hasty, SUCCEEDED).client.times == [0, 0, 1, 2]


def test_who_holds_polls_is_asked_again_at_once() -> None:
    played = play(ACCEPTED, IN_PROGRESS, SUCCEEDED, held_s=200)
    assert played.client.times == [0, 0, 200]
    assert played.client.requests[1].headers["prefer"] == "wait=300"


def test_without_waiting_the_first_poll_comes_after_the_pause() -> None:
    played = play(ACCEPTED, SUCCEEDED, wait_s=0)
    assert played.client.times == [0, 30]
    assert "prefer" not in played.client.requests[1].headers


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (failed("VMExtensionProvisioningError"), OutcomeKind.TRANSIENT),
        (
            failed("VMExtensionProvisioningError", "PublicAccessNotPermitted"),
            OutcomeKind.BLOCKED,
        ),
        (failed("NeverHeardOf"), OutcomeKind.PERMANENT),
        (Response(200, {}, b'{"status": "Canceled"}'), OutcomeKind.PERMANENT),
    ],
)
def test_a_failed_operation_answers_200_and_another_try_is_another_call(
    end: Response, kind: OutcomeKind
) -> None:
    result = play(ACCEPTED, end).result
    assert result.outcome.kind is kind
    assert (result.checkpoint, result.may_have_acted) == ("", False)


def test_a_polled_location_that_refuses_is_the_end() -> None:
    played = play(Response(202, {"location": POLL}), failed("QuotaExceeded", status=409))
    assert played.result.outcome.kind is OutcomeKind.PERMANENT


def test_a_lost_poll_is_asked_again() -> None:
    played = play(ACCEPTED, LOST, Response(500), Response(403), SUCCEEDED)
    assert played.result.outcome.kind is OutcomeKind.OK


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (LOST, OutcomeKind.TIMEOUT),
        (Response(403), OutcomeKind.TRANSIENT),
        (Response(429), OutcomeKind.THROTTLED),
    ],
)
def test_polls_that_go_unanswered_leave_the_operation_to_be_followed_later(
    said: Said, kind: OutcomeKind
) -> None:
    played = play(ACCEPTED, said, said, said, poll_failures_max=3)
    assert played.result.outcome.kind is kind
    assert played.result.checkpoint == played.saved[0]
    assert not played.result.may_have_acted


def test_a_checkpoint_is_followed_instead_of_another_call() -> None:
    saved = play(ACCEPTED, SUCCEEDED).saved[0]
    played = play(SUCCEEDED, checkpoint=saved)
    assert [(each.method, each.url) for each in played.client.requests] == [("GET", POLL)]
    assert played.result.outcome.kind is OutcomeKind.OK


def test_an_operation_that_the_other_side_forgot_may_have_been_done() -> None:
    result = play(ACCEPTED, Response(404)).result
    assert (result.outcome.kind, result.may_have_acted) == (OutcomeKind.TRANSIENT, True)
    assert result.checkpoint == ""


def test_an_operation_is_followed_no_longer_than_poll_s_max() -> None:
    played = play(ACCEPTED, *[IN_PROGRESS] * 9, poll_s_max=100.0)
    assert played.result.outcome.kind is OutcomeKind.TIMEOUT
    assert played.client.times == [0, 0, 30, 60, 90]
    assert played.result.checkpoint


def test_an_address_that_cannot_be_polled_is_not_polled() -> None:
    for nowhere in ("ftp://management.eastus/7", "http://[7"):
        accepted = Response(201, {"azure-asyncoperation": nowhere})
        result = play(accepted, poll_failures_max=1).result
        assert (result.outcome.kind, result.may_have_acted) == (OutcomeKind.TRANSIENT, False)
    address = "http://" + "x" * 5_000
    long = Response(201, {"azure-asyncoperation": address})
    assert play(long).result.outcome.kind is OutcomeKind.PERMANENT
    longer = Response(202, {"location": address})
    assert (
        play(Response(202, {"location": POLL}), longer).result.outcome.kind is OutcomeKind.PERMANENT
    )


def test_nested_errors_are_read_to_a_depth() -> None:
    error: dict[str, Any] = {"code": "PublicAccessNotPermitted"}
    shallow: dict[str, Any] = {"code": "Outer", "innererror": error}
    assert play(Response(400, {}, _body(shallow))).result.outcome.kind is OutcomeKind.BLOCKED
    for _ in range(20):
        error = {"code": "Outer", "innererror": error}
    assert play(Response(400, {}, _body(error))).result.outcome.kind is OutcomeKind.PERMANENT


def _body(error: dict[str, Any]) -> bytes:
    return json.dumps({"error": error}).encode()


@pytest.mark.parametrize(
    "wrong", [{"poll_s": 0}, {"poll_s_max": 0}, {"wait_s": -1}, {"poll_failures_max": 0}]
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        HttpActionPolicy(**wrong)
