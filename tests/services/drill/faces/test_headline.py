"""The drill in one sentence: it says who acts, and claims no more than was seen."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from surgetank.rehearsal.drill.headline import headline
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.result import build_result
from surgetank.rehearsal.scenario.schema import Scenario


def lead(scenario: Scenario, runs: Sequence[Run]) -> str:
    return headline(scenario, runs, build_result(scenario, runs))


def test_the_lead_says_who_acts_and_what_came_of_it(scenario: Scenario, runs: list[Run]) -> None:
    assert lead(scenario, runs) == (
        "With nobody acting, VM creates were in outage for 4h54 and tokens in The North for 2h30 "
        "after the repair; with mirror, token broker and governor everywhere, nobody was blocked; "
        "a customer of 1% acting alone got 90% of its creates done in time instead of 20%, but did "
        "not save the cloud, whose tokens were out for 2h24."
    )


@pytest.mark.parametrize(
    ("variants", "said"),
    [
        ({"nobody": {"tokens": None}}, "and tokens were never in outage."),
        ({"nobody": {"creates": None}}, "VM creates were never in outage and tokens in The North"),
        ({"nobody": {"tokens": (2.0, 4.0)}}, "tokens in The North for 2h00."),
        (
            {"all": {}},
            "governor everywhere, VM creates were in outage for 4h54 and tokens for 2h30.",
        ),
        (
            {"all": {"creates": None, "tokens": None, "fresh": 0.5}},
            "there was no outage and 50% of creates were in time.",
        ),
        ({"nobody": {}, "you": {"own_fresh": 0.1}}, "gained nothing: 10% of its creates in time"),
        ({"nobody": {}, "you": {"own_fresh": None}}, "had too few creates to say."),
        (
            {"nobody": {}, "you": {"tokens": None, "own_fresh": 0.9}},
            "got 90% of its creates done in time instead of 20%.",
        ),
        ({"you": {}}, "You, 1%: VM creates were in outage for 2h27 and tokens for 2h30."),
    ],
)
def test_the_lead_claims_no_more_than_was_seen(
    scenario: Scenario,
    make_run: Callable[..., Run],
    variants: dict[str, dict[str, Any]],
    said: str,
) -> None:
    runs = [make_run(name, **options) for name, options in variants.items()]
    assert said in lead(scenario, runs)


@pytest.mark.parametrize(
    ("safeguards", "said"),
    [
        ({"mirror_warm_ratio": 0.5}, "with mirror (50% warm) everywhere"),
        ({"release": "steps", "admission": True}, "with admission and steps release everywhere"),
        ({}, "with no safeguard everywhere"),
    ],
)
def test_the_lead_names_the_safeguards(
    make_scenario: Callable[..., Scenario],
    make_run: Callable[..., Run],
    safeguards: dict[str, Any],
    said: str,
) -> None:
    variants = {"all": {"title": "all", "seat": "everybody", "share": 1, **safeguards}}
    scenario = make_scenario(variants=variants, expect=[])
    assert said in lead(scenario, [make_run("all")]).lower()
