"""When was there an outage? One rule for every service, over windows of first attempts.

An outage lasts from the first of 3 windows in a row below 90% success to the first of 5 in a row
above. A window is 60 s; one that holds fewer than 20 calls says too little, so it is joined with
the next until there are 20: at night a replica is slow to notice, never blind. As such a window
may be long, an outage counts from the first failure in its first window.
"""

from collections.abc import Iterable
from typing import NamedTuple

WINDOW_S = 60.0
CALLS_MIN = 20
SUCCESS_RATIO_MIN = 0.9
BAD_TO_BEGIN = 3
GOOD_TO_END = 5


class Attempt(NamedTuple):
    """The end of a first attempt."""

    at: float
    is_ok: bool


class Window(NamedTuple):
    """Calls that ended from `start_at` (included) to `end_at` (excluded)."""

    start_at: float
    end_at: float
    calls: int
    oks: int
    failed_at: float | None = None
    """The first failure in it."""

    @property
    def success_ratio(self) -> float:
        """Share of calls that succeeded."""
        return self.oks / self.calls


class Outage(NamedTuple):
    """A span of outage; open at the end when it outlasts the drill."""

    start_at: float
    end_at: float
    is_over: bool


def windows(
    attempts: Iterable[Attempt], *, start_at: float, end_at: float, calls_min: int = CALLS_MIN
) -> list[Window]:
    """Cut `attempts` (in order of time) into windows of at least `calls_min` calls.

    Returns:
        Windows in order, without gaps; a rest with too few calls at the end is left out.
    """
    cut: list[Window] = []
    opened_at = start_at
    closes_at = start_at + WINDOW_S
    calls = oks = 0
    failed_at: float | None = None
    for attempt in [*attempts, Attempt(end_at, is_ok=True)]:
        while attempt.at >= closes_at:
            if calls >= calls_min:
                cut.append(Window(opened_at, closes_at, calls, oks, failed_at))
                opened_at, calls, oks, failed_at = closes_at, 0, 0, None
            closes_at += WINDOW_S
        calls += 1
        oks += attempt.is_ok
        if failed_at is None and not attempt.is_ok:
            failed_at = attempt.at
    return cut


def outages(cut: Iterable[Window], *, end_at: float) -> list[Outage]:
    """Find the outages in windows that are in order."""
    found: list[Outage] = []
    run: list[Window] = []
    began_at: float | None = None
    for window in cut:
        wants_bad = began_at is None
        if (window.success_ratio < SUCCESS_RATIO_MIN) is not wants_bad:
            run = []
            continue
        run.append(window)
        if wants_bad and len(run) == BAD_TO_BEGIN:
            began_at, run = run[0].failed_at, []
        elif began_at is not None and len(run) == GOOD_TO_END:
            found.append(Outage(began_at, run[0].start_at, is_over=True))
            began_at, run = None, []
    if began_at is not None:
        found.append(Outage(began_at, end_at, is_over=False))
    return found


def outage_s(found: Iterable[Outage]) -> float:
    """Seconds in outage."""
    return sum(outage.end_at - outage.start_at for outage in found)
