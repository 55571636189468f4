"""At a station's door: what is kept from the nodes costs them nothing, and every call is counted."""

from typing import TYPE_CHECKING

import pytest

from surgetank.cloud.station import Served, Station, Turned
from surgetank.control.admission import Admission, RateLimit

if TYPE_CHECKING:
    from tests.services.cloud.conftest import Play, Stage

LIMIT = RateLimit(rate_per_s=0.1, burst=3.0, retry_s_max=60.0)


def _limited(stage: "Stage", *, chance: float = 0.0, limit: RateLimit = LIMIT) -> Station:
    station = stage.station(chance=stage.chance(chance), reject_cost_ratio=1.0)
    station.limit = limit
    return station


def test_a_limit_lets_a_burst_in_and_then_its_rate(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = _limited(stage)
        refused: list[int] = []
        for second in (0.0, 9.9, 10.0, 60.0):
            await stage.until(second)
            await stage.crowd(station, 5)
            refused.append(station.counts.refused)
        assert refused == [2, 7, 11, 13]

    play(body)


def test_what_a_limit_turns_away_costs_the_nodes_nothing(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = _limited(stage)
        await stage.crowd(station, 3)
        busy_s = station.queue_s()
        await stage.crowd(station, 100)
        assert station.queue_s() == busy_s == 3.0
        await stage.until(10.0)
        assert (station.counts.served, station.counts.work_s) == (3, 3.0)

    play(body)


@pytest.mark.parametrize(("chance", "retry_after_s"), [(0.0, 10.0), (0.5, 40.0)])
def test_whom_a_limit_turns_away_is_told_when_to_come_back(
    play: "Play", chance: float, retry_after_s: float
) -> None:
    async def body(stage: "Stage") -> None:
        station = _limited(stage, chance=chance)
        await stage.crowd(station, 3)
        turned = await station.serve()
        assert isinstance(turned, Turned)
        assert turned.status == 429
        assert turned.retry_after_s == pytest.approx(retry_after_s)
        assert stage.passed_s == 0.0

    play(body)


def test_a_limit_rises_with_the_nodes(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = _limited(stage)
        station.scale_out(1)
        station.scale_out(2)
        assert station.limit is not None
        assert station.limit.rate_per_s == pytest.approx(0.4)
        assert station.limit.burst == 3.0

    play(body)


def test_calls_that_operators_keep_out_do_not_use_up_the_limit(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = _limited(stage)
        station.open_ratio = 0.0
        await stage.crowd(station, 50)
        station.open_ratio = 1.0
        tasks = await stage.crowd(station, 3)
        await stage.until(10.0)
        assert all(isinstance(task.result(), Served) for task in tasks)
        assert (station.counts.turned_away, station.counts.refused) == (50, 0)

    play(body)


def test_without_a_limit_nothing_is_turned_away(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(queue_s_max=1e9)
        await stage.crowd(station, 500)
        assert station.counts.refused == 0

    play(body)


def test_every_call_that_arrives_is_offered_whatever_becomes_of_it(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(
            admission=Admission(wait_s_max=30.0),
            queue_s_max=20.0,
            crash_after_s=1.0,
            pressure_s=10.0,
            health_period_s=5.0,
        )
        station.limit = RateLimit(rate_per_s=1.0, burst=40.0)
        for second in (0.0, 2.0, 4.0, 6.0, 8.0):
            await stage.until(second)
            await stage.crowd(station, 30)
        station.open_ratio = 0.0
        await stage.crowd(station, 10)
        await stage.until(1_000.0)
        counts = station.counts
        assert counts.offered == 160
        ended = counts.served + counts.lost + counts.refused + counts.turned_away
        assert ended == counts.offered
        assert min(counts.served, counts.lost, counts.refused, counts.turned_away) > 0

    play(body)


def test_nodes_are_counted_whether_they_live_or_not(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(nodes=2, pressure_s=1.0, crash_after_s=0.0)
        await stage.crowd(station, 10)
        assert station.counts.crashes >= 1
        station.scale_out(3)
        assert station.nodes == 5

    play(body)


def test_a_station_that_stood_idle_is_warm(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        assert stage.station(nodes=3, cold_ratio=0.1).is_warm()

    play(body)


def test_a_station_with_a_queue_is_not_warm_until_it_is_worked_off(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(nodes=2, rate_per_s=2.0)
        await stage.crowd(station, 1)
        warm: list[bool] = []
        for second in (0.0, 0.9, 1.0):
            await stage.until(second)
            warm.append(station.is_warm())
        assert warm == [False, False, True]

    play(body)


@pytest.mark.parametrize("cold_ratio", [0.1, 0.15, 0.3, 0.7, 0.9])
def test_a_station_with_a_new_node_is_warm_when_that_one_is(
    play: "Play", cold_ratio: float
) -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(warm_s=300.0, cold_ratio=cold_ratio)
        station.scale_out(1)
        warm: list[bool] = []
        for second in (0.0, 299.9, 300.0, 1_000.0):
            await stage.until(second)
            warm.append(station.is_warm())
        assert warm == [False, False, True, True]

    play(body)


def test_a_station_with_a_crashed_node_is_warm_when_that_one_is_back_and_warm(play: "Play") -> None:
    async def body(stage: "Stage") -> None:
        station = stage.station(
            pressure_s=1.0, crash_after_s=0.0, restart_s=100.0, warm_s=50.0, cold_ratio=0.5
        )
        await stage.crowd(station, 2)
        assert station.counts.crashes == 1
        warm: list[bool] = []
        for second in (50.0, 100.0, 149.9, 150.0):
            await stage.until(second)
            warm.append(station.is_warm())
        assert warm == [False, False, False, True]

    play(body)
