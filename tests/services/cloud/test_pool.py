"""Pools ask for machines as their waiting work needs them, and what came of each piece is known."""

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.cloud.pool import (
    ASK_AGAIN_S,
    NODES_PER_ASK_MAX,
    NodePool,
    RunnerPool,
)
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run, yield_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.services.cloud.conftest import Play, Stage

    from surgetank.core.ports import Clock

    Make = Callable[..., tuple["Provider", NodePool | RunnerPool]]

PATIENCE_S = 100.0
IDLE_S = 30.0


@dataclass(eq=False)
class Asked:
    """Machines that come, or do not, when the test says so."""

    machines: int
    ended: "asyncio.Future[bool]"
    is_under_way: bool
    """Nothing stops it any more."""
    withdrawals: int = 0

    def end(self, *, is_served: bool) -> None:
        if not self.ended.done():
            self.ended.set_result(is_served)

    async def done(self) -> bool:
        return await asyncio.shield(self.ended)

    async def withdraw(self) -> bool:
        self.withdrawals += 1
        await yield_once()  # as a store does
        if self.is_under_way or self.ended.done():
            return False
        self.end(is_served=False)
        return True


@dataclass(eq=False)
class Provider:
    """Takes in asks, each after `asking_s`; from `are_under_way` on they cannot be withdrawn."""

    clock: "Clock"
    asking_s: float = 0.0
    are_under_way: bool = False
    refuses: bool = False
    """Asks end at once, unserved."""
    asks: list[Asked] = field(default_factory=list[Asked])

    async def ask(self, machines: int) -> Asked:
        ended = asyncio.get_running_loop().create_future()
        one = Asked(machines, ended, self.are_under_way)
        self.asks.append(one)
        if self.asking_s:
            await self.clock.sleep_until(self.clock.now() + self.asking_s)
        if self.refuses:
            one.end(is_served=False)
        return one

    @property
    def machines(self) -> list[int]:
        """Of each ask, in order."""
        return [one.machines for one in self.asks]

    @property
    def outstanding(self) -> int:
        """Asks that have not ended."""
        return sum(not one.ended.done() for one in self.asks)


def node_pool(
    clock: "Clock", *, pods_per_node: int = 4, **provider: Any
) -> tuple[Provider, NodePool]:
    asker = Provider(clock, **provider)
    return asker, NodePool(
        clock=clock, asker=asker, patience_s=PATIENCE_S, pods_per_node=pods_per_node
    )


def runner_pool(clock: "Clock", **provider: Any) -> tuple[Provider, RunnerPool]:
    asker = Provider(clock, **provider)
    return asker, RunnerPool(clock=clock, asker=asker, patience_s=PATIENCE_S, idle_s=IDLE_S)


async def submit(pool: NodePool | RunnerPool, times: int = 1) -> None:
    for _ in range(times):
        await pool.submit()


class Started(NamedTuple):
    """A piece of work that has its machine."""

    wanted_at: float
    started_at: float
    gives_up_at: float


