import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from surgetank.core.http import Request, Response
from surgetank.core.route import CALLER, Role
from surgetank.runtime.policy import Reads
from surgetank.runtime.server.gate import Mount
from surgetank.runtime.server.token import Tokens

Play = Callable[..., None]
READS = ["/v1/operations", "/v1/operations/x", "/v1/holds", "/v1/counts", "/v1/dependencies"]
ACTS = [
    ("POST", "/v1/operations/x/cancel"),
    ("POST", "/v1/operations/x/redrive"),
    ("PUT", "/v1/holds/all"),
    ("DELETE", "/v1/holds/region/eastus"),
    ("POST", "/v1/holds/kind/create_vm/release"),
]


@pytest.mark.parametrize("path", READS)
def test_who_has_no_token_may_not_read(play: Play, path: str) -> None:
    async def main(world: Any) -> None:
        answer = await world.ask("GET", path, who=None)
        assert (answer.status, answer.body["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"

    play(main)


@pytest.mark.parametrize("path", READS)
def test_everybody_may_read_where_reads_are_open(play: Play, path: str) -> None:
    async def main(world: Any) -> None:
        answer = await world.ask("GET", path, who=None)
        assert answer.status in (200, 404)

    play(main, reads=Reads.OPEN)


def test_by_host_reads_are_open_on_loopback(play: Play) -> None:
    async def main(world: Any) -> None:
        assert (await world.ask("GET", "/v1/counts", who=None)).status == 200

    play(main, reads=Reads.BY_HOST, host="127.0.0.1")


def test_by_host_reads_take_a_token_elsewhere(play: Play) -> None:
    async def main(world: Any) -> None:
        assert (await world.ask("GET", "/v1/counts", who=None)).status == 401

    play(main, reads=Reads.BY_HOST, host="0.0.0.0")  # noqa: S104 - nothing listens


def test_nobody_submits_without_a_token_where_reads_are_open(play: Play) -> None:
    async def main(world: Any) -> None:
        assert (await world.ask("POST", "/v1/operations", {}, who=None)).status == 401

    play(main, reads=Reads.OPEN)


def test_a_reader_may_not_submit(play: Play) -> None:
    async def main(world: Any) -> None:
        answer = await world.ask("POST", "/v1/operations", {}, who="reader")
        assert (answer.status, answer.body["code"]) == (403, "forbidden")
        assert answer.body["detail"] == "reader is read: this takes work"

    play(main)


@pytest.mark.parametrize(("method", "path"), ACTS)
def test_a_worker_may_not_act_on_what_others_submitted(play: Play, method: str, path: str) -> None:
    async def main(world: Any) -> None:
        assert (await world.ask(method, path, who="worker")).status == 403

    play(main)


def test_a_worker_may_not_read_the_audit_trail(play: Play) -> None:
    async def main(world: Any) -> None:
        assert (await world.ask("GET", "/v1/audit", who="worker")).status == 403

    play(main)


@pytest.mark.parametrize(
    "sent", ["Bearer " + "x" * 32, "Basic " + "a" * 32, "a" * 32, "Bearer", ""]
)
def test_a_token_that_is_none_of_ours_is_no_token(play: Play, sent: str) -> None:
    async def main(world: Any) -> None:
        answer = await world.ask("GET", "/v1/counts", who=None, authorization=sent)
        assert answer.status == 401

    play(main)


def test_tokens_may_be_replaced_while_it_serves(play: Play) -> None:
    async def main(world: Any) -> None:
        world.server.gate.tokens = Tokens(())
        assert (await world.ask("GET", "/v1/counts")).status == 401

    play(main)


def test_nobody_names_himself(play: Play) -> None:
    async def main(world: Any) -> None:
        await world.ask("PUT", "/v1/holds/all", {"reason": "r"}, x_surgetank_caller="mallory")
        (hold,) = (await world.ask("GET", "/v1/holds")).body["holds"]
        assert (hold["by"], hold["reason"]) == ("admin", "r")

    play(main)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v1/openapi.json"])
def test_health_and_description_take_no_token(play: Play, path: str) -> None:
    async def main(world: Any) -> None:
        assert (await world.ask("GET", path, who=None)).status == 200

    play(main)


def test_a_server_that_drains_takes_nothing_in_and_still_tells(play: Play) -> None:
    async def main(world: Any) -> None:
        identifier = await world.submit("k1")
        await world.pass_s(0.05)
        draining = asyncio.create_task(world.server.drain())
        await world.pass_s(0.01)
        ready = await world.ask("GET", "/readyz")
        assert (ready.status, ready.body["reason"]) == (503, "draining")
        refused = await world.ask("POST", "/v1/operations", {"key": "k2"})
        assert (refused.status, refused.body["code"]) == (503, "refused")
        assert refused.headers["retry-after"] == "1"
        await draining
        shown = (await world.ask("GET", f"/v1/operations/{identifier}")).body
        assert shown["state"] == "succeeded"

    play(main)


def test_a_store_that_does_not_answer_makes_it_unready(play: Play) -> None:
    async def main(world: Any) -> None:
        async def ask_store() -> None:
            await world.pass_s(60.0)

        world.server.health._ask_store = ask_store
        answer = await world.ask("GET", "/readyz")
        assert (answer.status, answer.body["reason"]) == (503, "the store has not answered for 2 s")
        assert (await world.ask("GET", "/healthz")).status == 200

    play(main)


def test_a_server_whose_work_has_ended_by_a_defect_is_unready(play: Play) -> None:
    async def main(world: Any) -> None:
        world.server.health._is_failed = lambda: True
        answer = await world.ask("GET", "/readyz")
        assert answer.status == 503
        assert answer.body["reason"].startswith("operations are not run any more")

    play(main)


def _works(_: Request) -> Role:
    return Role.WORK


@pytest.mark.parametrize(("who", "status"), [("worker", 200), ("reader", 403), (None, 401)])
def test_another_handler_goes_below_its_prefix_behind_the_same_tokens(
    play: Play, who: str | None, status: int
) -> None:
    async def permits(request: Request) -> Response:
        assert "authorization" not in request.headers
        return Response(200, body=json.dumps({"who": request.headers[CALLER]}).encode())

    async def main(world: Any) -> None:
        gate = world.server.gate
        gate._mounts = (Mount("/v1/permits", permits, _works), *gate._mounts)
        answer = await world.ask("POST", "/v1/permits", {}, who=who)
        assert answer.status == status
        assert (await world.ask("GET", "/v1/counts")).status == 200

    play(main)
