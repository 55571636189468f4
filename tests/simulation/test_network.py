import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import NamedTuple, TypeVar

import pytest

from surgetank.core.errors import (
    DependencyError,
    InvalidInputError,
    SimulationError,
)
from surgetank.core.http import Request, Response, Timeouts
from surgetank.runtime.simulation import link as link_module
from surgetank.runtime.simulation import network as network_module
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.link import Link, Links
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.network import InMemoryHttpClient, Network

T = TypeVar("T")
TIMEOUTS = Timeouts(connect_s=2.0, read_s=5.0, pool_s=3.0)
BODY = b"x" * 10_000


class Site(NamedTuple):
    loop: VirtualLoop
    clock: VirtualClock
    network: Network
    client: InMemoryHttpClient

    async def get(self, url: str = "http://server/", body: bytes = b"") -> Response:
        request = Request.to("GET", url, body=body)
        return await self.client.send(request, timeouts=TIMEOUTS)

    async def wait(self, wait_s: float) -> None:
        await self.clock.sleep_until(self.clock.now() + wait_s)


def play(story: Callable[[Site], Awaitable[T]], link: Link | None = None) -> T:
    """Tell `story` on a network with one server that works for a second."""

    async def main(loop: VirtualLoop) -> T:
        network, clock = Network(loop, seed=7), VirtualClock(loop)

        async def server(_: Request) -> Response:
            await clock.sleep_until(clock.now() + 1.0)
            return Response(200, {}, BODY)

        network.serve("server", server)
        if link is not None:
            network.link("*", "server", link)
        return await story(Site(loop, clock, network, network.client("client")))

    return run(main)


async def ask(site: Site) -> tuple[str, bool | None, float]:
    """What becomes of one request, whether it may have acted, and when that is known."""
    try:
        await site.get()
    except DependencyError as error:
        return error.code, error.may_have_acted, round(site.loop.time(), 6)
    return "answered", None, round(site.loop.time(), 6)


@pytest.mark.parametrize(
    ("link", "end"),
    [
        (Link(), ("answered", None, 1.0)),
        (Link(latency_s=0.25), ("answered", None, 1.5)),
        (Link(is_cut=True), ("dependency_timeout", False, 2.0)),
        (Link(latency_s=1.5), ("dependency_timeout", False, 2.0)),
        (Link(loss_ratio=1.0), ("dependency_timeout", True, 5.0)),
        (Link(bytes_per_s=1_000.0), ("answered", None, 11.0)),
        (Link(bytes_per_s=100.0), ("dependency_timeout", True, 6.0)),
        (Link(truncate_after_bytes=9_999), ("dependency", True, 1.0)),
        (Link(truncate_after_bytes=10_000), ("answered", None, 1.0)),
        (Link(latency_s=0.5, truncate_after_bytes=0), ("dependency", True, 2.0)),
    ],
)
def test_what_becomes_of_a_request_over(link: Link, end: tuple[str, bool | None, float]) -> None:
    assert play(ask, link) == end


def test_jitter_delays_each_way_within_its_bound() -> None:
    async def story(site: Site) -> list[float]:
        took: list[float] = []
        for _ in range(50):
            began = site.loop.time()
            await site.get()
            took.append(site.loop.time() - began - 1.2)
        return took

    took = play(story, Link(latency_s=0.1, jitter_s=0.05))
    assert min(took) >= -1e-9
    assert max(took) <= 0.1
    assert len(set(took)) == 50


def test_a_share_of_messages_is_lost_each_way() -> None:
    async def story(site: Site) -> tuple[int, int]:
        answers = await asyncio.gather(*(site.get() for _ in range(100)), return_exceptions=True)
        return sum(isinstance(answer, Response) for answer in answers), site.network.handled

    answered, handled = play(story, Link(loss_ratio=0.2))
    assert 50 <= answered < handled < 100  # 64 and 80 on average


def test_a_reply_is_lost_when_the_link_is_cut_while_the_server_works() -> None:
    async def story(site: Site) -> tuple[str, bool | None, float, int]:
        site.loop.call_later(0.5, site.network.link, "*", "server", Link(is_cut=True))
        return *(await ask(site)), site.network.handled

    assert play(story) == ("dependency_timeout", True, 5.0, 1)


def test_a_body_stops_when_the_link_is_cut_under_way() -> None:
    async def story(site: Site) -> tuple[str, bool | None, float]:
        site.loop.call_later(3.0, site.network.link, "*", "server", Link(is_cut=True))
        return await ask(site)

    code, may_have_acted, at = play(story, Link(bytes_per_s=1_000.0))
    assert (code, may_have_acted) == ("dependency_timeout", True)
    assert 7.0 < at < 11.0  # five seconds after the last piece


def test_uploads_take_their_time() -> None:
    async def story(site: Site) -> float:
        await site.get(body=b"y" * 5_000)
        return site.loop.time()

    assert play(story, Link(bytes_per_s=10_000.0)) == pytest.approx(0.5 + 1.0 + 1.0)


