"""A bench asks for every law in every world with every seed, and spreads that over processes."""

from collections.abc import Callable
from operator import attrgetter

import pytest

from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drain.bench import (
    RANDOM_MAX,
    SEEDS_MAX,
    Task,
    conduct,
    given_cases,
    random_cases,
    require_extra,
    slowest,
    tasks,
)
from surgetank.rehearsal.drain.generator import SEED_MAX, random_world
from surgetank.rehearsal.drain.summary import Run, build
from surgetank.rehearsal.drain.world import World
from surgetank.rehearsal.processes import JOBS_MAX

Make = Callable[..., World]


def work(world: World, count: int) -> list[Task]:
    return [Task("aimd", "plain", world, seed, 10) for seed in range(count)]


def test_seeds_of_files_are_two_apart(world: Make) -> None:
    cases = given_cases({"plain": world()}, seed=5, seeds=3, requests_max=None)
    assert [(case.name, list(case.seeds)) for case in cases] == [("plain", [5, 7, 9])]


def test_random_worlds_are_two_apart_and_played_once_with_their_own_seed() -> None:
    cases = random_cases(3, seed=11, requests_max=None)
    assert [case.name for case in cases] == ["random-11", "random-13", "random-15"]
    assert [list(case.seeds) for case in cases] == [[11], [13], [15]]
    assert [case.world for case in cases] == [random_world(seed) for seed in (11, 13, 15)]


def test_a_run_is_hopeless_after_four_times_the_calls_of_the_optimum(world: Make) -> None:
    (case,) = given_cases({"plain": world()}, seed=1, seeds=1, requests_max=None)
    assert case.requests_max == 4 * (7_000 + 30 * 100)


def test_a_run_in_a_random_world_is_hopeless_after_so_many_calls() -> None:
    (case,) = random_cases(1, seed=1, requests_max=None)
    assert case.requests_max == 300_000


def test_a_limit_on_calls_can_be_given(world: Make) -> None:
    (given,) = given_cases({"plain": world()}, seed=1, seeds=1, requests_max=77)
    (random,) = random_cases(1, seed=1, requests_max=77)
    assert (given.requests_max, random.requests_max) == (77, 77)


def test_every_law_is_played_in_every_world_with_every_seed_law_by_law(world: Make) -> None:
    worlds = {"a": world(), "b": world(backlog=70)}
    cases = given_cases(worlds, seed=1, seeds=2, requests_max=9)
    found = [(one.law, one.name, one.seed) for one in tasks(["pi", "sre+breaker"], cases)]
    each = [("a", 1), ("a", 3), ("b", 1), ("b", 3)]
    assert found == [(law, *rest) for law in ("pi", "sre+breaker") for rest in each]
    assert {one.requests_max for one in tasks(["pi"], cases)} == {9}


def test_the_slowest_run_is_of_the_law_that_was_asked_for_first(
    world: Make, run: Callable[..., Run]
) -> None:
    cases = given_cases({"a": world(), "b": world()}, seed=1, seeds=2, requests_max=9)
    took_s = {("aimd", "b", 3): 130.0, ("pi", "a", 1): 200.0}
    runs = [
        run(law=law, world=name, seed=seed, drained_s=took_s.get((law, name, seed), 110.0))
        for law in ("aimd", "pi")
        for name in ("a", "b")
        for seed in (1, 3)
    ]
    found = slowest(build(cases, runs), cases)
    assert (found.law, found.name, found.seed) == ("aimd", "b", 3)


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_asked_for_however_they_are_spread(
    world: Make, jobs: int
) -> None:
    told: list[int] = []
    asked = work(world(), 7)
    found = conduct(
        asked, attrgetter("seed"), jobs=jobs, on_end=lambda task: told.append(task.seed)
    )
    assert found == [0, 1, 2, 3, 4, 5, 6]
    assert sorted(told) == found


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_fails_ends_the_bench(world: Make, jobs: int) -> None:
    with pytest.raises(AttributeError, match="absent"):
        conduct(work(world(), 5), attrgetter("absent"), jobs=jobs, on_end=lambda _: None)


def test_what_stops_the_bench_while_others_play_reaches_the_caller(world: Make) -> None:
    def stop(_: Task) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        conduct(work(world(), 5), attrgetter("seed"), jobs=2, on_end=stop)


@pytest.mark.parametrize("jobs", [0, JOBS_MAX + 1])
def test_processes_have_a_limit(world: Make, jobs: int) -> None:
    with pytest.raises(InvalidInputError, match="from 1 to 256 jobs"):
        conduct(work(world(), 1), attrgetter("seed"), jobs=jobs, on_end=lambda _: None)


@pytest.mark.parametrize("seeds", [0, SEEDS_MAX + 1])
def test_seeds_have_a_limit(world: Make, seeds: int) -> None:
    with pytest.raises(InvalidInputError, match="from 1 to 100 seeds"):
        given_cases({"plain": world()}, seed=1, seeds=seeds, requests_max=None)


@pytest.mark.parametrize("count", [0, RANDOM_MAX + 1])
def test_random_worlds_have_a_limit(count: int) -> None:
    with pytest.raises(InvalidInputError, match="from 1 to 1000 random worlds"):
        random_cases(count, seed=1, requests_max=None)


@pytest.mark.parametrize(("seed", "count"), [(-2, 2), (SEED_MAX - 1, 2)])
def test_a_seed_out_of_range_is_refused(seed: int, count: int) -> None:
    with pytest.raises(InvalidInputError, match=r"seeds -?[0-9]+ to [0-9]+: from 0 to"):
        random_cases(count, seed=seed, requests_max=None)


def test_a_module_that_is_missing_is_said_to_be_in_the_extra() -> None:
    with pytest.raises(InvalidInputError, match=r"needs nnumba, .* 'surgetank\[bench\]'"):
        require_extra(["json", "nnumba"])
