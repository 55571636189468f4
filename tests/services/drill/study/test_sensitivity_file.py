"""What ships of a sensitivity run is shown with its own scenario and with no other."""

import json
from collections.abc import Callable
from importlib import resources

import pytest

from surgetank.rehearsal.drill.digest import digest
from surgetank.rehearsal.drill.study.sensitivity import is_played
from surgetank.rehearsal.drill.study.sensitivity_file import (
    SCHEMA,
    SHIPPED,
    add_shipped,
    document,
    shipped,
)
from surgetank.rehearsal.scenario.reader import Source, library, load, parse, read

MEASURED = sorted(
    {"azure-2026-02"}
    | {
        name
        for name in library()
        if (resources.files("surgetank.rehearsal.library") / f"{name}.sensitivity.json").is_file()
    }
)


@pytest.mark.parametrize("name", MEASURED)
def test_what_ships_is_of_the_scenario_as_it_is(name: str) -> None:
    """Else measure it anew: python -m surgetank.app.cli.sensitivity_file NAME > FILE."""
    file = resources.files("surgetank.rehearsal.library") / f"{name}.sensitivity.json"
    found = json.loads(file.read_text())
    scenario = load(name)
    assert (found["schema"], found["scenario"]) == (SCHEMA, name)
    assert found["digest"] == digest(scenario)
    moved = {row["figure"] for row in found["sensitivity"]}
    assert moved == {key for key, one in scenario.figures.items() if one.assumed is not None}


@pytest.mark.parametrize("name", MEASURED)
def test_what_ships_says_which_figures_no_variant_played(name: str) -> None:
    file = resources.files("surgetank.rehearsal.library") / f"{name}.sensitivity.json"
    found, source = json.loads(file.read_text()), read(name)
    said = {row["figure"]: row["is_played"] for row in found["sensitivity"]}
    assert said == {
        figure: is_played(source, figure, variants=found["variants"]) for figure in said
    }


@pytest.mark.parametrize("name", MEASURED)
def test_what_ships_is_shown(name: str) -> None:
    result: dict[str, object] = {"sensitivity": []}
    add_shipped(result, load(name))
    assert result["sensitivity_source"] == SHIPPED
    assert result["sensitivity"] == shipped(load(name)) != []


def test_an_edited_copy_does_not_borrow(make_source: Callable[..., Source]) -> None:
    edited = make_source().scenario()
    assert edited.name == "azure-2026-02"
    result: dict[str, object] = {"sensitivity": []}
    add_shipped(result, edited)
    assert result == {"sensitivity": []}


def test_a_scenario_that_was_never_measured_has_none(make_source: Callable[..., Source]) -> None:
    assert shipped(make_source().scenario().model_copy(update={"name": "nowhere"})) == []


def test_a_digest_is_of_what_is_said_and_not_of_how() -> None:
    source = read("azure-2026-02")
    file = resources.files("surgetank.rehearsal.library") / "azure-2026-02.yaml"
    copied = parse("# a remark\n" + file.read_text(), file="copy.yaml")
    assert digest(copied) == digest(source.scenario())
    assert digest(source.scenario({"boot_s": 41.0})) != digest(copied)


def test_half_a_character_has_a_digest_too(make_source: Callable[..., Source]) -> None:
    scenario = make_source().scenario()
    titles = ("\ud800", "\ud801")
    halves = {digest(scenario.model_copy(update={"title": title})) for title in titles}
    assert len(halves) == len(titles)


def test_a_document_says_how_it_was_measured(make_source: Callable[..., Source]) -> None:
    scenario = make_source().scenario()
    found = document(scenario, [{"figure": "boot_s"}], variants=["nobody"], seeds=[1])
    assert found == {
        "schema": "surgetank/sensitivity/v1",
        "scenario": "azure-2026-02",
        "digest": digest(scenario),
        "seeds": [1],
        "variants": ["nobody"],
        "sensitivity": [{"figure": "boot_s"}],
    }
