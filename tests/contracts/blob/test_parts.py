"""Storage and the mirror before it answer the same questions for parts in the same way."""

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.cloud.blob import Account
from surgetank.core.http import Headers, Request, Response
from surgetank.core.value import dependency
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.network import Network
from surgetank.safeguards.mirror.policy import MirrorPolicy, Rule
from surgetank.safeguards.mirror.service import Mirror
from surgetank.safeguards.operations.permits import OpenPermits

URL = "https://a.blob.core.windows.net/ext/p.zip"
SMALL = bytes(range(100))
LARGE = bytes(range(256)) * 1_000
"""Larger than what the mirror answers whole."""


class Seen(NamedTuple):
    """What a client sees, but for the headers that each service has of its own."""

    status: int
    content_range: str | None
    content_length: str | None
    error_code: str | None
    body: bytes


async def see(response: Response) -> Seen:
    body = response.body
    if response.chunks is not None:
        body = b"".join([piece async for piece in response.chunks])
    named = map(response.headers.get, ("content-range", "content-length", "x-ms-error-code"))
    content_range, content_length, error_code = named
    if error_code is not None:
        body, content_length = b"", None  # storage names the request in it
    return Seen(response.status, content_range, content_length, error_code, body)


def see_both(body: bytes, method: str, headers: Headers) -> tuple[Seen, Seen, Seen]:
    """What storage says, what the mirror says on a miss, and what it says on a hit."""

    async def main(loop: VirtualLoop) -> tuple[Seen, Seen, Seen]:
        clock, network = VirtualClock(loop), Network(loop)
        account = Account("a")
        account.put("/ext/p.zip", body)
        network.serve(account.host, account.handle)
        with TemporaryDirectory() as directory:
            rule = Rule(host=account.host, dependency=dependency("artifacts", "here"))
            mirror = Mirror(
                MirrorPolicy(rules=(rule,)),
                directory=Path(directory) / "mirror",
                http=network.client("mirror"),
                clock=clock,
                chance=Random(1),
                blocking=InlineBlocking(),
                permits=OpenPermits(clock=clock),
            )
            await mirror.open()
            request = Request.to(method, URL, headers=headers)
            direct = await see(await account.handle(request))
            missed = await see(await mirror.handle(request))
            held = await see(await mirror.handle(request))
            await mirror.close()
        assert (mirror.counts.misses, mirror.counts.hits, mirror.counts.fetches) == (1, 1, 1)
        return direct, missed, held

    return run(main)


@pytest.mark.parametrize("body", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"range": "bytes=0-0"},
        {"range": "bytes=10-"},
        {"range": "bytes=-10"},
        {"range": "bytes=90-70000"},
        {"range": "bytes=1000000-"},
        {"range": "bytes=5-4"},
        {"range": "bytes=0-1,4-5"},
        {"range": "bytes=0-0", "x-ms-range": "bytes=1-1"},
        {"x-ms-range": "bytes=0-33554431"},
        {"range": "bytes=0-0", "if-range": '"another"'},
        {"range": "bytes=0-0", "if-match": "*"},
        {"range": "bytes=0-0", "if-match": '"another"'},
        {"range": "bytes=0-0", "if-none-match": "*"},
    ],
    ids=str,
)
def test_a_mirror_answers_as_storage_does(body: bytes, method: str, headers: Headers) -> None:
    direct, missed, held = see_both(body, method, headers)
    assert direct == missed
    assert direct == held


NUMBERS = st.integers(0, 120).map(str) | st.just("")
RANGES = st.builds("bytes={}-{}".format, NUMBERS, NUMBERS) | st.text("bytes=-0123, ", max_size=12)


@given(ours=st.none() | RANGES, azures=st.none() | RANGES)
def test_whatever_is_asked_both_give_the_same(ours: str | None, azures: str | None) -> None:
    asked = {"range": ours, "x-ms-range": azures}
    headers = {name: value for name, value in asked.items() if value is not None}
    direct, missed, held = see_both(SMALL, "GET", headers)
    assert direct == missed
    assert direct == held
