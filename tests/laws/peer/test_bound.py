"""How a limit on calls in flight becomes a decision."""

import math
from typing import NamedTuple

from surgetank.control.peer.bound import limited


class State(NamedTuple):
    in_flight_max: float
    fresh_in_flight_max: float
    learnt: float


FIRST = State(1.0, 1.0, 0.5)


def test_a_fraction_of_a_call_is_none() -> None:
    assert limited(FIRST, 20.9, is_fresh_limited=1).in_flight_max == 20.0


def test_fresh_may_fill_the_limit_alone() -> None:
    assert limited(FIRST, 20.9, is_fresh_limited=1).fresh_in_flight_max == 20.0


def test_fresh_can_be_spared() -> None:
    assert limited(FIRST, 20.9, is_fresh_limited=0) == State(20.0, math.inf, 0.5)


def test_what_was_learnt_stays() -> None:
    assert limited(FIRST, 20.9, is_fresh_limited=1).learnt == 0.5
