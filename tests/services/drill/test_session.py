"""A drill plays every variant with every seed, the same in one process and in many."""

from datetime import timedelta

import pytest

from surgetank.app.wiring import quiet_logs
from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.session import SEEDS_MAX, drill
from surgetank.rehearsal.processes import JOBS_MAX
from surgetank.rehearsal.scenario.reader import load

FULL = load("azure-2026-02")
SHORT = FULL.model_copy(update={"end": FULL.start + timedelta(minutes=10)})


def played(*, jobs: int, seeds: list[int], variants: list[str]) -> tuple[list[Run], list[Run]]:
    told: list[Run] = []
    runs = drill(
        SHORT, variants=variants, seeds=seeds, jobs=jobs, on_run=told.append, prepare=quiet_logs
    )
    return runs, told


def test_runs_come_back_in_the_order_asked_for_however_they_are_spread() -> None:
    variants = ["nobody", "everybody-mirror"]
    alone, told = played(jobs=1, seeds=[2, 1], variants=variants)
    spread, heard = played(jobs=2, seeds=[2, 1], variants=variants)
    order = [("nobody", 2), ("nobody", 1), ("everybody-mirror", 2), ("everybody-mirror", 1)]
    assert [(run.variant, run.seed) for run in alone] == order
    assert [(run.variant, run.seed) for run in told] == order
    assert len(heard) == 4
    assert [run.trace_hash for run in spread] == [run.trace_hash for run in alone]
    assert [run.metrics for run in spread] == [run.metrics for run in alone]


@pytest.mark.parametrize(
    ("jobs", "seeds", "variants", "wanted"),
    [
        (1, [1], ["anybody"], "it has: nobody"),
        (1, [], ["nobody"], "seeds"),
        (1, list(range(SEEDS_MAX + 1)), ["nobody"], "seeds"),
        (0, [1], ["nobody"], "jobs"),
        (JOBS_MAX + 1, [1], ["nobody"], "jobs"),
        (1, [1], [], "seeds"),
    ],
)
def test_what_cannot_be_played_is_refused_before_anything_is(
    jobs: int, seeds: list[int], variants: list[str], wanted: str
) -> None:
    with pytest.raises(InvalidInputError, match=wanted):
        played(jobs=jobs, seeds=seeds, variants=variants)
