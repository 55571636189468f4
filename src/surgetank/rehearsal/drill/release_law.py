"""The governor of a variant: our release law, or a peer's, by the names of `surgetank bench drain`.

All run under our breaker and retry budget, but the SDKs, which have neither; and all look at their
evidence as often as ours, because their own windows of tens or hundreds of calls would not fill in
a replica of 1:1000. Rates are divided by the replica's scale and spans of time are ten times the
usual; latencies are of whole steps, minutes long, and bounds on them follow the time-out as they do
by default. What else a source leaves to its user is set as the bench sets it, where its reasons
stand (`rehearsal.drain.law`). Limits on calls in flight are the sources' own: nobody knows before
how many steps a region can bear. botocore's pool of connections is left out: it is each client's.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from surgetank.control.evidence import EvidencePolicy
from surgetank.control.governor import GovernorPolicy
from surgetank.control.peer.aimd import Aimd
from surgetank.control.peer.bbr import Bbr
from surgetank.control.peer.botocore import Botocore
from surgetank.control.peer.doubling import Doubling
from surgetank.control.peer.doubling_gated import DoublingGated
from surgetank.control.peer.failsafe import Failsafe
from surgetank.control.peer.gradient2 import Gradient2
from surgetank.control.peer.pi import Pi
from surgetank.control.peer.sdk import Sdk
from surgetank.control.peer.sre import Sre
from surgetank.control.peer.steps import Steps
from surgetank.control.peer.vegas import Vegas
from surgetank.control.release import ReleasePolicy
from surgetank.control.signal import Law
from surgetank.rehearsal.scenario.schema import ReleaseName, Scenario

RATE_PER_S_MIN = 1.0
"""Least pace of a release, at the size of the world."""
RATE_PER_S_UNLEARNT = 10.0
"""Pace of a release that has learnt none, at the size of the world."""
LOOK_S = 600.0
"""Between steps of the peers' ramps: a replica of 1:1000 shows too little in their usual minute."""
EVIDENCE = EvidencePolicy(samples_min=6, interval_s_max=300.0)
"""How often every law looks: half as many results as by default, as there are few."""
_LIMIT_MAX = 10_000
"""Greatest limit on calls in flight: the bench's."""


class _Place(NamedTuple):
    """What a user of a law knows of where it runs."""

    timeout_s: float
    """Seconds after which a step is given up for late: some calls, each with the clients' time-out.
    """
    least_per_s: float
    unlearnt_per_s: float
    divisor: int
    """What rates are divided by in this replica."""


def governor_policy(scenario: Scenario, release: ReleaseName, *, lost_s: float) -> GovernorPolicy:
    """Set up the governor of one region's orchestrator.

    Args:
        scenario: Says the size of the replica and how long clients wait.
        release: As a variant names it.
        lost_s: Seconds after which a step that does not end is given up as lost; above 0.
    """
    place = _Place(
        timeout_s=10 * scenario.cloud.client_timeout_s,
        least_per_s=RATE_PER_S_MIN / scenario.divisor,
        unlearnt_per_s=RATE_PER_S_UNLEARNT / scenario.divisor,
        divisor=scenario.divisor,
    )
    policy = GovernorPolicy(law=_LAWS[release](place), evidence=EVIDENCE, lost_s=lost_s)
    return replace(policy, breaker=None, budget=None) if release == "sdk" else policy


def _adaptive(place: _Place) -> ReleasePolicy:
    return ReleasePolicy(
        timeout_s=place.timeout_s,
        rate_per_s_min=place.least_per_s,
        rate_per_s_unlearnt=place.unlearnt_per_s,
    )


def _doubling(place: _Place) -> Doubling:
    return Doubling(
        double_s=LOOK_S,
        halve_s=LOOK_S / 6,
        rate_per_s_min=place.least_per_s,
        rate_per_s_unlearnt=place.unlearnt_per_s,
    )


def _doubling_gated(place: _Place) -> DoublingGated:
    return DoublingGated(
        double_s=LOOK_S,
        halve_s=LOOK_S / 6,
        error_ratio_max=0.1,
        rate_per_s_min=place.least_per_s,
        rate_per_s_unlearnt=place.unlearnt_per_s,
    )


def _steps(place: _Place) -> Steps:
    return Steps(
        step_s=LOOK_S,
        rate_per_s_min=place.least_per_s,
        rate_per_s_unlearnt=place.unlearnt_per_s,
    )


def _aimd(place: _Place) -> Aimd:
    """Half of the time-out counts as a drop, as it does by default."""
    return Aimd(
        timeout_s=place.timeout_s,
        slow_s=place.timeout_s / 2,
        limit_min=1,
        limit_max=_LIMIT_MAX,
    )


def _vegas(place: _Place) -> Vegas:
    return Vegas(timeout_s=place.timeout_s, limit_max=_LIMIT_MAX)


def _gradient2(place: _Place) -> Gradient2:
    return Gradient2(timeout_s=place.timeout_s, limit_min=1, limit_max=_LIMIT_MAX)


def _failsafe(_: _Place) -> Failsafe:
    return Failsafe(limit_max=_LIMIT_MAX)


def _bbr(place: _Place) -> Bbr:
    return Bbr(rate_per_s_min=place.least_per_s)


def _botocore(place: _Place) -> Botocore:
    usual = Botocore()
    return Botocore(
        scale=usual.scale / place.divisor, rate_per_s_min=usual.rate_per_s_min / place.divisor
    )


def _sre(place: _Place) -> Sre:
    """Ten times the book's two minutes of history."""
    return Sre(
        timeout_s=place.timeout_s,
        multiplier=1.1,
        history_s=2 * LOOK_S,
        rate_per_s_start=place.unlearnt_per_s,
    )


def _pi(place: _Place) -> Pi:
    return Pi(
        latency_multiple=8.0,
        error_ratio_max=0.1,
        rate_per_s_start=place.unlearnt_per_s,
        rate_per_s_min=place.least_per_s,
    )


def _sdk(_: _Place) -> Sdk:
    return Sdk()


_LAWS: Mapping[str, Callable[[_Place], Law]] = MappingProxyType(
    {
        "adaptive": _adaptive,
        "sdk": _sdk,
        "doubling": _doubling,
        "steps": _steps,
        "doubling-gated": _doubling_gated,
        "aimd": _aimd,
        "vegas": _vegas,
        "gradient2": _gradient2,
        "failsafe": _failsafe,
        "bbr": _bbr,
        "botocore": _botocore,
        "sre": _sre,
        "pi": _pi,
    }
)
