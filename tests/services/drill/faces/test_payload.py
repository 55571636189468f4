"""What the script shows is what happened: packed small, and unpacked to a tenth of a second."""

import base64
import gzip
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from surgetank.rehearsal.drill.ledger import Fate, Wanted
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.report.payload import (
    REASON_CHARACTERS_MAX,
    SERVICES,
    TENTH,
    data,
    packed,
)
from surgetank.rehearsal.drill.request import steps_of
from surgetank.rehearsal.drill.result import build_result
from surgetank.rehearsal.drill.series import GovernorSeries
from surgetank.rehearsal.scenario.schema import Creates, Scenario

PAGE_BYTES_MAX = 6_000_000
VARIANTS = 15


def unpacked(run: Run) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed(run))))
    return content


def test_every_minute_of_every_region_is_there(make_run: Callable[..., Run]) -> None:
    run = make_run()
    series = unpacked(run)["series"]
    assert series["at"] == run.series.at
    assert series["regions"]["north"]["backlog"] == run.series.regions["north"].backlog
    assert series["regions"]["north"]["queue_s"] == run.series.regions["north"].queue_s


def test_moments_come_back_to_a_tenth_of_a_second(
    make_run: Callable[..., Run], caught: Wanted
) -> None:
    columns = unpacked(make_run(wanted=[caught]))["operations"]
    at = columns["submitted"][0]
    for moment, gap, kind in zip(caught.moments, columns["after"], columns["kind"], strict=True):
        at += gap
        assert abs(at / TENTH - moment.at) <= 0.5 / TENTH
        assert columns["kinds"][kind] == [moment.step, moment.what, moment.why]


def test_moments_are_in_order_of_time(
    make_run: Callable[..., Run], make_wanted: Callable[..., Wanted]
) -> None:
    late = make_wanted("late", Fate.EXPIRED, (9, "", "expired"), (1, "install", "called"))
    assert unpacked(make_run(wanted=[late]))["operations"]["after"] == [600, 4800]


def test_waits_without_an_end_are_told_from_those_that_are_over(
    make_run: Callable[..., Run], make_wanted: Callable[..., Wanted], caught: Wanted
) -> None:
    until = make_wanted("until", Fate.OPEN, (1, "", "waits"), until_min=3)
    past = make_wanted("past", Fate.OPEN, (1, "", "waits"), until_min=0)
    columns = unpacked(make_run(wanted=[until, past, caught]))["operations"]
    assert columns["until"][:3] == [1200, 0, -1]


def test_a_long_reason_is_cut(
    make_run: Callable[..., Run], make_wanted: Callable[..., Wanted]
) -> None:
    why = "x" * (REASON_CHARACTERS_MAX + 1)
    wanted = make_wanted("long", Fate.OPEN, (0, "install", "failed", why))
    kinds = unpacked(make_run(wanted=[wanted]))["operations"]["kinds"]
    assert kinds == [["install", "failed", why[:-1]]]


def test_a_governor_is_kept_where_it_changes(make_run: Callable[..., Run]) -> None:
    governor = GovernorSeries(
        first_row=2,
        mode=["ramp", "open", "open", "ramp"],
        rate_per_s=[None, 0.123_456, 0.1, 1.0],
        waits_for=["delay", "time", "time", "delay"],
        takes=["1 s", "30 s", "20 s", ""],
    )
    found = unpacked(make_run(governors={"artifacts@north": governor}))["governors"]
    assert found["artifacts@north"] == {
        "first": 2,
        "rows": 4,
        "changes": [0, 1, 3],
        "modes": ["ramp", "open", "ramp"],
        "waits": ["delay", "time", "delay"],
        "takes": ["1 s", "30 s", ""],
        "rates": [None, 0.1235, 0.1, 1.0],
    }


def test_equal_runs_are_packed_alike(make_run: Callable[..., Run], caught: Wanted) -> None:
    assert packed(make_run(wanted=[caught])) == packed(make_run(wanted=[caught]))


def test_only_the_run_in_the_middle_goes_in(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    runs = [make_run(seed=seed, tokens=(3, 3 + seed)) for seed in (1, 2, 3)]
    elements = data(scenario, runs, build_result(scenario, runs))
    assert elements.count('type="application/json"') == 2
    assert packed(runs[1]) in elements


def test_names_cannot_end_the_element(
    make_scenario: Callable[..., Scenario], make_run: Callable[..., Run]
) -> None:
    variants = {"nobody": {"title": "</script><b>", "seat": "nobody", "share": 0}}
    scenario = make_scenario(variants=variants, expect=[])
    runs = [make_run()]
    assert "<b>" not in data(scenario, runs, build_result(scenario, runs))


def test_a_night_of_fifteen_variants_stays_small(
    make_run: Callable[..., Run], make_wanted: Callable[..., Wanted]
) -> None:
    chance = random.Random(1)

    def operation(number: int) -> Wanted:
        times = sorted(chance.uniform(0, 600) for _ in range(15))
        whats = [("install", "called"), ("install", "failed", "PublicAccessNotPermitted")]
        moments = [(at, *whats[index % 2]) for index, at in enumerate(times)]
        return make_wanted(f"machines-north-{number}", Fate.FAILED, *moments, asked_h=0.1)

    run = make_run(wanted=[operation(number) for number in range(2000)], rows=780)
    assert VARIANTS * len(packed(run)) < PAGE_BYTES_MAX


@pytest.mark.parametrize("position", [0, 1, 2])
def test_steps_are_decided_by_these_services(scenario: Scenario, position: int) -> None:
    fleet = scenario.fleet[0]
    assert isinstance(fleet, Creates)
    steps = steps_of(
        fleet, "one", machines=1, region="north", host="h", manifest_url="u", version="1"
    )
    assert len(steps) == len(SERVICES)
    step = steps[position]
    assert step.dependency == f"{SERVICES[step.name]}@north"
