"""`surgetank bench drain`: play release laws in many worlds, and show which drains them fastest."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from surgetank.app.cli.bar import bar
from surgetank.app.cli.option import check_alone
from surgetank.app.cli.output import console
from surgetank.app.cli.place import STDOUT, check_writable, json_path, put_json, write
from surgetank.app.cli.status import ExitStatus
from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drain import bench, plot, terminal
from surgetank.rehearsal.drain.ablation import ABLATED, OURS
from surgetank.rehearsal.drain.document import Document, published
from surgetank.rehearsal.drain.generator import SEED_MAX
from surgetank.rehearsal.drain.reader import read, shipped
from surgetank.rehearsal.drain.summary import Case, build
from surgetank.rehearsal.processes import JOBS_MAX, usual_jobs

__all__ = ["register"]

SEED = 1
"""First seed without `--seed`: odd, as laws are tuned on even seeds and judged on odd ones."""
SEEDS = 1
"""Seeds without `--seeds`: worlds differ more from one another than seeds do."""

WorldsOption = Annotated[
    Path | None,
    typer.Option(
        "--worlds", metavar="DIR", help="Worlds to play, one TOML file each; ours if unsaid."
    ),
]
RandomOption = Annotated[
    int | None,
    typer.Option(
        "--random", metavar="N", min=1, max=bench.RANDOM_MAX, help="Play N random worlds instead."
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="S",
        min=0,
        max=SEED_MAX,
        help=f"The first seed, {SEED} if unsaid; then S+2, S+4 and so on.",
    ),
]
LawsOption = Annotated[
    str | None,
    typer.Option(
        "--laws",
        metavar="A,B",
        help="Laws to play; all, bare and wrapped, if unsaid. Only if said, ours with one part "
        f"changed: {OURS}- and {', '.join(one.name for one in ABLATED.values())}.",
    ),
]
SeedsOption = Annotated[
    int | None,
    typer.Option(
        "--seeds",
        metavar="N",
        min=1,
        max=bench.SEEDS_MAX,
        help=f"Runs in each world; {SEEDS} if unsaid. A random world has one.",
    ),
]
RequestsOption = Annotated[
    int | None,
    typer.Option(
        "--requests-max",
        metavar="N",
        min=1,
        max=bench.REQUESTS_MAX,
        help="Calls after which a run is hopeless; if unsaid, four times those of the optimum, and "
        f"{bench.RANDOM_REQUESTS_MAX} in a random world.",
    ),
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
PlotOption = Annotated[
    Path | None,
    typer.Option(
        "--plot", metavar="PATH", help="Draw all ratios, and the slowest run of the first law."
    ),
]
SchemaFlag = Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of results.")]


def register(app: typer.Typer) -> None:
    """Add `bench` to the command line."""
    group = typer.Typer(rich_markup_mode=None)
    group.callback()(_bench)  # Without one, a group of one command is that command.
    group.command("drain")(_drain)
    app.add_typer(group, name="bench")


def _bench() -> None:
    """Measure laws side by side."""


def _drain(
    *,
    worlds: WorldsOption = None,
    random: RandomOption = None,
    seed: SeedOption = None,
    laws: LawsOption = None,
    seeds: SeedsOption = None,
    requests_max: RequestsOption = None,
    jobs: JobsOption = None,
    json: JsonOption = None,
    plot_path: PlotOption = None,
    schema: SchemaFlag = False,
) -> ExitStatus:
    """Drain a backlog by each law in each world, against the optimum.

    Needs the extra surgetank[bench]. Exits 0 when all was played, whatever came of it.

    \b
    surgetank bench drain --laws surgetank,aimd,aimd+breaker
    surgetank bench drain --random 100 --seed 1 --json ratios.json --plot ratios.svg
    surgetank bench drain --worlds my-worlds --laws surgetank --seeds 5
    """  # noqa: D301 - click wants the character, not the two that spell it
    if schema:
        which = {"--worlds": worlds, "--random": random, "--seed": seed, "--seeds": seeds}
        playing = {"--laws": laws, "--requests-max": requests_max, "--jobs": jobs}
        check_alone("--schema", {**which, **playing, "--json": json, "--plot": plot_path})
        typer.echo(published(), nl=False)
        return ExitStatus.DONE
    for place in (json_path(json), plot_path):
        check_writable(place)
    first = SEED if seed is None else seed
    cases = _cases(worlds, random, seed=first, seeds=seeds, requests_max=requests_max)
    bench.require_extra()
    chosen = _laws(laws)
    found = _play(chosen, cases, jobs=jobs or usual_jobs())
    if plot_path is not None:
        _draw(plot_path, found, cases)
    put_json(json, found.model_dump(mode="json", by_alias=True))
    if json != STDOUT:
        console().print(terminal.render(found))
    return ExitStatus.DONE


def _cases(
    worlds: Path | None,
    random: int | None,
    *,
    seed: int,
    seeds: int | None,
    requests_max: int | None,
) -> list[Case]:
    if random is None:
        found = shipped() if worlds is None else read(worlds)
        return bench.given_cases(found, seed=seed, seeds=seeds or SEEDS, requests_max=requests_max)
    check_alone("--random", {"--worlds": worlds, "--seeds": seeds})
    return bench.random_cases(random, seed=seed, requests_max=requests_max)


def _laws(text: str | None) -> list[str]:
    usual = bench.law_names()
    if text is None:
        return usual
    known = [*usual, *bench.ablated_names()]
    chosen = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in chosen:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise InvalidInputError(f"--laws: no law {name!r}; {hint}")
    return chosen


def _play(laws: Sequence[str], cases: Sequence[Case], *, jobs: int) -> Document:
    work = bench.tasks(laws, cases)
    with bar(len(work)) as shown:
        runs = bench.conduct(
            work,
            bench.play_task,
            jobs=jobs,
            on_end=lambda task: shown.ended(f"{task.law}, {task.name}"),
        )
    return build(cases, runs)


def _draw(path: Path, found: Document, cases: Sequence[Case]) -> None:
    """Draw all ratios, and second by second the slowest run of the law asked for first."""
    write(path, plot.render(found, bench.play_timeline(bench.slowest(found, cases))))
