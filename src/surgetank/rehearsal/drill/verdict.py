"""The verdict: whether what the scenario expects was seen."""

from collections.abc import Sequence
from typing import Any

from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.quantile import quantile
from surgetank.rehearsal.scenario.schema import Expectation, Scenario

_SHARES = {"min": 0.0, "median": 0.5, "p95": 0.95, "max": 1.0}
"""Quantiles that an expectation may be over."""


def judge(scenario: Scenario, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Hold every expectation of a variant that was played against the runs."""
    played = {run.variant for run in runs}
    return [_judge(one, runs) for one in scenario.expect if one.variant in played]


def describe(one: Expectation) -> str:
    """Write an expectation as results do."""
    metric = one.metric if one.key is None else f"{one.metric}@{one.key}"
    bound = f"at most {one.at_most:g}" if one.at_least is None else f"at least {one.at_least:g}"
    return f"{one.variant}: {metric}, {one.over} over seeds, {bound}"


def _judge(one: Expectation, runs: Sequence[Run]) -> dict[str, Any]:
    values = [_value(one, run) for run in runs if run.variant == one.variant]
    # What was not measured in one seed was not measured.
    observed = None if None in values else quantile(values, _SHARES[one.over])
    if one.at_least is not None:
        is_met = observed is not None and observed >= one.at_least
    else:
        assert one.at_most is not None, "the schema asks for one bound"
        is_met = observed is not None and observed <= one.at_most
    return {"text": describe(one), "observed": observed, "met": is_met}


def _value(one: Expectation, run: Run) -> float | None:
    """The metric as a number; None for never, or nothing to measure."""
    value = run.metrics[one.metric]
    return value.get(one.key or "") if isinstance(value, dict) else value
