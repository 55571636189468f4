"""One call at a time: queues, refusals, crashes, health checks, and nodes that come cold."""

from collections import Counter
from math import inf, nan
from typing import TYPE_CHECKING, Any

import pytest

from surgetank.cloud.station import NODES_MAX, Served, Station, StationPolicy, Turned
from surgetank.control.admission import Admission
from surgetank.core.errors import DependencyTimeoutError, InvalidInputError
from surgetank.core.http import Request, Response, Timeouts
from surgetank.core.value import Lane

if TYPE_CHECKING:
    import asyncio

    from tests.services.cloud.conftest import Play, Stage

LOST, NO_ROOM = Turned(502), Turned(503)


def _ends(tasks: "list[asyncio.Task[Served | Turned]]") -> list[int | None]:
    """What became of each call: 200, or the status it was turned with; None is still waiting."""
    return [
        None if not task.done() else 200 if isinstance(end := task.result(), Served) else end.status
        for task in tasks
    ]


async def _crash(stage: "Stage", station: Station) -> "list[asyncio.Task[Served | Turned]]":
    """Press on a node from second 0, so that it crashes in second 10; gives the calls."""
    tasks = await stage.crowd(station, 40)
    await stage.until(10.0)
    tasks += await stage.crowd(station, 1)
    assert station.counts.crashes == 1
    return tasks