def test_the_last_rule_that_matches_holds_and_older_ones_show_again() -> None:
    links, slow, cut, fast = Links(), Link(1.0), Link(is_cut=True), Link(0.1)
    links.lay("*", "*", slow)
    links.lay("vm-*", "identity.eastus", cut)
    links.lay("vm-7", "*", fast)
    assert links.between("a", "b") == slow
    assert links.between("vm-1", "identity.eastus") == cut
    assert links.between("vm-7", "identity.eastus") == fast
    links.take_back("vm-7", "*")
    links.take_back("vm-7", "*")
    assert links.between("vm-7", "identity.eastus") == cut
    links.lay("*", "*", fast)
    assert links.between("vm-7", "identity.eastus") == fast
    assert Links().between("a", "b") == Link()


@pytest.mark.parametrize(
    "link",
    [
        Link(latency_s=-1.0), Link(jitter_s=-1.0), Link(loss_ratio=1.1), Link(loss_ratio=-0.1),
        Link(bytes_per_s=0.0), Link(truncate_after_bytes=-1),
    ],
)  # fmt: skip
def test_a_link_out_of_range_is_refused(link: Link) -> None:
    with pytest.raises(InvalidInputError):
        Links().lay("*", "*", link)


def test_rules_are_limited() -> None:
    links = Links()
    for number in range(link_module.RULES_LIMIT):
        links.lay("*", str(number), Link())
    links.lay("*", "0", Link(1.0))  # anew, so none is added
    with pytest.raises(InvalidInputError, match="rules for links"):
        links.lay("*", "one more", Link())


