"""What clients get from a mirror: hits, misses, stale copies, and one fetch for all who wait."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from surgetank.core.errors import ConflictError, InvalidInputError
from surgetank.core.http import Request, Response
from surgetank.core.value import Lane, OutcomeKind, Refusal
from surgetank.safeguards.mirror.service import Prefetched

if TYPE_CHECKING:
    from tests.services.mirror.conftest import World

Play = Callable[..., None]
HOST = "ext.blob.core.windows.net"
MANIFEST = b"<?xml version='1.0'?><PluginVersionManifest><Plugins/></PluginVersionManifest>"
NEWER = MANIFEST.replace(b"<Plugins/>", b"<Plugins><Plugin/></Plugins>")
PACKAGE = b"PK\x03\x04" + bytes(range(256)) * 16
M, P = "/c/m.xml", "/c/p.zip"


def _source(response: Response) -> str:
    return response.headers["x-surgetank-source"]


def test_a_miss_is_fetched_once_and_then_held(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        first, second = await world.get(M), await world.get(M)
        assert (first.status, first.body, _source(first)) == (200, MANIFEST, "miss")
        assert (second.status, second.body, _source(second)) == (200, MANIFEST, "hit")
        assert len(world.origin.requests) == 1
        assert (world.mirror.counts.misses, world.mirror.counts.hits) == (1, 1)

    play(body)


def test_answers_as_the_agent_needs_it(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        response = await world.get(M)
        assert response.headers["content-length"] == str(len(MANIFEST))
        assert response.headers["content-type"] == "text/x"
        assert len(response.headers["etag"]) == 66

    play(body)


def test_the_path_form_names_the_origin_too(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        await world.get(M)
        request = Request("GET", "127.0.0.1:8080", f"/{HOST}{M}")
        assert _source(await world.mirror.handle(request)) == "hit"

    play(body)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (Request("GET", "evil.example", "/x"), 403),
        (Request("GET", "mirror", "/evil.example/x"), 403),
        (Request("GET", "mirror", f"/{HOST}/c/../x"), 403),
        (Request("GET", "mirror", f"/{HOST}/c/%2E./x"), 403),
        (Request("PUT", HOST, M), 405),
        (Request("GET", HOST, "/" + "x" * 3_000), 414),
        (Request("GET", HOST, M, headers={"x-surgetank-mirror": "1"}), 508),
    ],
)
def test_refuses_what_is_not_its_business(play: Play, request_: Request, status: int) -> None:
    async def body(world: "World") -> None:
        response = await world.mirror.handle(request_)
        assert response.status == status
        assert not world.origin.requests

    play(body)


def test_head_fetches_and_sends_no_body(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        response = await world.get(M, method="HEAD")
        assert (response.status, response.body) == (200, b"")
        assert response.headers["content-length"] == str(len(MANIFEST))
        assert _source(await world.get(M)) == "hit"

    play(body)


def test_a_manifest_is_revalidated_when_it_is_no_longer_fresh(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        await world.get(M)
        await world.wait(301)
        again = await world.get(M)
        assert (_source(again), again.headers["age"]) == ("hit", "0")
        assert "if-none-match" in world.origin.requests[-1].headers

    play(body)


def test_a_new_manifest_replaces_the_old_one(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        await world.get(M)
        world.origin.blobs[M] = NEWER
        await world.wait(301)
        assert (await world.get(M)).body == NEWER
        assert len(world.files("objects")) == 1
        assert world.mirror.bytes_held == len(NEWER)

    play(body)


@pytest.mark.parametrize("status", [401, 403, 404, 409, 429, 500, 503])
def test_serves_the_last_copy_while_the_origin_refuses(play: Play, status: int) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        await world.get(M)
        world.origin.answer(status)
        await world.wait(301)
        stale = await world.get(M)
        assert (stale.status, stale.body, _source(stale)) == (200, MANIFEST, "stale")
        assert stale.headers["age"] == "301"

    play(body)


def test_a_refusing_origin_is_asked_once_per_pause_whoever_asks(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        await world.get(M)
        world.origin.block()
        await world.wait(301)
        for _ in range(25):
            assert _source(await world.get(M)) == "stale"
            await world.wait(1)
        assert len(world.origin.requests) == 2
        assert world.permits.reports[-1].kind is OutcomeKind.BLOCKED

    play(body)


def test_trouble_is_logged_when_it_begins_and_when_it_ends(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        await world.get(M)
        world.origin.block()
        with capture_logs() as logs:
            for _ in range(4):
                await world.wait(301)
                await world.get(M)
            world.origin.script = None
            await world.wait(31)
            assert _source(await world.get(M)) == "hit"
        assert [log["event"] for log in logs] == ["mirror.origin_failed", "mirror.origin_recovered"]
        assert world.mirror.counts.origin_failed == 4

    play(body)


def test_without_a_copy_the_client_sees_the_true_409(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.block()
        response = await world.get(M)
        assert (response.status, response.body) == (409, b"<Error/>")
        assert response.headers["x-ms-error-code"] == "PublicAccessNotPermitted"
        assert (await world.get(M, method="HEAD")).body == b""
        assert not world.mirror.entries()

    play(body)


def test_a_withdrawn_artifact_is_not_served(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        await world.get(M)
        world.origin.answer(410)
        await world.wait(301)
        assert (await world.get(M)).status == 410

    play(body)


def test_a_silent_origin_costs_a_client_with_a_copy_two_seconds_at_most(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        await world.get(M)
        world.origin.hang(world.clock)
        await world.wait(301)
        asked_at = world.clock.now()
        assert _source(await world.get(M)) == "stale"
        assert world.clock.now() - asked_at == 2.0
        await world.wait(10)
        asked_at = world.clock.now()
        assert _source(await world.get(M)) == "stale"
        assert world.clock.now() == asked_at

    play(body)


def test_a_slow_origin_still_renews_the_copy_behind_the_client(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        await world.get(M)
        world.origin.blobs[M] = NEWER
        world.origin.slow_down(world.clock, seconds=5)
        await world.wait(301)
        assert (await world.get(M)).body == MANIFEST
        await world.wait(5)
        assert (await world.get(M)).body == NEWER

    play(body)


def test_a_silent_origin_without_a_copy_ends_in_504(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.hang(world.clock)
        asked_at = world.clock.now()
        assert (await world.get(M)).status == 504
        assert world.clock.now() - asked_at == 10.0
        assert world.permits.reports[-1].kind is OutcomeKind.TIMEOUT

    play(body)


def test_a_client_without_a_copy_waits_no_longer_than_wait_s(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.hang(world.clock)
        asked_at = world.clock.now()
        response = await world.get(M)
        assert (response.status, response.headers["retry-after"]) == (504, "1")
        assert world.clock.now() - asked_at == 3.0

    play(body, wait_s=3.0)


def test_a_convoy_costs_the_origin_one_fetch(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[P] = PACKAGE
        world.origin.slow_down(world.clock, seconds=3)
        answers = await asyncio.gather(*(world.get(P) for _ in range(500)))
        assert {(answer.status, answer.body) for answer in answers} == {(200, PACKAGE)}
        assert len(world.origin.requests) == 1
        assert world.mirror.counts.coalesced == 499

    play(body)


def test_the_first_client_may_leave_without_the_others_losing_the_fetch(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[P] = PACKAGE
        world.origin.slow_down(world.clock, seconds=3)
        first = asyncio.create_task(world.get(P))
        await world.wait(1)
        second = asyncio.create_task(world.get(P))
        await world.wait(1)
        first.cancel()
        assert (await second).body == PACKAGE
        assert len(world.origin.requests) == 1

    play(body)


def test_no_more_than_waiters_max_wait(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[P] = PACKAGE
        world.origin.slow_down(world.clock, seconds=3)
        answers = await asyncio.gather(*(world.get(P) for _ in range(5)))
        assert [answer.status for answer in answers] == [200, 200, 200, 503, 503]

    play(body, waiters_max=3)


def test_no_more_than_fetches_max_are_under_way(play: Play) -> None:
    async def body(world: "World") -> None:
        urls = [f"/c/{number}" for number in range(6)]
        world.origin.blobs |= dict.fromkeys(urls, b"x")
        world.origin.slow_down(world.clock, seconds=1)
        asked_at = world.clock.now()
        await asyncio.gather(*map(world.get, urls))
        assert world.clock.now() - asked_at == 3.0

    play(body, fetches_max=2)


def test_without_a_permit_a_copy_is_served_at_once(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        await world.get(M)
        await world.wait(301)
        now = world.clock.now()
        world.permits.refusal = Refusal(world.policy.rules[0].dependency, "breaker_open", now + 60)
        assert _source(await world.get(M)) == "stale"
        assert world.clock.now() == now
        assert len(world.origin.requests) == 1

    play(body)


def test_without_a_permit_or_a_copy_the_client_is_told_when_to_come_back(play: Play) -> None:
    async def body(world: "World") -> None:
        now = world.clock.now()
        world.permits.refusal = Refusal(world.policy.rules[0].dependency, "breaker_open", now + 60)
        response = await world.get(M)
        assert (response.status, response.headers["retry-after"]) == (503, "60")

    play(body)


def test_prefetch_warms_as_backlog_and_reports_what_failed(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs |= {M: MANIFEST, P: PACKAGE}
        urls = [f"http://{HOST}{path}" for path in (M, P, "/c/none.xml")]
        done = await world.mirror.prefetch(urls)
        assert done == (
            Prefetched(urls[0], is_held=True, reason=""),
            Prefetched(urls[1], is_held=True, reason=""),
            Prefetched(urls[2], is_held=False, reason="status 404"),
        )
        assert set(world.permits.asked) == {Lane.BACKLOG}
        assert [entry.url for entry in world.mirror.entries()] == urls[:2]
        await world.mirror.prefetch(urls[:2])
        assert len(world.origin.requests) == 3

    play(body)


def test_prefetch_refuses_what_no_rule_covers(play: Play) -> None:
    async def body(world: "World") -> None:
        with pytest.raises(InvalidInputError, match=r"evil\.example"):
            await world.mirror.prefetch(["http://evil.example/x"])

    play(body)


def test_what_carries_a_credential_is_passed_on_and_not_kept(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs[M] = MANIFEST
        response = await world.get(M, authorization="Bearer x")
        signed = await world.get(f"{M}?sv=1&sig=secret")
        assert (response.body, signed.body) == (MANIFEST, MANIFEST)
        assert world.origin.requests[0].headers["authorization"] == "Bearer x"
        assert not world.mirror.entries()
        assert world.mirror.counts.passed_on == 2

    play(body)


def test_copies_outlive_a_restart(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs |= {M: MANIFEST, P: PACKAGE}
        await world.get(M)
        await world.get(P)
        await world.restart()
        world.origin.block()
        assert (await world.get(M)).body == MANIFEST
        assert (await world.get(P)).body == PACKAGE

    play(body)


def test_one_directory_is_for_one_mirror(play: Play) -> None:
    async def body(world: "World") -> None:
        with pytest.raises(ConflictError, match="another mirror"):
            await world.new_mirror().open()

    play(body)


def test_remove_forgets_copy_and_body(play: Play) -> None:
    async def body(world: "World") -> None:
        world.origin.blobs |= {M: MANIFEST}
        await world.get(M)
        assert await world.mirror.remove(f"http://{HOST}{M}")
        assert not await world.mirror.remove(f"http://{HOST}{M}")
        assert not world.files("objects")
        assert not world.files("entries")

    play(body)
