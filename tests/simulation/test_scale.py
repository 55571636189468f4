"""Halving the replica moves no metric of the cloud by more than a tenth. Minutes: `make test-long`.

The replica that ships is held against one of twice its size, by medians over seeds.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from surgetank.app.wiring import quiet_logs
from surgetank.rehearsal.drill.result import summarise
from surgetank.rehearsal.drill.session import drill
from surgetank.rehearsal.scenario.reader import load
from surgetank.rehearsal.scenario.scale import rescaled
from surgetank.rehearsal.scenario.schema import Scenario

pytestmark = pytest.mark.slow

SCENARIO = load("azure-2026-02")
SEEDS = [1, 2, 3]
VARIANTS = ["nobody", "everybody-all"]
RATIOS = (
    "fresh_success_ratio", "identity_outage_s", "pool_outage_s", "provisioning_outage_s",
    "reader_success_ratio", "retry_amplification",
)  # fmt: skip
"""Metrics that are the same in a replica of any size."""
COUNTS = (
    "backlog_peak", "operations_submitted", "operations_succeeded", "pool_work_submitted",
    "requests_handled",
)  # fmt: skip
"""Metrics that are as large as the replica."""
MOVED_MAX = 0.1
SLACK = {"identity_outage_s": 600.0, "pool_outage_s": 600.0, "provisioning_outage_s": 600.0}
"""Seconds that a window more or less may make."""


def played(scenario: Scenario) -> dict[str, Mapping[str, Any]]:
    """Summaries by variant."""
    runs = drill(
        scenario,
        variants=VARIANTS,
        seeds=SEEDS,
        jobs=2,
        on_run=lambda run: print(run.variant, run.seed),  # noqa: T201 - minutes pass
        prepare=quiet_logs,
    )
    return {
        name: summarise([run.metrics for run in runs if run.variant == name]) for name in VARIANTS
    }


@pytest.fixture(scope="module")
def summaries() -> tuple[dict[str, Mapping[str, Any]], dict[str, Mapping[str, Any]]]:
    """Of the replica that ships, and of one of twice its size."""
    return played(SCENARIO), played(rescaled(SCENARIO, 2.0))


def medians(summary: Mapping[str, Any], metric: str) -> dict[str, float]:
    """Medians of a metric, by key where it is a mapping."""
    found = summary[metric]
    if "median" in found and not isinstance(found["median"], dict):
        return {"": found["median"]}
    return {key: one["median"] for key, one in found.items()}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("metric", [*RATIOS, *COUNTS])
def test_a_replica_of_half_the_size_says_the_same(
    metric: str,
    variant: str,
    summaries: tuple[dict[str, Mapping[str, Any]], dict[str, Mapping[str, Any]]],
) -> None:
    half, whole = (medians(one[variant], metric) for one in summaries)
    size = 2.0 if metric in COUNTS else 1.0
    moved = {
        key: (half[key] * size, expected)
        for key, expected in whole.items()
        if abs(half[key] * size - expected) > max(MOVED_MAX * expected, SLACK.get(metric, 0.0))
    }
    assert moved == {}
