"""What clients get from a broker: at once a token, or soon the reason why not."""

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from surgetank.core.http import Request, Response
from surgetank.core.value import Lane, OutcomeKind, Refusal
from surgetank.runtime.simulation.link import Link

if TYPE_CHECKING:
    from tests.services.broker.conftest import World

Play = Callable[..., None]
HOST, PATH = "169.254.169.254", "/metadata/identity/oauth2/token"
DAY_S = 86_400
TIMES = ("expires_in", "ext_expires_in")


def _fields(response: Response) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(response.body)
    return fields


def test_speaks_as_the_metadata_service_does(play: Play) -> None:
    async def body(world: "World") -> None:
        await world.ask()
        await world.wait(100.5)
        response = await world.ask()
        now = int(world.clock.now()) - 100
        assert response.status == 200
        assert _fields(response) == {
            "access_token": "secret-1",
            "client_id": "c",
            "expires_in": str(DAY_S - 101),
            "expires_on": str(now + DAY_S),
            "ext_expires_in": str(DAY_S - 101),
            "not_before": str(now),
            "resource": "r",
            "token_type": "Bearer",
        }
        sent = world.issuer.requests[0]
        assert (sent.headers["metadata"], sent.query) == (
            "true",
            "api-version=2018-02-01&resource=r",
        )

    play(body)


def test_a_convoy_of_500_costs_one_fetch(play: Play) -> None:
    async def body(world: "World") -> None:
        world.issuer.delay_s = 2.0
        tokens = await asyncio.gather(*(world.token() for _ in range(500)))
        assert set(tokens) == {"secret-1"}
        assert len(world.issuer.requests) == 1

    play(body)


def test_each_identity_and_resource_has_its_own_token(play: Play) -> None:
    async def body(world: "World") -> None:
        queries = ["resource=r", "resource=r/", "resource=r&client_id=a", "resource=r&object_id=a"]
        tokens = [await world.token(query) for query in queries]
        assert len(set(tokens)) == 4
        assert [await world.token(query) for query in queries] == tokens
        alias = await world.token("resource=r&mi_res_id=%2Fx")
        assert await world.token("resource=r&msi_res_id=%2Fx") == alias

    play(body)


def test_a_token_is_replaced_in_the_background_early_in_its_life(play: Play) -> None:
    async def body(world: "World") -> None:
        await world.token()
        await world.wait(0.5 * DAY_S - 1)
        assert len(world.issuer.requests) == 1
        await world.wait(0.1 * DAY_S + 2)
        assert len(world.issuer.requests) == 2
        assert await world.token() == "secret-2"
        assert world.permits.asked == [(Lane.FRESH, False), (Lane.BACKLOG, False)]

    play(body)


def test_an_idle_broker_is_not_stepped(play: Play) -> None:
    async def body(world: "World") -> None:
        await world.wait(1e6)
        assert world.steps == 1
        await world.token()
        await world.wait(1)
        assert world.steps == 2

    play(body)


def test_a_token_nobody_asks_for_is_left_to_expire(play: Play) -> None:
    async def body(world: "World") -> None:
        await world.token()
        await world.wait(2 * DAY_S)
        assert len(world.issuer.requests) == 1
        assert not world.broker.held()

    play(body, idle_s=3_600.0)


def test_serves_its_token_through_an_outage_of_eleven_hours(play: Play) -> None:
    async def body(world: "World") -> None:
        await world.token()
        await world.wait(0.5 * DAY_S)
        world.issuer.fail(500)
        for _ in range(11):
            await world.wait(3_600)
            asked_at = world.clock.now()
            assert await world.token() == "secret-1"
            assert world.clock.now() == asked_at
        world.issuer.script = None
        await world.wait(121)
        assert await world.token() != "secret-1"

    play(body)


