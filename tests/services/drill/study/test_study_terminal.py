"""The terminal says what a sweep or a sensitivity run found, in 80 columns."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from surgetank.rehearsal.drill.output.terminal_sensitivity import render_sensitivity
from surgetank.rehearsal.drill.output.terminal_sweep import render_sweep
from surgetank.rehearsal.scenario.reader import Source
from surgetank.rehearsal.scenario.schema import Scenario

Make = Callable[..., dict[str, Any]]

SWEEP = """\
Azure 2-3 Feb 2026 · virtual clock · 1 seed · scale 1:1000

everybody: all; creates in time of those covered, of the others, of all
share  VMs blocked  tokens down  covered  others  all     done
0.1    1h00         6h00         90%      20%     50%     60%
1      1h00         0h00         90%      20%     50%     60%
The second outage disappears at a share of 1; below it, at 0.1, those covered
get 90% of their creates done in time and the others 20%."""

SENSITIVITY = """\
Azure 2-3 Feb 2026 · virtual clock · 1 seed · scale 1:1000
verdict of nobody and everybody-all

THESE FLIP THE VERDICT, the nearest first
warm_s  2 (tried 1 to 9) flips below 1.7 or above 8
  nobody: drain_s, max over seeds, at most 60
  another expectation
these do not, alone, within their ranges: boot_s, extensions
extensions = 9 cannot be played, so nothing above was tried: too many
"""


@pytest.fixture
def scenario(make_source: Callable[..., Source]) -> Scenario:
    wanted = {"variant": "nobody", "metric": "drain_s", "over": "max", "at_most": 60}
    assumed = {"boot_s": (40, 20, 80), "warm_s": (600, 300, 900)}
    return make_source(assumed, [wanted]).scenario()


def row(figure: str, **changes: object) -> dict[str, Any]:
    sides = ("flips_below", "flips_above", "because_below", "because_above")
    return {
        "figure": figure,
        "assumed": 2.0,
        "low": 1.0,
        "high": 9.0,
        **dict.fromkeys([*sides, "refused_below", "refused_above"]),
        **changes,
    }


FLIPPING = row(
    "warm_s",
    flips_below=1.7,
    flips_above=8.0,
    because_below="nobody: drain_s, max over seeds, at most 60",
    because_above="another expectation",
)
ROWS = [FLIPPING, row("boot_s"), row("extensions", refused_above="too many")]


def result(*rows: dict[str, Any]) -> dict[str, Any]:
    return {
        "seeds": [1],
        "scale": "1:1000",
        "variants": {"nobody": {}, "everybody-all": {}},
        "sensitivity": list(rows),
        "expectations": [
            {"text": "nobody: drain_s, max over seeds, at most 60", "met": True},
            {"text": "nobody: high hopes", "met": False},
        ],
    }


def test_a_sweep_reads_as_a_whole(scenario: Scenario, make_result: Make) -> None:
    found = make_result("share", {"everybody-all": {0.1: 6, 1: 0}})
    assert render_sweep(scenario, found).plain == SWEEP


def test_several_variants_have_a_table_each(scenario: Scenario, make_result: Make) -> None:
    found = make_result("boot_s", {"nobody": {30: 6}, "everybody-all": {30: 0}})
    text = render_sweep(scenario, {**found, "seeds": [1, 2]}).plain
    assert "\nnobody (medians); creates in time" in text
    assert "\neverybody: all (medians); creates in time" in text
    assert "2 seeds" in text


def test_your_share_is_not_stated_where_it_moves(scenario: Scenario, make_result: Make) -> None:
    moved = render_sweep(scenario, make_result("own_share", {"you-1pct": {0.05: 6}})).plain
    assert "\nyou, own_share of the load; creates in time" in moved
    still = render_sweep(scenario, make_result("boot_s", {"you-1pct": {30: 6}})).plain
    assert "\nyou, 1% of the load; creates in time" in still


def test_what_was_not_measured_is_a_dash(scenario: Scenario, make_result: Make) -> None:
    changes = {"covered_fresh_success_ratio": None, "operations_submitted": 0}
    text = render_sweep(scenario, make_result("share", {"nobody": {0: 6}}, **changes)).plain
    assert "0      1h00         6h00         -        20%     50%     -\n" in text


def test_a_sensitivity_run_reads_as_a_whole(scenario: Scenario) -> None:
    found, _, closing = render_sensitivity(scenario, result(*ROWS)).plain.partition("\n2 of ")
    assert found == SENSITIVITY
    said = " ".join(closing.split())  # how many figures the library has moves where lines break
    assert "ASSUMED; another outage if warm_s < 1.7; another verdict if warm_s > 8" in said
    assert "expectations 1/2 met with the figures as assumed" in said
    assert said.endswith("not met, so it cannot break: nobody: high hopes")


def test_where_nothing_flips_that_is_said(scenario: Scenario) -> None:
    text = render_sensitivity(scenario, result(row("boot_s"))).plain
    words = " ".join(text.split())
    assert "no assumed figure that was tried, moved alone over its range, flips" in words
    assert "THESE FLIP" not in text


def test_figures_that_no_variant_plays_are_apart_from_those_that_flip_nothing(
    scenario: Scenario,
) -> None:
    rows = (row("boot_s", is_played=True), row("gate_hold_s", is_played=False))
    text = render_sensitivity(scenario, result(*rows)).plain
    assert "these do not, alone, within their ranges: boot_s\n" in text
    assert "not played by these variants, so not tried: gate_hold_s\n" in text


def test_lines_keep_to_80_columns(scenario: Scenario, make_result: Make) -> None:
    long = row(
        "a_figure_with_a_name_that_goes_on_and_on_and_on", flips_above=8.0, because_above="?"
    )
    texts = [
        render_sensitivity(scenario, result(*ROWS, long, row("one"), row("two"))),
        render_sweep(scenario, make_result("a_name_that_goes_on" * 3, {"everybody-all": {1: 6}})),
    ]
    for text in texts:
        assert max(cell_len(line) for line in text.plain.splitlines()) <= 80


def test_words_of_a_file_cannot_steer_the_terminal(scenario: Scenario, make_result: Make) -> None:
    hostile = "[red]x[/red]\x1b[2J\u202ey"
    named = scenario.model_copy(update={"title": hostile})
    texts = [
        render_sensitivity(named, result(row(hostile, flips_above=8.0, because_above=hostile))),
        render_sweep(named, make_result(hostile, {"everybody-all": {1: 6}})),
    ]
    for text in texts:
        assert "[red]x[/red]" in text.plain
        assert not any(sign in text.plain for sign in "\x1b\u202e")


def test_colour_adds_no_words(scenario: Scenario, make_result: Make) -> None:
    found = make_result("share", {"everybody-all": {0.1: 6, 1: 0}})
    out = StringIO()
    Console(file=out, no_color=True, soft_wrap=True, highlight=False).print(
        render_sweep(scenario, found)
    )
    assert out.getvalue() == SWEEP + "\n"
