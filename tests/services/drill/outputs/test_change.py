"""Two drills are told apart by more than chance, and never by what has no better way."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drill.comparison import Spread
from surgetank.rehearsal.drill.output import change_terminal
from surgetank.rehearsal.drill.output.change import (
    TOLERANCE_MAX,
    Contrast,
    Word,
    contrast,
    document,
    word_for,
)
from surgetank.rehearsal.drill.output.result_schema import Result
from surgetank.rehearsal.drill.result import summarise

Metrics = Mapping[str, Any]
HOUR_S = 3600.0


def drill(
    *metrics: Metrics, expectations: Mapping[str, bool] | None = None, **changes: Any
) -> Result:
    """A result of one variant, `ours`, with a seed for each of `metrics`."""
    made = {
        "title": "ours", "seat": "everybody", "share": 1.0,
        "seeds": {
            str(seed): {"trace_hash": "", "metrics": dict(one)}
            for seed, one in enumerate(metrics, start=1)
        },
        "summary": summarise([dict(one) for one in metrics]),
    }  # fmt: skip
    judged = [
        {"text": text, "observed": 0.0, "met": met} for text, met in (expectations or {}).items()
    ]
    return Result.model_validate_json(
        json.dumps(
            {
                "schema": "surgetank/drill-result/v1", "scenario": "small", "scale": "1:1000",
                "seeds": list(range(1, len(metrics) + 1)), "variants": {"ours": made},
                "milestones": [], "sensitivity": [], "expectations": judged,
                "verdict": "met" if all(one["met"] for one in judged) else "not_met",
                **changes,
            }
        )
    )  # fmt: skip


def outages(*hours: float) -> list[Metrics]:
    return [{"provisioning_outage_s": HOUR_S * one} for one in hours]


def words(found: Contrast) -> list[Word]:
    return [one.word for one in found.changes]


@pytest.mark.parametrize(
    ("metric", "before", "after", "word"),
    [
        # Less is better.
        ("provisioning_outage_s", 10_000, 12_000, Word.WORSE),
        ("provisioning_outage_s", 10_000, 8_000, Word.BETTER),
        ("provisioning_outage_s", 10_000, 11_000, Word.SAME),
        ("provisioning_outage_s", 10_000, 9_000, Word.SAME),
        # Near nothing, a tenth of ten minutes may move.
        ("provisioning_outage_s", 0, 60, Word.SAME),
        ("provisioning_outage_s", 0, 61, Word.WORSE),
        ("backlog_peak", 0, 1, Word.SAME),
        ("backlog_peak", 0, 2, Word.WORSE),
        ("backlog_peak", 100, 110, Word.SAME),
        ("backlog_peak", 100, 111, Word.WORSE),
        ("retry_amplification", 1.0, 1.09, Word.SAME),
        ("retry_amplification", 1.0, 1.11, Word.WORSE),
        ("wasted_ratio", 0.0, 0.01, Word.SAME),
        ("wasted_ratio", 0.0, 0.02, Word.WORSE),
        # More is better; a ratio counts by what is short of all.
        # How many asked moves with the variant, so how many were served is not judged.
        ("operations_succeeded", 1000, 800, Word.NOT_JUDGED),
        ("operations_failed", 0, 200, Word.NOT_JUDGED),
        ("fresh_success_ratio", 0.999, 0.98, Word.WORSE),
        ("fresh_success_ratio", 0.999, 0.99, Word.SAME),
        ("fresh_success_ratio", 0.98, 0.999, Word.BETTER),
        ("fresh_success_ratio", 0.2, 0.13, Word.SAME),
        ("fresh_success_ratio", 0.2, 0.11, Word.WORSE),
        # Lost or done twice: one is too many.
        ("operations_lost", 0, 1, Word.WORSE),
        ("operations_lost", 1, 0, Word.BETTER),
        ("operations_duplicated", 500, 501, Word.WORSE),
        # Never is worse than any number, where null is never.
        ("drain_s", 10_000, None, Word.WORSE),
        ("drain_s", None, 10_000, Word.BETTER),
        ("drain_s", None, None, Word.SAME),
        # Elsewhere null is nothing to measure.
        ("fresh_success_ratio", 0.9, None, Word.NOT_JUDGED),
        ("fresh_success_ratio", None, 0.9, Word.NOT_JUDGED),
        ("fresh_success_ratio", None, None, Word.SAME),
        # Neither way is better, or nobody said.
        ("requests_handled", 1, 1_000_000, Word.NOT_JUDGED),
        ("unheard_of", 1, 1_000_000, Word.NOT_JUDGED),
    ],
)
def test_one_seed_is_held_against_another(
    metric: str, before: float | None, after: float | None, word: Word
) -> None:
    sides = [Spread(one, one, one) for one in (before, after)]
    assert word_for(metric, sides[0], sides[1], tolerance=0.1) is word


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        ((5, 4, 6), (8, 7, 9), Word.WORSE),
        ((5, 4, 6), (8, 6, 9), Word.UNCLEAR),
        ((5, 4, 8), (8, 7, 9), Word.UNCLEAR),
        ((8, 7, 9), (5, 4, 6), Word.BETTER),
        ((8, 6, 9), (5, 4, 6), Word.UNCLEAR),
        ((5, 5, 5), (5, 5, 9), Word.UNCLEAR),
        ((5, 5, 9), (5, 5, 5), Word.SAME),
        ((5, 1, 5), (5, 5, 5), Word.SAME),
        ((5, 4, None), (6, 4, None), Word.UNCLEAR),
        ((5, 4, 6), (5, 4, None), Word.UNCLEAR),
    ],
)
def test_what_moves_must_exceed_the_spread_of_both(
    before: tuple[float | None, ...], after: tuple[float | None, ...], word: Word
) -> None:
    """Medians, p5 and p95 in hours until a backlog was gone."""
    sides = [
        Spread(*(None if one is None else HOUR_S * one for one in side)) for side in (before, after)
    ]
    assert word_for("drain_s", sides[0], sides[1], tolerance=0.1) is word


@pytest.mark.parametrize(
    ("after", "word"), [((0.5, 0.4, 0.6), Word.WORSE), ((0.5, 0.4, 0.8), Word.UNCLEAR)]
)
def test_where_more_is_better_the_low_end_is_the_bad_one(
    after: tuple[float, float, float], word: Word
) -> None:
    before = Spread(0.8, 0.7, 0.9)
    assert word_for("fresh_success_ratio", before, Spread(*after), tolerance=0.1) is word


@pytest.mark.parametrize(("tolerance", "word"), [(0.0, Word.WORSE), (0.3, Word.SAME)])
def test_the_tolerance_says_what_may_move(tolerance: float, word: Word) -> None:
    sides = [Spread(one, one, one) for one in (10_000.0, 10_001.0 + 2_000 * (tolerance > 0))]
    assert word_for("drain_s", sides[0], sides[1], tolerance=tolerance) is word


@pytest.mark.parametrize("tolerance", [0.0, 0.1])
def test_a_drill_is_the_same_as_itself(tolerance: float) -> None:
    one = drill(
        {"drain_s": None, "fresh_success_ratio": 0.1, "identity_outage_s": {"east": 1.5}},
        {"drain_s": 5.5, "fresh_success_ratio": None, "identity_outage_s": {"east": 2.5}},
        expectations={"ours: x": False},
    )
    found = contrast(one, one, tolerance=tolerance)
    assert set(found.words) == {Word.SAME}
    assert not found.is_worse


def test_a_mapping_is_judged_key_by_key() -> None:
    before = drill({"identity_outage_s": {"east": 0, "west": 0}})
    after = drill({"identity_outage_s": {"east": HOUR_S, "west": 0}})
    found = contrast(before, after)
    assert [(one.key, one.word) for one in found.changes] == [
        ("east", Word.WORSE), ("west", Word.SAME),
    ]  # fmt: skip


def test_a_loss_in_one_seed_of_many_counts() -> None:
    before = drill(*({"operations_lost": 0} for _ in range(20)))
    after = drill(*({"operations_lost": int(seed == 3)} for seed in range(20)))
    assert words(contrast(before, after)) == [Word.WORSE]


@pytest.mark.parametrize("is_swapped", [False, True])
def test_a_metric_of_one_drill_alone_is_shown_and_not_judged(*, is_swapped: bool) -> None:
    sides = [drill({"backlog_peak": 9}), drill({"backlog_peak": 9, "drain_s": 5})]
    before, after = reversed(sides) if is_swapped else sides
    found = contrast(before, after)
    assert {one.metric: one.word for one in found.changes} == {
        "backlog_peak": Word.SAME,
        "drain_s": Word.NOT_JUDGED,
    }
    assert "\nmoved, not judged\n  ours drain_s: " in shown(found)


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        (True, False, Word.WORSE),
        (None, False, Word.WORSE),
        (False, True, Word.BETTER),
        (False, False, Word.SAME),
        (True, True, Word.SAME),
        (None, True, Word.SAME),
        (True, None, Word.SAME),
        (False, None, Word.SAME),
    ],
)
def test_an_expectation_is_worse_when_it_is_not_met_any_more(
    *, before: bool | None, after: bool | None, word: Word
) -> None:
    sides = [
        drill({"x": 1}, expectations={} if met is None else {"ours: x": met})
        for met in (before, after)
    ]
    (turn,) = contrast(sides[0], sides[1]).turns
    assert turn == ("ours: x", before, after, word)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"scenario": "other"}, "differ in scenario: 'small' before, 'other' after"),
        ({"scale": "1:500"}, "differ in scale: '1:1000' before, '1:500' after"),
    ],
)
def test_drills_of_different_things_are_not_compared(changes: dict[str, Any], wanted: str) -> None:
    with pytest.raises(InvalidInputError, match=wanted):
        contrast(drill({"x": 1}), drill({"x": 1}, **changes))


def test_drills_without_a_common_variant_are_not_compared() -> None:
    after = drill({"x": 1})
    other = after.model_copy(update={"variants": {"theirs": after.variants["ours"]}})
    with pytest.raises(
        InvalidInputError, match=r"in common: there is ours before, .* theirs after"
    ):
        contrast(after, other)


def test_a_variant_of_one_drill_alone_is_named_and_not_compared() -> None:
    one = drill({"x": 1})
    two = one.model_copy(update={"variants": {**one.variants, "theirs": one.variants["ours"]}})
    assert contrast(one, two).variants == ["ours"]
    assert "only after, not compared: theirs" in shown(contrast(one, two))
    assert "only before, not compared: theirs" in shown(contrast(two, one))


def test_only_what_was_asked_for_is_looked_at() -> None:
    one = drill({"x": 1}, expectations={"ours: x": True, "theirs: x": True})
    both = one.model_copy(update={"variants": {**one.variants, "theirs": one.variants["ours"]}})
    found = contrast(both, both, only=["theirs"])
    assert {change.variant for change in found.changes} == {"theirs"}
    assert [turn.text for turn in found.turns] == ["theirs: x"]


def test_a_variant_that_is_not_in_both_cannot_be_asked_for() -> None:
    with pytest.raises(InvalidInputError, match="'theirs'; there is ours"):
        contrast(drill({"x": 1}), drill({"x": 1}), only=["theirs"])


@pytest.mark.parametrize("tolerance", [-0.1, TOLERANCE_MAX + 0.1, float("nan")])
def test_a_tolerance_out_of_range_is_refused(tolerance: float) -> None:
    with pytest.raises(InvalidInputError, match="from 0 to 10"):
        contrast(drill({"x": 1}), drill({"x": 1}), tolerance=tolerance)


def test_a_program_reads_every_metric_and_how_it_moved() -> None:
    before = drill(*outages(1, 2), expectations={"ours: x": True})
    after = drill(*outages(3, 4), expectations={"ours: x": False})
    found = document(contrast(before, after))
    assert found["variants"]["ours"]["provisioning_outage_s"] == {
        "word": "worse",
        "before": {"median": 3600.0, "p5": 3600.0, "p95": 7200.0},
        "after": {"median": 10800.0, "p5": 10800.0, "p95": 14400.0},
    }
    assert found["expectations"] == [
        {"text": "ours: x", "before": True, "after": False, "word": "worse"}
    ]
    assert found["counts"] == {"worse": 2, "better": 0, "unclear": 0, "same": 0, "not_judged": 0}
    assert found["verdict"] == "worse"
    assert found["after"] == {"seeds": [1, 2], "verdict": "not_met"}


@pytest.mark.parametrize(
    ("before", "after", "is_edited"),
    [("one", "one", False), ("one", "two", True), (None, "two", None), ("one", None, None)],
)
def test_an_edited_scenario_is_told_where_both_drills_have_a_digest(
    before: str | None, after: str | None, *, is_edited: bool | None
) -> None:
    sides = [drill(*outages(1), scenario_digest=one) for one in (before, after)]
    found = contrast(*sides)
    assert document(found)["scenario_edited"] is is_edited
    assert ("the scenario was edited between them" in shown(found)) is bool(is_edited)


def test_an_edited_scenario_is_no_worse() -> None:
    sides = [drill(*outages(1), scenario_digest=one) for one in ("one", "two")]
    assert not contrast(*sides).is_worse


def shown(found: Contrast, **options: int) -> str:
    return change_terminal.render(found, before="a.json", after="b.json", **options).plain


WHOLE = """\
small · tolerance 0.1
before: a.json · 2 seeds · verdict met
after:  b.json · 2 seeds · verdict not met

