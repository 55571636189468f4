"""An operator reads why a dependency's backlog is held, what it waits for, and what it would take."""

import math
from dataclasses import replace

import pytest

from surgetank.control import governor
from surgetank.control.breaker import BreakerPolicy, Phase
from surgetank.control.governor import Governor, GovernorPolicy
from surgetank.control.peer.sdk import Sdk
from surgetank.control.release import SHED_DELAY, ReleasePolicy
from surgetank.control.signal import Mode, Release
from surgetank.control.view import MEANINGS, View, view
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit

POLICY = GovernorPolicy(
    breaker=BreakerPolicy(blocked_limit=1, probe_limit=2, open_s=30.0),
    law=ReleasePolicy(clean_results=10, timeout_s=10.0),
)
IDENTITY = Dependency("identity@eastus")
OK = Outcome(OutcomeKind.OK)


def begun(policy: GovernorPolicy = POLICY) -> Governor:
    return governor.start(policy, dependency=IDENTITY, now=0.0)


def call(state: Governor, now: float, outcome: Outcome = OK) -> Governor:
    state, permit = governor.admit(state, lane=Lane.FRESH, retry=False, now=now, chance=0.0)
    assert isinstance(permit, Permit)
    return governor.record(state, permit, outcome, now=now)


def decided(mode: Mode, **learnt: float) -> Governor:
    """As if the law were in a mode and had learnt so much, with a backlog that calls."""
    state = begun()
    assert isinstance(state.release, Release)
    release = state.release._replace(mode=mode.value, backlog_at=0.0, target_s=0.06)
    return state._replace(release=release._replace(**learnt))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # not its mode


def opened() -> Governor:
    return call(begun(), 0.0, Outcome(OutcomeKind.BLOCKED))


def test_an_open_breaker_says_how_long_it_stays_so() -> None:
    seen = view(opened(), now=10.0)
    assert (seen.phase, seen.held, seen.retry_at) == (Phase.OPEN, "breaker_open", 30.0)
    assert (seen.waits_for, seen.takes) == ("the breaker's open time to pass", "20 s")


def test_a_half_open_breaker_counts_its_probes() -> None:
    seen = view(call(opened(), 30.0), now=30.0)
    assert (seen.phase, seen.held, seen.retry_at) == (Phase.HALF_OPEN, "", None)
    assert (seen.waits_for, seen.takes) == ("probes to succeed", "1 of 2 probes")


def test_a_named_time_is_what_it_waits_for() -> None:
    state = call(begun(), 0.0, Outcome(OutcomeKind.THROTTLED, retry_at=20.0))
    seen = view(state, now=5.0)
    assert (seen.held, seen.retry_at) == ("release_held", 20.0)
    assert (seen.waits_for, seen.takes) == ("the time that the dependency named", "15 s")


@pytest.mark.parametrize(
    ("state", "takes"),
    [
        (decided(Mode.TRICKLE, clean=6), "6 of 10 clean answers"),
        (decided(Mode.RAMP, delay_s=0.01), "queueing delay 0.01 s to pass 0.03 s"),
        (decided(Mode.DRAIN, delay_s=0.21), "queueing delay 0.21 s to fall below 0.06 s"),
        (decided(Mode.CRUISE, delay_s=0.05), "queueing delay 0.05 s, held at 0.06 s"),
        (decided(Mode.CRUISE, delay_s=0.07), "queueing delay 0.07 s to fall below 0.06 s"),
        (
            decided(Mode.CRUISE, is_failing=1, error_floor=0.05),
            "errors to fall to their floor, 5.0%",
        ),
        (decided(Mode.PROBE, since_at=5.0, mean_s=2.0), "4 s"),
        (decided(Mode.SHED, calm=2), "hardly a fresh call refused for 2 intervals"),
        (
            decided(Mode.SHED, delay_s=2.1),
            f"queueing delay 2.1 s to fall below {SHED_DELAY * 10.0:.3g} s, hardly a fresh call refused for 4 intervals",
        ),
        (decided(Mode.SHED, is_failing=1), "errors to stop"),
    ],
)
def test_each_mode_says_in_numbers_what_it_would_take(state: Governor, takes: str) -> None:
    assert view(state, now=5.0).takes == takes


def test_each_mode_waits_for_something_else() -> None:
    assert len({view(decided(mode), now=5.0).waits_for for mode in Mode}) == len(Mode)


def test_without_a_backlog_it_waits_for_one() -> None:
    idle = decided(Mode.RAMP, backlog_at=-math.inf)
    assert view(idle, now=5.0).waits_for == "a backlog"


def test_a_peer_says_no_more_than_its_mode() -> None:
    seen = view(begun(GovernorPolicy(law=Sdk())), now=0.0)
    assert (seen.mode, seen.takes, dict(seen.learnt)) == (Mode.RAMP, "", {})


def test_every_state_has_a_meaning_and_no_other() -> None:
    seen = [view(opened(), now=10.0), view(call(opened(), 30.0), now=30.0)]
    seen += [view(decided(mode), now=5.0) for mode in Mode]
    assert [one.state for one in seen] == list(MEANINGS)


def test_it_counts_the_calls_of_both_lanes() -> None:
    state = begun()
    for lane in Lane:
        state, _ = governor.admit(state, lane=lane, retry=False, now=0.0, chance=0.0)
    seen = view(state, now=0.0)
    assert (seen.in_flight, seen.in_flight_max) == (2, ReleasePolicy().window_start)
    assert seen.fresh_in_flight_max == math.inf


def test_what_the_law_has_learnt_comes_without_what_it_has_decided() -> None:
    state = begun()
    assert isinstance(state.release, Release)
    learnt = view(state, now=0.0).learnt
    assert learnt["window"] == state.release.window
    assert not set(learnt) & set(View._fields)


@pytest.mark.parametrize("budget", [None, POLICY.budget])
def test_it_says_how_many_retries_are_left(budget: object) -> None:
    policy = POLICY if budget else replace(POLICY, budget=None)
    left = view(begun(policy), now=0.0).retries_left
    assert left == (policy.budget.tokens_max if policy.budget else math.inf)
