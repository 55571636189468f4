"""A scenario is read with other values for its figures as if its file said so."""

from importlib import resources

import pytest

from surgetank.core.errors import ConfigError
from surgetank.rehearsal.scenario.reader import load, parse, read
from surgetank.rehearsal.scenario.schema import Creates

NAME = "azure-2026-02"
TEXT = (resources.files("surgetank.rehearsal.library") / f"{NAME}.yaml").read_text()


def test_another_value_stands_wherever_its_figure_is_used() -> None:
    moved = load(NAME, figures={"own_share": 0.02, "deadline_s": 1234.0})
    assert moved.own_share == 0.02
    assert moved.figures["own_share"].value == 0.02
    assert moved.figures["own_share"].range == load(NAME).figures["own_share"].range
    deadlines = {one.deadline_s for one in moved.fleet if isinstance(one, Creates)}
    assert deadlines == {1234.0}
    assert moved.variants["you-1pct"].share == 0.02


def test_all_else_is_as_it_is_written() -> None:
    figure = load(NAME).figures["boot_s"]
    assert load(NAME, figures={"boot_s": figure.value}) == load(NAME)


@pytest.mark.parametrize("end", [0, 1])
def test_a_figure_may_stand_at_an_end_of_its_range(end: int) -> None:
    bounds = load(NAME).figures["boot_s"].range
    assert bounds is not None
    assert load(NAME, figures={"boot_s": bounds[end]}).cloud.boot_s == bounds[end]


def test_a_source_is_read_again_and_again_without_a_trace() -> None:
    source = read(NAME)
    before = source.scenario()
    assert source.scenario({"boot_s": 41.0}) != before
    assert source.scenario() == before


@pytest.mark.parametrize(
    ("figures", "key", "wanted"),
    [
        ({"boot": 1.0}, "figures.boot", "no such figure; there are: own_share"),
        ({"boot_s": float("nan")}, "figures.boot_s", "finite"),
        ({"token_life_s": float("inf")}, "figures.token_life_s", "finite"),
        ({"boot_s": 1e9}, "figures.boot_s", "outside its own range"),
        ({"token_life_s": -1.0}, "cloud.token_life_s", "greater than 0"),
        ({"identity_nodes": 2.5}, "cloud.identity.nodes", "integer"),
    ],
)
def test_a_value_is_held_to_what_the_written_one_is(
    figures: dict[str, float], key: str, wanted: str
) -> None:
    with pytest.raises(ConfigError, match=wanted) as caught:
        parse(TEXT, file="drill.yaml", figures=figures)
    assert caught.value.key == key


def test_a_value_that_is_refused_is_found_on_the_line_of_its_figure() -> None:
    line = next(n for n, row in enumerate(TEXT.splitlines(), 1) if row.startswith("  boot_s:"))
    with pytest.raises(ConfigError) as caught:
        parse(TEXT, file="drill.yaml", figures={"boot_s": 1e9})
    assert caught.value.file == f"drill.yaml:{line}"