WORSE
  ours: x: met -> NOT MET
  ours identity_outage_s@east: 0h00 -> 1h00 (1h00 to 2h00)

BETTER
  ours fresh_success_ratio: 20% -> 60%

UNCLEAR: moved, but the seeds overlap; play more of them
  ours backlog_peak: 10 (10 to 900) -> 500 (500 to 800)

moved, not judged
  ours requests_handled: 100 -> 200
  ours published_error_s: 1 of 2 keys moved

2 worse, 1 better, 1 unclear, 0 same, 3 not judged
WORSE"""


def metrics(east_s: float, fresh: float, peak: float, handled: float, *, error_s: float) -> Metrics:
    return {
        "identity_outage_s": {"east": east_s},
        "fresh_success_ratio": fresh,
        "backlog_peak": peak,
        "requests_handled": handled,
        "published_error_s": {"tokens fail": error_s, "tokens back": 5},
    }


def test_the_terminal_reads_as_a_whole() -> None:
    before = drill(
        metrics(0, 0.2, 10, 100, error_s=0),
        metrics(0, 0.2, 900, 100, error_s=0),
        expectations={"ours: x": True},
    )
    after = drill(
        metrics(3600, 0.6, 500, 200, error_s=600),
        metrics(7200, 0.6, 800, 200, error_s=600),
        expectations={"ours: x": False},
    )
    assert shown(contrast(before, after)) == WHOLE


def test_nothing_worse_is_said_too() -> None:
    one = drill(*outages(1, 1))
    assert shown(contrast(one, one)).endswith("1 same, 0 not judged\nnothing is worse")


@pytest.mark.parametrize(("seeds", "is_said"), [(1, True), (2, False)])
def test_one_seed_is_said_to_be_one_course(seeds: int, *, is_said: bool) -> None:
    one = drill(*outages(*range(seeds)))
    assert ("one seed is one possible course" in shown(contrast(one, one))) is is_said


def test_a_long_list_is_cut_and_says_so() -> None:
    def many(value: float) -> Result:
        return drill({"identity_outage_s": {f"region-{n}": value for n in range(50)}})

    text = shown(contrast(many(0), many(HOUR_S)))
    assert text.count("identity_outage_s@") == change_terminal.ROWS_MAX
    assert "  and 10 more; --json - has all" in text


@pytest.mark.parametrize("width", [60, 80, 1])
def test_lines_keep_to_their_width(width: int) -> None:
    region, text = "east " * 30, "ours: " + "x " * 90
    one, two = (
        drill({"identity_outage_s": {region: value}}, expectations={text: not value})
        for value in (0, 9999)
    )
    lines = shown(contrast(one, two), width=width).splitlines()
    assert max(map(len, lines)) <= max(width, 60)


def test_words_of_a_file_cannot_steer_the_terminal(hostile: str) -> None:
    word = hostile.replace("\ud800", "")  # no JSON that is read holds half a character
    one, two = (
        drill({"identity_outage_s": {word: value}}, expectations={word: not value})
        for value in (0, 9999)
    )
    text = shown(contrast(one, two))
    assert not any(sign in text for sign in "\x00\x1b\u202e\r")


def test_nothing_moves_between_equal_drills(result: dict[str, Any]) -> None:
    """A whole result, as `surgetank drill --json` writes it."""
    one = Result.model_validate_json(json.dumps(result))
    found = contrast(one, one, tolerance=0.0)
    assert set(found.words) == {Word.SAME, Word.NOT_JUDGED}
    assert "moved" not in shown(found)
