"""Seeds become worlds and worlds one line for each law, by nearest rank, the undrained as 4."""

from collections.abc import Callable, Sequence

import pytest

from surgetank.rehearsal.drain.document import Document, LawResult, Summary
from surgetank.rehearsal.drain.summary import Case, Run, build, quantile
from surgetank.rehearsal.drain.world import World

MakeWorld = Callable[..., World]
MakeRun = Callable[..., Run]

SHORT = [{"at_s": 0, "capacity_ratio": 0.2}, {"at_s": 50}]
"""Fresh traffic alone is too much for 50 s."""


def result(found: Document, law: str = "aimd") -> LawResult:
    return found.laws[law]


def over_worlds(world: World, runs: Sequence[Run]) -> Summary:
    """Sum up runs, each as of a world of its own."""
    named = [run._replace(world=f"w-{index}") for index, run in enumerate(runs)]
    cases = [Case(run.world, world, [run.seed], 10**6) for run in named]
    return result(build(cases, named)).summary


@pytest.mark.parametrize(
    ("share", "found"), [(0.0, 1), (0.1, 1), (0.11, 2), (0.5, 5), (0.9, 9), (0.91, 10), (1.0, 10)]
)
def test_a_quantile_is_of_nearest_rank(share: float, found: int) -> None:
    assert quantile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], share) == found


def test_a_ratio_is_the_time_over_the_optimum(world: MakeWorld, run: MakeRun) -> None:
    case = Case("plain", world(), [1], 10**6)  # 100 s at best
    one = result(build([case], [run(drained_s=112.0)])).worlds["plain"]
    assert one.ratio == pytest.approx(1.12)
    assert one.drained


@pytest.mark.parametrize(
    ("drained_s", "ratio", "is_drained"),
    [(None, 4.0, False), (401.0, 4.0, False), (400.0, 4.0, True), (399.0, 3.99, True)],
)
def test_what_takes_more_than_four_times_as_long_counts_as_four(
    world: MakeWorld, run: MakeRun, *, drained_s: float | None, ratio: float, is_drained: bool
) -> None:
    case = Case("plain", world(), [1], 10**6)
    one = result(build([case], [run(drained_s=drained_s)])).worlds["plain"]
    assert one.ratio == pytest.approx(ratio)
    assert one.drained is is_drained


def test_a_world_is_the_median_of_its_seeds_but_its_fresh_traffic_the_worst(
    world: MakeWorld, run: MakeRun
) -> None:
    case = Case("plain", world(), [1, 3, 5], 10**6)
    runs = [
        run(seed=1, drained_s=105.0, fresh_success=1.0, overload_s=9.0, wasted_ratio=0.3),
        run(seed=3, drained_s=120.0, fresh_success=0.9, overload_s=1.0, wasted_ratio=0.1),
        run(seed=5, drained_s=110.0, fresh_success=0.99, overload_s=5.0, wasted_ratio=0.2),
    ]
    one = result(build([case], runs)).worlds["plain"]
    assert one.ratio == pytest.approx(1.1)
    assert (one.fresh_success, one.overload_s, one.wasted_ratio) == (0.9, 5.0, 0.2)
    assert {seed: of.overload_s for seed, of in one.seeds.items()} == {"1": 9, "3": 1, "5": 5}


def test_a_world_is_drained_when_it_is_in_every_seed(world: MakeWorld, run: MakeRun) -> None:
    case = Case("plain", world(), [1, 3, 5], 10**6)
    runs = [run(seed=1), run(seed=3), run(seed=5, drained_s=None)]
    one = result(build([case], runs)).worlds["plain"]
    assert one.ratio == pytest.approx(1.1)
    assert not one.drained


@pytest.mark.parametrize(
    ("restored", "found"), [([3.0, 9.0, 5.0], 9.0), ([3.0, None, 5.0], None), ([None] * 3, None)]
)
def test_recovery_in_a_world_is_that_of_the_worst_seed(
    world: MakeWorld, run: MakeRun, restored: list[float | None], found: float | None
) -> None:
    seeds = [1, 3, 5]
    case = Case("plain", world(schedule=SHORT), seeds, 10**6)
    runs = [
        run(seed=seed, drained_s=160.0, fresh_restored_s=one)
        for seed, one in zip(seeds, restored, strict=True)
    ]
    assert result(build([case], runs)).worlds["plain"].fresh_restored_s == found


def test_quantiles_over_worlds_count_what_was_not_drained(world: MakeWorld, run: MakeRun) -> None:
    runs = [run(drained_s=100.0 + index) for index in range(9)] + [run(drained_s=None)]
    found = over_worlds(world(), runs)
    assert found.drained_share == 0.9
    assert found.ratio.median == pytest.approx(1.04)
    assert found.ratio.p90 == pytest.approx(1.08)
    assert found.ratio.worst == 4.0


def test_fresh_is_well_where_999_of_1000_end_well(world: MakeWorld, run: MakeRun) -> None:
    found = over_worlds(
        world(), [run(fresh_success=one) for one in (1.0, 0.999, 0.9989, 0.95)]
    ).fresh
    assert (found.worlds, found.share, found.minimum) == (4, 0.5, 0.95)


def test_a_short_world_is_judged_by_recovery_alone(world: MakeWorld, run: MakeRun) -> None:
    plain, short = world(), world(schedule=SHORT)
    cases = [Case("plain", plain, [1], 10**6), Case("short", short, [1], 10**6)]
    runs = [
        run(world="plain", fresh_success=0.9995, fresh_restored_s=None),
        run(world="short", drained_s=160.0, fresh_success=0.5, fresh_restored_s=40.0),
    ]
    document = build(cases, runs)
    found = result(document).summary
    assert (found.fresh.worlds, found.fresh.share, found.fresh.minimum) == (1, 1.0, 0.9995)
    recovery = found.recovery
    assert (recovery.worlds, recovery.share, recovery.worst_s) == (1, 1.0, 40.0)
    judged = {name: one.judged_by for name, one in document.worlds.items()}
    assert judged == {"plain": "success", "short": "recovery"}


def test_recovery_counts_what_is_back_within_a_minute(world: MakeWorld, run: MakeRun) -> None:
    runs = [run(drained_s=160.0, fresh_restored_s=one) for one in (10.0, 60.0, 60.5, 20.0, None)]
    found = over_worlds(world(schedule=SHORT), runs).recovery
    assert (found.worlds, found.share) == (5, 0.6)
    assert (found.median_s, found.p90_s, found.worst_s) == (60.0, None, None)


def test_without_worlds_of_a_kind_nothing_is_said_of_it(world: MakeWorld, run: MakeRun) -> None:
    usual = over_worlds(world(), [run()])
    assert (usual.recovery.worlds, usual.recovery.share, usual.recovery.worst_s) == (0, None, None)
    short = over_worlds(world(schedule=SHORT), [run(drained_s=160.0)])
    assert (short.fresh.worlds, short.fresh.share, short.fresh.minimum) == (0, None, None)


def test_laws_come_in_the_order_of_their_runs_and_worlds_in_that_of_the_cases(
    world: MakeWorld, run: MakeRun
) -> None:
    cases = [Case(name, world(), [1], 10**6) for name in ("second", "first")]
    runs = [run(law=law, world=name) for law in ("pi", "aimd") for name in ("first", "second")]
    document = build(cases, runs)
    assert list(document.laws) == ["pi", "aimd"]
    assert list(document.worlds) == ["second", "first"]
    assert list(result(document).worlds) == ["second", "first"]
