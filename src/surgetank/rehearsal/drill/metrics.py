"""The metrics of one run, by the names that scenario files and results use."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple

from surgetank.control.view import MEANINGS
from surgetank.rehearsal.drill.ledger import Fate, Ledger, Wanted
from surgetank.rehearsal.drill.load import Pool
from surgetank.rehearsal.drill.outage import (
    CALLS_MIN,
    Attempt,
    Outage,
    outage_s,
    outages,
    windows,
)
from surgetank.rehearsal.drill.series import EVERY_S, Series
from surgetank.rehearsal.drill.world import World
from surgetank.rehearsal.scenario.schema import NodePools, Readers, RunnerPools, Scenario

Value = float | None | dict[str, float]
Metrics = dict[str, Value]

SCRIPTED = "scripted"
"""The measure of a milestone that the scenario itself brings about."""
IDENTITY = "identity_outage"
POOL = "pool_outage"
WORK_CALLS_MIN = 1
"""Least jobs or pods in a window: a job of a replica stands for a thousand, and a pool sees some
tens an hour."""
BACKLOG_EVERY_S = 600.0
"""Between the instants of `backlog_at`."""
DRAINED_RATIO = 0.01
"""A backlog is drained at this share of its peak."""


class Outages(NamedTuple):
    """When machine creates, tokens by region, and the work of pools were in outage."""

    provisioning: list[Outage]
    identity: dict[str, list[Outage]]
    pools: Mapping[str, list[Outage]] = MappingProxyType({})
    """When jobs and pods did not get their machines in time, by fleet."""


def creates(wanted: Iterable[Wanted], *, end_at: float) -> list[Attempt]:
    """First attempts by when they were asked for: good when done at the first try and in time.

    Operations that could still have been in time when the drill ended say nothing.
    """
    said = (one for one in wanted if one.first_is_ok is not None or one.deadline_at <= end_at)
    return [Attempt(one.submitted_at, _is_good_first(one)) for one in said]


def works(pools: Iterable[Pool], deadline_s: float, *, end_at: float) -> list[Attempt]:
    """Jobs or pods by when they came: good when they had a machine by their deadline."""
    said = [
        Attempt(
            work.wanted_at,
            work.started_at is not None and work.started_at <= work.wanted_at + deadline_s,
        )
        for pool in pools
        for work in pool.works
        if work.started_at is not None or work.wanted_at + deadline_s <= end_at
    ]
    return sorted(said)


def find_outages(
    scenario: Scenario, ledger: Ledger, pools: Mapping[str, Sequence[Pool]]
) -> Outages:
    """Apply the rule of `outage` to creates, to each region's tokens and to the work of pools."""
    start_at, end_at = scenario.start.timestamp(), scenario.end.timestamp()

    def find(attempts: list[Attempt], calls_min: int = CALLS_MIN) -> list[Outage]:
        cut = windows(attempts, start_at=start_at, end_at=end_at, calls_min=calls_min)
        return outages(cut, end_at=end_at)

    identity = {region: find(ledger.tokens[region]) for region in scenario.cloud.regions}
    worked = {
        fleet.name: find(
            works(pools.get(fleet.name, ()), fleet.deadline_s, end_at=end_at), WORK_CALLS_MIN
        )
        for fleet in scenario.fleet
        if isinstance(fleet, NodePools | RunnerPools)
    }
    return Outages(find(creates(ledger.wanted, end_at=end_at)), identity, worked)


def milestone_at(found: Outages, measure: str) -> float | None:
    """When a measure of `published` came about: an edge of the longest outage, or None."""
    what, _, place = measure.partition("@")
    service, _, edge = what.partition(".")
    spans = found.provisioning
    if service == IDENTITY:
        spans = found.identity.get(place, [])
    elif service == POOL:
        spans = found.pools.get(place, [])
    longest = max(spans, key=lambda one: one.end_at - one.start_at, default=None)
    if longest is None:
        return None
    if edge == "start":
        return longest.start_at
    return longest.end_at if longest.is_over else None


