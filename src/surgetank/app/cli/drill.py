"""`surgetank drill`: play a scenario on the virtual clock, show it, judge it."""

from typing import Annotated

import typer

from surgetank.app.cli.drill_output import (
    CompareOption,
    JsonOption,
    JunitOption,
    Outputs,
    ReplayOption,
    ReportOption,
    ReviewOption,
    SchemaFlag,
    ToleranceOption,
    TraceOption,
    compare_results,
    record_run,
    replay_trace,
)
from surgetank.app.cli.drill_study import (
    SENSITIVITY_SEEDS,
    RefineOption,
    SensitivityFlag,
    StudyOptions,
    SweepOption,
    play_study,
)
from surgetank.app.cli.option import check_alone
from surgetank.app.cli.progress import progress
from surgetank.app.cli.status import ExitStatus
from surgetank.app.wiring import quiet_logs
from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drill.output.result_schema import published
from surgetank.rehearsal.drill.result import build_result
from surgetank.rehearsal.drill.session import SEEDS_MAX, drill
from surgetank.rehearsal.drill.study.sensitivity_file import add_shipped
from surgetank.rehearsal.processes import JOBS_MAX, usual_jobs
from surgetank.rehearsal.scenario.reader import load

__all__ = ["register"]

SEEDS = 5
"""Seeds without `--seeds` or `--seed`: enough to see the spread, few enough to wait for."""

ScenarioArgument = Annotated[
    str | None,
    typer.Argument(metavar="NAME|FILE", help="An incident of the library, or a YAML file."),
]
VariantOption = Annotated[
    list[str] | None, typer.Option("--variant", metavar="V", help="Only this one; repeatable.")
]
SeedsOption = Annotated[
    int | None,
    typer.Option(
        "--seeds", metavar="N", min=1, max=SEEDS_MAX, help=f"Seeds 1 to N; {SEEDS} if unsaid."
    ),
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", metavar="S", min=0, help="Replay this seed alone.")
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs", metavar="N", min=1, max=JOBS_MAX, help="Processes; one a core if unsaid."
    ),
]


def register(app: typer.Typer) -> None:
    """Add `drill` to the command line."""
    app.command("drill")(_drill)


def _drill(
    scenario: ScenarioArgument = None,
    *,
    variant: VariantOption = None,
    seeds: SeedsOption = None,
    seed: SeedOption = None,
    jobs: JobsOption = None,
    json: JsonOption = None,
    report: ReportOption = None,
    junit: JunitOption = None,
    review: ReviewOption = None,
    trace: TraceOption = None,
    replay: ReplayOption = None,
    compare: CompareOption = None,
    tolerance: ToleranceOption = None,
    schema: SchemaFlag = False,
    sweep: SweepOption = None,
    refine: RefineOption = None,
    sensitivity: SensitivityFlag = False,
) -> ExitStatus:
    """Play an outage with the real services and show what each safeguard would have changed.

    Exits 0 when the scenario's expectations are met, 1 when not. --replay exits 1 when the code
    at hand plays another run than the one written; --compare when anything is worse than before.

    \b
    surgetank drill azure-2026-02
    surgetank drill azure-2026-02 --variant nobody --seed 3 --report page.html
    surgetank drill my-scenario.yaml --seeds 20 --json now.json --junit drill.xml --review pir.md
    surgetank drill --compare last.json now.json
    surgetank drill azure-2026-02 --variant nobody --seed 3 --trace run.jsonl
    surgetank drill --replay run.jsonl
    surgetank drill azure-2026-02 --sweep share=0.01,0.1,0.3,0.7,1 --seed 1
    surgetank drill azure-2026-02 --sensitivity
    """  # noqa: D301 - click wants the character, not the two that spell it
    outputs = Outputs(json, report, junit, review, trace)
    study = StudyOptions(sweep, refine, sensitivity)
    playing = {
        "--seeds": seeds,
        "--seed": seed,
        "--jobs": jobs,
        **outputs.options(),
        **study.options(),
    }
    if schema:
        check_alone("--schema", {"NAME|FILE": scenario, "--replay": replay, **playing})
        typer.echo(published(), nl=False)
        return ExitStatus.DONE
    if compare is not None:
        check_alone("--compare", {"NAME|FILE": scenario, "--replay": replay, **playing})
        return compare_results(*compare, tolerance=tolerance, only=variant or (), json=json)
    if tolerance is not None:
        raise InvalidInputError("--tolerance goes with --compare")
    if replay is not None:
        check_alone("--replay", {"--variant": variant, **playing})
        return replay_trace(replay, scenario, json=json)
    outputs.check()
    study.check()
    return _play(scenario, variant, seeds=seeds, seed=seed, jobs=jobs, outputs=outputs, study=study)


def _play(
    scenario: str | None,
    variant: list[str] | None,
    *,
    seeds: int | None,
    seed: int | None,
    jobs: int | None,
    outputs: Outputs,
    study: StudyOptions,
) -> ExitStatus:
    if scenario is None:
        raise InvalidInputError("NAME|FILE is missing: say what to play")
    if seeds is not None and seed is not None:
        raise InvalidInputError("--seeds and --seed: give one of them")
    usual = SENSITIVITY_SEEDS if study.is_sensitivity else SEEDS
    numbers = [seed] if seed is not None else list(range(1, (seeds or usual) + 1))
    workers = jobs or usual_jobs()
    variants = list(dict.fromkeys(variant or ()))
    if study.is_asked:
        check_alone("a sweep or a sensitivity run", {"--trace": outputs.trace})
        return play_study(
            study, scenario, variants=variants, seeds=numbers, jobs=workers, outputs=outputs
        )
    chosen = load(scenario)
    variants = variants or list(chosen.variants)
    with progress(len(variants) * len(numbers)) as watch:
        if outputs.trace is not None:
            runs = record_run(
                outputs.trace, chosen, variants=variants, seeds=numbers, on_run=watch.on_run
            )
        else:
            runs = drill(
                chosen,
                variants=variants,
                seeds=numbers,
                jobs=workers,
                on_run=watch.on_run,
                prepare=quiet_logs,
            )
    result = build_result(chosen, runs)
    add_shipped(result, chosen)
    outputs.show(chosen, runs, result, source=scenario)
    return ExitStatus.DONE if result["verdict"] == "met" else ExitStatus.NOT_MET
