"""What a sweep shows is said as it was seen: where the outage goes, or that it does not."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.rehearsal.drill.study.turning import change, sentence, sweep_rows, turning_point

Make = Callable[..., dict[str, Any]]


@given(
    values=st.lists(st.floats(0, 1), min_size=1, unique=True),
    split=st.integers(0, 10),
    is_out_first=st.booleans(),
)
def test_an_outage_that_goes_or_comes_once_does_so_between_neighbours(
    values: list[float], split: int, *, is_out_first: bool
) -> None:
    values.sort()
    found = change({one: (rank < split) is is_out_first for rank, one in enumerate(values)})
    if not 0 < split < len(values):
        assert found is None
    else:
        pair = (values[split - 1], values[split])
        assert found == (pair if is_out_first else pair[::-1])


def test_an_outage_that_comes_and_goes_has_no_turning_point() -> None:
    assert change({0.1: True, 0.2: False, 0.3: True}) is None


def test_a_row_has_the_medians_of_its_value(make_result: Make) -> None:
    (row, _) = sweep_rows(make_result("share", {"all": {0.1: 6, 1.0: 0}}), "all")
    assert row == (0.1, "all@share=0.1", 3600.0, 6 * 3600.0, 0.9, 0.2, 0.5, 0.6)


def test_the_rows_of_a_variant_are_its_own(make_result: Make) -> None:
    result = make_result("share", {"all": {0.1: 6, 1.0: 0}, "some": {0.1: 5}})
    assert [row.variant for row in sweep_rows(result, "some")] == ["some@share=0.1"]


def test_a_turning_point_says_how_creates_fare_just_before(make_result: Make) -> None:
    result = make_result("share", {"all": {0.1: 6, 0.3: 5, 0.7: 0, 1.0: 0}})
    assert turning_point(result, "all") == {
        "of": "all",
        "last_with": 0.3,
        "first_without": 0.7,
        "covered_fresh_success_ratio": 0.9,
        "others_fresh_success_ratio": 0.2,
        "fresh_success_ratio": 0.5,
    }


@pytest.mark.parametrize(
    ("name", "tokens_h", "said"),
    [
        (
            "share",
            {0.1: 6, 0.3: 5, 0.7: 0},
            (
                "The second outage disappears at a share of 0.7; below it, at 0.3, those covered "
                "get 90% of their creates done in time and the others 20%."
            ),
        ),
        (
            "warm_ratio",
            {0.0: 6, 0.5: 0},
            (
                "The second outage disappears with a mirror that is 50% warm; below it, at 0, those "
                "covered get 90% of their creates done in time and the others 20%."
            ),
        ),
        (
            "client_timeout_s",
            {10: 0, 30: 0, 60: 2},
            (
                "There is no second outage up to client_timeout_s = 30; above it, at 60, those "
                "covered get 90% of their creates done in time and the others 20%."
            ),
        ),
        ("share", {0.1: 6, 1: 5}, "There is a second outage at every one of these values."),
        ("share", {0.1: 0, 1: 0}, "There is no second outage at any of these values."),
        (
            "share",
            {0.1: 0, 0.5: 3, 0.7: 0, 1: 1},
            "The second outage comes and goes: there is none at share = 0.1 and 0.7.",
        ),
    ],
)
def test_the_sentence_says_what_was_seen(
    make_result: Make, name: str, tokens_h: dict[float, float], said: str
) -> None:
    assert sentence(make_result(name, {"all": tokens_h}), "all") == said


def test_where_nobody_is_covered_the_sentence_speaks_of_all(make_result: Make) -> None:
    result = make_result("boot_s", {"nobody": {1: 6, 2: 0}}, covered_fresh_success_ratio=None)
    assert sentence(result, "nobody") == (
        "The second outage disappears at boot_s = 2; below it, at 1, 50% of creates are done in "
        "time."
    )
