"""The verdict: whether what the scenario expects was seen."""

from collections.abc import Callable, Sequence
from math import ceil, inf
from typing import Any

from surgetank.core.errors import ConfigError
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.scenario.schema import Expectation, Scenario

_OVER: dict[str, Callable[[Sequence[float]], float]] = {
    "min": min,
    "median": lambda values: sorted(values)[ceil(0.5 * len(values)) - 1],
    "p95": lambda values: sorted(values)[ceil(0.95 * len(values)) - 1],
    "max": max,
}


def judge(scenario: Scenario, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Hold every expectation of a variant that was played against the runs.

    Raises:
        ConfigError: An expectation names a metric that does not exist.
    """
    played = {run.variant for run in runs}
    return [_judge(scenario, one, runs) for one in scenario.expect if one.variant in played]


def _judge(scenario: Scenario, one: Expectation, runs: Sequence[Run]) -> dict[str, Any]:
    values = [_value(scenario, one, run) for run in runs if run.variant == one.variant]
    # What was not measured in one seed was not measured.
    observed = inf if inf in values else _OVER[one.over](values)
    if one.at_least is not None:
        bound, is_met = f"at least {one.at_least:g}", one.at_least <= observed < inf
    else:
        assert one.at_most is not None, "the schema asks for one bound"
        bound, is_met = f"at most {one.at_most:g}", observed <= one.at_most
    metric = one.metric if one.region is None else f"{one.metric}@{one.region}"
    return {
        "text": f"{one.variant}: {metric}, {one.over} over seeds, {bound}",
        "observed": None if observed == inf else observed,
        "met": is_met,
    }


def _value(scenario: Scenario, one: Expectation, run: Run) -> float:
    """The metric as a number; null (never, or nothing to measure) counts as infinite."""
    value = run.metrics.get(one.metric, "")
    if isinstance(value, dict):
        value = value.get(one.region or "", "")
    if isinstance(value, str):
        names = ", ".join(run.metrics)
        key = f"expect: {one.metric}"
        raise ConfigError(file=scenario.name, key=key, value=one.region, wanted=f"one of: {names}")
    return inf if value is None else value
