"""No release: an SDK's callers have their own backoff, and nothing else."""

import math
from collections.abc import Callable

from surgetank.control.evidence import Interval
from surgetank.control.peer.bound import UNLIMITED, UNPACED_PER_S
from surgetank.control.peer.sdk import Sdk

LAW = Sdk()


def test_holds_nothing_back() -> None:
    state = LAW.start(now=0.0)
    assert (state.rate_per_s, state.in_flight_max) == (UNPACED_PER_S, UNLIMITED)
    assert state.fresh_in_flight_max == math.inf


def test_nothing_changes_its_mind(make_interval: Callable[..., Interval]) -> None:
    state = LAW.step(LAW.start(now=0.0), make_interval(1.0, ok=0, bad=60))
    opened = LAW.opened(state, now=2.0)
    assert LAW.closed(opened, probes=3, now=30.0) == LAW.start(now=0.0)