def test_hosts_that_one_client_asks_are_limited() -> None:
    async def story(site: Site) -> None:
        site.network.link("*", "*", Link(is_cut=True))
        tasks = [
            asyncio.create_task(site.get(f"http://{number}/"))
            for number in range(network_module.ROUTES_LIMIT)
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(SimulationError, match="asks more than 10000 hosts"):
            await site.get()
        for task in tasks:
            assert isinstance(task.exception(), DependencyError)

    play(story)


def test_a_name_may_mean_another_host_for_one_client() -> None:
    async def story(site: Site) -> str:
        async def imds(request: Request) -> Response:
            return Response(200, {}, request.host.encode())

        site.network.serve("imds.vm-1", imds)
        client = site.network.client("vm-1", names={"169.254.169.254": "imds.vm-1"})
        request = Request.to("GET", "http://169.254.169.254/metadata")
        return (await client.send(request, timeouts=TIMEOUTS)).body.decode()

    assert play(story) == "169.254.169.254"


def test_a_host_that_stops_refuses_and_what_it_began_goes_on() -> None:
    async def story(site: Site) -> tuple[str, bool | None, int, int]:
        first = asyncio.create_task(site.get())
        await site.wait(0.5)
        site.network.stop("server")
        site.network.stop("server")
        code, may_have_acted, _ = await ask(site)
        assert (await first).status == 200
        return code, may_have_acted, site.network.refused, site.network.handled

    assert play(story) == ("dependency", False, 1, 1)


def test_a_request_that_finds_its_host_stopped_is_reset() -> None:
    async def story(site: Site) -> tuple[str, bool | None, float]:
        site.loop.call_later(0.1, site.network.stop, "server")
        return await ask(site)

    assert play(story, Link(latency_s=0.2)) == ("dependency", True, 0.4)


def test_a_host_can_be_served_again_after_it_stopped_but_not_twice() -> None:
    async def again(_: Request) -> Response:
        return Response(204)

    async def story(site: Site) -> int:
        with pytest.raises(InvalidInputError, match="served already"):
            site.network.serve("server", again)
        assert (await site.get()).status == 200
        site.network.stop("server")
        site.network.serve("server", again)
        return (await site.get()).status

    assert play(story) == 204


def test_replies_to_those_who_left_are_counted() -> None:
    async def story(site: Site) -> tuple[int, int, int]:
        tasks = [asyncio.create_task(site.get()) for _ in range(3)]
        told: list[Response] = []
        site.network.on_abandoned = told.append
        await site.wait(0.5)
        tasks[0].cancel()
        assert site.network.in_service == 3
        await asyncio.wait(tasks)
        assert [response.body for response in told] == [BODY]
        return site.network.handled, site.network.abandoned, site.network.in_service

    assert play(story) == (3, 1, 0)


@pytest.mark.parametrize("link", [Link(), Link(bytes_per_s=1e6), Link(latency_s=0.1)])
def test_who_leaves_as_the_answer_comes_loses_no_place(link: Link) -> None:
    async def story(site: Site) -> tuple[str, bool | None, float]:
        client = site.network.client("other", connections_max=1)

        async def stay(stay_s: float) -> None:
            request = Request.to("GET", "http://server/")
            async with asyncio.timeout(stay_s), client.stream(request, timeouts=TIMEOUTS):
                await site.wait(9)

        for stay_s in (0.0, 1.0 + 2 * link.latency_s, 1.5):
            with pytest.raises(TimeoutError):
                await stay(stay_s)
        response = await client.send(Request.to("GET", "http://server/"), timeouts=TIMEOUTS)
        return str(response.status), None, 0.0

    assert play(story, link)[0] == "200"


def test_a_place_given_to_one_who_leaves_goes_to_the_next() -> None:
    async def story(site: Site) -> list[float]:
        client, ends = site.network.client("other", connections_max=1), list[float]()

        async def send() -> None:
            await client.send(Request.to("GET", "http://server/"), timeouts=TIMEOUTS)
            ends.append(site.loop.time())
            if len(ends) == 1:
                tasks[1].cancel()  # it was given the place in this very step

        tasks = [asyncio.create_task(send()) for _ in range(3)]
        await asyncio.wait(tasks)
        assert tasks[1].cancelled()
        await send()
        return ends

    assert play(story) == [1.0, 2.0, 3.0]


def test_a_body_that_comes_as_its_caller_leaves_is_let_go() -> None:
    async def story(site: Site) -> tuple[bool, int]:
        task = asyncio.create_task(site.get())
        await site.wait(1.1)
        site.loop.call_at(1.4, task.cancel)  # after the head, which is due then too
        await asyncio.wait([task])
        await site.wait(0.1)
        return task.cancelled(), site.network.in_service

    assert play(story, Link(latency_s=0.2, bytes_per_s=1e6)) == (True, 0)


def test_a_bare_answer_has_no_body_on_a_slow_link_either() -> None:
    async def story(site: Site) -> Response:
        return await site.client.send(Request.to("HEAD", "http://server/"), timeouts=TIMEOUTS)

    slow = Link(bytes_per_s=1_000.0)
    assert play(story, slow) == Response(200, {"content-length": "10000"}, b"")


def test_a_length_that_is_wrong_is_a_defect() -> None:
    async def wrong(_: Request) -> Response:
        return Response(200, {"content-length": "9"}, b"four")

    async def right(_: Request) -> Response:
        return Response(200, {"content-length": "4"}, b"four")

    async def story(site: Site) -> list[str]:
        site.network.serve("wrong", wrong)
        site.network.serve("right", right)
        with pytest.raises(DependencyError, match="ended early"):
            await site.get("http://wrong/")
        assert (await site.get("http://right/")).body == b"four"
        return site.network.defects

    assert "content-length says 9, the body has 4" in play(story)[0]


def test_a_sender_waits_for_a_reader_who_is_far_behind() -> None:
    made: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(20):
            made.append(number)
            yield b"z" * 65_536

    async def stream(_: Request) -> Response:
        return Response(200, {}, chunks=pieces())

    async def story(site: Site) -> tuple[int, int]:
        site.network.serve("streamer", stream)
        request = Request.to("GET", "http://streamer/")
        async with site.client.stream(request, timeouts=TIMEOUTS) as response:
            await site.wait(60)
            ahead = len(made)
            assert response.chunks is not None
            size = sum([len(piece) async for piece in response.chunks])
        with pytest.raises(DependencyError, match="read after it was closed"):
            await anext(response.chunks)
        return ahead, size

    assert play(story) == (5, 20 * 65_536)


def test_handlers_run_in_the_context_of_their_own_host() -> None:
    name: ContextVar[str] = ContextVar("name", default="nobody")

    async def story(site: Site) -> list[str]:
        async def tell(_: Request) -> Response:
            body = name.get().encode()
            name.set("the handler's own")
            return Response(200, {}, body)

        name.set("server")
        site.network.serve("teller", tell)
        name.set("client")
        return [(await site.get("http://teller/")).body.decode() for _ in range(2)]

    assert play(story) == ["server", "server"]


def test_trying_again_and_again_where_nobody_serves_reaches_the_limit_of_steps() -> None:
    async def main(loop: VirtualLoop) -> None:
        client = Network(loop).client("client")
        while True:
            try:
                await client.send(Request.to("GET", "http://nobody/"), timeouts=TIMEOUTS)
            except DependencyError:
                continue

    with pytest.raises(SimulationError, match="time does not move"):
        run(main, steps_per_instant_limit=1_000)


def test_defects_kept_are_limited() -> None:
    async def story(site: Site) -> int:
        async def fail(_: Request) -> Response:
            raise RuntimeError

        site.network.serve("failing", fail)
        for _ in range(network_module.DEFECTS_LIMIT + 1):
            assert (await site.get("http://failing/")).status == 500
        return len(site.network.defects)

    assert play(story) == network_module.DEFECTS_LIMIT


def test_every_request_is_told_as_it_is_sent_whether_it_arrives_or_not() -> None:
    async def story(site: Site) -> list[str]:
        sent: list[str] = []
        site.network.on_sent = sent.append
        site.network.link("*", "cut", Link(is_cut=True))
        calls = (site.get(f"http://{host}/") for host in ("server", "nobody", "cut"))
        await asyncio.gather(*calls, return_exceptions=True)
        return sent

    assert play(story) == ["server", "nobody", "cut"]


def test_a_body_that_is_broken_off_on_purpose_is_no_defect() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionAbortedError

    async def stream(_: Request) -> Response:
        return Response(200, {}, chunks=pieces())

    async def story(site: Site) -> list[str]:
        site.network.serve("streamer", stream)
        with pytest.raises(DependencyError, match="ended early"):
            await site.get("http://streamer/")
        return site.network.defects

    assert play(story) == []