def measure(
    scenario: Scenario,
    world: World,
    ledger: Ledger,
    pools: Mapping[str, Sequence[Pool]],
    found: Outages,
    series: Series,
    *,
    repaired_at: float | None,
) -> Metrics:
    """All metrics of one run; `repaired_at` is when the last repair was done, or None."""
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
        "operations_coalesced": fates.count(Fate.COALESCED),
        "operations_unknown": fates.count(Fate.UNKNOWN),
        "operations_open": fates.count(Fate.OPEN),
        "operations_lost": fates.count(Fate.LOST),
        "operations_duplicated": sum(count - 1 for count in effects),
        "provisioning_outage_s": outage_s(found.provisioning),
        "identity_outage_s": {name: outage_s(one) for name, one in found.identity.items()},
        "pool_outage_s": {name: outage_s(one) for name, one in found.pools.items()},
        "backlog_peak": max(series.backlog, default=0),
        "backlog_at": _backlog_at(series),
        "drain_s": _drain_s(repaired_at, series),
        "governor_mode_s": _mode_s(series),
        "retry_amplification": _ratio(ledger.counts["calls"], ledger.counts["steps"]),
        "wasted_ratio": _ratio(world.wasted_s, work_s),
        "fresh_success_ratio": _fresh_ratio(ledger.wanted, end_at=end_at),
        "covered_fresh_success_ratio": _fresh_ratio(
            (one for one in ledger.wanted if one.is_covered), end_at=end_at
        ),
        "others_fresh_success_ratio": _fresh_ratio(
            (one for one in ledger.wanted if not one.is_covered), end_at=end_at
        ),
        "way_success_ratio": _way_ratios(ledger.wanted, end_at=end_at),
        "reader_success_ratio": _reader_ratios(scenario, ledger),
        **_pool_counts(pools),
        "published_error_s": _published_errors_s(scenario, found),
        "own_operations_submitted": len(own),
        "own_fresh_success_ratio": _fresh_ratio(own, end_at=end_at),
        "own_provisioning_outage_s": _sampled_outage_s(creates(own, end_at=end_at), scenario),
        "own_token_success_ratio": _ratio(
            sum(one.is_ok for one in ledger.own_tokens), len(ledger.own_tokens)
        ),
        "requests_handled": world.network.handled,
        "idle_polls": sum(here.compute.idle_polls for here in world.regions.values()),
    }


def _published_errors_s(scenario: Scenario, found: Outages) -> dict[str, float]:
    """Emergent less published time by milestone; one that did not come about is left out."""
    errors_s: dict[str, float] = {}
    for one in scenario.published:
        at = None if one.measure == SCRIPTED else milestone_at(found, one.measure)
        if at is not None:
            errors_s[one.name] = at - one.at.timestamp()
    return errors_s


def _backlog_at(series: Series) -> dict[str, float]:
    """What waited, every ten minutes from the start."""
    rows = list(zip(series.at, series.backlog, strict=True))
    every = round(BACKLOG_EVERY_S / EVERY_S)
    return {
        datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"): waiting
        for at, waiting in rows[every - 1 :: every]
    }


def _mode_s(series: Series) -> dict[str, float]:
    """Seconds in each mode, over all governors; empty without governors."""
    if not series.governors:
        return {}
    rows = Counter(mode for one in series.governors.values() for mode in one.mode)
    return {mode: EVERY_S * rows[mode] for mode in MEANINGS}


def _way_ratios(wanted: Sequence[Wanted], *, end_at: float) -> dict[str, float]:
    """Fresh success by the way of reading, of the ways that were used."""
    by_way: dict[str, list[Wanted]] = {}
    for one in wanted:
        by_way.setdefault(one.way, []).append(one)
    ratios = {way: _fresh_ratio(some, end_at=end_at) for way, some in sorted(by_way.items())}
    return {way: ratio for way, ratio in ratios.items() if ratio is not None}


def _reader_ratios(scenario: Scenario, ledger: Ledger) -> dict[str, float]:
    """First calls for tokens that were answered, by fleet of readers."""
    ratios: dict[str, float] = {}
    for fleet in scenario.fleet:
        firsts = ledger.consumed.get(fleet.name, [])
        if isinstance(fleet, Readers) and firsts:
            ratios[fleet.name] = sum(one.is_ok for one in firsts) / len(firsts)
    return ratios


def _pool_counts(pools: Mapping[str, Sequence[Pool]]) -> dict[str, dict[str, float]]:
    counts = {name: [one.counts for one in some] for name, some in pools.items()}
    return {
        "pool_work_submitted": {name: sum(c.submitted for c in s) for name, s in counts.items()},
        "pool_work_given_up": {name: sum(c.given_up for c in s) for name, s in counts.items()},
        "pool_waiting_peak": {name: sum(c.waiting_peak for c in s) for name, s in counts.items()},
        "pool_zombies": {name: sum(c.zombies for c in s) for name, s in counts.items()},
    }


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


def _drain_s(repaired_at: float | None, series: Series) -> float | None:
    """Seconds from the last repair until the backlog is down to 1% of its peak, and stays.

    None when it never is, or when not all was repaired; 0 when there was no backlog.
    """
    peak = max(series.backlog, default=0)
    if repaired_at is None:
        return None
    if not peak:
        return 0.0
    above = [index for index, count in enumerate(series.backlog) if count > DRAINED_RATIO * peak]
    if above[-1] + 1 == len(series.backlog):
        return None
    return max(0.0, series.at[above[-1] + 1] - repaired_at)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
