"""Figures are written so that nobody reads more, or less, into them than was measured."""

import pytest

from surgetank.rehearsal.drill.wording import (
    count,
    listing,
    metric,
    number,
    observed,
    percent,
    span,
)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0h00"),
        (1.0, "<0h01"),
        (29.0, "<0h01"),
        (14520.0, "4h02"),
        (14549.0, "4h02"),
        (-840.0, "-0h14"),
        (360_000.0, "100h00"),
        (None, "never"),
    ],
)
def test_a_duration_is_hours_and_minutes(seconds: float | None, said: str) -> None:
    assert span(seconds) == said


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (0.0, "0%"),
        (0.000_01, "<1%"),
        (0.41, "41%"),
        (0.989, "99%"),
        (0.999, "99.9%"),
        (0.999_99, "99.9%"),
        (1.0, "100%"),
        (None, "-"),
    ],
)
def test_a_ratio_is_never_rounded_to_none_or_all(ratio: float | None, said: str) -> None:
    assert percent(ratio) == said


@pytest.mark.parametrize(
    ("value", "said"), [(1939, "1,939"), (3.0637, "3.06"), (0.0, "0"), (None, "never")]
)
def test_a_number_keeps_two_decimals(value: float | None, said: str) -> None:
    assert number(value) == said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("drain_s", 7200.0, "2h00"),
        ("drain_s", None, "never"),
        ("wasted_ratio", 0.38, "38%"),
        ("retry_amplification", None, "-"),
        ("backlog_peak", 717, "717"),
    ],
)
def test_a_metric_is_written_by_its_unit(name: str, value: float | None, said: str) -> None:
    assert metric(name, value) == said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("drain_s", 7200.0, "7200 (2h00)"),
        ("fresh_success_ratio", 0.5, "0.5 (50%)"),
        ("operations_lost", 2, "2"),
        ("drain_s", None, "never"),
    ],
)
def test_what_was_observed_stands_in_the_unit_of_its_bound(
    name: str, value: float | None, said: str
) -> None:
    assert observed(name, value) == said


@pytest.mark.parametrize(
    ("words", "said"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_words_are_joined_as_prose(words: list[str], said: str) -> None:
    assert listing(words) == said


def test_one_of_a_thing_has_no_plural() -> None:
    assert (count(1, "seed"), count(1200, "seed")) == ("1 seed", "1,200 seeds")
