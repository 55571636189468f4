"""The metrics of one run, by the names that scenario files and results use."""

from collections.abc import Iterable
from typing import NamedTuple

from surgetank.rehearsal.drill.ledger import Fate, Ledger, Wanted
from surgetank.rehearsal.drill.outage import Attempt, Outage, outage_s, outages, windows
from surgetank.rehearsal.drill.series import Series
from surgetank.rehearsal.drill.world import World
from surgetank.rehearsal.scenario.schema import Scenario

Value = float | None | dict[str, float]
Metrics = dict[str, Value]

SCRIPTED = "scripted"
"""The measure of a milestone that the scenario itself brings about."""
IDENTITY = "identity_outage"
DRAINED_RATIO = 0.01
"""A backlog is drained at this share of its peak."""


class Outages(NamedTuple):
    """When machine creates, and tokens by region, were in outage."""

    provisioning: list[Outage]
    identity: dict[str, list[Outage]]


def creates(wanted: Iterable[Wanted], *, end_at: float) -> list[Attempt]:
    """First attempts by when they were asked for: good when done at the first try and in time.

    Operations that could still have been in time when the drill ended say nothing.
    """
    said = (one for one in wanted if one.first_is_ok is not None or one.deadline_at <= end_at)
    return [Attempt(one.submitted_at, _is_good_first(one)) for one in said]


def find_outages(scenario: Scenario, ledger: Ledger) -> Outages:
    """Apply the rule of `outage` to creates and to each region's tokens."""
    start_at, end_at = scenario.start.timestamp(), scenario.end.timestamp()

    def find(attempts: list[Attempt]) -> list[Outage]:
        return outages(windows(attempts, start_at=start_at, end_at=end_at), end_at=end_at)

    identity = {region: find(ledger.tokens[region]) for region in scenario.cloud.regions}
    return Outages(find(creates(ledger.wanted, end_at=end_at)), identity)


def milestone_at(found: Outages, measure: str) -> float | None:
    """When a measure of `published` came about: an edge of the longest outage, or None."""
    what, _, region = measure.partition("@")
    service, _, edge = what.partition(".")
    spans = found.identity.get(region, []) if service == IDENTITY else found.provisioning
    longest = max(spans, key=lambda one: one.end_at - one.start_at, default=None)
    if longest is None:
        return None
    if edge == "start":
        return longest.start_at
    return longest.end_at if longest.is_over else None


def measure(
    scenario: Scenario, world: World, ledger: Ledger, found: Outages, series: Series
) -> Metrics:
    """All metrics of one run."""
    end_at = scenario.end.timestamp()
    own = [one for one in ledger.wanted if one.is_own]
    fates = [one.fate for one in ledger.wanted]
    effects = (
        effect for here in world.regions.values() for effect in here.compute.effects.values()
    )
    work_s = sum(here.station.counts.work_s for here in world.regions.values())
    return {
        "operations_submitted": len(ledger.wanted),
        "operations_succeeded": fates.count(Fate.SUCCEEDED),
        "operations_failed": fates.count(Fate.FAILED),
        "operations_expired": fates.count(Fate.EXPIRED),
        "operations_coalesced": 0,
        "operations_unknown": fates.count(Fate.UNKNOWN),
        "operations_open": fates.count(Fate.OPEN),
        "operations_lost": fates.count(Fate.LOST),
        "operations_duplicated": sum(count - 1 for count in effects),
        "provisioning_outage_s": outage_s(found.provisioning),
        "identity_outage_s": {name: outage_s(one) for name, one in found.identity.items()},
        "backlog_peak": max(series.backlog, default=0),
        "drain_s": _drain_s(scenario, series),
        "retry_amplification": _ratio(ledger.counts["calls"], ledger.counts["steps"]),
        "wasted_ratio": _ratio(world.wasted_s, work_s),
        "fresh_success_ratio": _fresh_ratio(ledger.wanted, end_at=end_at),
        "published_error_s": _published_errors_s(scenario, found),
        "own_operations_submitted": len(own),
        "own_fresh_success_ratio": _fresh_ratio(own, end_at=end_at),
        "own_provisioning_outage_s": _sampled_outage_s(creates(own, end_at=end_at), scenario),
        "own_token_success_ratio": _ratio(
            sum(one.is_ok for one in ledger.own_tokens), len(ledger.own_tokens)
        ),
        "requests_handled": world.network.handled,
    }


def _published_errors_s(scenario: Scenario, found: Outages) -> dict[str, float]:
    """Emergent less published time by milestone; one that did not come about is left out."""
    errors_s: dict[str, float] = {}
    for one in scenario.published:
        at = None if one.measure == SCRIPTED else milestone_at(found, one.measure)
        if at is not None:
            errors_s[one.name] = at - one.at.timestamp()
    return errors_s


def _is_good_first(one: Wanted) -> bool:
    return bool(one.first_is_ok) and one.ended_at is not None and one.ended_at <= one.deadline_at


def _fresh_ratio(wanted: Iterable[Wanted], *, end_at: float) -> float | None:
    """Done by their deadline, over submitted; those whose deadline lies past the end left out."""
    due = [one for one in wanted if one.deadline_at <= end_at]
    done = [
        one
        for one in due
        if one.fate is Fate.SUCCEEDED
        and one.ended_at is not None
        and one.ended_at <= one.deadline_at
    ]
    return _ratio(len(done), len(due))


def _sampled_outage_s(attempts: list[Attempt], scenario: Scenario) -> float:
    """Seconds of outage as a small fleet sees them: each attempt stands until the next one.

    A fleet of some tens of creates fills no windows of 20 calls; this says what it can know.
    """
    ends = [*(one.at for one in attempts[1:]), scenario.end.timestamp()]
    return sum(until - one.at for one, until in zip(attempts, ends, strict=False) if not one.is_ok)


def _drain_s(scenario: Scenario, series: Series) -> float | None:
    """Seconds from the last repair until the backlog is down to 1% of its peak, and stays.

    None when it never is, or when nothing was repaired; 0 when there was no backlog.
    """
    repairs = [
        entry.at.timestamp()
        for entry in scenario.timeline
        if entry.act is not None and entry.act.kind == "repair"
    ]
    peak = max(series.backlog, default=0)
    if not repairs:
        return None
    if not peak:
        return 0.0
    above = [index for index, count in enumerate(series.backlog) if count > DRAINED_RATIO * peak]
    if above[-1] + 1 == len(series.backlog):
        return None
    return max(0.0, series.at[above[-1] + 1] - max(repairs))


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
