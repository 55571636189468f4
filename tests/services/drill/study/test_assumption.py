"""One line says what is assumed, and what would be otherwise if it were."""

from collections.abc import Callable
from typing import Any

import pytest

from surgetank.rehearsal.drill.output.assumption import NAMED_MAX, assumptions
from surgetank.rehearsal.drill.verdict import describe
from surgetank.rehearsal.scenario.reader import Source
from surgetank.rehearsal.scenario.schema import Scenario

OUTAGE = {
    "variant": "nobody",
    "metric": "identity_outage_s",
    "region": "eastus",
    "over": "min",
    "at_least": 14400,
}
ELSEWHERE = {
    "variant": "nobody",
    "metric": "identity_outage_s",
    "region": "westeurope",
    "over": "max",
    "at_most": 0,
}
DRAINED = {"variant": "nobody", "metric": "drain_s", "over": "max", "at_most": 60}
SAVED = {
    "variant": "everybody-all",
    "metric": "fresh_success_ratio",
    "over": "min",
    "at_least": 0.9,
}
MIRRORED = {**SAVED, "variant": "everybody-mirror"}
EXPECTED = [OUTAGE, ELSEWHERE, DRAINED, SAVED, MIRRORED]


@pytest.fixture
def scenario(make_source: Callable[..., Source]) -> Scenario:
    return make_source({"boot_s": (40, 20, 80), "warm_s": (600, 300, 900)}, EXPECTED).scenario()


def row(
    figure: str, because: str, *, below: float | None = None, above: float | None = None
) -> dict[str, Any]:
    return {
        "figure": figure,
        "assumed": 2.0,
        "low": 1.0,
        "high": 9.0,
        "flips_below": below,
        "flips_above": above,
        "because": because,
        "because_below": because,
        "because_above": because,
    }


def said(scenario: Scenario, *rows: dict[str, Any]) -> str:
    """What stands behind the counts."""
    counts, _, rest = assumptions(
        scenario, {"variants": scenario.variants, "sensitivity": list(rows)}
    ).partition(" ASSUMED")
    assert counts.startswith("2 of ")
    assert counts.endswith(" hours")
    return rest


def text(scenario: Scenario, rank: int) -> str:
    """The expectation as results write it."""
    return describe(scenario.expect[rank])


def test_without_a_sensitivity_run_there_are_counts_alone(scenario: Scenario) -> None:
    assert said(scenario) == ""


def test_where_nothing_flips_it_says_so(scenario: Scenario) -> None:
    assert said(scenario, row("boot_s", "")) == (
        "; none of these figures, moved alone over its range, flips the verdict"
    )


def test_figures_that_were_not_tried_are_counted_and_not_said_to_flip_nothing(
    scenario: Scenario,
) -> None:
    untried = {**row("boot_s", ""), "is_played": False}
    assert said(scenario, untried, row("warm_s", "")) == (
        ", 1 of these figures not tried; none of the other figures, moved alone over its range, "
        "flips the verdict"
    )


@pytest.mark.parametrize(
    ("rank", "otherwise"),
    [
        (0, "no second outage of 4h00"),
        (1, "tokens fail in West Europe too"),
        (2, "another outage"),
        (3, "no longer saved by everything"),
        (4, "no longer saved by everybody: mirror"),
    ],
)
def test_a_broken_expectation_is_said_in_words(
    scenario: Scenario, rank: int, otherwise: str
) -> None:
    flip = row("boot_s", text(scenario, rank), above=2.3)
    assert said(scenario, flip) == f"; {otherwise} if boot_s > 2.3"


def test_an_expectation_of_another_scenario_is_another_verdict(scenario: Scenario) -> None:
    assert said(scenario, row("boot_s", "moon: high", below=1)) == "; another verdict if boot_s < 1"


def test_the_nearest_flips_are_named_and_alike_ones_together(scenario: Scenario) -> None:
    outage, saved = text(scenario, 0), text(scenario, 3)
    found = said(
        scenario,
        row("far", outage, above=9),
        row("near", outage, above=2.1),
        row("both", saved, below=1.8, above=8),
        row("close", outage, below=1.7),
    )
    assert found == (
        "; no second outage of 4h00 if near > 2.1 or close < 1.7; no longer saved by everything "
        "if both < 1.8; and 2 more"
    )
    assert NAMED_MAX == 3
