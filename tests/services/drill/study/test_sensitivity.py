"""A sensitivity run says how far each assumed figure can move before the verdict flips."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from surgetank.app.wiring import quiet_logs
from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drill.play import Run, play
from surgetank.rehearsal.drill.study.sensitivity import (
    Sensitivity,
    deciding,
    distance,
    is_played,
    is_whole,
    sensitivity,
    was_tried,
)
from surgetank.rehearsal.drill.verdict import describe, judge
from surgetank.rehearsal.scenario.reader import Source
from surgetank.rehearsal.scenario.schema import Expectation

FEW: dict[str, Any] = {"variant": "nobody", "metric": "operations_submitted", "over": "max"}
SOME = {"variant": "nobody", "metric": "operations_submitted", "over": "min", "at_least": 5}
NEVER = {**FEW, "at_most": 0}
CALM = {"variant": "everybody-mirror", "metric": "drain_s", "over": "max", "at_most": 60}
ASSUMED = {
    "boot_s": (40, 20, 80),
    "machines_per_s": (0.0115, 0.01, 0.05),
    "identity_nodes": (4, 2, 2000),
    "gate_hold_s": (600, 300, 900),
    "identity_headroom": (2, 2, 3),
}


def measured(source: Source, **changes: Any) -> tuple[Sensitivity, list[Run], list[int]]:
    played: list[Run] = []
    asked: list[int] = []
    options: dict[str, Any] = {"variants": ["nobody"], "seeds": [1], "jobs": 1, **changes}
    found = sensitivity(
        source, **options, on_run=played.append, prepare=quiet_logs, on_asked=asked.append
    )
    return found, played, asked


@pytest.fixture(scope="module")
def few(make_source: Callable[..., Source]) -> dict[str, Any]:
    """An expectation that breaks once there is a quarter more to do than now."""
    usual = play(make_source(ASSUMED).scenario(), "nobody", seed=1).metrics["operations_submitted"]
    return {**FEW, "at_most": 1.25 * float(str(usual))}


@pytest.fixture(scope="module")
def run(
    make_source: Callable[..., Source], few: dict[str, Any]
) -> tuple[Sensitivity, list[Run], list[int]]:
    return measured(make_source(ASSUMED, [few, SOME, NEVER]))


@pytest.fixture(scope="module")
def rows(run: tuple[Sensitivity, list[Run], list[int]]) -> dict[str, Mapping[str, Any]]:
    return {row["figure"]: row for row in run[0].rows}


def test_a_figure_that_flips_the_verdict_says_where_and_which_expectation_breaks(
    rows: Mapping[str, Mapping[str, Any]], few: dict[str, Any]
) -> None:
    row = rows["machines_per_s"]
    assert (row["assumed"], row["low"], row["high"]) == (0.0115, 0.01, 0.05)
    assert 0.0115 < row["flips_above"] < 0.05
    assert row["flips_below"] is None
    because = describe(Expectation.model_validate(few))
    assert (row["because"], row["because_above"], row["because_below"]) == (because, because, None)


def test_the_verdict_holds_a_little_before_the_flip_and_not_at_it(
    make_source: Callable[..., Source],
    rows: Mapping[str, Mapping[str, Any]],
    few: dict[str, Any],
) -> None:
    at = rows["machines_per_s"]["flips_above"]
    before = at - (0.05 - 0.0115) / 15  # four halvings leave a sixteenth
    source = make_source(ASSUMED, [few])
    met = [
        judge(scenario, [play(scenario, "nobody", seed=1)])[0]["met"]
        for scenario in (source.scenario({"machines_per_s": value}) for value in (before, at))
    ]
    assert met == [True, False]


def test_a_figure_that_flips_nothing_says_so(rows: Mapping[str, Mapping[str, Any]]) -> None:
    row = rows["boot_s"]
    assert [row[key] for key in row if key.startswith(("flips", "because", "refused"))] == [
        None, None, None, None, None, None, None,
    ]  # fmt: skip


def test_a_figure_that_no_variant_meets_is_told_from_one_that_flips_nothing(
    rows: Mapping[str, Mapping[str, Any]],
) -> None:
    assert {name for name, row in rows.items() if not row["is_played"]} == {"gate_hold_s"}
    assert {list(row)[-1] for row in rows.values()} == {"is_played"}


@pytest.mark.parametrize(
    ("figure", "meets", "other"),
    [
        ("burst_ratio", "issuer-burst", "issuer-admission"),
        ("burst_s", "issuer-burst", "issuer-admission"),
        ("admission_wait_s", "issuer-admission", "everybody-all"),
        ("gate_hold_s", "issuer-staged-repair", "everybody-all"),
    ],
)
def test_a_figure_is_played_where_its_variant_is(
    make_source: Callable[..., Source], figure: str, meets: str, other: str
) -> None:
    source = make_source({figure: (0.9, 0.5, 1)})
    assert is_played(source, figure, variants=[other, meets])
    assert not is_played(source, figure, variants=[other])


def test_an_end_that_cannot_be_read_is_no_sign_that_nobody_meets_the_figure(
    make_source: Callable[..., Source],
) -> None:
    assert is_played(
        make_source({"gate_hold_s": (600, -1, 900)}), "gate_hold_s", variants=["nobody"]
    )


@pytest.mark.parametrize("figure", ["burst_ratio", "burst_s", "admission_wait_s"])
def test_a_door_that_a_variant_lacks_does_nothing(
    make_source: Callable[..., Source], figure: str
) -> None:
    source = make_source()
    other = source.scenario({figure: 0.5})
    hashes = {play(one, "nobody", seed=1).trace_hash for one in (source.scenario(), other)}
    assert len(hashes) == 1


def test_rows_of_earlier_releases_count_as_tried() -> None:
    assert [was_tried(row) for row in ({}, {"is_played": True}, {"is_played": False})] == [
        True, True, False,
    ]  # fmt: skip


def test_an_end_that_cannot_be_played_says_why(rows: Mapping[str, Mapping[str, Any]]) -> None:
    row = rows["identity_nodes"]
    assert "out of range" in row["refused_above"]
    assert (row["refused_below"], row["flips_above"]) == (None, None)


def test_flipping_figures_come_first(run: tuple[Sensitivity, list[Run], list[int]]) -> None:
    assert [row["figure"] for row in run[0].rows] == [
        "machines_per_s", "identity_headroom", "identity_nodes", "boot_s", "gate_hold_s",
    ]  # fmt: skip


def test_only_what_may_say_something_is_played(
    run: tuple[Sensitivity, list[Run], list[int]],
) -> None:
    found, played, asked = run
    assert [one.variant for one in found.runs] == ["nobody"]
    # The figures as assumed; both ends of boot_s and machines_per_s, one of nodes and of headroom;
    # at most four between. The gate is of another variant, and the upper end of nodes is refused.
    assert 7 < len(played) <= 11
    assert sum(asked) == len(played) + 1


def test_many_processes_find_what_one_does(
    make_source: Callable[..., Source],
    run: tuple[Sensitivity, list[Run], list[int]],
    few: dict[str, Any],
) -> None:
    found, *_ = measured(make_source(ASSUMED, [few, SOME, NEVER]), jobs=2)
    assert found.rows == run[0].rows


def test_what_breaks_one_variant_spares_the_next(
    make_source: Callable[..., Source], few: dict[str, Any]
) -> None:
    source = make_source({"machines_per_s": (0.0115, 0.0115, 0.05)}, [few, CALM])
    _, played, _ = measured(source, variants=["nobody", "everybody-mirror"])
    # Both as assumed, the mirror wherever nobody's expectation holds, and never where it breaks.
    assert 2 <= [run.variant for run in played].count("everybody-mirror") < len(played) / 2


def test_whole_figures_move_by_whole_numbers(make_source: Callable[..., Source]) -> None:
    source = make_source({"scale_set_instances": (2, 1, 9)})
    figures = source.scenario().figures
    assert is_whole(source, "scale_set_instances", figures["scale_set_instances"])
    assert not is_whole(source, "boot_s", figures["boot_s"])
    assert not is_whole(source, "cold_ratio", figures["cold_ratio"])
    top = make_source({"scale_set_instances": (9, 1, 9)})
    assert is_whole(top, "scale_set_instances", top.scenario().figures["scale_set_instances"])


def test_nothing_breaks_where_nothing_held(make_source: Callable[..., Source]) -> None:
    with pytest.raises(InvalidInputError, match="none can break"):
        measured(make_source(ASSUMED, [NEVER]))


@pytest.mark.parametrize(
    ("spoken_of", "expected"),
    [
        (["everybody-all", "nobody", "everybody-mirror"], ["everybody-all", "nobody"]),
        (["everybody-mirror", "nobody"], ["nobody"]),
        (["everybody-mirror", "you-1pct", "everybody-mirror"], ["everybody-mirror", "you-1pct"]),
    ],
)
def test_nobody_and_everybody_with_all_decide_where_they_are_spoken_of(
    make_source: Callable[..., Source], spoken_of: list[str], expected: list[str]
) -> None:
    source = make_source(expect=[{**NEVER, "variant": name} for name in spoken_of])
    assert deciding(source.scenario()) == expected


def test_a_scenario_that_expects_nothing_has_no_verdict_to_flip(
    make_source: Callable[..., Source],
) -> None:
    with pytest.raises(InvalidInputError, match="expects nothing"):
        deciding(make_source().scenario())


@pytest.mark.parametrize(
    ("assumed", "flip", "expected"),
    [(2.0, 3.0, 0.5), (2.0, 1.0, 0.5), (0.0, 3.0, 0.3), (2.0, None, float("inf"))],
)
def test_distance_is_a_share_of_the_assumed_value(
    assumed: float, flip: float | None, expected: float
) -> None:
    row = {"assumed": assumed, "low": 0.0, "high": 10.0, "flips_below": flip, "flips_above": None}
    assert distance(row, "below") == expected
