"""The timeline of a review: what was scripted, what operators did and why, and what emerged.

It is of one run, the one in the middle of the seeds with nobody acting, so that its times belong
together.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from surgetank.rehearsal.drill.metrics import IDENTITY, POOL, SCRIPTED, milestone_at
from surgetank.rehearsal.drill.outage import Outage
from surgetank.rehearsal.drill.output.markdown import code, table, text
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.wording import (
    NEVER,
    NOTHING,
    count,
    listing,
    seconds_of,
    time_of_day,
)
from surgetank.rehearsal.scenario.event import Entry
from surgetank.rehearsal.scenario.schema import Scenario

_HEAD = ("UTC", "what happened", "how it came about", "published")


class _Row(NamedTuple):
    at: float
    """Where it stands in the table."""
    clock: str
    what: str
    how: str
    published: str


def lines(scenario: Scenario, run: Run, result: Mapping[str, Any]) -> list[str]:
    """Give the section's lines."""
    seeds = len(result["seeds"])
    which = f", the one in the middle of {count(seeds, 'seed')}" if seeds > 1 else ""
    title = text(result["variants"][run.variant]["title"])
    rows = [
        *_entries(scenario, run),
        *_published(scenario, run, result["milestones"]),
        *_outages(scenario, run),
    ]
    rows.sort(key=lambda row: row.at)
    return [
        f"Acting: {title}; seed {run.seed}{which}.",
        "What is scripted stands in the scenario; what emerged does not.",
        "",
        *table(_HEAD, [row[1:] for row in rows]),
    ]


def _entries(scenario: Scenario, run: Run) -> Iterator[_Row]:
    known = {entry.title: entry for entry in scenario.timeline}
    for (clock, title), group in groupby(
        sorted(run.acted), key=lambda one: (time_of_day(one[0], scenario), one[1])
    ):
        done = list(group)
        places = [_place(scenario, region) for _, _, region in done if region]
        what = text(title)
        if not all(place in what for place in places):
            what = f"{what}: {listing(places)}"
        entry = known.get(title)
        how, published = ("operators", NOTHING) if entry is None else _cause(scenario, entry)
        yield _Row(done[0][0], clock, what, how, published)
    acted = {title for _, title, _ in run.acted}
    for entry in scenario.timeline:
        if entry.when is not None and entry.is_of(run.variant) and entry.title not in acted:
            how, published = _cause(scenario, entry)
            yield _Row(
                entry.at.timestamp(), "not needed", text(entry.title), f"no {how}", published
            )


def _cause(scenario: Scenario, entry: Entry) -> tuple[str, str]:
    clock = time_of_day(entry.at.timestamp(), scenario)
    published = (
        f"assumed: {text(entry.assumed or '')}"
        if entry.source is None
        else f"{clock}, {text(entry.source)}"
    )
    if entry.fault is not None:
        return "scripted fault", published
    if entry.when is None:
        return "operators, at a scripted hour", published
    return f"operators, because {code(entry.when)}", published


def _published(
    scenario: Scenario, run: Run, results: Sequence[Mapping[str, Any]]
) -> Iterator[_Row]:
    """Milestones; those that a timeline's entry already is are left out."""
    titles = {entry.title for entry in scenario.timeline}
    for one, result in zip(scenario.published, results, strict=True):
        clock = time_of_day(one.at.timestamp(), scenario)
        published = "; ".join([f"{clock}, {text(one.source)}", *_also(scenario, result)])
        if one.measure == SCRIPTED:
            if one.name not in titles:
                yield _Row(one.at.timestamp(), clock, text(one.name), "published", published)
            continue
        at = milestone_at(run.outages, one.measure)
        how = (
            "emerged"
            if result["kind"] == "emerged"
            else "emerged; a figure was set so that it fits"
        )
        if at is None:
            yield _Row(one.at.timestamp(), NEVER, text(one.name), "did not come about", published)
        else:
            yield _Row(at, time_of_day(at, scenario), text(one.name), how, published)


def _also(scenario: Scenario, result: Mapping[str, Any]) -> Iterator[str]:
    for said in result.get("also", ()):
        yield f"{time_of_day(seconds_of(said['published']), scenario)}, {text(said['source'])}"


def _outages(scenario: Scenario, run: Run) -> Iterator[_Row]:
    """Outages of which no milestone speaks."""
    measured = {one.measure for one in scenario.published}
    spans = [("provisioning_outage", "", "VM creates", run.outages.provisioning)]
    for region, found in run.outages.identity.items():
        place = _place(scenario, region)
        spans.append((IDENTITY, f"@{region}", f"tokens in {place}", found))
    for fleet, found in run.outages.pools.items():
        spans.append((POOL, f"@{fleet}", f"work of {text(fleet)}", found))
    for service, where, what, found in spans:
        longest = max(found, key=lambda one: one.end_at - one.start_at, default=None)
        for outage in found:
            edges = _edges(outage)
            for edge, at, word in edges:
                if outage is longest and f"{service}.{edge}{where}" in measured:
                    continue
                yield _Row(at, time_of_day(at, scenario), f"{what} {word}", "emerged", NOTHING)


def _edges(outage: Outage) -> list[tuple[str, float, str]]:
    start = ("start", outage.start_at, "began to fail")
    return [start, ("end", outage.end_at, "came back")] if outage.is_over else [start]


def _place(scenario: Scenario, region: str) -> str:
    """A region by its title; text already escaped."""
    known = scenario.cloud.regions.get(region)
    return text(region if known is None else known.title)
