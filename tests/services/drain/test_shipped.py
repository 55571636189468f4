"""The worlds that ship: many, each saying what it is after, and small enough to play."""

from pathlib import Path

import pytest

from surgetank.rehearsal.drain.reader import shipped
from surgetank.rehearsal.drain.world import World, is_short, optimum_s

FOLDER = Path(__file__).parents[3] / "src" / "surgetank" / "rehearsal" / "drain" / "worlds"
WORLDS = shipped()
LARGE = {
    "collapsing", "degraded-start", "halved", "noisy", "shared-lag-1s", "shared-lag-250ms",
    "shared-lag-2s", "shared-lag-500ms", "shared-lag-5s", "steady", "unseen-30", "unshared-10",
    "unshared-1000",
}  # fmt: skip
"""With a backlog of 2,000,000: those that figures are named for."""


def requests(world: World) -> float:
    """Calls that the optimum takes."""
    return world.backlog + world.fresh_ratio * world.capacity_per_s * optimum_s(world)


def test_there_are_many() -> None:
    assert len(WORLDS) >= 60


def test_those_that_figures_are_named_for_have_their_figures() -> None:
    for name in LARGE:
        world = WORLDS[name]
        rates = [world.capacity_per_s, world.backlog, world.fresh_ratio]
        assert rates == [1_000.0, 2_000_000.0, 0.3]
        assert [world.timeout_s, world.latency_s, world.queue_max] == [2.0, 0.04, 3_000.0]


def test_a_tenth_of_the_rate_has_a_tenth_of_backlog_and_queue() -> None:
    world = WORLDS["hundred-per-s"]
    assert (world.capacity_per_s, world.backlog, world.queue_max) == (100, 200_000, 300)


@pytest.mark.parametrize(
    ("name", "lag_s"),
    [
        ("shared-lag-250ms", 0.25),
        ("shared-lag-500ms", 0.5),
        ("shared-lag-1s", 1),
        ("shared-lag-2s", 2),
        ("shared-lag-5s", 5),
    ],
)
def test_a_lag_is_what_its_name_says(name: str, lag_s: float) -> None:
    world = WORLDS[name]
    assert (world.workers, world.is_shared, world.lag_s) == (10, True, lag_s)


@pytest.mark.parametrize(("name", "workers"), [("unshared-10", 10), ("unshared-1000", 1_000)])
def test_workers_that_share_nothing_do_not(name: str, workers: int) -> None:
    assert (WORLDS[name].workers, WORLDS[name].is_shared) == (workers, False)


@pytest.mark.parametrize("name", sorted(WORLDS.keys() - LARGE))
def test_all_others_are_small(name: str) -> None:
    assert requests(WORLDS[name]) <= 300_000


@pytest.mark.parametrize("name", WORLDS)
def test_each_says_what_it_is_after(name: str) -> None:
    first = (FOLDER / f"{name}.toml").read_text().splitlines()[0]
    assert first.startswith("# ")
    assert len(first) > 30


def test_titles_tell_them_apart() -> None:
    assert len({world.title for world in WORLDS.values()}) == len(WORLDS)


def test_no_two_are_the_same_world() -> None:
    same = [world.model_dump_json(exclude={"title"}) for world in WORLDS.values()]
    assert len(set(same)) == len(same)


@pytest.mark.parametrize("name", ["degraded-start", "capacity-below-fresh", "unseen-surge"])
def test_where_fresh_alone_is_too_much_recovery_is_judged(name: str) -> None:
    assert is_short(WORLDS[name])
