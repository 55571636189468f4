"""A bisection ends near where a judgement flips, and asks little on its way."""

from collections.abc import Callable, Generator
from typing import NoReturn, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drill.study.bisection import (
    STEPS_MAX,
    TOLERANCE_RATIO,
    Flip,
    between,
    nearest_flip,
)

T = TypeVar("T")
Ask = Callable[[float], Generator[NoReturn, None, str | None]]


def found(search: Generator[NoReturn, None, T]) -> T:
    """Drive a search whose questions are answered at once."""
    try:
        next(search)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # what a generator returns
    raise AssertionError("it asked for something")


def judge(limit: float, asked: list[float]) -> Ask:
    """Judge as nature does: what is beyond `limit` from 0 does not hold."""

    def ask(value: float) -> Generator[NoReturn, None, str | None]:
        yield from ()  # a generator that asks for nothing
        asked.append(value)
        return f"broken at {value}" if abs(value) >= abs(limit) else None

    return ask


@given(st.floats(0.01, 1.0), st.floats(1.0, 1e6), st.sampled_from([1, -1]))
def test_it_ends_within_its_tolerance_of_where_the_judgement_flips(
    share: float, end: float, sign: int
) -> None:
    limit = share * end
    asked: list[float] = []
    flip = found(
        nearest_flip(
            0.0,
            Flip(sign * end, "the end"),
            ask=judge(limit, asked),
            tolerance=TOLERANCE_RATIO * 2 * end,
            is_whole=False,
        )
    )
    # Four halvings leave a sixteenth; values asked for are rounded to four digits.
    assert limit <= abs(flip.value) <= limit + end * (max(2 * TOLERANCE_RATIO, 1 / 16) + 1e-3)
    assert len(asked) <= STEPS_MAX
    assert flip.because == (f"broken at {flip.value}" if flip.value in asked else "the end")


@given(st.integers(1, 16))
def test_whole_numbers_stay_whole_and_are_found_exactly(limit: int) -> None:
    asked: list[float] = []
    flip = found(
        nearest_flip(
            0.0, Flip(16.0, "the end"), ask=judge(limit, asked), tolerance=0.1, is_whole=True
        )
    )
    assert flip.value == limit
    assert all(value.is_integer() for value in asked)


def test_a_tolerance_that_is_met_asks_nothing() -> None:
    asked: list[float] = []
    flip = Flip(1.0, "the end")
    assert found(
        nearest_flip(0.0, flip, ask=judge(0.5, asked), tolerance=1.0, is_whole=False)
    ) == flip  # fmt: skip
    assert asked == []


def test_what_cannot_be_judged_ends_the_search() -> None:
    def ask(value: float) -> Generator[NoReturn, None, str | None]:
        yield from ()
        raise InvalidInputError(f"{value} cannot be played")

    flip = Flip(1.0, "the end")
    assert found(nearest_flip(0.0, flip, ask=ask, tolerance=0.01, is_whole=False)) == flip


@pytest.mark.parametrize(
    ("one", "other", "is_whole", "expected"),
    [
        (1.0, 3.0, False, 2.0),
        (3.0, 1.0, False, 2.0),
        (0.0, 0.123456, False, 0.06173),
        (1.0, 1.0001, False, None),
        (2.0, 3.0, True, None),
        (2.0, 5.0, True, 4.0),
    ],
)
def test_a_number_between_is_short_to_write(
    one: float, other: float, *, is_whole: bool, expected: float | None
) -> None:
    assert between(one, other, is_whole=is_whole) == expected