def test_an_outage_is_logged_when_it_begins_and_when_it_ends_without_the_token(play: Play) -> None:
    async def body(world: "World") -> None:
        with capture_logs() as logs:
            await world.token()
            world.issuer.fail(500)
            await world.wait(0.7 * DAY_S)
            world.issuer.script = None
            await world.wait(121)
        events = ["broker.refresh_failed", "broker.refresh_recovered"]
        assert [log["event"] for log in logs] == events
        assert "secret" not in repr(logs)

    play(body)


def test_tries_of_an_outage_are_spaced_by_capped_backoff(play: Play) -> None:
    async def body(world: "World") -> None:
        await world.token()
        world.issuer.fail(500)
        await world.wait(0.6 * DAY_S)
        before = len(world.issuer.requests)
        await world.wait(6 * 3_600)
        tries = len(world.issuer.requests) - before
        assert 240 < tries < 480  # One a minute: full jitter below two minutes.
        assert world.permits.asked[-1] == (Lane.BACKLOG, True)

    play(body)


def test_a_refresh_becomes_fresh_work_when_the_end_is_near(play: Play) -> None:
    async def body(world: "World") -> None:
        await world.token()
        world.issuer.fail(500)
        await world.wait(DAY_S - 1_801)
        before = len(world.permits.asked)
        await world.wait(600)
        lanes = [lane for lane, _ in world.permits.asked]
        assert set(lanes[1:before]) == {Lane.BACKLOG}
        assert set(lanes[before:]) == {Lane.FRESH}

    play(body)


def test_hands_a_token_out_until_its_margin_and_not_after(play: Play) -> None:
    async def body(world: "World") -> None:
        await world.token()
        world.issuer.fail(500)
        await world.wait(DAY_S - 31)
        assert _fields(await world.ask())["expires_in"] == "31"
        await world.wait(2)
        assert (await world.ask()).status == 500

    play(body)


def test_after_expiry_nothing_is_tried_until_somebody_asks(play: Play) -> None:
    async def body(world: "World") -> None:
        await world.token()
        world.issuer.fail(500)
        await world.wait(DAY_S + 200)
        before = len(world.issuer.requests)
        await world.wait(3_600)
        assert len(world.issuer.requests) == before
        await world.ask()
        assert len(world.issuer.requests) == before + 1

    play(body)


def test_a_leap_of_the_clock_past_expiry_fetches_anew(play: Play) -> None:
    async def body(world: "World") -> None:
        await world.token()
        at = await world.broker.step(world.clock.now() + 3 * DAY_S)
        assert at is None
        assert await world.token() == "secret-2"

    play(body)


def test_a_hanging_issuer_costs_a_client_answer_s_and_the_late_token_is_kept(play: Play) -> None:
    async def body(world: "World") -> None:
        world.issuer.delay_s = 8.0
        asked_at = world.clock.now()
        response = await world.ask()
        assert world.clock.now() - asked_at == 5.0
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        assert _fields(response)["error"] == "temporarily_unavailable"
        await world.wait(3)
        assert await world.token() == "secret-1"
        assert world.broker.counts.late == 1

    play(body)


def test_a_fetch_that_never_ends_is_given_up(play: Play) -> None:
    async def body(world: "World") -> None:
        world.issuer.delay_s = 1e6
        await world.ask()
        await world.wait(11)
        assert world.permits.reports[-1].kind is OutcomeKind.TIMEOUT
        assert (await world.ask()).status in (503, 504)

    play(body)


def test_the_first_client_may_leave_without_the_others_losing_the_fetch(play: Play) -> None:
    async def body(world: "World") -> None:
        world.issuer.delay_s = 2.0
        first = asyncio.create_task(world.ask())
        await world.wait(1)
        second = asyncio.create_task(world.token())
        await world.wait(0.5)
        first.cancel()
        assert await second == "secret-1"

    play(body)


@pytest.mark.parametrize("status", [404, 410, 429, 500, 503])
def test_a_cold_client_gets_the_issuers_error_and_is_told_when_to_come_back(
    play: Play, status: int
) -> None:
    async def body(world: "World") -> None:
        world.issuer.fail(status, "busy", retry_after="17")
        first, second = await world.ask(), await world.ask()
        assert (first.status, _fields(first)["error"]) == (status, "busy")
        assert second == first
        assert len(world.issuer.requests) == 1

    play(body)


