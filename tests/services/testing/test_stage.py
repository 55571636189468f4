import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from math import inf
from typing import Any

import pytest

from surgetank.testing import (
    DeadlockError,
    DependencyError,
    DependencyTimeoutError,
    FenceError,
    InvalidInputError,
    Link,
    Request,
    Response,
    SimulationError,
    Stage,
    StationPolicy,
    Timeouts,
    play,
)

Main = Callable[[Stage], Coroutine[Any, Any, None]]


def told(main: Main, kind: type[Exception] = SimulationError) -> str:
    """What the stage says, notes included, when it is played."""
    with pytest.raises(kind) as caught:
        play(main)
    return "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


async def test_a_day_passes_at_once(stage: Stage) -> None:
    async with asyncio.timeout(90_000.0):
        await asyncio.sleep(86_400.0)  # noqa: TID251 - what other people's code does
    assert stage.now_s == 86_400.0


async def story(stage: Stage) -> tuple[object, ...]:
    """Ten seconds of calls to a service that is slow at first."""
    service = stage.collapsing_service(StationPolicy(nodes=2, rate_per_s=10.0))
    service.slow_down(3.0)
    stage.link("service", Link(latency_s=0.01, jitter_s=0.05, loss_ratio=0.05))
    stage.at(5.0, service.slow_down, 1.0)
    load = await stage.load(service.call, rate_per_s=8.0, lasts_s=10.0)
    return load.calls, service.counts


def test_equal_seeds_play_alike() -> None:
    assert play(story, seed=3) == play(story, seed=3)


def test_other_seeds_play_otherwise() -> None:
    assert play(story, seed=3) != play(story, seed=4)


def test_it_gives_what_the_test_returns() -> None:
    async def main(stage: Stage) -> int:
        return stage.seed

    assert play(main, seed=5) == 5


def test_it_is_played_once() -> None:
    async def main() -> None:
        """End at once."""

    stage = Stage()
    stage.play(main)
    with pytest.raises(InvalidInputError, match="played once"):
        stage.play(main)


def test_a_stage_that_is_not_played_is_let_go(stage: Stage) -> None:
    assert stage.scripted_service([200]).calls == 0


# Faults at a time


async def test_things_happen_at_their_second(stage: Stage) -> None:
    seen: list[float] = []
    stage.at(2.5, lambda: seen.append(stage.now_s))
    await stage.clock.sleep_until(stage.clock.now() + 3.0)
    assert seen == [2.5]


@pytest.mark.parametrize("second", [-1.0, inf])
def test_nothing_happens_at_a_second_that_does_not_come(stage: Stage, second: float) -> None:
    with pytest.raises(InvalidInputError, match="does not lie ahead"):
        stage.at(second, print)


def test_a_fault_that_fails_fails_the_test() -> None:
    async def main(stage: Stage) -> None:
        stage.at(1.0, int, "no number")
        await stage.clock.sleep_until(stage.clock.now() + 2.0)

    assert "invalid literal for int" in told(main)


# The network


async def test_a_handler_of_ones_own_is_served(stage: Stage) -> None:
    async def greet(request: Request) -> Response:
        return Response(200, {}, request.path.encode())

    stage.serve("greeter", greet)
    request = Request.to("GET", "http://greeter/hello")
    answer = await stage.client().send(request, timeouts=Timeouts())
    assert answer.body == b"/hello"


def test_a_handler_that_fails_fails_a_test_that_would_pass() -> None:
    async def main(stage: Stage) -> None:
        async def fail(_: Request) -> Response:
            raise LookupError("no such thing")

        stage.serve("failing", fail)
        request = Request.to("GET", "http://failing/")
        assert (await stage.client().send(request, timeouts=Timeouts())).status == 500

    assert "a handler failed:\n  GET http://failing/: LookupError('no such thing')" in told(main)


def test_a_handler_that_fails_is_named_with_what_the_test_fails_of() -> None:
    async def main(stage: Stage) -> None:
        async def fail(_: Request) -> Response:
            raise LookupError

        stage.serve("failing", fail)
        answer = await stage.client().send(
            Request.to("GET", "http://failing/"), timeouts=Timeouts()
        )
        assert answer.status == 200

    assert "a handler failed" in told(main, AssertionError)


async def test_a_link_takes_its_time(stage: Stage) -> None:
    service = stage.scripted_service([200])
    stage.link(service.host, Link(latency_s=0.25))
    await service.call()
    assert (list(service.asked_at), stage.now_s) == ([0.25], 0.5)


async def test_a_link_may_lie_before_some_clients_only(stage: Stage) -> None:
    service = stage.scripted_service([200])
    stage.link(service.host, Link(is_cut=True), source="far*")
    request = Request.to("GET", service.url)
    assert (await stage.client("near").send(request, timeouts=Timeouts())).status == 200
    with pytest.raises(DependencyTimeoutError):
        await stage.client("far-away").send(request, timeouts=Timeouts())


async def test_a_lost_call_was_made_and_never_arrived(stage: Stage) -> None:
    service = stage.scripted_service([200])
    stage.link("*", Link(loss_ratio=1.0))
    with pytest.raises(DependencyTimeoutError):
        await service.call()
    assert (stage.calls_made["service"], service.calls) == (1, 0)


async def test_a_client_may_have_few_connections(stage: Stage, small: StationPolicy) -> None:
    service = stage.collapsing_service(small)
    client = stage.client(connections_max=1)
    request, timeouts = Request.to("GET", service.url), Timeouts(pool_s=0.1)
    first = asyncio.ensure_future(client.send(request, timeouts=timeouts))
    await stage.clock.sleep_until(stage.clock.now())
    with pytest.raises(DependencyError, match="no free connection"):
        await client.send(request, timeouts=timeouts)
    assert (await first).status == 200


# When it cannot go on


def test_a_deadlock_says_who_waits_and_where() -> None:
    async def main(_: Stage) -> None:
        await asyncio.Event().wait()

    assert "test_stage.py" in told(main, DeadlockError)


def test_trying_again_at_once_for_ever_ends() -> None:
    async def main(stage: Stage) -> None:
        service = stage.scripted_service([503])
        while True:
            with pytest.raises(DependencyError):
                await service.call()

    with pytest.raises(SimulationError, match="over the limit"):
        play(main, steps_limit=1_000)


@pytest.mark.parametrize(
    ("reach", "named"),
    [
        (lambda: time.sleep(1.0), "time.sleep"),  # noqa: TID251 - what is refused
        (socket.socket, "socket"),
        (lambda: threading.Thread(target=print).start(), "Thread.start"),
        (lambda: asyncio.get_running_loop().getaddrinfo("host", 80), "DNS"),
    ],
)
def test_the_real_world_is_refused_with_advice(reach: Callable[[], object], named: str) -> None:
    async def main(_: Stage) -> None:
        reach()

    complaint = told(main, FenceError)
    assert f"the code under test reached for {named}" in complaint
    assert "wait with asyncio.sleep" in complaint


def test_a_refusal_that_was_swallowed_fails_the_test() -> None:
    async def main(_: Stage) -> None:
        with pytest.raises(FenceError):
            socket.socket()

    assert "reached for socket" in told(main, FenceError)


def test_a_refusal_is_told_when_the_test_fails_of_something_else() -> None:
    async def main(_: Stage) -> None:
        try:
            socket.socket()
        except FenceError as error:
            raise LookupError from error

    assert "reached for socket" in told(main, LookupError)
