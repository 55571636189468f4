"""The terminal says what the drill found, in few columns, and nothing that it did not find."""

from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from surgetank.rehearsal.drill.output.terminal import render
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.result import build_result
from surgetank.rehearsal.scenario.schema import Scenario

ONE_SEED = """\
A small outage · virtual clock · 1 seed · scale 1:1000
UTC                         published  here
18:03  policy blocks reads  18:03      scripted
       creates fail         18:29      18:06                   EMERGED
21:00  the north repaired   assumed    scripted
       tokens fail          21:10      21:06                   EMERGED
22:00  scaled out           22:00      22:00, back 1h36 later  if needed
       tokens back          23:30      23:36                   EMERGED

WHO ACTS                VMs blocked  tokens down  fresh   done    wasted
nobody                  4h54         2h30         25%     75%     38%
you, 1%                 2h27         2h24 *       90%     -       -
  your work without it  2h27         2h30 *       20%     -       -
everybody: all          0h00         0h00         100%    75%     0%
* the cloud's; what you can save is yourself: VMs blocked and fresh are of your
  12 creates among 1,200, each of which stands until the next

1 of 2 figures and 1 of 3 hours ASSUMED
expectations 1/1 met · verdict met
replay: surgetank drill small --variant nobody --seed 1
report: page.html"""


def shown(scenario: Scenario, runs: Sequence[Run], **options: Any) -> str:
    return render(scenario, build_result(scenario, runs), runs=runs, **options).plain


def line_of(text: str, word: str) -> str:
    return next(line for line in text.splitlines() if word in line)


def test_one_seed_reads_as_a_whole(scenario: Scenario, runs: list[Run]) -> None:
    assert shown(scenario, runs, report="page.html") == ONE_SEED