@pytest.mark.parametrize(("pods", "nodes"), [(1, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_the_pods_that_wait_decide_how_many_nodes_are_asked_for(
    play: "Play", pods: int, nodes: int
) -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = node_pool(stage.clock)
        await submit(pool, pods)
        await stage.until(1.0)
        assert provider.machines == [nodes]

    play(body)


def test_a_node_pool_has_one_scale_up_at_a_time(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = node_pool(stage.clock)
        await submit(pool)
        await stage.until(1.0)
        await submit(pool, 9)
        await stage.until(50.0)
        assert provider.machines == [1]
        provider.asks[0].end(is_served=True)
        await stage.until(51.0)
        assert provider.machines == [1, 2], "six of ten found no room on the first node"
        assert (pool.counts.started, pool.waiting) == (4, 6)

    play(body)


def test_room_is_used_before_nodes_are_asked_for(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = node_pool(stage.clock)
        await submit(pool)
        await stage.until(1.0)
        provider.asks[0].end(is_served=True)
        await stage.until(2.0)
        await submit(pool, 3)
        assert [work.started_at is not None for work in pool.works] == [True] * 4
        await submit(pool)
        await stage.until(3.0)
        assert (provider.machines, pool.waiting) == ([1, 1], 1)

    play(body)


def test_nodes_that_come_for_nobody_are_zombies_and_their_room_is_used(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = node_pool(stage.clock, are_under_way=True, pods_per_node=2)
        await submit(pool, 6)
        await stage.until(50.0)
        await submit(pool, 3)
        await stage.until(120.0)
        provider.asks[0].end(is_served=True)
        await stage.until(121.0)
        counts = pool.counts
        assert (counts.given_up, counts.started, counts.zombies) == (6, 3, 1)
        await submit(pool, 3)
        assert (pool.counts.started, pool.waiting, provider.machines) == (6, 0, [3])

    play(body)


def test_an_ask_is_withdrawn_when_its_last_pod_has_given_up_and_not_before(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = node_pool(stage.clock)
        await submit(pool)
        await stage.until(50.0)
        await submit(pool)
        (asked,) = provider.asks
        await stage.until(149.0)
        assert asked.withdrawals == 0
        await stage.until(151.0)
        assert asked.withdrawals == 1
        await stage.until(1_000.0)
        assert provider.machines == [1], "nobody waits, so nothing is asked for again"
        await submit(pool, 5)
        await stage.until(1_001.0)
        assert (provider.machines, pool.counts.zombies) == ([1, 2], 0)

    play(body)


def test_an_ask_that_ends_unserved_is_made_again_for_the_pods_that_wait(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = node_pool(stage.clock)
        await submit(pool)
        await stage.until(60.0)
        await submit(pool, 4)
        provider.asks[0].end(is_served=False)
        await stage.until(61.0)
        assert provider.machines == [1, 2]

    play(body)


def test_one_ask_is_for_no_more_nodes_than_a_set_may_have(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = node_pool(stage.clock, pods_per_node=1)
        await submit(pool, NODES_PER_ASK_MAX + 5)
        await stage.until(1.0)
        provider.asks[0].end(is_served=True)
        await stage.until(2.0)
        assert provider.machines == [NODES_PER_ASK_MAX, 5]

    play(body)


def test_each_job_that_waits_has_one_runner_asked_for(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = runner_pool(stage.clock)
        await submit(pool, 3)
        await stage.until(1.0)
        assert provider.machines == [1, 1, 1]

    play(body)


def test_whichever_runner_comes_first_takes_the_job_that_has_waited_longest(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = runner_pool(stage.clock)
        for second in (0.0, 1.0, 2.0):
            await stage.until(second)
            await submit(pool)
        provider.asks[2].end(is_served=True)
        await stage.until(3.0)
        assert [work.started_at is not None for work in pool.works] == [True, False, False]

    play(body)


async def _with_an_idle_runner(stage: "Stage") -> tuple[Provider, RunnerPool]:
    """A pool whose only job has given up, and whose runner came in second 110 all the same."""
    provider, pool = runner_pool(stage.clock, are_under_way=True)
    await submit(pool)
    await stage.until(110.0)
    provider.asks[0].end(is_served=True)
    await stage.until(111.0)
    assert (pool.counts.given_up, pool.counts.zombies) == (1, 1)
    return provider, pool


@pytest.mark.parametrize(("second", "asks"), [(139.9, 2), (140.0, 3)])
def test_an_idle_runner_takes_the_next_job_within_its_time_and_not_after(
    play: "Play", second: float, asks: int
) -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = await _with_an_idle_runner(stage)
        await stage.until(second)
        await submit(pool, 2)
        assert len(provider.asks) == asks, "a runner takes one job"
        assert (pool.counts.started, pool.waiting) == (3 - asks, asks - 1)

    play(body)


def test_an_ask_that_ends_unserved_is_made_again_while_jobs_wait(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = runner_pool(stage.clock)
        await submit(pool, 2)
        await stage.until(50.0)
        provider.asks[0].end(is_served=False)
        await stage.until(51.0)
        assert (len(provider.asks), provider.outstanding) == (3, 2)
        provider.asks[1].end(is_served=True)
        provider.asks[2].end(is_served=True)
        await stage.until(52.0)
        assert (pool.counts.started, pool.counts.zombies, len(provider.asks)) == (2, 0, 3)

    play(body)


def test_an_ask_one_too_many_is_withdrawn(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = runner_pool(stage.clock)
        await submit(pool)
        await stage.until(50.0)
        await submit(pool)
        await stage.until(101.0)
        assert (provider.outstanding, pool.waiting) == (1, 1)
        await stage.until(200.0)
        assert (provider.outstanding, pool.waiting, len(provider.asks)) == (0, 0, 2)
        assert pool.counts.zombies == 0

    play(body)


def test_a_job_that_has_its_runner_takes_no_ask_back(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = runner_pool(stage.clock)
        await submit(pool)
        await stage.until(50.0)
        await submit(pool)
        provider.asks[0].end(is_served=True)
        await stage.until(101.0)
        assert (provider.asks[1].withdrawals, pool.waiting, pool.counts.started) == (0, 1, 1)

    play(body)


def test_jobs_that_give_up_together_take_back_an_ask_each(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = runner_pool(stage.clock)
        await submit(pool, 3)
        await stage.until(101.0)
        assert [one.withdrawals for one in provider.asks] == [1, 1, 1]

    play(body)


def test_an_ask_that_comes_all_the_same_serves_the_next_job(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = runner_pool(stage.clock, are_under_way=True)
        await submit(pool)
        await stage.until(150.0)
        await submit(pool)
        assert (len(provider.asks), provider.asks[0].withdrawals) == (1, 1)
        provider.asks[0].end(is_served=True)
        await stage.until(151.0)
        assert (pool.counts.started, pool.counts.zombies) == (1, 0)

    play(body)


def test_an_ask_that_could_not_be_withdrawn_leaves_the_next_one_to_be(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = runner_pool(stage.clock, are_under_way=True)
        await submit(pool)
        provider.are_under_way = False
        await stage.until(50.0)
        await submit(pool)
        await stage.until(151.0)
        assert [one.withdrawals for one in provider.asks] == [1, 1]
        assert provider.outstanding == 1

    play(body)


def test_an_ask_that_is_still_being_made_is_not_made_twice(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = runner_pool(stage.clock, asking_s=PATIENCE_S + 50.0)
        stage.start(submit(pool))
        await stage.until(120.0)
        stage.start(submit(pool))
        await stage.until(140.0)
        assert (pool.counts.given_up, pool.waiting, len(provider.asks)) == (1, 1, 1)

    play(body)


BOTH = pytest.mark.parametrize("make", [node_pool, runner_pool])


@BOTH
def test_work_gives_up_after_its_patience_and_is_counted_at_once(
    play: "Play", make: "Make"
) -> None:
    async def body(stage: "Stage") -> None:
        _, pool = make(stage.clock, are_under_way=True)
        given_up: dict[float, int] = {}
        await submit(pool)
        await stage.until(120.0)
        await submit(pool)
        await stage.until(130.0)
        await submit(pool)
        for second in (219.9, 220.0, 229.9, 230.0):
            await stage.until(second)
            given_up[second] = pool.counts.given_up
        assert given_up == {219.9: 1, 220.0: 2, 229.9: 2, 230.0: 3}

    play(body)


@BOTH
def test_a_provider_that_refuses_at_once_is_not_asked_without_end(
    play: "Play", make: "Make"
) -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = make(stage.clock, refuses=True)
        await submit(pool)
        await stage.until(PATIENCE_S)
        assert len(provider.asks) == PATIENCE_S / ASK_AGAIN_S
        await stage.until(2 * PATIENCE_S)
        assert len(provider.asks) == PATIENCE_S / ASK_AGAIN_S

    play(body)


@BOTH
def test_a_full_pool_turns_work_away_and_counts_it_as_given_up(play: "Play", make: "Make") -> None:
    async def body(stage: "Stage") -> None:
        provider, pool = make(stage.clock)
        pool.waiting_max = 8
        await submit(pool, 8)
        assert (pool.waiting, pool.counts.given_up) == (8, 0)
        await submit(pool)
        assert (pool.waiting, pool.counts.given_up) == (8, 1)
        await stage.until(PATIENCE_S)
        assert len(provider.asks) <= 8, "what was turned away has nothing asked for"
        await submit(pool)
        assert (pool.waiting, pool.counts.given_up) == (1, 9)

    play(body)


SUBMIT, SERVE, FAIL, PASS = "submit", "serve", "fail", "pass"
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just(SUBMIT), st.integers(1, 6)),
        st.tuples(st.sampled_from([SERVE, FAIL]), st.integers(0, 9)),
        st.tuples(st.just(PASS), st.sampled_from([1, 20, 60, 110])),
    ),
    max_size=40,
)


@given(
    make=st.sampled_from([node_pool, runner_pool]),
    events=EVENTS,
    asking_s=st.sampled_from([0.0, 0.5, 5.0]),
    are_under_way=st.booleans(),
)
def test_every_piece_of_work_starts_once_gives_up_or_waits(
    make: "Make",
    events: list[tuple[str, int]],
    asking_s: float,
    *,
    are_under_way: bool,
) -> None:
    async def main(loop: VirtualLoop) -> None:
        clock = VirtualClock(loop)
        provider, pool = make(clock, asking_s=asking_s, are_under_way=are_under_way)

        async def act(what: str, amount: int) -> None:
            if what == SUBMIT:
                for _ in range(amount):
                    loop.create_task(pool.submit())
            elif what == PASS:
                await clock.sleep_until(clock.now() + amount)
            else:
                under_way = [one for one in provider.asks if not one.ended.done()]
                if under_way:
                    under_way[amount % len(under_way)].end(is_served=what == SERVE)

        for what, amount in events:
            await act(what, amount)
            await clock.sleep_until(clock.now() + 0.1)
            _check(pool, provider)
        await _drain(pool, provider, clock)
        _check(pool, provider)

    run(main)


def _check(pool: NodePool | RunnerPool, provider: Provider) -> None:
    """What holds at any time."""
    waiting, counts = pool.waiting, pool.counts
    started = [
        Started(work.wanted_at, work.started_at, work.gives_up_at)
        for work in pool.works
        if work.started_at is not None
    ]
    assert counts.submitted == counts.started + counts.given_up + waiting
    assert len(started) == counts.started, "no work is started twice"
    assert all(one.started_at <= two.started_at for one, two in pairwise(started))
    assert all(one.wanted_at <= one.started_at < one.gives_up_at for one in started)
    at_most = 1 if isinstance(pool, NodePool) else counts.waiting_peak
    assert provider.outstanding <= at_most


async def _drain(pool: NodePool | RunnerPool, provider: Provider, clock: VirtualClock) -> None:
    """Serve whatever is asked for: nobody is left waiting, and nothing is asked for in the end."""
    for _ in range(100):
        for one in provider.asks:
            one.end(is_served=True)
        await clock.sleep_until(clock.now() + 1.0)
        if not pool.waiting and not provider.outstanding:
            break
    asks = len(provider.asks)
    await clock.sleep_until(clock.now() + 10 * PATIENCE_S)
    assert (pool.waiting, provider.outstanding, len(provider.asks)) == (0, 0, asks)
