"""`surgetank drill`: play a scenario on the virtual clock, show it, judge it."""

import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from json import dumps
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from surgetank.app.cli.output import console
from surgetank.app.cli.status import ExitStatus
from surgetank.app.wiring import quiet_logs
from surgetank.core.errors import ConfigError, InvalidInputError
from surgetank.rehearsal.drill import terminal
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.report import render
from surgetank.rehearsal.drill.result import build_result
from surgetank.rehearsal.drill.session import JOBS_MAX, SEEDS_MAX, drill
from surgetank.rehearsal.scenario.reader import load

__all__ = ["register"]

SEEDS = 5
"""Seeds without `--seeds` or `--seed`: enough to see the spread, few enough to wait for."""

ScenarioArgument = Annotated[
    str, typer.Argument(metavar="NAME|FILE", help="An incident of the library, or a YAML file.")
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
JsonOption = Annotated[
    str | None, typer.Option("--json", metavar="PATH|-", help="Write the result as JSON.")
]
ReportOption = Annotated[
    Path | None, typer.Option("--report", metavar="PATH", help="Write a page to look at.")
]


def register(app: typer.Typer) -> None:
    """Add `drill` to the command line."""
    app.command("drill")(_drill)


def _drill(
    scenario: ScenarioArgument,
    *,
    variant: VariantOption = None,
    seeds: SeedsOption = None,
    seed: SeedOption = None,
    jobs: JobsOption = None,
    json: JsonOption = None,
    report: ReportOption = None,
) -> ExitStatus:
    r"""Play an outage with the real services and show what each safeguard would have changed.

    Exits 0 when the scenario's expectations are met, 1 when not.

    \b
    surgetank drill azure-2026-02
    surgetank drill azure-2026-02 --variant nobody --seed 3 --report page.html
    surgetank drill my-scenario.yaml --seeds 20 --json result.json
    """
    if seeds is not None and seed is not None:
        raise InvalidInputError("--seeds and --seed: give one of them")
    for path in (report, None if json in (None, "-") else Path(json)):
        _check_writable(path)
    chosen = load(scenario)
    variants = list(dict.fromkeys(variant)) if variant else list(chosen.variants)
    numbers = [seed] if seed is not None else list(range(1, (seeds or SEEDS) + 1))
    workers = jobs or min(os.cpu_count() or 1, JOBS_MAX)
    with _progress(len(variants) * len(numbers)) as on_run:
        runs = drill(
            chosen,
            variants=variants,
            seeds=numbers,
            jobs=workers,
            on_run=on_run,
            prepare=quiet_logs,
        )
    result = build_result(chosen, runs)
    if report is not None:
        _write(report, render(chosen, runs, result, command=_command(), source=scenario))
    if json is not None and json != "-":
        _write(Path(json), dumps(result, indent=2) + "\n")
    if json == "-":
        typer.echo(dumps(result, indent=2))
    else:
        console().print(terminal.render(chosen, result, runs=runs, report=report, source=scenario))
    return ExitStatus.DONE if result["verdict"] == "met" else ExitStatus.NOT_MET


@contextmanager
def _progress(total: int) -> Generator[Callable[[Run], None]]:
    """Show how many runs have ended, on standard error and only to people."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    screen = Console(stderr=True)
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    ) as progress:
        task = progress.add_task("playing", total=total)

        def on_run(run: Run) -> None:
            progress.update(task, advance=1, description=f"{run.variant}, seed {run.seed}")

        yield on_run


def _command() -> str:
    """What was typed, for whoever wants to see the same."""
    return shlex.join(["surgetank", *sys.argv[1:]])


def _check_writable(path: Path | None) -> None:
    """Refuse a place that cannot be written before minutes are spent."""
    if path is None:
        return
    folder = path.resolve().parent
    is_other = path.exists() and not path.is_file()  # A device would be replaced by a file.
    if is_other or not folder.is_dir() or not os.access(folder, os.W_OK):
        wanted = "a file in a folder that exists and can be written"
        raise ConfigError(file=str(path), key="(output)", value=str(folder), wanted=wanted)


def _write(path: Path, text: str) -> None:
    """Write the whole file or nothing: a reader never sees half of one."""
    path = path.resolve()  # What a link points to is written, not the link.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