def test_several_seeds_show_medians_and_their_spread(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    text = shown(scenario, [make_run(seed=seed, tokens=(3.0 + seed, 6)) for seed in (1, 2)])
    assert "2 seeds" in text
    assert "here (median, p5-p95)" in text
    assert "WHO ACTS (medians)" in text
    assert "22:00 (22:00-23:00)" in line_of(text, "tokens fail")


def test_a_milestone_that_did_not_come_about_is_never(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    line = line_of(shown(scenario, [make_run(tokens=None)]), "tokens fail")
    assert line.split() == ["tokens", "fail", "21:10", "never"]


def test_a_seed_without_a_milestone_opens_its_spread(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    text = shown(scenario, [make_run(seed=1), make_run(seed=2, tokens=None)])
    assert "21:06 (21:06-never)" in line_of(text, "tokens fail")


def test_milestones_without_nobody_are_not_played_rather_than_never(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    text = shown(scenario, [make_run("all")])
    assert line_of(text, "creates fail").endswith("not played")
    assert "never" not in text


def test_your_row_stands_alone_where_nobody_was_not_played(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    assert "without it" not in shown(scenario, [make_run("you")])


def test_an_act_without_cause_was_not_needed(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    assert "not needed" in line_of(shown(scenario, [make_run(acted=())]), "scaled out")


def test_an_act_of_some_seeds_says_in_how_many(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    text = shown(scenario, [make_run(seed=1), make_run(seed=2, acted=())])
    assert "in 1 of 2 seeds" in line_of(text, "scaled out")


def test_an_outage_that_outlasts_the_drill_is_never_back(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    text = shown(scenario, [make_run(is_over=False)])
    assert "22:00, never back" in line_of(text, "scaled out")


def test_an_act_on_a_repair_gives_its_time_alone(
    make_scenario: Callable[..., Scenario], make_run: Callable[..., Run]
) -> None:
    entries = [one.model_dump() for one in make_scenario().timeline]
    entries[2]["act"] = {"kind": "repair"}
    line = line_of(shown(make_scenario(timeline=entries), [make_run()]), "scaled out")
    assert line.split() == ["22:00", "scaled", "out", "22:00", "22:00", "if", "needed"]


def test_without_runs_acts_are_as_scripted(scenario: Scenario, runs: list[Run]) -> None:
    text = render(scenario, build_result(scenario, runs)).plain
    assert line_of(text, "scaled out").endswith("scripted")


def test_a_calibrated_milestone_is_marked(
    make_scenario: Callable[..., Scenario], runs: list[Run]
) -> None:
    published = [one.model_dump() for one in make_scenario().published]
    published[2]["calibrates"] = True
    text = shown(make_scenario(published=published), runs)
    assert line_of(text, "tokens fail").endswith("CALIBRATED")


@pytest.mark.parametrize("width", [60, 80, 120, 1])
def test_lines_keep_to_their_width(
    make_scenario: Callable[..., Scenario], runs: list[Run], width: int
) -> None:
    variants = {name: one.model_dump() for name, one in make_scenario().variants.items()}
    variants["nobody"]["title"] = "nobody at all, 東京 " * 9
    timeline = [one.model_dump() for one in make_scenario().timeline]
    timeline[1]["title"] = "the north repaired " * 9
    text = shown(make_scenario(variants=variants, timeline=timeline), runs, width=width)
    assert max(cell_len(line) for line in text.splitlines()) <= max(width, 60)


def test_an_expectation_that_is_not_met_is_shown_with_what_was_seen(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    runs = [make_run(seed=1), make_run(seed=2, tokens=(3.0, 3.5))]
    text = " ".join(shown(scenario, runs).split())
    assert "expectations 0/1 met · verdict NOT MET" in text
    assert "at least 3600; observed 1800 (0h30)" in text
    assert "replay: surgetank drill small --variant nobody --seed 2" in text


def test_an_unmet_expectation_of_what_never_came_says_never(
    make_scenario: Callable[..., Scenario], make_run: Callable[..., Run]
) -> None:
    wanted = {"variant": "nobody", "metric": "drain_s", "over": "max", "at_most": 60}
    text = " ".join(shown(make_scenario(expect=[wanted]), [make_run()]).split())
    assert "at most 60; observed never" in text


def test_a_drill_without_expectations_says_so(
    make_scenario: Callable[..., Scenario], make_run: Callable[..., Run]
) -> None:
    assert "no expectation is put" in shown(make_scenario(expect=[]), [make_run()])


def test_what_a_sensitivity_run_found_is_said_beside_the_counts(
    scenario: Scenario, runs: list[Run]
) -> None:
    found = build_result(scenario, runs)
    flip = {
        "figure": "guessed",
        "assumed": 0.5,
        "low": 0.25,
        "high": 1.0,
        "flips_below": None,
        "flips_above": 0.9,
        "because_above": found["expectations"][0]["text"],
    }
    text = render(scenario, {**found, "sensitivity": [flip]}).plain
    assert " ".join(line_of(text, "ASSUMED").split()) == (
        "1 of 2 figures and 1 of 3 hours ASSUMED; no second outage of 1h00 if guessed >"
    )
    assert "\n  0.9\n" in text


def test_words_of_a_file_cannot_steer_the_terminal(
    make_scenario: Callable[..., Scenario], runs: list[Run]
) -> None:
    hostile = "[red]x[/red]\x1b[2J\r\n\u202ey"
    out = StringIO()
    console = Console(file=out, force_terminal=True, soft_wrap=True, highlight=False)
    scenario = make_scenario(title=hostile)
    console.print(render(scenario, build_result(scenario, runs)))
    first = out.getvalue().splitlines()[0]
    assert "[red]x[/red]" in first
    assert "\x1b[2J" not in first
    assert "\u202e" not in first


def test_colour_adds_no_words(scenario: Scenario, runs: list[Run]) -> None:
    out = StringIO()
    console = Console(file=out, no_color=True, soft_wrap=True, highlight=False)
    console.print(render(scenario, build_result(scenario, runs), runs=runs, report="page.html"))
    assert out.getvalue() == ONE_SEED + "\n"


def test_a_share_just_short_of_all_is_not_all(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    assert "99.9%" in line_of(shown(scenario, [make_run(fresh=0.99999)]), "nobody")


def test_nothing_to_measure_is_a_dash(scenario: Scenario, make_run: Callable[..., Run]) -> None:
    line = line_of(shown(scenario, [make_run(fresh=None)]), "nobody")
    assert line.split() == ["nobody", "4h54", "2h30", "-", "75%", "38%"]


def test_a_scenario_longer_than_a_day_gives_days(
    make_scenario: Callable[..., Scenario], runs: list[Run]
) -> None:
    text = shown(make_scenario(end="2026-02-05T00:00:00Z"), runs)
    assert line_of(text, "policy blocks").startswith("02 18:03")
