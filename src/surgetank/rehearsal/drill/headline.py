"""The drill in one sentence, made from its figures, whatever they are.

It says who acts and with what share, and claims no more than the medians over seeds show.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from surgetank.rehearsal.drill.comparison import (
    Standing,
    median_run,
    seated,
    spread,
    standings,
)
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.wording import listing, percent, span
from surgetank.rehearsal.scenario.event import Repair
from surgetank.rehearsal.scenario.schema import Scenario, Seat, Variant

_STILL = 0.9
"""At this share of what it was with nobody acting, the cloud's outage counts as not saved."""


def headline(scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any]) -> str:
    """Compose the sentence; a clause is left out when its variant was not played."""
    clauses = [
        clause
        for clause in (
            _nobody(scenario, runs, result),
            _everybody(scenario, result),
            _you(scenario, result),
        )
        if clause is not None
    ]
    if not clauses:
        rows = standings(result)
        clauses = [f"{row.title}: {_outages(row)}" for row in rows]
    sentence = "; ".join(clauses)
    return f"{sentence[0].upper()}{sentence[1:]}."


def strongest(variants: Mapping[str, Variant]) -> str | None:
    """Name the variant in which everybody has the most safeguards; None where there is none."""
    everybody = {
        name: one for name, one in variants.items() if one.seat is Seat.EVERYBODY and one.share == 1
    }
    return max(everybody, key=lambda name: _strength(everybody[name]), default=None)


def _nobody(scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any]) -> str | None:
    name = seated(result, Seat.NOBODY)
    if name is None:
        return None
    row = _row(result, name)
    failed = _failed_regions(scenario, result, name)
    if not failed:
        return f"with nobody acting, {_creates(row)} and tokens were never in outage"
    places = listing([scenario.cloud.regions[region].title for region in failed])
    after = (
        " after the repair" if _is_after_repair(scenario, median_run(runs, name), failed) else ""
    )
    upto = "up to " if len(failed) > 1 else ""
    down = span(row.tokens_s.median)
    return f"with nobody acting, {_creates(row)} and tokens in {places} for {upto}{down}{after}"


def _everybody(scenario: Scenario, result: Mapping[str, Any]) -> str | None:
    name = strongest({name: scenario.variants[name] for name in result["variants"]})
    if name is None:
        return None
    row = _row(result, name)
    title = _what(scenario.variants[name])
    if not row.blocked_s.median and not row.tokens_s.median:
        fresh = row.fresh_ratio.median
        who = (
            "nobody was blocked"
            if fresh == 1
            else f"there was no outage and {percent(fresh)} of creates were in time"
        )
        return f"with {title} everywhere, {who}"
    return f"with {title} everywhere, {_outages(row)}"


def _you(scenario: Scenario, result: Mapping[str, Any]) -> str | None:
    name, nobody = seated(result, Seat.YOU), seated(result, Seat.NOBODY)
    if name is None or nobody is None:
        return None
    # With several variants of yours, the first speaks for all.
    mine, without = [row for row in standings(result) if row.is_own][:2]
    share = percent(scenario.variants[name].share)
    fresh, before = mine.fresh_ratio.median, without.fresh_ratio.median
    who = f"a customer of {share} acting alone"
    if fresh is None or before is None:
        return f"{who} had too few creates to say"
    gained = f"got {percent(fresh)} of its creates done in time instead of {percent(before)}"
    if fresh <= before:
        return f"{who} gained nothing: {percent(fresh)} of its creates in time, {percent(before)} without"
    here, there = mine.tokens_s.median or 0.0, without.tokens_s.median or 0.0
    if there and here >= _STILL * there:
        return f"{who} {gained}, but did not save the cloud, whose tokens were out for {span(here)}"
    return f"{who} {gained}"


def _row(result: Mapping[str, Any], name: str) -> Standing:
    return next(row for row in standings(result) if row.name == name)


def _creates(row: Standing) -> str:
    if not row.blocked_s.median:
        return "VM creates were never in outage"
    return f"VM creates were in outage for {span(row.blocked_s.median)}"


def _outages(row: Standing) -> str:
    tokens = f"tokens for {span(row.tokens_s.median)}"
    return f"{_creates(row)} and {tokens if row.tokens_s.median else 'tokens never'}"


def _strength(variant: Variant) -> tuple[int, float]:
    """Rank a choice of safeguards: how many there are, and how much the mirror holds."""
    warm_ratio = variant.mirror_warm_ratio
    chosen = (warm_ratio, variant.broker, variant.release == "adaptive", variant.admission)
    return sum(map(bool, chosen)), warm_ratio or 0.0


def _what(variant: Variant) -> str:
    warm_ratio, release = variant.mirror_warm_ratio, variant.release
    named = [
        "token broker" if variant.broker else None,
        "admission" if variant.admission else None,
        "governor" if release == "adaptive" else f"{release} release" if release else None,
    ]
    if warm_ratio is not None:
        named.insert(0, "mirror" if warm_ratio == 1 else f"mirror ({percent(warm_ratio)} warm)")
    return listing([name for name in named if name is not None]) or "no safeguard"


def _failed_regions(scenario: Scenario, result: Mapping[str, Any], name: str) -> list[str]:
    variant = result["variants"][name]

    def outage_s(region: str) -> float:
        of_region = spread(variant, lambda metrics: metrics["identity_outage_s"].get(region, 0.0))
        return of_region.median or 0.0

    return [region for region in scenario.cloud.regions if outage_s(region) > 0]


def _is_after_repair(scenario: Scenario, run: Run, regions: Sequence[str]) -> bool:
    """Whether tokens failed in each region only once its artifacts could be read again."""
    repairs = {entry.title for entry in scenario.timeline if isinstance(entry.act, Repair)}
    repaired = {region: at for at, title, region in run.acted if title in repairs}

    def is_after(region: str) -> bool:
        found = run.outages.identity.get(region, [])
        return region in repaired and all(one.start_at >= repaired[region] for one in found)

    return all(is_after(region) for region in regions)
