"""`surgetank drill --sweep` and `--sensitivity`: many drills of one scenario, changed a little."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import typer

from surgetank.app.cli.drill_output import Outputs
from surgetank.app.cli.progress import progress
from surgetank.app.cli.status import ExitStatus
from surgetank.app.wiring import quiet_logs
from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drill.output.terminal_sensitivity import render_sensitivity
from surgetank.rehearsal.drill.output.terminal_sweep import render_sweep
from surgetank.rehearsal.drill.result import build_result
from surgetank.rehearsal.drill.study.sensitivity import (
    Sensitivity,
    assumed_figures,
    deciding,
    sensitivity,
)
from surgetank.rehearsal.drill.study.sensitivity_file import MEASURED, add_shipped
from surgetank.rehearsal.drill.study.sweep import REFINE_MAX, VALUES_MAX, read_sweep, sweep
from surgetank.rehearsal.scenario.reader import Source, read

__all__ = [
    "SENSITIVITY_SEEDS",
    "RefineOption",
    "SensitivityFlag",
    "StudyOptions",
    "SweepOption",
    "measure",
    "play_study",
]

SENSITIVITY_SEEDS = 1
"""Seeds of a sensitivity run without `--seeds` or `--seed`: it plays hundreds of runs with one."""

SweepOption = Annotated[
    str | None,
    typer.Option(
        "--sweep",
        metavar="NAME=V,V,...",
        help=f"Play up to {VALUES_MAX} values of share, warm_ratio or a figure.",
    ),
]
RefineOption = Annotated[
    int | None,
    typer.Option(
        "--refine",
        metavar="N",
        min=0,
        max=REFINE_MAX,
        help="With --sweep: look N times between the values where the outage goes.",
    ),
]
SensitivityFlag = Annotated[
    bool,
    typer.Option(
        "--sensitivity", help="Move each assumed figure over its range: what flips the verdict?"
    ),
]


class StudyOptions(NamedTuple):
    """What is asked for beyond a drill."""

    sweep: str | None
    refine: int | None
    is_sensitivity: bool

    def options(self) -> dict[str, object]:
        """Give them by the option that names each."""
        names = ("--sweep", "--refine", "--sensitivity")
        return dict(zip(names, self, strict=True))

    def check(self) -> None:
        """Refuse what does not go together."""
        if self.sweep is not None and self.is_sensitivity:
            raise InvalidInputError("--sweep and --sensitivity: give one of them")
        if self.refine is not None and self.sweep is None:
            raise InvalidInputError("--refine goes with --sweep NAME=V,V,...")

    @property
    def is_asked(self) -> bool:
        """Whether anything is."""
        return self.sweep is not None or self.is_sensitivity


def play_study(
    study: StudyOptions,
    scenario: str,
    *,
    variants: Sequence[str],
    seeds: Sequence[int],
    jobs: int,
    outputs: Outputs,
) -> ExitStatus:
    """Play what `study` asks for, and show it.

    Args:
        study: What; `is_asked`.
        scenario: Name or file.
        variants: Only these; none: the usual ones of the study.
        seeds: Of every run.
        jobs: Processes.
        outputs: Where the result goes.
    """
    source = read(scenario)
    if study.sweep is not None:
        return _play_sweep(
            source,
            study.sweep,
            refine=study.refine or 0,
            variants=variants,
            seeds=seeds,
            jobs=jobs,
            outputs=outputs,
            name=scenario,
        )
    found = measure(source, variants=variants, seeds=seeds, jobs=jobs)
    chosen = source.scenario()
    result = build_result(chosen, found.runs)
    result |= {"sensitivity": found.rows, "sensitivity_source": MEASURED}
    shown = render_sensitivity(chosen, result)
    outputs.show(chosen, found.runs, result, source=scenario, shown=shown)
    return ExitStatus.DONE if result["verdict"] == "met" else ExitStatus.NOT_MET


def measure(
    source: Source, *, variants: Sequence[str], seeds: Sequence[int], jobs: int
) -> Sensitivity:
    """Make a sensitivity run, and show how far it is."""
    chosen = source.scenario()
    names = list(variants) or deciding(chosen)
    sides = 2 * len(assumed_figures(chosen))
    with progress((1 + sides) * len(names) * len(seeds)) as watch:
        return sensitivity(
            source,
            variants=names,
            seeds=seeds,
            jobs=jobs,
            on_run=watch.on_run,
            prepare=quiet_logs,
            on_asked=watch.on_asked,
        )


def _play_sweep(
    source: Source,
    text: str,
    *,
    refine: int,
    variants: Sequence[str],
    seeds: Sequence[int],
    jobs: int,
    outputs: Outputs,
    name: str,
) -> ExitStatus:
    wanted = read_sweep(text)
    count = max(1, len(variants)) * (len(wanted.values) + refine)
    with progress(count * len(seeds)) as watch:
        found = sweep(
            source,
            wanted,
            variants=variants,
            seeds=seeds,
            refine=refine,
            jobs=jobs,
            on_run=watch.on_run,
            prepare=quiet_logs,
            on_asked=watch.on_asked,
        )
    add_shipped(found.result, source.scenario())
    shown = render_sweep(found.scenario, found.result)
    outputs.show(found.scenario, found.runs, found.result, source=name, shown=shown)
    return ExitStatus.DONE if found.result["verdict"] == "met" else ExitStatus.NOT_MET
