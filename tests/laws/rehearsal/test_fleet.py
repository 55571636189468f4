"""Demand follows the sun, arrivals follow demand, and shares are spread evenly."""

from collections import Counter
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
    machines_of,
    spread_s,
    way_of,
)
from surgetank.rehearsal.scenario.reader import load
from surgetank.rehearsal.scenario.schema import (
    ANONYMOUS,
    Creates,
    Demand,
    NodePools,
    Readers,
    Reads,
    Region,
    RunnerPools,
)

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
NODE_POOLS = NodePools(
    name="pools",
    kind="node_pools",
    peak_per_s=0.1,
    tokens=4,
    deadline_s=1800,
    retry_s=300,
    patience_s=7200,
    pools=3,
    pods_per_node=5,
    work_patience_s=3600,
)
RUNNER_POOLS = RunnerPools(
    name="runners",
    kind="runner_pools",
    peak_per_s=0.1,
    tokens=2,
    deadline_s=1800,
    retry_s=300,
    patience_s=7200,
    pools=3,
    work_patience_s=3600,
    idle_s=600,
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
    tokens = 4 + scenario.cloud.reads.identity
    assert busiest_tokens_per_s(only, REGION) == pytest.approx(0.5 * (0.1 * 3 * tokens + 0.1))


def shares_of(reads: Reads) -> dict[str, float]:
    """The share of each way, of the public's too."""
    shares: dict[str, float] = reads.model_dump()
    return {**shares, ANONYMOUS: 1.0 - sum(shares.values())}


READS = st.lists(st.integers(0, 100), min_size=4, max_size=4).map(
    lambda parts: Reads.model_validate(
        {
            way: part / max(100, sum(parts))
            for way, part in zip(Reads.model_fields, parts, strict=True)
        }
    )
)


@given(READS, st.integers(0, 10_000), st.integers(1, 2_000))
def test_ways_of_reading_are_dealt_out_evenly_over_any_stretch(
    reads: Reads, first: int, count: int
) -> None:
    dealt = Counter(way_of(reads, index) for index in range(first, first + count))
    for way, share in shares_of(reads).items():
        assert abs(dealt[way] - share * count) < 4


def test_shares_that_add_up_to_all_are_taken_however_they_are_rounded() -> None:
    shares = {"private_endpoint": 0.2, "service_endpoint": 0.4, "sas": 0.3, "identity": 0.1}
    assert sum(shares.values()) > 1, "as floats have it"
    reads = Reads.model_validate(shares)
    assert {way_of(reads, index) for index in range(10_000)} == set(Reads.model_fields)


@pytest.mark.parametrize("sas", [0.30001, 0.5])
def test_shares_that_add_up_to_more_than_all_are_refused(sas: float) -> None:
    with pytest.raises(ValueError, match="more than 1"):
        Reads(private_endpoint=0.2, service_endpoint=0.4, sas=sas, identity=0.1)


def test_who_has_no_way_of_its_own_reads_as_the_public_does() -> None:
    none = Reads(private_endpoint=0, service_endpoint=0, sas=0, identity=0)
    assert {way_of(none, index) for index in range(1_000)} == {ANONYMOUS}


@pytest.mark.parametrize(
    ("fleet", "machines"),
    [
        (CREATES, 1),
        (CREATES.model_copy(update={"instances": 3}), 3),
        (NODE_POOLS, 0.2),
        (RUNNER_POOLS, 1),
    ],
)
def test_an_arrival_asks_for_its_machines_on_the_mean(
    fleet: Creates | NodePools | RunnerPools, machines: float
) -> None:
    assert machines_of(fleet) == machines


@pytest.mark.parametrize(
    ("fleets", "tokens_per_s"),
    [
        ((CREATES,), 0.1 * 4.25),
        ((NODE_POOLS,), 0.1 / 5 * 4.25),
        ((RUNNER_POOLS,), 0.1 * 2.25),
        ((READERS,), 0.1),
        ((CREATES, READERS), 0.1 * 4.25 + 0.1),
    ],
)
def test_each_machine_and_each_reader_counts_in_the_busiest_hour(
    fleets: tuple[Creates | NodePools | RunnerPools | Readers, ...], tokens_per_s: float
) -> None:
    scenario = load("azure-2026-02")
    reads = Reads(private_endpoint=0.5, service_endpoint=0, sas=0, identity=0.25)
    cloud = scenario.cloud.model_copy(update={"reads": reads})
    alone = scenario.model_copy(update={"fleet": fleets, "cloud": cloud})
    large = REGION.model_copy(update={"size": 2.0})
    assert busiest_tokens_per_s(alone, REGION) == pytest.approx(0.5 * tokens_per_s)
    assert busiest_tokens_per_s(alone, large) == pytest.approx(2.0 * tokens_per_s)


@given(st.floats(0.1, 1e5), st.floats(0, 0.99), st.floats(0, 1, exclude_max=True))
def test_a_pause_lies_within_its_share_of_the_period(
    period_s: float, ratio: float, chance: float
) -> None:
    least_s, most_s = period_s * (1 - ratio), period_s * (1 + ratio)
    assert least_s * 0.999999 <= spread_s(period_s, ratio=ratio, chance=chance) <= most_s * 1.000001


def test_a_pause_is_its_period_on_the_mean() -> None:
    assert [spread_s(100.0, ratio=0.1, chance=chance) for chance in (0.0, 0.5)] == [90.0, 100.0]


@pytest.mark.parametrize("fleet", [NODE_POOLS, RUNNER_POOLS])
def test_the_work_of_pools_follows_the_day_as_creates_do(
    fleet: NodePools | RunnerPools,
) -> None:
    def found(of: Creates | NodePools | RunnerPools) -> list[float]:
        chance = Random(1)
        return list(arrivals(of, REGION, DEMAND, start_at=0.0, end_at=DAY_S, chance=chance))

    assert found(fleet) == found(CREATES)
