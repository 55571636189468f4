"""Results are ranked, summarised and judged as the contract says."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.rehearsal.drill.metrics import Metrics, Outages, milestone_at
from surgetank.rehearsal.drill.outage import Outage
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.result import build_result, instant, summarise
from surgetank.rehearsal.drill.series import GovernorSeries, Series
from surgetank.rehearsal.drill.verdict import judge
from surgetank.rehearsal.quantile import quantile
from surgetank.rehearsal.scenario.reader import load
from surgetank.rehearsal.scenario.schema import Expectation, Scenario

FULL = load("azure-2026-02")
START = FULL.start.timestamp()


def scenario(*expect: Expectation) -> Scenario:
    return FULL.model_copy(update={"expect": expect})


def outcome(seed: int, metrics: Metrics, *, variant: str = "nobody", starts: float = 60.0) -> Run:
    found = Outages([], {"eastus": [Outage(START + starts, START + 999.0, is_over=True)]})
    return Run(variant, seed, f"hash-{seed}", metrics, found, [], Series())


def test_what_governors_did_is_told_where_it_changes() -> None:
    series = Series(at=[START + 60.0 * minute for minute in range(1, 6)])
    modes, waits_for = ["shed", "ramp", "ramp", "ramp"], ["fresh", "delay", "delay", "a backlog"]
    takes = ["errors to stop", "1 s", "2 s", ""]
    series.governors["identity@eastus"] = GovernorSeries(
        first_row=1, mode=modes, rate_per_s=[1.0] * 4, waits_for=waits_for, takes=takes
    )
    run = outcome(1, {})._replace(series=series)
    found = build_result(scenario(), [run])["variants"]["nobody"]["seeds"]["1"]["governors"]
    assert found == {
        "identity@eastus": [
            {
                "at": "2026-02-02T18:02:00Z",
                "mode": "shed",
                "waits_for": "fresh",
                "takes": "errors to stop",
            },
            {"at": "2026-02-02T18:03:00Z", "mode": "ramp", "waits_for": "delay", "takes": "1 s"},
            {"at": "2026-02-02T18:05:00Z", "mode": "ramp", "waits_for": "a backlog", "takes": ""},
        ]
    }


def test_a_run_without_governors_says_nothing_of_any() -> None:
    seeds = build_result(scenario(), [outcome(1, {})])["variants"]["nobody"]["seeds"]
    assert seeds["1"].keys() == {"trace_hash", "metrics"}


def expectation(metric: str, **bounds: object) -> Expectation:
    return Expectation.model_validate({"variant": "nobody", "metric": metric, **bounds})


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([1.0, 2.0, 3.0], 0.5, 2.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([3.0, None, 1.0], 0.5, 3.0),
        ([3.0, None, 1.0], 0.95, None),
        ([None], 0.05, None),
        ([], 0.5, None),
        ([float(n) for n in range(1, 21)], 0.05, 1.0),
        ([float(n) for n in range(1, 21)], 0.95, 19.0),
    ],
)
def test_quantiles_are_nearest_rank_and_never_sorts_last(
    values: list[float | None], share: float, expected: float | None
) -> None:
    assert quantile(values, share) == expected


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.floats(0.01, 1.0), st.integers())
def test_a_quantile_is_one_of_the_values_in_any_order(
    values: list[float], share: float, seed: int
) -> None:
    shuffled = Random(seed).sample(values, len(values))
    assert quantile(shuffled, share) == quantile(values, share)
    assert quantile(values, share) in values


def test_a_mapping_is_summarised_key_by_key() -> None:
    metrics: list[Metrics] = [{"m": {"a": 1.0}}, {"m": {"a": 3.0, "b": 5.0}}, {"m": {"a": 2.0}}]
    assert summarise(metrics)["m"]["a"] == {"median": 2.0, "p5": 1.0, "p95": 3.0}
    assert summarise(metrics)["m"]["b"] == {"median": None, "p5": 5.0, "p95": None}


def test_an_instant_is_utc_text() -> None:
    assert instant(START) == "2026-02-02T18:00:00Z"


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("identity_outage.start@eastus", 60.0),
        ("identity_outage.end@eastus", 999.0),
        ("identity_outage.start@westus", None),
        ("provisioning_outage.start", 5.0),
        ("provisioning_outage.end", None),
    ],
)
def test_a_milestone_is_an_edge_of_the_longest_outage(measure: str, expected: float | None) -> None:
    short = Outage(1.0, 2.0, is_over=True)
    found = Outages(
        [short, Outage(5.0, 500.0, is_over=False)],
        {"eastus": [short, Outage(60.0, 999.0, is_over=True)], "westus": []},
    )
    assert milestone_at(found, measure) == expected


@pytest.mark.parametrize(
    ("over", "bound", "met"),
    [
        ("min", {"at_least": 1}, True),
        ("min", {"at_least": 2}, False),
        ("max", {"at_most": 3}, True),
        ("max", {"at_most": 2}, False),
        ("median", {"at_most": 2}, True),
        ("p95", {"at_most": 2}, False),
    ],
)
def test_an_expectation_is_held_against_all_seeds(
    over: str, bound: dict[str, object], *, met: bool
) -> None:
    runs = [outcome(seed, {"x": float(seed)}) for seed in (1, 2, 3)]
    (judged,) = judge(scenario(expectation("x", over=over, **bound)), runs)
    assert judged["met"] is met


def test_never_is_neither_enough_nor_little_enough() -> None:
    runs = [outcome(1, {"x": None})]
    for bound in ({"at_least": 1}, {"at_most": 1e12}):
        (judged,) = judge(scenario(expectation("x", over="max", **bound)), runs)
        assert judged["met"] is False
        assert judged["observed"] is None


def test_a_region_of_a_mapping_is_judged() -> None:
    runs = [outcome(1, {"x": {"eastus": 7.0}})]
    (judged,) = judge(scenario(expectation("x", region="eastus", over="max", at_most=7)), runs)
    assert (judged["met"], judged["observed"]) == (True, 7.0)


def test_a_milestone_that_did_not_come_about_is_neither_early_nor_late() -> None:
    runs = [outcome(1, {"published_error_s": {"tokens fail": 60.0}})]
    for name, is_met in (("tokens fail", True), ("tokens back", False)):
        expected = expectation("published_error_s", of=name, over="max", at_most=600)
        (found,) = judge(scenario(expected), runs)
        assert (found["met"], found["observed"]) == (is_met, 60.0 if is_met else None)
        assert found["text"].startswith(f"nobody: published_error_s@{name}, max")


def test_a_variant_that_was_not_played_is_not_judged() -> None:
    runs = [outcome(1, {"x": 1.0}, variant="everybody-all")]
    assert judge(scenario(expectation("x", over="max", at_most=0)), runs) == []


def test_a_result_has_every_part_of_its_contract() -> None:
    runs = [outcome(seed, {"x": float(seed)}, starts=60.0 * seed) for seed in (2, 1, 3)]
    result = build_result(scenario(expectation("x", over="max", at_most=9)), runs)
    assert list(result) == [
        "schema", "scenario", "scenario_digest", "scale", "seeds", "variants", "milestones",
        "sensitivity", "expectations", "verdict",
    ]  # fmt: skip
    assert result["schema"] == "surgetank/drill-result/v1"
    assert result["seeds"] == [1, 2, 3]
    assert result["verdict"] == "met"
    nobody = result["variants"]["nobody"]
    assert (nobody["seat"], nobody["share"]) == ("nobody", 0)
    assert nobody["seeds"]["2"] == {"trace_hash": "hash-2", "metrics": {"x": 2.0}}
    assert nobody["summary"]["x"] == {"median": 2.0, "p5": 1.0, "p95": 3.0}


def test_milestones_say_published_and_emergent_time_and_which_is_which() -> None:
    runs = [outcome(seed, {"x": 0.0}, starts=60.0 * seed) for seed in (1, 2, 3)]
    rows = {row["name"]: row for row in build_result(scenario(), runs)["milestones"]}
    assert rows["policy blocks reads"]["kind"] == "scripted"
    assert rows["policy blocks reads"]["median"] is None
    east = rows["tokens fail, East US"]
    assert (east["kind"], east["published"]) == ("calibrated", "2026-02-03T00:08:00Z")
    assert rows["tokens fail, West US"]["kind"] == "emerged"
    assert (east["p5"], east["median"]) == ("2026-02-02T18:01:00Z", "2026-02-02T18:02:00Z")
    assert rows["tokens fail, West US"]["median"] is None


def test_a_verdict_is_not_met_when_one_expectation_is_not() -> None:
    runs = [outcome(1, {"x": 1.0})]
    expect = (expectation("x", over="max", at_most=1), expectation("x", over="max", at_most=0))
    assert build_result(scenario(*expect), runs)["verdict"] == "not_met"
