"""The result of a drill: `surgetank/drill-result/v1`, a plain JSON object.

Quantiles are nearest-rank over seeds; a value that is null (never) sorts last.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from surgetank.rehearsal.drill.digest import digest
from surgetank.rehearsal.drill.metrics import SCRIPTED, Metrics, Value, milestone_at
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.series import GovernorSeries
from surgetank.rehearsal.drill.verdict import judge
from surgetank.rehearsal.quantile import quantile
from surgetank.rehearsal.scenario.schema import Milestone, Scenario, Seat

SCHEMA = "surgetank/drill-result/v1"
QUANTILES = {"median": 0.5, "p5": 0.05, "p95": 0.95}


def build_result(scenario: Scenario, runs: Sequence[Run]) -> dict[str, Any]:
    """Put the runs of one drill together, judged."""
    names = [name for name in scenario.variants if any(run.variant == name for run in runs)]
    variants = {name: _variant(scenario, name, runs) for name in names}
    expectations = judge(scenario, runs)
    is_met = all(one["met"] for one in expectations)
    return {
        "schema": SCHEMA,
        "scenario": scenario.name,
        "scenario_digest": digest(scenario),
        "scale": scenario.scale,
        "seeds": sorted({run.seed for run in runs}),
        "variants": variants,
        "milestones": [_milestone(scenario, one, runs) for one in scenario.published],
        "sensitivity": [],
        "expectations": expectations,
        "verdict": "met" if is_met else "not_met",
    }


def instant(at: float) -> str:
    """An instant as UTC text, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _variant(scenario: Scenario, name: str, runs: Sequence[Run]) -> dict[str, Any]:
    mine = sorted((run for run in runs if run.variant == name), key=lambda run: run.seed)
    variant = scenario.variants[name]
    return {
        "title": variant.title,
        "seat": variant.seat.value,
        "share": variant.share,
        "seeds": {str(run.seed): _run(run) for run in mine},
        "summary": summarise([run.metrics for run in mine]),
    }


def _run(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = {"trace_hash": run.trace_hash, "metrics": run.metrics}
    governors = run.series.governors
    if governors:
        found["governors"] = {
            name: _turns(run.series.at, one) for name, one in sorted(governors.items())
        }
    return found


def _turns(at: Sequence[float], one: GovernorSeries) -> list[dict[str, Any]]:
    """Give the minutes in which a governor's mode, or what it waits for, was another."""
    return [
        {
            "at": instant(at[one.first_row + row]),
            "mode": one.mode[row],
            "waits_for": one.waits_for[row],
            "takes": one.takes[row],
        }
        for row in one.changes()
    ]


def summarise(metrics: Sequence[Metrics]) -> dict[str, Any]:
    """Median, p5 and p95 of each metric; of a mapping, key by key."""
    return {name: _summary([one[name] for one in metrics]) for name in metrics[0]}


def _summary(values: Sequence[Value]) -> dict[str, Any]:
    mappings = [value for value in values if isinstance(value, dict)]
    if mappings:
        keys = sorted({key for mapping in mappings for key in mapping})
        return {key: _summary([mapping.get(key) for mapping in mappings]) for key in keys}
    numbers = [value for value in values if not isinstance(value, dict)]
    return {name: quantile(numbers, share) for name, share in QUANTILES.items()}


def _milestone(scenario: Scenario, one: Milestone, runs: Sequence[Run]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": one.name,
        "published": instant(one.at.timestamp()),
        "source": one.source,
        "also": [
            {"published": instant(said.at.timestamp()), "source": said.source} for said in one.also
        ],
        "median": None,
        "p5": None,
        "p95": None,
        "kind": SCRIPTED if one.measure == SCRIPTED else "emerged",
    }
    if one.measure == SCRIPTED:
        return row
    if one.calibrates:
        row["kind"] = "calibrated"
    nobody = [run for run in runs if scenario.variants[run.variant].seat is Seat.NOBODY]
    times = [milestone_at(run.outages, one.measure) for run in nobody]
    for name, share in QUANTILES.items():
        at = quantile(times, share)
        row[name] = None if at is None else instant(at)
    return row
