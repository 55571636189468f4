"""A sweep is a curve with its spread, and its steps are no rows among the variants."""

from collections.abc import Callable
from typing import Any

import pytest

from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.report.bars import bars
from surgetank.rehearsal.drill.report.choice import beside_variant, rows, shown_variant
from surgetank.rehearsal.drill.report.curve import curves
from surgetank.rehearsal.drill.result import build_result
from surgetank.rehearsal.scenario.schema import Scenario

SHARES = (0.01, 0.5, 1.0)


@pytest.fixture
def swept_scenario(make_scenario: Callable[..., Scenario]) -> Scenario:
    """The small scenario, with a variant for each share."""
    plain = make_scenario()
    made = {
        f"all@share={share:g}": plain.variants["all"].model_copy(
            update={"share": share, "title": f"all, share {share:g}"}
        )
        for share in SHARES
    }
    return plain.model_copy(update={"variants": {**plain.variants, **made}})


@pytest.fixture
def swept(swept_scenario: Scenario, make_run: Callable[..., Run]) -> Callable[..., dict[str, Any]]:
    """Give the result of a sweep: hours without tokens by share, beside nobody where wanted."""

    def make(*hours: float, with_nobody: bool = False) -> dict[str, Any]:
        names = [f"all@share={share:g}" for share in SHARES]
        runs = [
            make_run(name, seed, creates=(0, hour + seed), tokens=(0, hour) if hour else None)
            for name, hour in zip(names, hours, strict=True)
            for seed in (1, 2, 3)
        ]
        if with_nobody:
            runs += [make_run("nobody", seed) for seed in (1, 2, 3)]
        result = build_result(swept_scenario, runs)
        points = [
            {"value": share, "variant": name, "of": "all"}
            for share, name in zip(SHARES, names, strict=True)
        ]
        turns = [{"of": "all", "last_with": 0.5, "first_without": 1.0}]
        result["sweep"] = {
            "name": "share",
            "variants": ["all"],
            "points": points,
            "turning_points": turns if hours[-1] == 0 else [],
        }
        return result

    return make


def test_nothing_swept_is_no_curve(scenario: Scenario, make_run: Callable[..., Run]) -> None:
    assert curves(build_result(scenario, [make_run()])) == []


def test_a_sweep_is_drawn_with_its_figures_in_words(swept: Callable[..., dict[str, Any]]) -> None:
    (curve,) = curves(swept(3, 2, 0))
    assert "50%: VMs blocked 4h00 (3h00-5h00), tokens down 2h00" in curve
    assert "The second outage disappears at a share of 1; below it, at 0.5, " in curve
    assert 'rect class="published"' in curve


def test_a_sweep_that_does_not_turn_shades_nothing(swept: Callable[..., dict[str, Any]]) -> None:
    (curve,) = curves(swept(3, 2, 1))
    assert 'rect class="published"' not in curve


def test_steps_are_points_and_not_rows(
    swept_scenario: Scenario, swept: Callable[..., dict[str, Any]]
) -> None:
    result = swept(3, 2, 0, with_nobody=True)
    assert [row.name for row in rows(result)] == ["nobody"]
    assert (shown_variant(result), beside_variant(swept_scenario, result)) == ("nobody", None)


def test_a_sweep_alone_has_its_steps_as_rows(
    swept_scenario: Scenario, swept: Callable[..., dict[str, Any]]
) -> None:
    result = swept(3, 2, 0)
    assert len(rows(result)) == len(SHARES)
    assert beside_variant(swept_scenario, result) == "all@share=1"


def test_a_share_that_the_title_leaves_out_is_said(
    make_scenario: Callable[..., Scenario], make_run: Callable[..., Run]
) -> None:
    half = {"title": "everybody, in part", "seat": "everybody", "share": 0.5}
    scenario = make_scenario(variants={"half": half}, expect=[])
    assert "everybody, in part, 50%" in bars(build_result(scenario, [make_run("half")]))


@pytest.mark.parametrize("form", ["wide", "narrow"])
def test_curves_keep_to_their_frame(swept: Callable[..., dict[str, Any]], form: str) -> None:
    (curve,) = curves(swept(3, 2, 0))
    assert f"curve-0-{form}-title" in curve
    assert "nan" not in curve


def test_without_everybody_the_least_outage_stands_beside(
    make_scenario: Callable[..., Scenario], make_run: Callable[..., Run]
) -> None:
    issuer = {"title": "the issuer", "seat": "issuer", "share": 1}
    nobody = {"title": "nobody", "seat": "nobody", "share": 0}
    scenario = make_scenario(variants={"nobody": nobody, "a": issuer, "b": issuer}, expect=[])
    runs = [make_run(), make_run("a"), make_run("b", tokens=None)]
    assert beside_variant(scenario, build_result(scenario, runs)) == "b"
