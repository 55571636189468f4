"""An outage begins after three bad windows in a row and ends at the first of five good ones."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgetank.rehearsal.drill.outage import (
    CALLS_MIN,
    WINDOW_S,
    Attempt,
    Outage,
    outage_s,
    outages,
    windows,
)


def attempts(story: str, *, calls: int = CALLS_MIN) -> list[Attempt]:
    """One minute for each letter: `.` all calls succeed, `x` all fail, `-` there are none."""
    return [
        Attempt(minute * WINDOW_S + call * WINDOW_S / calls, letter == ".")
        for minute, letter in enumerate(story)
        if letter != "-"
        for call in range(calls)
    ]


def found(story: str, *, calls: int = CALLS_MIN) -> list[tuple[float, float, bool]]:
    """The outages of a story, in minutes."""
    end_at = len(story) * WINDOW_S
    cut = windows(attempts(story, calls=calls), start_at=0.0, end_at=end_at)
    spans = outages(cut, end_at=end_at)
    return [(one.start_at / WINDOW_S, one.end_at / WINDOW_S, one.is_over) for one in spans]


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        ("..........", []),
        ("..xx......", []),
        ("..xxx.....", [(2.0, 5.0, True)]),
        ("..xx.xx...", []),
        ("..xxx....x", [(2.0, 10.0, False)]),
        ("..xxx....x.....", [(2.0, 10.0, True)]),
        ("xxx.....xxx.....", [(0.0, 3.0, True), (8.0, 11.0, True)]),
        ("..xx-x.....", [(2.0, 6.0, True)]),
        ("", []),
    ],
)
def test_outages_of(story: str, expected: list[tuple[float, float, bool]]) -> None:
    assert found(story) == expected


def test_nine_in_ten_is_good_enough_and_less_is_not() -> None:
    for failed, is_out in ((2, False), (3, True)):
        story = [Attempt(call * 3.0, call % 20 >= failed) for call in range(80)]
        assert bool(outages(windows(story, start_at=0.0, end_at=240.0), end_at=240.0)) is is_out


def test_windows_with_few_calls_are_joined_until_there_are_enough() -> None:
    cut = windows(attempts("." * 12, calls=5), start_at=0.0, end_at=12 * WINDOW_S)
    assert [(one.start_at, one.end_at, one.calls) for one in cut] == [
        (0.0, 240.0, 20),
        (240.0, 480.0, 20),
        (480.0, 720.0, 20),
    ]


def test_an_outage_counts_from_the_first_failure_in_its_first_window() -> None:
    assert found(".xxxxxxxxxxxxxxx", calls=5)[0][0] == 1.0


def test_a_rest_with_too_few_calls_says_nothing() -> None:
    assert windows(attempts("x", calls=CALLS_MIN - 1), start_at=0.0, end_at=WINDOW_S) == []


def test_seconds_in_outage_are_summed() -> None:
    assert outage_s([Outage(1.0, 3.0, is_over=True), Outage(5.0, 6.5, is_over=False)]) == 3.5
    assert outage_s([]) == 0


times = st.lists(st.tuples(st.floats(0, 3600, exclude_max=True), st.booleans()), max_size=300).map(
    sorted
)


@given(times)
def test_windows_lie_side_by_side_and_lose_no_call(story: Sequence[tuple[float, bool]]) -> None:
    cut = windows([Attempt(*one) for one in story], start_at=0.0, end_at=3600.0)
    edges = [(one.start_at, one.end_at) for one in cut]
    assert all(one.calls >= CALLS_MIN and one.oks <= one.calls for one in cut)
    assert [start for start, _ in edges[1:]] == [end for _, end in edges[:-1]]
    covered = [at for at, _ in story if cut and at < cut[-1].end_at]
    assert sum(one.calls for one in cut) == len(covered)


@given(times)
def test_outages_lie_apart_within_the_run(story: Sequence[tuple[float, bool]]) -> None:
    cut = windows([Attempt(*one) for one in story], start_at=0.0, end_at=3600.0)
    spans = outages(cut, end_at=3600.0)
    assert all(0.0 <= one.start_at < one.end_at <= 3600.0 for one in spans)
    assert all(a.end_at <= b.start_at for a, b in pairwise(spans))
    assert all(one.is_over for one in spans[:-1])
