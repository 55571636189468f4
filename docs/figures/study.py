# ruff: noqa: INP001 - run from the root of the repository; part of no package
"""Which runs the documentation quotes, and what it says of them: facts by name, and drawings.

Every group plays what it needs and nothing else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from statistics import fmean
from types import MappingProxyType
from typing import Any, NamedTuple

from docs.figures import plot
from docs.figures.drain import drain
from docs.figures.page import Made, lines
from docs.figures.states import states

from surgetank.app.wiring import quiet_logs
from surgetank.rehearsal.drill.comparison import done_ratio, standings, tokens_s
from surgetank.rehearsal.drill.metrics import milestone_at
from surgetank.rehearsal.drill.output.markdown import code, table, text
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.result import build_result
from surgetank.rehearsal.drill.session import drill
from surgetank.rehearsal.drill.study.sweep import read_sweep, sweep
from surgetank.rehearsal.drill.wording import number, percent, plain, seconds_of, span, time_of_day
from surgetank.rehearsal.quantile import quantile
from surgetank.rehearsal.scenario.capacity import identity_policy
from surgetank.rehearsal.scenario.fleet import busiest_tokens_per_s, machines_of
from surgetank.rehearsal.scenario.reader import load, read
from surgetank.rehearsal.scenario.scale import rescaled
from surgetank.rehearsal.scenario.schema import Fleet, Readers, Scenario

NAME = "azure-2026-02"
REGION = "eastus"
SHARES = "share=0.01,0.1,0.3,0.5,0.7,1.0"
SEEDS = (1, 2, 3, 4, 5)
REPLICAS = (0.5, 1.0, 2.0)
REPLICA_SEEDS = (1, 2, 3)
BACKLOGS = ("nobody", "everybody-steps", "everybody-governor", "everybody-mirror")
_MINUTES = 60.0
_WALK_S = (-180.0, 900.0)
"""From the repair of the region: what the walk shows by the minute."""
_SETTLED_S = 600.0
"""After so much of an outage its storm is taken as even."""


def scenario_facts(_jobs: int) -> Made:
    """Say what the scenario says, without playing it."""
    scenario = load(NAME)
    region = scenario.cloud.regions[REGION]
    policy = identity_policy(scenario, region)
    wanted = busiest_tokens_per_s(scenario, region)
    assumed, figures = scenario.figure_counts()
    hours = [one for one in scenario.timeline if one.is_of("nobody")]
    return Made(
        {
            "script": lines(
                table(
                    ("from", "what", "who says so", "if"),
                    (
                        [
                            _clock(one.at.timestamp()),
                            text(one.title),
                            text(one.source or f"assumed: {one.assumed}"),
                            code(one.when) if one.when else "always",
                        ]
                        for one in sorted(hours, key=lambda one: one.at)
                    ),
                )
            ),
            "demand": lines(
                table(
                    ("fleet", "tokens a minute", "of all", "comes back after", "gives up after"),
                    (_demand(one, scenario, wanted) for one in scenario.fleet),
                )
            ),
            "capacity": f"{policy.rate_per_s * _MINUTES:.1f}",
            "wanted": f"{wanted * _MINUTES:.1f}",
            "occupied": f"{policy.occupied_s:.0f}",
            **{
                f"figure.{name}": _figure(name, one.value) for name, one in scenario.figures.items()
            },
            "assumed": str(assumed),
            "figures": str(figures),
            "hours_assumed": str(sum(one.source is None for one in hours)),
            "hours": str(len(hours)),
        },
        {},
    )


def _figure(name: str, value: float) -> str:
    return percent(value) if name.endswith("_ratio") else plain(value)


def _demand(fleet: Fleet, scenario: Scenario, wanted: float) -> list[str]:
    rate = fleet.peak_per_s * scenario.cloud.regions[REGION].size
    if not isinstance(fleet, Readers):
        rate *= machines_of(fleet) * (fleet.tokens + scenario.cloud.reads.identity)
    most = getattr(fleet, "retry_s_max", None)
    pause = f"{fleet.retry_s / 60:g}" + (f" to {most / 60:g}" if most else "")
    return [
        text(fleet.title or fleet.name),
        f"{rate * _MINUTES:.2f}",
        percent(rate / wanted),
        f"{pause} min",
        span(fleet.patience_s),
    ]


def night(jobs: int) -> Made:
    """Walk through the night of East US, with nobody acting and under the governor alone."""
    scenario = load(NAME)
    nobody = _play(scenario, ["nobody"], SEEDS, jobs)
    governed = _play(scenario, ["everybody-governor"], [1], 1)[0]
    region = scenario.cloud.regions[REGION]
    capacity = identity_policy(scenario, region).rate_per_s * _MINUTES
    drawings = {
        "collapse.svg": plot.collapse(scenario, nobody[0], governed, REGION),
        "goodput.svg": plot.goodput(nobody[0], governed, REGION, capacity=capacity),
    }
    facts = {
        **_hours(nobody[0], capacity=capacity),
        "milestones": _milestones(scenario, build_result(scenario, nobody)["milestones"]),
        "late": _before(scenario, nobody, "tokens back, East US"),
        "runners": _median(scenario, nobody, "GitHub runners back"),
        "governor_peak": f"{max(row.queue_s for row in _rows(governed, REGION)):.0f}",
    }
    return Made(facts, drawings)


def _hours(run: Run, *, capacity: float) -> dict[str, str]:
    """Say what happened when in the night of one run."""
    rows = _rows(run, REGION)
    outage = max(run.outages.identity[REGION], key=lambda one: one.end_at - one.start_at)
    repaired_at = next(at for at, _, region in run.acted if region == REGION)
    off_at = next((at for at, title, _ in run.acted if "traffic off" in title), outage.end_at)
    calm = [row for row in rows if row.at <= repaired_at]
    storm = [row for row in rows if outage.start_at + _SETTLED_S <= row.at <= off_at]
    answered = fmean(row.answered for row in storm)
    low, high = _WALK_S
    return {
        "walk": _walk(row for row in rows if low <= row.at - repaired_at <= high),
        "creates_fail": _clock(run.outages.provisioning[0].start_at),
        "calm": f"{fmean(row.offered for row in calm):.1f}",
        "backlog": str(calm[-1].backlog),
        "repaired": _clock(repaired_at),
        "offered": f"{fmean(row.offered for row in storm):.0f}",
        "answered": f"{answered:.1f}",
        "answered_ratio": percent(answered / capacity),
        "off": _clock(off_at),
        "end": _clock(outage.end_at),
        "down": span(outage.end_at - outage.start_at),
    }


class _Row(NamedTuple):
    """One minute of a region, which ends at `at`."""

    at: float
    backlog: int
    offered: int
    answered: int
    failed: int
    queue_s: float
    speed: float


def _rows(run: Run, region: str) -> list[_Row]:
    one = run.series.regions[region]
    columns = zip(
        run.series.at, one.backlog, one.tokens_offered, one.tokens_tried, one.tokens_failed,
        one.queue_s, one.live_ratio, strict=True,
    )  # fmt: skip
    return [
        _Row(at, backlog, offered, tried - failed, failed, queue_s, speed)
        for at, backlog, offered, tried, failed, queue_s, speed in columns
    ]


def _walk(rows: Iterable[_Row]) -> str:
    head = ("until", "calls", "answered", "failed", "queue", "speed of the nodes", "backlog")
    cells = (
        [
            _clock(row.at),
            str(row.offered),
            str(row.answered),
            str(row.failed),
            f"{row.queue_s:.0f} s",
            percent(row.speed),
            str(row.backlog),
        ]
        for row in rows
    )
    return lines(table(head, cells))


def _milestones(scenario: Scenario, rows: Sequence[Mapping[str, Any]]) -> str:
    def cells(row: Mapping[str, Any]) -> list[str]:
        said = [row["published"], *(one["published"] for one in row["also"])]
        low, median, high = (
            time_of_day(seconds_of(row[name]), scenario) for name in ("p5", "median", "p95")
        )
        here = median if low == high else f"{median} ({low} to {high})"
        if row["kind"] == "scripted":
            here = "as published"
        published = ", ".join(time_of_day(seconds_of(one), scenario) for one in said)
        return [text(row["name"]), published, here, row["kind"]]

    return lines(table(("what", "published", "here", "kind"), map(cells, rows)))


def variants(jobs: int) -> Made:
    """Play every variant, with all seeds."""
    scenario = load(NAME)
    runs = _play(scenario, list(scenario.variants), SEEDS, jobs)
    result = build_result(scenario, runs)
    rows = [row for row in standings(result) if not row.is_own]
    mine = {name: [run for run in runs if run.variant == name] for name in scenario.variants}
    down = {name: [tokens_s(run.metrics) for run in some] for name, some in mine.items()}
    cells = (
        [
            text(row.title),
            span(row.blocked_s.median),
            _spread(down[row.name], span),
            percent(row.fresh_ratio.median),
            percent(row.done_ratio.median if row.done_ratio else None),
            percent(row.wasted_ratio.median if row.wasted_ratio else None),
        ]
        for row in rows
    )
    head = ("who acts", "creates blocked", "tokens down", "in time", "done", "wasted")
    facts = {"table": lines(table(head, cells))}
    facts |= {f"{name}.down": span(quantile(some, 0.5)) for name, some in down.items()}
    facts |= {f"{name}.spread": _spread(some, span) for name, some in down.items()}
    for row in rows:
        facts[f"{row.name}.done"] = percent(row.done_ratio.median if row.done_ratio else None)
    for name in ("nobody", "you-1pct"):
        summary = result["variants"][name]["summary"]
        facts[f"{name}.fresh"] = percent(summary["own_fresh_success_ratio"]["median"])
        facts[f"{name}.token"] = percent(summary["own_token_success_ratio"]["median"])
    summary = result["variants"]["nobody"]["summary"]
    facts["own"] = number(summary["own_operations_submitted"]["median"])
    facts["all"] = number(summary["operations_submitted"]["median"])
    return Made(
        facts, {"backlog.svg": plot.backlog(scenario, [mine[name][0] for name in BACKLOGS])}
    )


def share(jobs: int) -> Made:
    """Sweep the share of the load that has all safeguards."""
    found = sweep(
        read(NAME), read_sweep(SHARES), variants=(), seeds=[1], refine=0, jobs=jobs,
        on_run=_ignore, prepare=quiet_logs,
    )  # fmt: skip
    points = [
        (point["value"], found.result["variants"][point["variant"]]["seeds"]["1"]["metrics"])
        for point in found.result["sweep"]["points"]
    ]
    cells = (
        [
            percent(value),
            span(metrics["provisioning_outage_s"]),
            span(tokens_s(metrics)),
            percent(metrics["covered_fresh_success_ratio"]),
            percent(metrics["others_fresh_success_ratio"]),
            percent(done_ratio(metrics)),
        ]
        for value, metrics in points
    )
    head = ("share", "creates blocked", "tokens down", "covered, in time", "others, in time")
    facts = {"table": lines(table((*head, "done"), cells))}
    still = max((value for value, metrics in points if tokens_s(metrics)), default=0.0)
    gone = min((value for value, _ in points if value > still), default=1.0)
    facts |= {"still": percent(still), "gone": percent(gone)}
    at = dict(points)
    facts |= {
        f"{who}_{when}": percent(at[value][f"{who}_fresh_success_ratio"])
        for when, value in (("still", still), ("gone", gone), ("least", points[0][0]))
        for who in ("covered", "others")
    }
    return Made(facts, {"share.svg": plot.share(points)})


def replica(jobs: int) -> Made:
    """Play the same night with half and twice the replica."""
    rows = [_replica(rescaled(load(NAME), ratio), jobs) for ratio in REPLICAS]
    head = ("scale", "nodes", "tokens fail", "tokens back", "longest", "in time", "amplification")
    return Made({"table": lines(table(head, rows))}, {})


def _replica(scenario: Scenario, jobs: int) -> list[str]:
    runs = _play(scenario, ["nobody"], REPLICA_SEEDS, jobs)

    def clock(at: float | None) -> str:
        return time_of_day(at, scenario)

    def edges(edge: str) -> list[float | None]:
        measure = f"identity_outage.{edge}@{REGION}"
        return [milestone_at(run.outages, measure) for run in runs]

    return [
        scenario.scale,
        f"{scenario.cloud.identity.nodes}",
        _spread(edges("start"), clock),
        _spread(edges("end"), clock),
        _spread([tokens_s(run.metrics) for run in runs], span),
        _spread([_number(run, "fresh_success_ratio") for run in runs], percent),
        _spread([_number(run, "retry_amplification") for run in runs], "{:.1f}".format),
    ]


def _play(scenario: Scenario, names: Sequence[str], seeds: Sequence[int], jobs: int) -> list[Run]:
    return drill(
        scenario, variants=names, seeds=seeds, jobs=jobs, on_run=_ignore, prepare=quiet_logs
    )


def _spread(values: Sequence[float | None], say: Callable[[float | None], str]) -> str:
    """Say the median of seeds, with the least and the most where they differ."""
    low, median, high = (say(quantile(values, share)) for share in (0.0, 0.5, 1.0))
    return median if low == high else f"{median} ({low} to {high})"


def _ignore(_run: Run) -> None:
    """Nobody watches."""


def _number(run: Run, metric: str) -> float:
    value = run.metrics[metric]
    assert isinstance(value, int | float), f"{metric} of {run.variant} was not measured"
    return value


def _before(scenario: Scenario, runs: Sequence[Run], name: str) -> str:
    """How long before its published time a milestone came, from the least to the most."""
    published, found = _milestone(scenario, runs, name)
    early = sorted((published - at) / 60 for at in found if at is not None)
    return f"{early[0]:.0f} to {early[-1]:.0f} minutes"


def _median(scenario: Scenario, runs: Sequence[Run], name: str) -> str:
    """When a milestone came."""
    return time_of_day(quantile(_milestone(scenario, runs, name)[1], 0.5), scenario)


def _milestone(
    scenario: Scenario, runs: Sequence[Run], name: str
) -> tuple[float, list[float | None]]:
    """When a milestone was published, and when it came in each run."""
    one = next(one for one in scenario.published if one.name == name)
    return one.at.timestamp(), [milestone_at(run.outages, one.measure) for run in runs]


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M")


GROUPS: Mapping[str, Callable[[int], Made]] = MappingProxyType(
    {
        "scenario": scenario_facts,
        "night": night,
        "variants": variants,
        "share": share,
        "replica": replica,
        "drain": drain,
        "states": states,
    }
)
"""By name; each takes the number of processes to play in, if it plays."""
