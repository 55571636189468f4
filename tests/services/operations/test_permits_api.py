"""Permits over HTTP: who may ask, what they are told, and that no permit is lost on the way."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from random import Random
from typing import Any

import pytest
from jsonschema import validate  # type: ignore[import-untyped]  # it ships no types

from surgetank.control.breaker import BreakerPolicy
from surgetank.control.governor import GovernorPolicy
from surgetank.core.errors import InvalidInputError
from surgetank.core.http import Request, Response
from surgetank.core.route import Routes, Schema
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Refusal
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.safeguards.operations.permits import GovernedPermits
from surgetank.safeguards.operations.permits_api import (
    BODY_BYTES_MAX,
    NAME_CHARACTERS_MAX,
    WAIT_S_MAX,
    PermitsApi,
    PermitsApiPolicy,
)

JSON = {"content-type": "application/json"}
VM = "vm@eastus"
POLICY = GovernorPolicy(breaker=BreakerPolicy(failure_limit=3, probe_limit=1, open_s=10.0))
FAULT = Outcome(OutcomeKind.TRANSIENT)


@dataclass
class Desk:
    """The API over real governors in virtual time."""

    clock: VirtualClock
    permits: GovernedPermits
    api: PermitsApi
    routes: Routes

    async def ask(self, method: str, path: str, body: object = None) -> Response:
        """Ask as a server would, and take what is told."""
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        response = await self.routes.handle(Request(method, "here", path, "", JSON, raw))
        if response.chunks is None:
            return response
        pieces = [piece async for piece in response.chunks]
        return response._replace(body=b"".join(pieces), chunks=None)

    async def take(self, **more: Any) -> str:
        """Take a permit, and give its name."""
        answer = await self.ask("POST", "/v1/permits", {"dependency": VM, **more})
        assert answer.status == 200, answer
        permit_id: str = json.loads(answer.body)["id"]
        return permit_id

    async def end(self, permit_id: str, **outcome: Any) -> int:
        answer = await self.ask("POST", f"/v1/permits/{permit_id}/outcome", outcome)
        return answer.status

    def open_breaker(self) -> None:
        for _ in range(3):
            given = self.permits.ask([Dependency(VM)], lane=Lane.FRESH)
            assert not isinstance(given, Refusal)
            self.permits.report(given[0], FAULT)

    def in_flight(self) -> int:
        return self.permits.views()[Dependency(VM)].in_flight


Play = Callable[..., None]


@pytest.fixture
def play() -> Play:
    """Play a coroutine in virtual time: it is handed a desk."""

    def play(main: Callable[[Desk], Coroutine[Any, Any, None]], **limits: Any) -> None:
        async def whole(loop: VirtualLoop) -> None:
            clock = VirtualClock(loop)
            permits = GovernedPermits(default=POLICY, clock=clock, chance=Random(1))
            numbers: Iterator[int] = count()
            api = PermitsApi(
                permits,
                clock=clock,
                new_id=lambda: f"p{next(numbers)}",
                policy=PermitsApiPolicy(**limits),
            )
            await main(Desk(clock, permits, api, Routes(api.routes(), now=clock.now)))

        run(whole, start_at=1_000.0)

    return play


def problem(answer: Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(answer.body)
    assert document["status"] == answer.status
    return document


def alone(schema: Schema) -> dict[str, object]:
    """A schema with what it names where a whole document has it."""
    return {**schema, "components": {"schemas": schema.get("$defs", {})}}


def test_a_permit_is_given_and_its_call_counts_until_it_ends(play: Play) -> None:
    async def main(desk: Desk) -> None:
        permit_id = await desk.take()
        assert desk.in_flight() == 1
        assert await desk.end(permit_id, kind="ok") == 204
        assert (desk.in_flight(), desk.api.open) == (0, 0)

    play(main)


def test_outcomes_over_http_open_the_breaker_for_everybody(play: Play) -> None:
    async def main(desk: Desk) -> None:
        for _ in range(3):
            await desk.end(await desk.take(), kind="transient", detail="500")
        answer = await desk.ask("POST", "/v1/permits", {"dependency": VM})
        told = problem(answer)
        assert (answer.status, told["code"]) == (429, "breaker_open")
        assert told["retry_at"] == desk.clock.now() + told["retry_after_s"]
        assert answer.headers["retry-after"] == "10"

    play(main)


def test_what_a_dependency_asked_for_holds_the_backlog_until_then(play: Play) -> None:
    async def main(desk: Desk) -> None:
        await desk.end(await desk.take(), kind="throttled", retry_after_s=7)
        answer = await desk.ask("POST", "/v1/permits", {"dependency": VM, "lane": "backlog"})
        told = problem(answer)
        assert (told["code"], told["retry_after_s"]) == ("release_held", 7.0)

    play(main)


def test_a_request_waits_for_leave_until_it_comes(play: Play) -> None:
    async def main(desk: Desk) -> None:
        desk.open_breaker()
        before = desk.clock.now()
        await desk.take(wait_s=WAIT_S_MAX)
        assert desk.clock.now() - before == pytest.approx(10.0)

    play(main)


def test_a_request_does_not_wait_for_what_cannot_come_in_time(play: Play) -> None:
    async def main(desk: Desk) -> None:
        desk.open_breaker()
        before = desk.clock.now()
        answer = await desk.ask("POST", "/v1/permits", {"dependency": VM, "wait_s": 9})
        assert (answer.status, desk.clock.now()) == (429, before)

    play(main)


def test_past_the_limit_of_waiting_requests_nobody_waits(play: Play) -> None:
    async def main(desk: Desk) -> None:
        desk.open_breaker()
        waiting = asyncio.create_task(desk.take(wait_s=WAIT_S_MAX))
        await desk.clock.sleep_until(desk.clock.now() + 1.0)
        before = desk.clock.now()
        answer = await desk.ask("POST", "/v1/permits", {"dependency": VM, "wait_s": WAIT_S_MAX})
        assert (answer.status, desk.clock.now()) == (429, before)
        await waiting

    play(main, waiting_max=1)


def test_a_permit_that_nobody_was_told_of_is_given_back(play: Play) -> None:
    async def main(desk: Desk) -> None:
        body = json.dumps({"dependency": VM}).encode()
        request = Request("POST", "here", "/v1/permits", "", JSON, body)
        response = await desk.routes.handle(request)
        chunks: Any = response.chunks
        assert await anext(chunks)
        assert desk.in_flight() == 1
        await chunks.aclose()
        assert (desk.in_flight(), desk.api.open) == (0, 0)

    play(main)


def test_the_same_end_twice_is_one_end(play: Play) -> None:
    async def main(desk: Desk) -> None:
        permit_id = await desk.take()
        told = {"kind": "transient", "detail": "500"}
        assert [await desk.end(permit_id, **told) for _ in range(4)] == [204] * 4
        await desk.take()  # four failures would have opened the breaker

    play(main)


def test_another_end_is_a_conflict(play: Play) -> None:
    async def main(desk: Desk) -> None:
        permit_id = await desk.take()
        await desk.end(permit_id, kind="ok")
        answer = await desk.ask("DELETE", f"/v1/permits/{permit_id}")
        assert (answer.status, problem(answer)["code"]) == (409, "conflict")

    play(main)


def test_a_permit_may_be_given_back_twice(play: Play) -> None:
    async def main(desk: Desk) -> None:
        permit_id = await desk.take()
        path = f"/v1/permits/{permit_id}"
        assert [(await desk.ask("DELETE", path)).status for _ in range(2)] == [204, 204]
        assert desk.in_flight() == 0

    play(main)


def test_a_permit_that_is_never_ended_counts_as_lost(play: Play) -> None:
    async def main(desk: Desk) -> None:
        permit_id = await desk.take()
        await desk.clock.sleep_until(desk.clock.now() + 60.0)
        assert await desk.end(permit_id, kind="ok") == 404
        assert (desk.api.lost, desk.api.open) == (1, 0)

    play(main, open_s=60.0)


def test_the_oldest_end_is_forgotten_at_the_limit(play: Play) -> None:
    async def main(desk: Desk) -> None:
        first, second = await desk.take(), await desk.take()
        for permit_id in (first, second):
            await desk.end(permit_id, kind="ok")
        ends = [await desk.end(permit_id, kind="ok") for permit_id in (first, second)]
        assert ends == [404, 204]

    play(main, ended_max=1)


def test_more_open_permits_than_the_limit_are_refused(play: Play) -> None:
    async def main(desk: Desk) -> None:
        await desk.take()
        answer = await desk.ask("POST", "/v1/permits", {"dependency": VM})
        assert (answer.status, problem(answer)["code"]) == (429, "queue_full")
        assert desk.in_flight() == 1

    play(main, open_max=1)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"", "dependency"),
        (b"{", "JSON"),
        (b"[]", "the body"),
        ({"dependency": "vm"}, "dependency"),
        ({"dependency": "v m@eastus"}, "dependency"),
        ({"dependency": "v" * NAME_CHARACTERS_MAX + "@eastus"}, "dependency"),
        ({"dependency": VM, "lane": "slow"}, "lane"),
        ({"dependency": VM, "wait_s": WAIT_S_MAX + 1}, "wait_s"),
        ({"dependency": VM, "wait_s": "5"}, "wait_s"),
        ({"dependency": VM, "wait": 5}, "wait"),
        (b" " * (BODY_BYTES_MAX + 1), str(BODY_BYTES_MAX)),
    ],
)
def test_a_body_that_cannot_be_used_is_named(play: Play, body: object, names: str) -> None:
    async def main(desk: Desk) -> None:
        answer = await desk.ask("POST", "/v1/permits", body)
        told = problem(answer)
        assert (answer.status, told["code"]) == (400, "invalid_input")
        assert names in told["detail"]

    play(main)


def test_what_is_asked_and_told_is_as_the_routes_describe_it(play: Play) -> None:
    async def main(desk: Desk) -> None:
        ask, report, _ = desk.api.routes()
        wanted = {"dependency": VM, "lane": "backlog", "retry": False, "wait_s": 1.5}
        told = {"kind": "throttled", "detail": "429", "retry_after_s": 3.5}
        answer = await desk.ask("POST", ask.path, wanted)
        given = json.loads(answer.body)
        ended = await desk.ask("POST", report.path.replace("{id}", given["id"]), told)
        assert (answer.status, ended.status) == (200, 204)
        validate(wanted, alone(ask.body))
        validate(given, alone(ask.answers[HTTPStatus.OK]))
        validate(told, alone(report.body))

    play(main)


@pytest.mark.parametrize("limits", [{"open_max": 0}, {"ended_max": 0}, {"open_s": 0.0}])
def test_limits_out_of_range_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        PermitsApiPolicy(**limits)
