"""What a drill leaves behind, and what is made of it later: files for CI, traces, comparisons.

Places that cannot be written are refused before minutes are spent on playing.
"""

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.text import Text

from surgetank.app.cli.output import console
from surgetank.app.cli.place import (
    STDOUT,
    check_writable,
    json_path,
    put_json,
    whole_file,
    write,
)
from surgetank.app.cli.status import ExitStatus
from surgetank.app.wiring import quiet_logs
from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drill import report
from surgetank.rehearsal.drill.output import (
    change,
    change_terminal,
    junit,
    recording,
    review,
    terminal,
)
from surgetank.rehearsal.drill.output.result_schema import read_result
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.session import check_plan
from surgetank.rehearsal.scenario.reader import load
from surgetank.rehearsal.scenario.schema import Scenario

__all__ = [
    "CompareOption",
    "JsonOption",
    "JunitOption",
    "Outputs",
    "ReplayOption",
    "ReportOption",
    "ReviewOption",
    "SchemaFlag",
    "ToleranceOption",
    "TraceOption",
    "compare_results",
    "record_run",
    "replay_trace",
]

JsonOption = Annotated[
    str | None, typer.Option("--json", metavar="PATH|-", help="Write the result as JSON.")
]
ReportOption = Annotated[
    Path | None, typer.Option("--report", metavar="PATH", help="Write a page to look at.")
]
JunitOption = Annotated[
    Path | None, typer.Option("--junit", metavar="PATH", help="Write the expectations for CI.")
]
ReviewOption = Annotated[
    Path | None,
    typer.Option("--review", metavar="PATH", help="Write a post-incident review in Markdown."),
]
TraceOption = Annotated[
    Path | None,
    typer.Option(
        "--trace", metavar="PATH", help="Write each event of one run; with --variant and --seed."
    ),
]
ReplayOption = Annotated[
    Path | None,
    typer.Option(
        "--replay", metavar="TRACE", help="Play that run again; say where it and TRACE part."
    ),
]
CompareOption = Annotated[
    tuple[Path, Path] | None,
    typer.Option("--compare", metavar="BEFORE AFTER", help="Say what changed from JSON to JSON."),
]
ToleranceOption = Annotated[
    float | None,
    typer.Option(
        "--tolerance",
        metavar="RATIO",
        min=0.0,
        max=change.TOLERANCE_MAX,
        help=f"With --compare: what may move; {change.TOLERANCE:g} if unsaid.",
    ),
]
SchemaFlag = Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of results.")]


class Outputs(NamedTuple):
    """Where the result of a drill goes."""

    json: str | None
    report: Path | None
    junit: Path | None
    review: Path | None
    trace: Path | None

    def options(self) -> dict[str, Path | None]:
        """Say which files only a drill that is played can fill, by the option that names each."""
        files = (self.report, self.junit, self.review, self.trace)
        return dict(zip(("--report", "--junit", "--review", "--trace"), files, strict=True))

    def check(self) -> None:
        """Refuse places that cannot be written before minutes are spent."""
        for path in (json_path(self.json), *self.options().values()):
            check_writable(path)

    def show(
        self,
        scenario: Scenario,
        runs: Sequence[Run],
        result: Mapping[str, Any],
        *,
        source: str,
        shown: Text | None = None,
    ) -> None:
        """Write the files that were asked for, and say on the terminal what was found.

        `shown` stands in for what the terminal has of a plain drill.
        """
        again = _command()
        if self.report is not None:
            page = report.render(scenario, runs, result, command=again, source=source)
            write(self.report, page)
        if self.review is not None:
            text = review.render(scenario, runs, result, command=again, source=source)
            write(self.review, text)
        if self.junit is not None:
            write(self.junit, junit.render(scenario, result, source=source))
        put_json(self.json, result)
        if self.json != STDOUT:
            if shown is None:
                shown = terminal.render(
                    scenario, result, runs=runs, report=self.report, source=source
                )
            console().print(shown)


def record_run(
    path: Path,
    scenario: Scenario,
    *,
    variants: Sequence[str],
    seeds: Sequence[int],
    on_run: Callable[[Run], None],
) -> list[Run]:
    """Play one run and write its trace while it goes on."""
    if len(variants) != 1 or len(seeds) != 1:
        raise InvalidInputError("--trace writes one run: give one --variant V and --seed S")
    check_plan(scenario, variants=variants, seeds=seeds)
    quiet_logs()
    with whole_file(path) as file:
        run = recording.record(scenario, variants[0], seed=seeds[0], write=file.write)
    on_run(run)
    return [run]


def replay_trace(path: Path, scenario: str | None, *, json: str | None) -> ExitStatus:
    """Play a recorded run again, and say whether it is the same."""
    check_writable(json_path(json))
    recorded = recording.read(path)
    chosen = load(recorded.header.scenario if scenario is None else scenario)
    quiet_logs()
    found = recording.replay(recorded, chosen)
    put_json(json, recording.document(recorded, found))
    if json != STDOUT:
        typer.echo(recording.describe(recorded, found))
    return ExitStatus.DONE if found.parting is None else ExitStatus.NOT_MET


def compare_results(
    before: Path, after: Path, *, tolerance: float | None, only: Sequence[str], json: str | None
) -> ExitStatus:
    """Say what is better and what is worse in a later drill."""
    check_writable(json_path(json))
    found = change.contrast(
        read_result(before),
        read_result(after),
        tolerance=change.TOLERANCE if tolerance is None else tolerance,
        only=only,
    )
    put_json(json, change.document(found))
    if json != STDOUT:
        console().print(change_terminal.render(found, before=str(before), after=str(after)))
    return ExitStatus.NOT_MET if found.is_worse else ExitStatus.DONE


def _command() -> str:
    """What was typed, for whoever wants to see the same."""
    return shlex.join(["surgetank", *sys.argv[1:]])
