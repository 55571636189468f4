"""One seed is one world, and all worlds lie within what is written down."""

import math
from collections import Counter

import pytest

from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drain import generator
from surgetank.rehearsal.drain.generator import SEED_MAX, random_world
from surgetank.rehearsal.drain.world import World, optimum_s

MANY = [random_world(seed) for seed in range(1_000)]


def test_a_seed_makes_the_same_world_on_every_machine() -> None:
    world = random_world(7)
    assert world.title == "random world 7, drops"
    assert (world.backlog, world.queue_max, world.nodes) == (3_920, 1_416, 31)
    assert world.capacity_per_s == pytest.approx(27.80474457241433, rel=1e-12)


def test_seeds_make_different_worlds() -> None:
    assert len({world.capacity_per_s for world in MANY}) == len(MANY)


def test_every_world_could_be_a_file() -> None:
    for world in MANY:
        assert World.model_validate(world.model_dump()) == world


def test_capacity_and_optimum_lie_within_what_is_written_down() -> None:
    for world in MANY:
        seconds = optimum_s(world)
        assert 5 <= world.capacity_per_s <= 1_000
        # A backlog is whole calls: the last one is at most one at the least pace of any phase.
        assert generator.OPTIMUM_S_MIN * 0.99 <= seconds <= generator.OPTIMUM_S[1] * 1.01
        assert world.capacity_per_s * seconds <= generator.SERVICES_MAX * 1.01


def test_the_optimum_of_every_world_fits_into_the_requests_of_a_run() -> None:
    for world in MANY:
        fresh = world.fresh_ratio * world.capacity_per_s * optimum_s(world)
        assert world.backlog + fresh <= 275_000


@pytest.mark.parametrize(
    ("key", "low", "high"),
    [
        ("fresh_ratio", 0.1, 0.6),
        ("unseen_ratio", 0.0, 0.3),
        ("timeout_s", 1.0, 50.0),
        ("latency_s", 0.01, 0.5),
        ("latency_spread", 0.1, 0.6),
        ("latency_drift_ratio", 0.0, 0.4),
        ("slow_ratio", 0.0, 0.03),
        ("slow_factor", 3.0, 12.0),
        ("reject_cost", 0.0, 0.5),
        ("collapse", 0.0, 1.0),
        ("nodes", 4, 40),
        ("restart_s", 30.0, 300.0),
        ("warm_s", 10.0, 120.0),
        ("error_ratio", 0.0, 0.04),
        ("workers", 1, 50),
        ("lag_s", 0.0, 2.0),
    ],
)
def test_a_key_fills_its_range_and_nothing_else(key: str, low: float, high: float) -> None:
    seen = [float(getattr(world, key)) for world in MANY]
    tenth = (high - low) / 10
    assert low <= min(seen) < low + tenth
    assert high - tenth < max(seen) <= high


def test_load_leaves_a_quarter_of_the_capacity() -> None:
    assert max(world.fresh_ratio + world.unseen_ratio for world in MANY) <= 0.75


def test_a_time_out_holds_twenty_services() -> None:
    assert min(world.timeout_s * world.capacity_per_s for world in MANY) >= 20 * (1 - 1e-9)


def test_where_nodes_crash_load_without_a_backlog_fells_them_by_chance_alone_hardly_ever() -> None:
    for world in MANY:
        if world.is_crashing:
            waiting = 0.5 * world.timeout_s * world.capacity_per_s
            load_ratio = world.fresh_ratio + world.unseen_ratio
            assert load_ratio**waiting <= generator.CRASH_CHANCE * (1 + 1e-6)


def test_where_nodes_crash_and_others_call_a_fifth_of_what_is_left_is_free() -> None:
    for world in MANY:
        for change in world.schedule:
            asked = change.unseen_ratio
            unseen_ratio = world.unseen_ratio if asked is None else asked
            if world.is_crashing and unseen_ratio > 0:
                load_ratio = (world.fresh_ratio + unseen_ratio) / change.capacity_ratio
                assert load_ratio <= generator.BEARABLE_RATIO * (1 + 1e-9)


def test_a_queue_holds_ten_calls() -> None:
    assert min(world.queue_max for world in MANY) >= 10


@pytest.mark.parametrize(
    ("key", "share"),
    [
        ("unseen_ratio", 0.3),
        ("latency_drift_ratio", 0.5),
        ("slow_ratio", 0.5),
        ("collapse", 0.7),
        ("is_crashing", 0.6),
        ("error_ratio", 0.4),
        ("lag_s", 0.2),
    ],
)
def test_what_is_optional_is_there_as_often_as_is_written_down(key: str, share: float) -> None:
    seen = sum(bool(getattr(world, key)) for world in MANY) / 1_000
    # Four standard deviations of a thousand draws.
    assert seen == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 1_000))


def test_workers_share_or_do_not_as_often_as_is_written_down() -> None:
    seen = Counter(
        "one" if world.workers == 1 else "shared" if world.is_shared else "alone" for world in MANY
    )
    for name, share in generator.WORKERS_SHARES:
        assert seen[name] / 1_000 == pytest.approx(share, abs=0.05)


def test_schedules_are_of_each_kind_as_often_as_is_written_down() -> None:
    seen = Counter(world.title.partition(", ")[2].replace(" ", "_") for world in MANY)
    for kind, share in generator.SCHEDULE_SHARES:
        assert seen[kind] / 1_000 == pytest.approx(share, abs=0.05)
    assert sum(share for _, share in generator.SCHEDULE_SHARES) == pytest.approx(1)


def test_a_degraded_start_lasts_at_most_half_of_the_optimum() -> None:
    found = [world for world in MANY if world.title.endswith("begins degraded")]
    for world in found:
        bearable_ratio = 0.0
        if world.is_crashing and world.unseen_ratio > 0:
            bearable_ratio = (world.fresh_ratio + world.unseen_ratio) / generator.BEARABLE_RATIO
        assert 0.1 <= world.schedule[0].capacity_ratio <= max(0.6, bearable_ratio)
        assert 60 <= world.schedule[1].at_s <= min(300, optimum_s(world) * 0.51)


@pytest.mark.parametrize("seed", [-1, SEED_MAX + 1])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(InvalidInputError, match="from 0 to"):
        random_world(seed)