def test_the_issuers_retry_after_is_obeyed_and_passed_on(play: Play) -> None:
    async def body(world: "World") -> None:
        world.issuer.fail(429, retry_after="17")
        assert (await world.ask()).headers["retry-after"] == "17"
        await world.wait(10)
        assert (await world.ask()).headers["retry-after"] == "7"
        world.issuer.script = None
        await world.wait(7)
        assert await world.token() == "secret-2"

    play(body)


@pytest.mark.parametrize("status", [400, 403])
def test_what_retrying_cannot_help_is_repeated_for_a_short_while(play: Play, status: int) -> None:
    async def body(world: "World") -> None:
        world.issuer.fail(status, "invalid_request")
        first = await world.ask()
        assert (first.status, "retry-after" in first.headers) == (status, False)
        await world.wait(9.9)
        assert await world.ask() == first
        assert len(world.issuer.requests) == 1
        await world.wait(0.2)
        await world.ask()
        assert len(world.issuer.requests) == 2

    play(body)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html/>",
        b"[]",
        b"[" * 60_000,
        b'{"access_token": ""}',
        b'{"access_token": "t"}',
        b'{"access_token": "t", "expires_in": "-1"}',
        b'{"access_token": "t", "expires_in": "NaN"}',
        b'{"access_token": "t", "expires_in": []}',
        b'{"access_token": "t", "expires_in": 30}',
        b"x" * 70_000,
    ],
)
def test_an_answer_without_a_usable_token_is_a_502(play: Play, answer: bytes) -> None:
    async def body(world: "World") -> None:
        world.issuer.answer(200, answer)
        response = await world.ask()
        assert (response.status, "retry-after" in response.headers) == (502, True)
        assert not any(report.kind is OutcomeKind.OK for report in world.permits.reports)

    play(body)


def test_an_issuer_out_of_reach_is_a_502_and_a_cut_link_a_504(play: Play) -> None:
    async def body(world: "World") -> None:
        world.network.stop(HOST)
        assert (await world.ask()).status == 502
        world.network.link("*", "*", Link(is_cut=True))
        assert (await world.ask("resource=other")).status == 504

    play(body)


def test_without_a_permit_the_token_is_served_and_nothing_is_called(play: Play) -> None:
    async def body(world: "World") -> None:
        await world.token()
        now = world.clock.now()
        world.permits.refusal = Refusal(world.policy.dependency, "breaker_open", now + 0.7 * DAY_S)
        await world.wait(0.65 * DAY_S)
        assert await world.token() == "secret-1"
        assert (len(world.issuer.requests), world.broker.counts.withheld) == (1, 1)
        world.permits.refusal = None
        await world.wait(0.05 * DAY_S + 3)
        assert await world.token() == "secret-2"

    play(body)


def test_without_a_permit_a_cold_client_is_told_when_to_come_back(play: Play) -> None:
    async def body(world: "World") -> None:
        now = world.clock.now()
        world.permits.refusal = Refusal(world.policy.dependency, "breaker_open", now + 60)
        response = await world.ask()
        assert response.status == 503
        assert 60 <= int(response.headers["retry-after"]) <= 62
        assert _fields(response)["error_description"] == "breaker_open"

    play(body)


def test_no_more_than_waiters_max_wait(play: Play) -> None:
    async def body(world: "World") -> None:
        world.issuer.delay_s = 1.0
        answers = await asyncio.gather(*(world.ask() for _ in range(5)))
        assert [answer.status for answer in answers] == [200, 200, 200, 503, 503]

    play(body, waiters_max=3)


def test_no_more_than_keys_max_are_held_and_failed_ones_give_way(play: Play) -> None:
    async def body(world: "World") -> None:
        await world.token("resource=1")
        world.issuer.fail(400)
        await world.ask("resource=2")
        world.issuer.script = None
        await world.token("resource=3")
        assert [key.resource for key in world.broker.held()] == ["1", "3"]
        full = await world.ask("resource=4")
        assert (full.status, _fields(full)["error"]) == (503, "too_many_identities")
        assert await world.token("resource=1") == "secret-1"

    play(body, keys_max=2)


