"""Studies ask for runs and are given them, in one process and in many, alone and side by side."""

from collections.abc import Callable
from typing import NoReturn

import pytest

from surgetank.app.wiring import quiet_logs
from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.session import Study, Task, conduct, once
from surgetank.rehearsal.processes import JOBS_MAX
from surgetank.rehearsal.scenario.reader import Source
from surgetank.rehearsal.scenario.schema import Scenario


@pytest.fixture
def scenario(make_source: Callable[..., Source]) -> Scenario:
    return make_source().scenario()


@pytest.fixture
def unplayable(make_source: Callable[..., Source]) -> Scenario:
    """A scenario that its schema takes and a station refuses: more nodes than it may have."""
    return make_source({"identity_nodes": (2000, 1, 2000)}).scenario()


def seeds_up_to(last: int, scenario: Scenario) -> Study[list[int]]:
    """Ask for one seed after the other, and give the seeds of what came."""
    seen: list[int] = []
    for seed in range(1, last + 1):
        (run,) = yield [Task(scenario, "nobody", seed)]
        seen.append(run.seed)
    return seen


def playing(unplayable: Scenario, scenario: Scenario) -> Study[str]:
    """Ask for what cannot be played, say why, and go on with what can."""
    try:
        yield [Task(unplayable, "nobody", seed) for seed in (1, 2)]
    except InvalidInputError as error:
        yield [Task(scenario, "nobody", 1)]
        return str(error)
    raise AssertionError("it was played")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_study_goes_on_until_it_has_found_what_it_looks_for(
    scenario: Scenario, jobs: int
) -> None:
    told: list[Run] = []
    asked: list[int] = []
    found = conduct(
        [seeds_up_to(3, scenario), seeds_up_to(1, scenario)],
        jobs=jobs,
        on_run=told.append,
        prepare=quiet_logs,
        on_asked=asked.append,
    )
    assert found == [[1, 2, 3], [1]]
    assert sorted(run.seed for run in told) == [1, 1, 2, 3]
    assert asked == [1, 1, 1, 1]


@pytest.mark.parametrize("jobs", [1, 2])
def test_runs_come_back_in_the_order_asked_for(scenario: Scenario, jobs: int) -> None:
    tasks = [Task(scenario, "nobody", seed) for seed in (3, 1, 2)]
    (runs,) = conduct([once(tasks)], jobs=jobs, on_run=lambda _: None, prepare=quiet_logs)
    assert [run.seed for run in runs] == [3, 1, 2]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_study_hears_that_a_task_cannot_be_played_and_may_go_on(
    scenario: Scenario, unplayable: Scenario, jobs: int
) -> None:
    studies = [playing(unplayable, scenario), playing(unplayable, scenario)]
    found = conduct(studies, jobs=jobs, on_run=lambda _: None, prepare=quiet_logs)
    assert ["out of range" in why for why in found] == [True, True]


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_a_study_does_not_expect_ends_all(unplayable: Scenario, jobs: int) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        conduct(
            [once([Task(unplayable, "nobody", 1)])],
            jobs=jobs,
            on_run=lambda _: None,
            prepare=quiet_logs,
        )


def test_a_refusal_within_a_run_is_one_of_the_run(make_source: Callable[..., Source]) -> None:
    source = make_source({"scale_out_ratio": (9000, 1, 9000)})
    for entry in source.data["timeline"]:
        if "scale_out" in str(entry.get("act")):
            entry.pop("when", None)
            entry["at"] = source.data["start"]
    task = Task(source.scenario(), "nobody", 1)
    with pytest.raises(InvalidInputError, match="cannot be played: cannot add"):
        conduct([once([task])], jobs=1, on_run=lambda _: None, prepare=quiet_logs)


@pytest.mark.parametrize("jobs", [0, JOBS_MAX + 1])
def test_processes_have_a_limit(jobs: int) -> None:
    def never(_: Run) -> NoReturn:
        raise AssertionError("nothing is played")

    with pytest.raises(InvalidInputError, match=str(JOBS_MAX)):
        conduct([], jobs=jobs, on_run=never, prepare=quiet_logs)
