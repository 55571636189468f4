"""The chain of all calls of a small queue, held against cases that can be done by hand."""

import pytest

from surgetank.rehearsal.drain.reference import call_chain
from surgetank.rehearsal.drain.reference.call_chain import Move, State
from surgetank.rehearsal.drain.reference.comparison import SMALL

ONE = SMALL._replace(
    arrivals_per_s=2.0, services_per_s=3.0, timeout_s=0.25, queue_max=1, tries_max=1
)
"""Empty, one who waits, or one who has gone: shares a, b, c with 2a = (3 + 4)b and 4b = 3c."""
WAITS = 1 / (7 / 2 + 1 + 4 / 3)

ARRIVES, SERVED, HANGS_UP = 9.5, 10.0, 1 / 0.3


def test_every_queue_is_a_state() -> None:
    assert len(call_chain.states(SMALL)) == 1 + 5 + 25 + 125 + 625


@pytest.mark.parametrize(
    ("state", "moves"),
    [
        ((), [((1,), ARRIVES)]),
        ((0, 0), [((0, 0, 1), ARRIVES), ((0,), SERVED)]),
        ((0, 2), [((0, 2, 1), ARRIVES), ((2,), SERVED), ((0, 0, 3), HANGS_UP)]),
        ((4,), [((4, 1), ARRIVES), ((), SERVED), ((0,), HANGS_UP)]),
        ((0, 0, 0, 1), [((0, 0, 1), SERVED), ((0, 0, 0, 0), HANGS_UP)]),
    ],
    ids=["empty", "all gone", "tries again", "last try", "no room to try again"],
)
def test_what_may_happen(state: State, moves: list[tuple[State, float]]) -> None:
    assert call_chain.moves(SMALL, state) == [Move(to, rate) for to, rate in moves]


def test_one_place_by_hand_waits() -> None:
    assert call_chain.means(ONE).live == pytest.approx(WAITS)


def test_one_place_by_hand_is_taken() -> None:
    assert call_chain.means(ONE).queue == pytest.approx(WAITS * (1 + 4 / 3))


def test_one_place_by_hand_is_wasted() -> None:
    assert call_chain.means(ONE).wasted_ratio == pytest.approx(4 / 7)


def test_who_waits_for_ever_is_served() -> None:
    means = call_chain.means(SMALL._replace(timeout_s=1e9))
    assert means.wasted_ratio < 1e-6


def test_each_operation_is_sent_once_where_nobody_tries_again() -> None:
    assert call_chain.means(SMALL._replace(tries_max=1)).offered_per_s == pytest.approx(ARRIVES)
