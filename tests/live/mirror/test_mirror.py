"""The mirror on real sockets, a real worker thread and a real kill."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from surgetank.core.errors import ConflictError
from surgetank.core.http import Request, Response, Timeouts
from surgetank.core.value import Dependency, Lane, Outcome, Permit, Refusal
from surgetank.runtime.live.blocking import WorkerThread
from surgetank.runtime.live.clock import SystemClock
from surgetank.runtime.live.http_client import LiveHttpClient
from surgetank.runtime.live.http_server import serve
from surgetank.safeguards.mirror.policy import MirrorPolicy, Rule
from surgetank.safeguards.mirror.service import Mirror
from surgetank.safeguards.mirror.store import Store

ARTIFACTS = Dependency("artifacts@here")
LARGE = bytes(range(256)) * 20_000


class OpenPermits:
    """Gives every permit."""

    def ask(
        self, dependencies: Sequence[Dependency], *, lane: Lane, retry: bool = False
    ) -> tuple[Permit, ...] | Refusal:
        assert not retry
        return tuple(Permit(each, lane, 0, 0.0) for each in dependencies)

    def report(self, permit: Permit, outcome: Outcome) -> None:
        assert (permit.dependency, bool(outcome.kind)) == (ARTIFACTS, True)

    def give_back(self, permit: Permit) -> None:
        raise AssertionError(f"every call was made: {permit}")


async def _fetch_all(directory: Path) -> list[Response]:
    """A miss of 20 clients at once, then a hit, a range, and a 409 behind a copy."""
    blocked = False

    async def origin(request: Request) -> Response:
        assert request.headers["accept-encoding"] == "identity"
        return Response(409) if blocked else Response(200, {"etag": '"1"'}, LARGE)

    blocking = WorkerThread()
    async with LiveHttpClient() as http, serve(origin) as upstream:
        authority = upstream.url.removeprefix("http://")
        rule = Rule(host=authority, dependency=ARTIFACTS, origin_scheme="http", freshness_s=0.0)
        mirror = Mirror(
            MirrorPolicy(rules=(rule,)),
            directory=directory,
            http=http,
            clock=SystemClock(),
            chance=Random(1),
            blocking=blocking,
            permits=OpenPermits(),
        )
        await mirror.open()
        async with serve(mirror.handle) as server:
            url = f"{server.url}/{authority}/c/p.zip"

            async def get(**headers: str) -> Response:
                request = Request.to("GET", url, headers=headers)
                return await http.send(request, timeouts=Timeouts(), body_bytes_max=1 << 30)

            answers = await asyncio.gather(*(get() for _ in range(20)))
            fetches = mirror.counts.fetches
            blocked = True
            answers += [await get(), await get(range="bytes=5-14")]
            answers.append(await get(**{"if-none-match": answers[0].headers["etag"]}))
            assert not server.defects
        await mirror.close()
    await blocking.close()
    assert fetches == 1
    return answers


def test_serves_real_clients(tmp_path: Path) -> None:
    *first, stale, part, unchanged = asyncio.run(_fetch_all(tmp_path))
    assert {(answer.status, answer.body) for answer in first} == {(200, LARGE)}
    assert (stale.status, stale.body == LARGE) == (200, True)
    assert stale.headers["x-surgetank-source"] == "stale"
    assert (part.status, part.body) == (206, LARGE[5:15])
    assert (unchanged.status, unchanged.body) == (304, b"")


def test_what_was_said_to_be_kept_outlives_a_kill(tmp_path: Path) -> None:
    writer = Path(__file__).with_name("writer.py")
    with subprocess.Popen(  # noqa: S603 - our own file
        [sys.executable, str(writer), str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = [int(process.stdout.readline()) for _ in range(120)]
        process.kill()
        said += [int(line) for line in process.stdout.read().split("\n")[:-1]]
    store = Store(tmp_path)
    loaded = store.open()
    newest = {entry.url: entry.fetched_at for entry in loaded.entries}
    assert loaded.damaged == 0
    assert all(newest[f"https://origin/{number % 50}"] >= number for number in said[-50:])
    assert {store.read(entry.digest)[:4] for entry in loaded.entries} == {
        int(entry.fetched_at).to_bytes(4, "big") for entry in loaded.entries
    }
    with pytest.raises(ConflictError):
        Store(tmp_path).open()
    store.close()
