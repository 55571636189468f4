"""The review is Markdown of the drill's figures: whole, safe to paste, and no more than was found."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from markdown_it import MarkdownIt

from surgetank.rehearsal.drill.headline import headline
from surgetank.rehearsal.drill.output.review import render
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.result import build_result
from surgetank.rehearsal.scenario.schema import Scenario

SECTIONS = [
    "Summary", "Impact", "Timeline", "Who acts, and what it would have changed",
    "What was expected", "What was assumed", "Open questions", "Action items", "Play it again",
]  # fmt: skip
COMMAND = "surgetank drill azure-2026-02 --seeds 2"
SCALED_OUT = "identity scaled out"
Change = Callable[..., Run]


def written(scenario: Scenario, runs: Sequence[Run], **changes: Any) -> str:
    result = {**build_result(scenario, runs), **changes}
    return render(scenario, runs, result, command=COMMAND, source="my.yaml")


def section(review: str, title: str) -> str:
    return review.partition(f"\n## {title}\n\n")[2].partition("\n## ")[0]


def row(review: str, title: str, word: str) -> list[str]:
    line = next(line for line in section(review, title).splitlines() if word in line)
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_it_has_the_sections_of_a_review_in_order(scenario: Scenario, runs: list[Run]) -> None:
    review = written(scenario, runs)
    assert review.startswith("# Review of a drill: Azure 2-3 Feb 2026\n")
    assert re.findall(r"^## (.+)$", review, re.MULTILINE) == SECTIONS


def test_it_begins_with_the_result_in_a_sentence(
    scenario: Scenario, runs: list[Run], result: dict[str, Any]
) -> None:
    first = section(written(scenario, runs), "Summary").splitlines()[0]
    assert first == headline(scenario, runs, result)


def test_impact_has_a_row_for_everyone_who_acts_and_for_your_work_without(
    scenario: Scenario, runs: list[Run]
) -> None:
    body = section(written(scenario, runs), "Impact")
    names = re.findall(r"^\| (.+?) \|", body, re.MULTILINE)
    assert names[2:] == [
        "nobody",
        "you, 1% of the load",
        "↳ your work without it",
        "everybody: all",
    ]


def test_impact_gives_the_spread_of_seeds(
    scenario: Scenario, runs: list[Run], with_outage: Change
) -> None:
    changed = [with_outage(one, (0, 60 * one.seed)) for one in runs]
    assert row(written(scenario, changed), "Impact", "nobody")[2] == "1h00 (1h00 to 2h00)"


def test_the_timeline_is_in_order(scenario: Scenario, runs: list[Run], with_outage: Change) -> None:
    body = section(written(scenario, [with_outage(one, (1, 9)) for one in runs]), "Timeline")
    clocks = re.findall(r"^\| (\d\d:\d\d) \|", body, re.MULTILINE)
    assert clocks[:1] == ["18:01"]
    assert "18:03" in clocks
    # The drill begins at 18:00: what is before that hour is of the next day.
    assert clocks == sorted(clocks, key=lambda clock: (clock < "18:00", clock))


def test_the_timeline_says_what_was_scripted_and_where_from(
    scenario: Scenario, runs: list[Run]
) -> None:
    cells = row(written(scenario, runs), "Timeline", "policy blocks reads")
    assert cells[:3] == ["18:03", "policy blocks reads", "scripted fault"]
    assert cells[3].startswith("18:03, ")


def test_operators_act_for_a_cause_and_where(scenario: Scenario, runs: list[Run]) -> None:
    at = scenario.start.timestamp() + 600.0
    acted = [(at, SCALED_OUT, "eastus"), (at + 5, SCALED_OUT, "westus")]
    cells = row(
        written(scenario, [one._replace(acted=acted) for one in runs]), "Timeline", SCALED_OUT
    )
    assert cells[:2] == ["18:10", f"{SCALED_OUT}: East US and West US"]
    assert cells[2].startswith("operators, because `identity@")


def test_an_act_without_cause_was_not_needed(scenario: Scenario, runs: list[Run]) -> None:
    cells = row(written(scenario, runs), "Timeline", SCALED_OUT)
    assert cells[0] == "not needed"
    assert cells[2].startswith("no operators, because `identity@")


def test_an_act_of_other_variants_is_not_told(scenario: Scenario, runs: list[Run]) -> None:
    elsewhere = [
        one.model_copy(update={"only": ("everybody-all",)}) if one.title == SCALED_OUT else one
        for one in scenario.timeline
    ]
    changed = scenario.model_copy(update={"timeline": tuple(elsewhere)})
    assert SCALED_OUT not in section(written(changed, runs), "Timeline")


def test_what_emerged_stands_beside_what_was_published(
    scenario: Scenario, runs: list[Run], with_outage: Change
) -> None:
    changed = [with_outage(one, (7, 9)) for one in runs]
    cells = row(written(scenario, changed), "Timeline", "tokens fail, East US")
    assert cells[0] == "18:07"
    assert cells[2].startswith("emerged")
    assert "00:08" in cells[3]
    assert "tokens in East US began" not in written(scenario, changed)


def test_a_milestone_that_did_not_come_about_says_so(scenario: Scenario, runs: list[Run]) -> None:
    cells = row(written(scenario, runs), "Timeline", "tokens fail, East US")
    assert cells[0] == "never"
    assert cells[2] == "did not come about"


def test_an_outage_of_which_no_milestone_speaks_is_there_too(
    scenario: Scenario, runs: list[Run], with_outage: Change
) -> None:
    bare = scenario.model_copy(update={"published": ()})
    body = section(written(bare, [with_outage(one, (7, 9)) for one in runs]), "Timeline")
    assert "| 18:07 | tokens in East US began to fail | emerged | - |" in body
    assert "| 18:09 | tokens in East US came back | emerged | - |" in body


def test_an_outage_that_outlasts_the_drill_does_not_come_back(
    scenario: Scenario, runs: list[Run], with_outage: Change
) -> None:
    bare = scenario.model_copy(update={"published": ()})
    changed = [with_outage(one, (7, 20), is_over=False) for one in runs]
    assert "tokens in East US came back" not in written(bare, changed)


def test_what_another_review_says_stands_beside_the_first(
    scenario: Scenario, runs: list[Run]
) -> None:
    milestones = build_result(scenario, runs)["milestones"]
    said = {"published": "2026-02-02T19:46:00Z", "source": "another review"}
    milestones = [{**one, "also": [said]} for one in milestones]
    cells = row(written(scenario, runs, milestones=milestones), "Timeline", "VM creates fail")
    assert cells[3].startswith("18:29, ")
    assert cells[3].endswith("; 19:46, another review")


def test_each_variant_says_what_it_would_have_changed(
    scenario: Scenario, runs: list[Run], with_outage: Change
) -> None:
    changed = [with_outage(one, (0, 60)) if one.variant == "nobody" else one for one in runs]
    body = section(written(scenario, changed), "Who acts, and what it would have changed")
    line = next(line for line in body.splitlines() if "everybody: all" in line)
    assert line.endswith("tokens down 0h00 instead of 1h00.")
    assert "mirror (100% warm), token broker and governor with adaptive release" in line
    assert "**nobody**" not in body


def test_your_work_is_held_against_the_same_work_of_yours(
    scenario: Scenario, runs: list[Run]
) -> None:
    shares = {"nobody": 0.25, "you-1pct": 0.75, "everybody-all": 1.0}
    changed = [
        one._replace(metrics={**one.metrics, "own_fresh_success_ratio": shares[one.variant]})
        for one in runs
    ]
    body = section(written(scenario, changed), "Who acts, and what it would have changed")
    assert "75% of creates in time instead of 25%" in body.splitlines()[0]


def test_without_nobody_there_is_nothing_to_hold_against(
    scenario: Scenario, runs: list[Run]
) -> None:
    alone = [one for one in runs if one.variant == "everybody-all"]
    review = written(scenario, alone)
    body = section(review, "Who acts, and what it would have changed")
    assert body.startswith("Nothing to hold against one another")
    assert section(review, "Timeline").startswith("Acting: everybody: all; ")


def test_actions_come_with_what_they_save_the_most_first(
    scenario: Scenario, runs: list[Run], with_outage: Change
) -> None:
    longs = {"nobody": 90, "you-1pct": 30, "everybody-all": 60}
    body = section(
        written(scenario, [with_outage(one, (0, longs[one.variant])) for one in runs]),
        "Action items",
    )
    first = body.splitlines()[2]
    assert first.startswith("| 1 | Agree with everybody on: mirror (100% warm), ")
    assert "0h30 without tokens" in first


def test_a_customer_saves_none_of_the_clouds_tokens(
    scenario: Scenario, runs: list[Run], with_outage: Change
) -> None:
    own = {"own_fresh_success_ratio": 1.0}
    changed = [
        with_outage(one, (0, 30))._replace(metrics={**one.metrics, **own})
        if one.variant == "you-1pct"
        else with_outage(one, (0, 90))
        for one in runs
    ]
    line = next(
        line
        for line in section(written(scenario, changed), "Action items").splitlines()
        if "for our own work" in line
    )
    assert "tokens" not in line.partition("load |")[2]
    assert "100% of creates from coming late" in line


def test_an_issuer_is_asked_for_what_it_alone_can_do(
    scenario: Scenario, runs: list[Run], with_outage: Change
) -> None:
    names = {"nobody": "nobody", "everybody-all": "issuer-admission"}
    ends = {"nobody": 90, "everybody-all": 30}
    changed = [
        with_outage(one._replace(variant=names[one.variant]), (0, ends[one.variant]))
        for one in runs
        if one.variant in names
    ]
    body = section(written(scenario, changed), "Action items")
    assert "| 1 | Ask the issuer for: admission at the door; 100% of the load |" in body


def test_what_was_not_met_is_asked_about_and_acted_on(
    expecting: Callable[..., Scenario], runs: list[Run]
) -> None:
    review = written(expecting({"metric": "operations_submitted", "at_most": 0}), runs)
    assert "- Verdict: **NOT MET**, with 0 of 1 expectation met." in review
    assert row(review, "What was expected", "operations_submitted")[2] == "**NOT MET**"
    assert "- Why was `nobody: operations_submitted" in section(review, "Open questions")
    assert "Explain or mend: `nobody: operations_submitted" in section(review, "Action items")


def test_a_drill_that_expects_nothing_says_so(
    expecting: Callable[..., Scenario], runs: list[Run]
) -> None:
    review = written(expecting(), runs)
    assert "- No expectation is put to what was played." in section(review, "Summary")
    assert section(review, "What was expected").startswith("No expectation")


def test_assumed_figures_have_their_range_and_reason(scenario: Scenario, runs: list[Run]) -> None:
    cells = row(written(scenario, runs), "What was assumed", "`client_timeout_s`")
    assert cells == ["`client_timeout_s`", "30", "10 to 60", "not tried", cells[4]]
    assert cells[4]


@pytest.mark.parametrize(
    ("below", "above", "said"),
    [
        (15, None, "below 15"),
        (15, 45, "below 15 or above 45"),
        (None, None, "nowhere in its range"),
    ],
)
def test_a_figure_that_was_moved_says_where_the_verdict_flips(
    scenario: Scenario, runs: list[Run], below: float | None, above: float | None, said: str
) -> None:
    flip = {
        "figure": "client_timeout_s", "assumed": 30, "flips_below": below, "flips_above": above,
    }  # fmt: skip
    review = written(scenario, runs, sensitivity=[flip])
    assert row(review, "What was assumed", "`client_timeout_s`")[3] == said
    asks = "What is `client_timeout_s` with us" in section(review, "Open questions")
    assert asks is (said != "nowhere in its range")


def test_a_figure_that_no_variant_played_is_not_said_to_flip_nowhere(
    scenario: Scenario, runs: list[Run]
) -> None:
    flip = {
        "figure": "client_timeout_s", "assumed": 30, "flips_below": None, "flips_above": None,
        "is_played": False,
    }  # fmt: skip
    review = written(scenario, runs, sensitivity=[flip])
    assert row(review, "What was assumed", "`client_timeout_s`")[3] == "not tried"


def test_an_act_that_did_not_help_is_a_question(
    scenario: Scenario, runs: list[Run], with_outage: Change
) -> None:
    at = scenario.start.timestamp() + 600.0
    changed = [
        with_outage(one, (5, 70))._replace(acted=[(at, SCALED_OUT, "eastus")]) for one in runs
    ]
    asked = section(written(scenario, changed), "Open questions")
    assert f"- After {SCALED_OUT}, tokens stayed away for 1h00: what would" in asked


def test_an_emerged_time_far_from_its_published_one_is_a_question(
    scenario: Scenario, runs: list[Run]
) -> None:
    milestones = [
        {**one, "kind": "emerged", "median": "2026-02-02T18:10:00Z"}
        for one in build_result(scenario, runs)["milestones"]
    ]
    asked = section(written(scenario, runs, milestones=milestones), "Open questions")
    assert "Why did tokens fail, East US come 5h58 earlier here than published" in asked


def test_the_nearest_of_several_published_times_counts(scenario: Scenario, runs: list[Run]) -> None:
    said = {"published": "2026-02-02T18:15:00Z", "source": "another review"}
    milestones = [
        {**one, "kind": "emerged", "median": "2026-02-02T18:10:00Z", "also": [said]}
        for one in build_result(scenario, runs)["milestones"]
    ]
    asked = section(written(scenario, runs, milestones=milestones), "Open questions")
    assert "here than published" not in asked


def test_it_can_be_played_again(scenario: Scenario, runs: list[Run]) -> None:
    body = section(written(scenario, runs), "Play it again")
    assert f"```sh\n{COMMAND}\n```" in body
    assert "```sh\nsurgetank drill my.yaml --variant nobody --seed 1\n```" in body


def test_each_sentence_of_prose_has_its_line(scenario: Scenario, runs: list[Run]) -> None:
    prose = [line for line in written(scenario, runs).splitlines() if not line.startswith("|")]
    assert [line for line in prose if re.search(r"[.?!] [A-Z]", line)] == []


def test_words_of_a_file_stay_words(hostile_drill: tuple[Scenario, list[Run]]) -> None:
    found = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(written(*hostile_drill))
    inner = [child.type for token in found for child in token.children or ()]
    assert set(inner) <= {"text", "softbreak", "strong_open", "strong_close", "code_inline"}
    assert not {token.type for token in found} & {
        "html_block",
        "hr",
        "code_block",
        "blockquote_open",
    }
    assert [token.tag for token in found if token.type == "heading_open"] == [
        "h1", *["h2"] * len(SECTIONS),
    ]  # fmt: skip
    rows = 0
    cells: Counter[int] = Counter()
    for token in found:
        rows += token.type == "tr_open"
        cells[rows] += token.type in ("td_open", "th_open")
    assert set(cells.values()) == {0, 3, 4, 5, 6}, (
        "0 before the first; no row is longer than its head"
    )
