"""The optimum is what is left of the capacity when fresh and unseen calls have been served."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from surgetank.rehearsal.drain.world import (
    PHASES_MAX,
    World,
    drainable,
    is_short,
    optimum_s,
    phases,
)

Make = Callable[..., World]


def halved(begin_s: float, end_s: float) -> list[dict[str, float]]:
    return [{"at_s": begin_s, "capacity_ratio": 0.5}, {"at_s": end_s}]


@pytest.mark.parametrize(
    ("keys", "seconds"),
    [
        ({}, 100.0),  # 7,000 at 100 - 30 a second
        ({"unseen_ratio": 0.2}, 140.0),  # at 50
        ({"schedule": halved(30, 65)}, 125.0),  # 30 at 70, 35 at 20, the rest at 70
        ({"schedule": halved(20, 9_000)}, 300.0),  # 20 at 70, 280 at 20
        ({"schedule": [{"at_s": 0, "capacity_ratio": 0.2}, {"at_s": 50}]}, 150.0),
        ({"schedule": [{"at_s": 50, "unseen_ratio": 0.35}]}, 150.0),
        ({"schedule": [{"at_s": 200, "capacity_ratio": 0.01}]}, 100.0),  # too late to matter
        ({"schedule": [{"at_s": 50, "capacity_ratio": 0.3}]}, math.inf),
    ],
)
def test_the_optimum_follows_the_schedule(
    world: Make, keys: dict[str, Any], seconds: float
) -> None:
    assert optimum_s(world(**keys)) == pytest.approx(seconds)


def test_each_failed_call_costs_a_service_and_is_made_again(world: Make) -> None:
    error = 0.04
    fresh_calls_per_s = 30 * (1 + error + error**2)
    left_per_s = (100 - 10 - fresh_calls_per_s) * (1 - error)
    found = optimum_s(world(error_ratio=error, unseen_ratio=0.1))
    assert found == pytest.approx(7_000 / left_per_s)


def test_retries_of_fresh_calls_end_with_their_budget(world: Make) -> None:
    # Of 100 services half end well, and 5 retries a second are a tenth of that, not 22.5.
    found = optimum_s(world(error_ratio=0.5))
    assert found == pytest.approx(7_000 / ((100 - 30 - 5) * 0.5))


def test_a_call_whose_latency_alone_is_above_the_time_out_costs_a_service(world: Make) -> None:
    keys = {"slow_ratio": 0.1, "slow_factor": 1_000.0}
    assert optimum_s(world(**keys)) == pytest.approx(optimum_s(world(error_ratio=0.1)), rel=1e-3)


def test_drift_makes_calls_late_as_spread_does(world: Make) -> None:
    by_spread = world(latency_s=1.0, latency_spread=0.5)
    by_both = world(latency_s=1.0, latency_spread=0.3, latency_drift_ratio=0.4)
    assert optimum_s(by_both) == pytest.approx(optimum_s(by_spread))
    assert optimum_s(by_both) > optimum_s(world()) * 1.05


def test_without_spread_all_calls_are_late_or_none(world: Make) -> None:
    def slowed(factor: float) -> World:
        return world(latency_spread=0.0, schedule=[{"at_s": 0, "latency_factor": factor}])

    assert optimum_s(slowed(49)) == pytest.approx(100.0)
    assert math.isinf(optimum_s(slowed(51)))


def test_what_is_drained_until_the_optimum_is_the_backlog(world: Make) -> None:
    one = world(schedule=halved(20, 60), error_ratio=0.03)
    assert drainable(one, optimum_s(one)) == pytest.approx(one.backlog)
    assert drainable(one, 0.0) == 0.0


def test_an_entry_that_leaves_a_key_out_goes_back_to_the_world(world: Make) -> None:
    schedule = [{"at_s": 5, "error_ratio": 0.2, "unseen_ratio": 0.5}, {"at_s": 9}]
    found = phases(world(error_ratio=0.1, unseen_ratio=0.2, schedule=schedule))
    assert [phase.at_s for phase in found] == [0, 5, 9]
    assert [phase.error_ratio for phase in found] == [0.1, 0.2, 0.1]
    assert [phase.unseen_per_s for phase in found] == [20, 50, 20]


def test_a_schedule_that_begins_at_once_has_nothing_before_it(world: Make) -> None:
    found = phases(world(schedule=[{"at_s": 0, "latency_factor": 3.0, "capacity_ratio": 0.5}]))
    assert [(one.at_s, one.capacity_per_s, one.latency_factor) for one in found] == [(0, 50.0, 3.0)]


@pytest.mark.parametrize(
    ("schedule", "is_it"),
    [
        ([], False),
        (halved(20, 60), False),
        ([{"at_s": 20, "capacity_ratio": 0.29}, {"at_s": 60}], True),
        ([{"at_s": 20, "unseen_ratio": 0.71}, {"at_s": 60}], True),
        ([{"at_s": 101, "capacity_ratio": 0.29}, {"at_s": 160}], False),
    ],
)
def test_a_world_is_short_when_fresh_alone_is_too_much_before_the_optimum(
    world: Make, schedule: list[dict[str, float]], *, is_it: bool
) -> None:
    assert is_short(world(schedule=schedule)) is is_it


def test_a_schedule_has_at_most_so_many_entries(world: Make) -> None:
    entries = [{"at_s": at} for at in range(PHASES_MAX + 1)]
    assert len(phases(world(schedule=entries[:-1]))) == PHASES_MAX
    with pytest.raises(ValidationError, match="at most 256 items"):
        world(schedule=entries)