def test_an_idle_node_answers_after_the_service_time(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        assert await stage.station().serve() == Served(1.0)
        assert stage.passed_s == 0.2

    play(body)


def test_a_node_is_free_only_after_the_time_that_a_call_occupies_it(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station()
        await station.serve()
        await station.serve()
        assert stage.passed_s == 1.2

    play(body)


def test_calls_go_to_the_least_busy_node(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(nodes=3, rate_per_s=3.0)
        tasks = await stage.crowd(station, 4)
        await stage.until(0.2)
        assert _ends(tasks) == [200, 200, 200, None]

    play(body)


def test_the_work_of_a_call_spreads_around_its_mean(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        spread: dict[str, Any] = {"spread_ratio": 0.5, "nodes": 2, "rate_per_s": 0.5}
        least = await stage.station(chance=stage.chance(0.0), **spread).serve()
        mean = await stage.station(chance=stage.chance(0.5), **spread).serve()
        assert (least, mean) == (Served(2.0), Served(4.0))

    play(body)


def test_works_for_callers_who_have_gone(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station()

        async def handle(_: Request) -> Response:
            turn = await station.serve()
            return Response(200 if isinstance(turn, Served) else turn.status)

        stage.network.serve("service", handle)
        client = stage.client()
        hasty = Timeouts(read_s=0.1)
        for _ in range(10):
            with pytest.raises(DependencyTimeoutError):
                await client.send(Request("GET", "service", "/"), timeouts=hasty)
        left_at = stage.passed_s
        patient = await client.send(Request("GET", "service", "/"), timeouts=Timeouts())
        assert (left_at, patient.status, stage.passed_s) == (1.0, 200, 10.2)
        assert station.counts.served == 11

    play(body)


def test_a_full_queue_refuses_at_once(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(queue_s_max=3.0)
        await stage.crowd(station, 4)
        assert await station.serve() == NO_ROOM
        assert (stage.passed_s, station.counts.refused) == (0.0, 1)

    play(body)


def test_refusing_costs_a_share_of_serving(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(queue_s_max=3.0, reject_cost_ratio=0.25)
        await stage.crowd(station, 4 + 2)
        assert station.queue_s() == pytest.approx(4.5)

    play(body)


def test_refusals_alone_can_crash_a_node(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(
            queue_s_max=10.0, pressure_s=5.0, crash_after_s=3.0, reject_cost_ratio=0.5
        )
        await stage.crowd(station, 11 + 20)
        await stage.until(4.0)
        assert await station.serve() == NO_ROOM
        assert station.counts.crashes == 1

    play(body)


def test_admission_refuses_and_says_when_to_come_back(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        admission = Admission(wait_s_max=2.0, retry_s_min=1.0, retry_s_max=60.0)
        station = stage.station(admission=admission, chance=stage.chance(0.0))
        await stage.crowd(station, 3)
        refused = await station.serve()
        assert isinstance(refused, Turned)
        assert refused.status == 429
        assert refused.retry_after_s == pytest.approx(1.0)
        assert (station.counts.refused, stage.passed_s) == (1, 0.0)

    play(body)


def test_admission_keeps_backlog_out_before_fresh_work(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(admission=Admission(wait_s_max=4.0, backlog_share=0.25))
        await stage.crowd(station, 2)
        backlog = await stage.crowd(station, 1, lane=Lane.BACKLOG)
        fresh = await stage.crowd(station, 1)
        assert _ends(backlog + fresh) == [429, None]

    play(body)


def test_refusing_at_the_door_is_not_free_either(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(admission=Admission(wait_s_max=2.0), reject_cost_ratio=0.1)
        await stage.crowd(station, 3 + 4)
        assert station.queue_s() == pytest.approx(3.4)

    play(body)


def test_a_crash_loses_the_queue(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(crash_after_s=10.0)
        tasks = await _crash(stage, station)
        await stage.until(60.0)
        assert _ends(tasks) == [200] * 10 + [502] * 31
        assert (station.counts.served, station.counts.lost) == (10, 31)

    play(body)


def test_a_queue_that_shrinks_in_time_prevents_the_crash(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(crash_after_s=10.0)
        await stage.crowd(station, 32)
        await stage.until(5.0)
        await stage.crowd(station, 1)  # finds 27 s of work: the pressure is off
        await stage.crowd(station, 10)  # and on again, but only since now
        await stage.until(11.0)
        await stage.crowd(station, 1)
        assert station.counts.crashes == 0

    play(body)


@pytest.mark.parametrize(("crash_after_s", "crashes"), [(inf, 0), (100.0, 1)])
def test_a_node_can_be_made_not_to_crash(play: "Play", crash_after_s: float, crashes: int) -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(crash_after_s=crash_after_s, queue_s_max=1e9, health_period_s=1e9)
        await stage.crowd(station, 1_000)
        await stage.until(200.0)
        await stage.crowd(station, 1)
        assert station.counts.crashes == crashes

    play(body)


def test_a_crashed_node_comes_back_cold_and_warms_up(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(crash_after_s=10.0, restart_s=120.0, warm_s=300.0, cold_ratio=0.2)
        await _crash(stage, station)
        speeds: list[float] = []
        for second in (10.0, 129.9, 130.0, 280.0, 430.0, 1_000.0):
            await stage.until(second)
            speeds.append(station.live_ratio())
        assert speeds == pytest.approx([0.0, 0.0, 0.2, 0.6, 1.0, 1.0])

    play(body)


def test_a_cold_node_answers_late_and_is_occupied_for_longer(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(crash_after_s=10.0, restart_s=120.0, warm_s=1e9, cold_ratio=0.2)
        await _crash(stage, station)
        await stage.until(131.0)
        assert await station.serve() == Served(1.0)
        assert stage.passed_s == pytest.approx(131.0 + 0.2 / 0.2)
        await station.serve()
        assert stage.passed_s == pytest.approx(131.0 + 1.0 / 0.2 + 0.2 / 0.2)

    play(body)


def test_without_a_warm_up_a_node_comes_back_at_full_speed(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(crash_after_s=10.0, restart_s=120.0, warm_s=0.0)
        await _crash(stage, station)
        await stage.until(130.0)
        assert station.live_ratio() == 1.0

    play(body)


def test_a_crash_is_noticed_only_at_the_next_check(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(
            nodes=2, rate_per_s=2.0, crash_after_s=10.0, restart_s=120.0, health_period_s=15.0
        )
        await stage.crowd(station, 80)
        await stage.until(10.0)
        await stage.crowd(station, 1)
        assert station.counts.crashes == 1
        ends: dict[float, Served | Turned] = {}
        for second in (10.0, 14.9, 40.0):
            await stage.until(second)
            ends[second] = await station.serve()
        # The crashed node has nothing in flight, so it looks idle beside one that is busy.
        assert ends == {10.0: LOST, 14.9: LOST, 40.0: Served(1.0)}

    play(body)


def test_without_a_node_in_rotation_calls_are_refused(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(crash_after_s=10.0, restart_s=120.0, health_period_s=15.0)
        await _crash(stage, station)
        await stage.until(15.0)
        assert await station.serve() == NO_ROOM
        assert stage.passed_s == 15.0

    play(body)


def test_a_check_returns_a_node_that_is_back(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(crash_after_s=10.0, restart_s=20.0, health_period_s=15.0)
        await _crash(stage, station)
        ends: list[int] = []
        for second in (15.0, 29.9, 30.1):
            await stage.until(second)
            end = await station.serve()
            ends.append(200 if isinstance(end, Served) else end.status)
        assert ends == [503, 503, 200]

    play(body)


def test_a_check_takes_out_a_node_that_is_too_busy_until_the_next(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(unhealthy_s=3.0, health_period_s=15.0)
        await stage.crowd(station, 20)
        ends: dict[float, int] = {}
        for second in (14.9, 15.0, 29.9, 30.0):
            await stage.until(second)
            (task,) = await stage.crowd(station, 1)
            ends[second] = 503 if task.done() else 200
        assert ends == {14.9: 200, 15.0: 503, 29.9: 503, 30.0: 200}

    play(body)


def test_added_nodes_are_cold_and_in_rotation_at_once(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(warm_s=100.0, cold_ratio=0.2)
        await stage.crowd(station, 5)
        station.scale_out(2)
        assert station.live_ratio() == pytest.approx(1.4)
        await station.serve()
        assert stage.passed_s == pytest.approx(0.2 / 0.2)
        await stage.until(100.0)
        assert station.live_ratio() == pytest.approx(3.0)

    play(body)


@pytest.mark.parametrize("nodes", [0, -1, NODES_MAX])
def test_a_station_does_not_grow_beyond_its_limit(play: "Play", nodes: int) -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station()
        with pytest.raises(InvalidInputError, match="cannot add"):
            station.scale_out(nodes)
        station.scale_out(1)
        station.scale_out(NODES_MAX - 2)

    play(body)


def test_operators_let_a_share_of_traffic_in(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(chance=stage.chance(0.5))
        ends: dict[float, int] = {}
        for open_ratio in (0.0, 0.5, 0.6, 1.0):
            station.open_ratio = open_ratio
            end = await station.serve()
            ends[open_ratio] = 200 if isinstance(end, Served) else end.status
        assert ends == {0.0: 503, 0.5: 503, 0.6: 200, 1.0: 200}
        assert (station.counts.turned_away, station.counts.refused) == (2, 0)

    play(body)


def test_an_open_station_draws_once_for_each_call(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        chance = stage.chance(0.5)
        station = stage.station(chance=chance)
        await stage.crowd(station, 7)
        assert chance.draws == 7

    play(body)


def test_a_slowdown_makes_calls_longer_while_it_lasts(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station()
        station.slowdown = 3.0
        assert await station.serve() == Served(3.0)
        assert stage.passed_s == pytest.approx(0.6)
        station.slowdown = 1.0
        await station.serve()
        assert stage.passed_s == pytest.approx(3.2)

    play(body)


def test_the_queue_is_a_mean_over_living_nodes(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(nodes=2, rate_per_s=2.0, crash_after_s=10.0, health_period_s=1e9)
        await stage.crowd(station, 79)
        assert station.queue_s() == pytest.approx(39.5)
        await stage.until(10.0)
        await stage.crowd(station, 1)  # ends the node that had 39 s of work
        assert station.queue_s() == pytest.approx(30.0)

    play(body)


def test_a_station_without_a_living_node_has_no_speed_and_waits_for_the_first_to_be_back(
    play: "Play",
) -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(crash_after_s=10.0, restart_s=120.0)
        await _crash(stage, station)
        assert (station.queue_s(), station.live_ratio()) == (120.0, 0.0)
        await stage.until(100.0)
        assert station.queue_s() == pytest.approx(30.0)

    play(body)


def test_an_idle_station_has_no_queue_and_all_its_speed(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(nodes=2, queue_s_max=0.5, admission=Admission(wait_s_max=0.5))
        await stage.until(100.0)
        assert (station.queue_s(), station.live_ratio()) == (0.0, 1.0)
        assert isinstance(await station.serve(), Served)

    play(body)


@pytest.mark.parametrize(("chance", "crashes_at"), [(0.0, 5.0), (0.5, 10.0), (0.9, 14.0)])
def test_no_two_nodes_bear_pressure_equally_long(
    play: "Play", chance: float, crashes_at: float
) -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(
            crash_after_s=10.0, chance=stage.chance(chance), health_period_s=1e9
        )
        await stage.crowd(station, 60)
        crashes: list[int] = []
        for second in (crashes_at - 0.1, crashes_at + 0.1):
            await stage.until(second)
            await stage.crowd(station, 1)
            crashes.append(station.counts.crashes)
        assert crashes == [0, 1]

    play(body)


@pytest.mark.parametrize(("calls", "crashes"), [(30, 0), (31, 1)])
def test_a_queue_above_the_bound_is_pressure(play: "Play", calls: int, crashes: int) -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(pressure_s=30.0, crash_after_s=0.0)
        await stage.crowd(station, calls)
        assert station.counts.crashes == crashes

    play(body)


def test_counts_the_work_of_calls_that_were_served_and_of_no_others(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(rate_per_s=0.5, crash_after_s=10.0, queue_s_max=40.0)
        await stage.crowd(station, 20)
        await stage.until(9.0)
        assert station.counts.work_s == 5 * 2.0
        await stage.until(10.0)
        await stage.crowd(station, 1)
        await stage.until(100.0)
        assert (station.counts.crashes, station.counts.work_s) == (1, 5 * 2.0)

    play(body)


def test_every_call_is_counted_once(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(crash_after_s=10.0, queue_s_max=45.0)
        tasks = await _crash(stage, station)
        station.open_ratio = 0.0
        tasks += await stage.crowd(station, 3)
        await stage.until(100.0)
        counts, ends = station.counts, Counter(_ends(tasks))
        assert ends == {200: counts.served, 502: counts.lost, 503: counts.turned_away}

    play(body)


@pytest.mark.parametrize(
    "wrong",
    [
        {"nodes": 0},
        {"nodes": NODES_MAX + 1},
        {"rate_per_s": 0.0},
        {"rate_per_s": nan},
        {"service_s": -0.1},
        {"service_s": inf},
        {"spread_ratio": -0.1},
        {"spread_ratio": 1.0},
        {"queue_s_max": 0.0},
        {"queue_s_max": nan},
        {"reject_cost_ratio": -0.1},
        {"pressure_s": -1.0},
        {"crash_after_s": nan},
        {"restart_s": -1.0},
        {"restart_s": inf},
        {"warm_s": -1.0},
        {"warm_s": inf},
        {"cold_ratio": 0.0},
        {"cold_ratio": 1.1},
        {"health_period_s": -1.0},
        {"unhealthy_s": nan},
    ],
    ids=str,
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"nodes": 1, "rate_per_s": 1.0}
    with pytest.raises(InvalidInputError, match="out of range"):
        StationPolicy(**(settings | wrong))


@pytest.mark.parametrize("nodes", [1, NODES_MAX])
def test_a_station_may_be_small_or_large(nodes: int) -> None:
    assert StationPolicy(nodes=nodes, rate_per_s=1.0).nodes == nodes


def test_a_call_occupies_a_node_for_its_share_of_the_rate() -> None:
    assert StationPolicy(nodes=4, rate_per_s=0.5).occupied_s == 8.0