def test_invalidate_forgets_what_it_names(play: Play) -> None:
    async def body(world: "World") -> None:
        for query in ("resource=1", "resource=2", "resource=1&client_id=a"):
            await world.token(query)
        assert world.broker.invalidate(resource="1", identity="") == 1
        assert await world.token("resource=1") == "secret-4"
        assert await world.token("resource=1&client_id=a") == "secret-3"
        assert world.broker.invalidate() == 3

    play(body)


def test_a_fetch_begun_before_invalidation_does_not_bring_the_old_token_back(play: Play) -> None:
    async def body(world: "World") -> None:
        world.issuer.delay_s = 1.0
        waiting = asyncio.create_task(world.token())
        await world.wait(0.5)
        world.broker.invalidate()
        assert await world.token() == "secret-2"
        assert await waiting == "secret-1"
        assert await world.token() == "secret-2"

    play(body)


def test_delete_forgets_a_token_but_not_one_fetched_just_now(play: Play) -> None:
    async def body(world: "World") -> None:
        await world.token()
        young = await world.ask(method="DELETE")
        assert (young.status, young.headers["retry-after"]) == (429, "60")
        await world.wait(61)
        assert (await world.ask(method="DELETE")).status == 204
        assert await world.token() == "secret-2"

    play(body)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (Request("GET", HOST, PATH, "api-version=1&resource=r"), 400),
        (Request("GET", HOST, PATH, "api-version=1&resource=r", {"metadata": "false"}), 400),
        (Request("GET", HOST, "/metadata/instance", "", {"metadata": "true"}), 404),
        (Request("GET", HOST, PATH, "resource=r", {"metadata": "true"}), 400),
        (Request("GET", HOST, PATH, "api-version=1", {"metadata": "true"}), 400),
        (Request("GET", HOST, PATH, "api-version=1&resource=", {"metadata": "true"}), 400),
        (Request("GET", HOST, PATH, "api-version=1&resource=r&resource=s", {"metadata": "true"}), 400),
        (Request("GET", HOST, PATH, "resource=r&client_id=a&object_id=b&api-version=1", {"metadata": "true"}), 400),
        (Request("GET", HOST, PATH, "api-version=1&resource=r", {"metadata": "true", "x-forwarded-for": "1.2.3.4"}), 400),
        (Request("GET", HOST, PATH, "a=1&" * 20, {"metadata": "true"}), 400),
        (Request("GET", HOST, PATH, "api-version=1&resource=" + "r" * 3_000, {"metadata": "true"}), 400),
        (Request("DELETE", HOST, PATH, "resource=r"), 400),
        (Request("DELETE", HOST, PATH, "a=1&" * 20, {"metadata": "true"}), 400),
        (Request("POST", HOST, PATH, "", {"metadata": "true"}), 405),
    ],
)  # fmt: skip
def test_refuses_what_the_real_one_refuses(play: Play, request_: Request, status: int) -> None:
    async def body(world: "World") -> None:
        response = await world.broker.handle(request_)
        assert response.status == status
        assert set(_fields(response)) == {"error", "error_description"}
        assert not world.issuer.requests

    play(body)


def test_close_breaks_off_what_is_under_way(play: Play) -> None:
    async def body(world: "World") -> None:
        world.issuer.delay_s = 100.0
        await world.ask()
        await world.broker.close()
        assert world.permits.given_back == 1
        assert not world.broker.held()

    play(body, fetch_s=1_000.0)


def test_a_broken_error_is_told_in_words(play: Play) -> None:
    async def body(world: "World") -> None:
        world.issuer.answer(500, b"<html>" + b"x" * 5_000)
        assert _fields(await world.ask()) == {
            "error": "upstream_error",
            "error_description": "status 500",
        }

    play(body)
