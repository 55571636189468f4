"""Demand follows the sun, arrivals follow demand, and shares are spread evenly."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.rehearsal.scenario.fleet import (
    arrivals,
    busiest_tokens_per_s,
    demand_ratio,
    is_in_share,
    local_h,
)
from surgetank.rehearsal.scenario.reader import load
from surgetank.rehearsal.scenario.schema import Creates, Demand, Readers, Region

DEMAND = Demand(quiet_ratio=0.2, busy_hour=14.0, busy_width_h=4.0)
REGION = Region(title="Here", size=0.5, utc_offset_h=0.0)
CREATES = Creates(
    name="machines",
    kind="machine",
    peak_per_s=0.1,
    tokens=4,
    deadline_s=1800,
    retry_s=1800,
    patience_s=7200,
)
READERS = Readers(
    name="readers", kind="token_readers", peak_per_s=0.1, nodes=4, retry_s=300, patience_s=900
)
DAY_S = 86_400.0


@given(st.floats(0, 24, exclude_max=True))
def test_demand_lies_between_the_quiet_floor_and_the_busiest_hour(hour: float) -> None:
    assert DEMAND.quiet_ratio <= demand_ratio(DEMAND, local_h=hour) <= 1.0


def test_demand_is_greatest_at_the_busiest_hour_and_alike_on_both_sides_of_midnight() -> None:
    assert demand_ratio(DEMAND, local_h=14.0) == 1.0
    late = DEMAND.model_copy(update={"busy_hour": 23.0})
    assert demand_ratio(late, local_h=1.0) == pytest.approx(demand_ratio(late, local_h=21.0))


def test_clocks_of_a_region_are_ahead_by_its_offset() -> None:
    west = REGION.model_copy(update={"utc_offset_h": -8.0})
    assert local_h(west, at=3600.0) == 17.0


@given(st.integers(0, 50))
def test_as_many_arrive_as_expected_give_or_take_one(seed: int) -> None:
    found = list(arrivals(READERS, REGION, DEMAND, start_at=0.0, end_at=DAY_S, chance=Random(seed)))
    assert abs(len(found) - 0.05 * DAY_S) <= 1
    assert all(0.0 <= at < DAY_S for at in found)
    assert all(a < b for a, b in pairwise(found))


def test_creates_arrive_when_it_is_day() -> None:
    found = list(arrivals(CREATES, REGION, DEMAND, start_at=0.0, end_at=DAY_S, chance=Random(1)))
    at_noon = sum(12 * 3600 <= at < 16 * 3600 for at in found)
    at_night = sum(at < 4 * 3600 for at in found)
    assert at_noon > 4 * at_night


def test_a_part_of_a_minute_at_the_end_counts_as_a_part() -> None:
    fast = READERS.model_copy(update={"peak_per_s": 2.0})
    found = list(arrivals(fast, REGION, DEMAND, start_at=0.0, end_at=90.0, chance=Random(1)))
    assert abs(len(found) - 90) <= 1
    assert max(found) < 90.0


@given(st.integers(1, 2_000), st.floats(0, 1))
def test_a_share_holds_its_part_of_any_beginning(count: int, share: float) -> None:
    chosen = sum(is_in_share(index, share) for index in range(count))
    assert abs(chosen - count * share) <= 1


def test_all_and_none_are_shares() -> None:
    assert all(is_in_share(index, 1.0) for index in range(100))
    assert not any(is_in_share(index, 0.0) for index in range(100))


def test_the_busiest_hour_counts_every_token_of_every_machine() -> None:
    scenario = load("azure-2026-02")
    only = scenario.model_copy(
        update={"fleet": (CREATES.model_copy(update={"instances": 3}), READERS)}
    )
    assert busiest_tokens_per_s(only, REGION) == pytest.approx(0.5 * (0.1 * 3 * 4.02 + 0.1))
