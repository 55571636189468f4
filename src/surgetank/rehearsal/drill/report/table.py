"""The page's tables: captioned, with scoped headers, in boxes that scroll when they are wide."""

from collections.abc import Mapping, Sequence
from typing import Any

from surgetank.rehearsal.drill.comparison import judged, median_run
from surgetank.rehearsal.drill.output.direction import DIRECTIONS
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.report.markup import Markup, joined, tag, text
from surgetank.rehearsal.drill.wording import (
    NEVER,
    NOTHING,
    metric,
    observed,
    seconds_of,
    span,
    time_of_day,
)
from surgetank.rehearsal.scenario.schema import Scenario

_PLOTTED = "backlog_at"
"""A metric by instant, for plots: hundreds of rows would say less than the backlog's curve."""


def table(
    name: str, caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, class_: str = ""
) -> Markup:
    """Make a table whose first column heads its rows.

    Args:
        name: Unique on the page.
        caption: What it shows.
        head: Of the columns.
        rows: Each as long as `head`.
        class_: Of the box around it.
    """
    label = f"{name}-caption"
    body = [
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:]))
        for row in rows
    ]
    return tag(
        "div",
        tag(
            "table",
            tag("caption", tag("span", caption), id=label),
            tag("thead", tag("tr", *(tag("th", one, scope="col") for one in head))),
            tag("tbody", *body),
        ),
        class_=f"box {class_}".rstrip(),
        role="region",
        aria_labelledby=label,
        tabindex=0,
    )


def metrics(result: Mapping[str, Any]) -> Markup:
    """Give every metric of every variant, over seeds."""
    variants = result["variants"]
    several = len(result["seeds"]) > 1
    summaries = [one["summary"] for one in variants.values()]
    rows = [
        [_metric_head(name, key), *(_cell(one, name, key, several=several) for one in summaries)]
        for name, key in _measured(summaries)
    ]
    over = "median, and p5 to p95 below it where they differ" if several else "one seed"
    head = ["metric", *(one["title"] for one in variants.values())]
    return table("metrics", f"All metrics by variant: {over}", head, rows, class_="sticky")


def milestones(scenario: Scenario, result: Mapping[str, Any], *, is_played: bool) -> Markup:
    """Hold published times against those that emerged."""
    rows = [_milestone(scenario, row, is_played=is_played) for row in result["milestones"]]
    head = ["milestone", "published", "here, median", "p5", "p95", "difference", "kind", "source"]
    return table("milestones", "Published milestones, and the drill with nobody acting", head, rows)


def expectations(scenario: Scenario, result: Mapping[str, Any]) -> Markup:
    """List what the scenario expects, and what was seen."""
    rows = [
        [found["text"], observed(one.metric, found["observed"]), _met(is_met=found["met"])]
        for one, found in judged(scenario, result)
    ]
    met = sum(found["met"] for found in result["expectations"])
    caption = f"{met} of {len(rows)} expectations met"
    return table("expectations", caption, ["expectation", "observed", "met"], rows)


def deeds(scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any]) -> Markup:
    """List what struck and who acted when, side by side for all variants."""
    chosen = [median_run(runs, name) for name in result["variants"]]
    times = [{(title, region): at for at, title, region in reversed(run.acted)} for run in chosen]
    first: dict[tuple[str, str], float] = {}
    for found in times:
        for key, at in found.items():
            first[key] = min(at, first.get(key, at))
    rows = [
        [
            _deed(scenario, *key),
            *(time_of_day(found[key], scenario) if key in found else NOTHING for found in times),
        ]
        for key in sorted(first, key=lambda key: (first[key], key))
    ]
    head = ["what", *(one["title"] for one in result["variants"].values())]
    caption = f"What happened when, UTC; {NOTHING} where there was no cause"
    return table("deeds", caption, head, rows, class_="sticky")


def _measured(summaries: Sequence[Mapping[str, Any]]) -> list[tuple[str, str | None]]:
    """List metrics in order; of a mapping, every key that any variant has."""
    found: list[tuple[str, str | None]] = []
    for name in summaries[0]:
        if name == _PLOTTED:
            continue
        if _is_spread(summaries[0][name]):
            found.append((name, None))
            continue
        found += [(name, key) for key in sorted({key for one in summaries for key in one[name]})]
    return found


def _is_spread(summary: Mapping[str, Any]) -> bool:
    return "median" in summary and not isinstance(summary["median"], Mapping)


def _metric_head(name: str, key: str | None) -> Markup:
    shown = name if key is None else f"{name}@{key}"
    direction = DIRECTIONS.get(name)
    # A long name may break after an underscore, and nowhere else.
    first, *others = shown.split("_")
    code = joined([first, *(joined(["_", tag("wbr"), word]) for word in others)])
    return joined([tag("code", code), tag("small", direction.meaning) if direction else None])


def _cell(summary: Mapping[str, Any], name: str, key: str | None, *, several: bool) -> Markup:
    spread = summary[name] if key is None else summary[name].get(key)
    if spread is None:
        return text(NEVER)
    median, low, high = (metric(name, spread[share]) for share in ("median", "p5", "p95"))
    return joined(
        [
            median,
            tag("small", f"{low} to {high}" if "-" in low else f"{low}-{high}")
            if several and low != high
            else None,
        ]
    )


def _milestone(scenario: Scenario, row: Mapping[str, Any], *, is_played: bool) -> list[str]:
    published = seconds_of(row["published"])
    also = row.get("also", ())
    clocks = _listed([time_of_day(at, scenario) for at in (published, *_times(also, "published"))])
    sources = _listed([row["source"], *(one["source"] for one in also)])
    if row["kind"] == "scripted" or not is_played:
        kind = "scripted" if row["kind"] == "scripted" else "not played"
        return [row["name"], clocks, NOTHING, NOTHING, NOTHING, NOTHING, kind, sources]
    times = [seconds_of(row[key]) for key in ("median", "p5", "p95")]
    here = [time_of_day(at, scenario) for at in times]
    kind = row["kind"] if here[0] != NEVER else "did not come about"
    differences = [_difference(at, times[0]) for at in (published, *_times(also, "published"))]
    return [row["name"], clocks, *here, _listed(differences), kind, sources]


def _times(rows: Sequence[Mapping[str, Any]], key: str) -> list[float | None]:
    return [seconds_of(row[key]) for row in rows]


def _listed(lines: Sequence[str]) -> Markup:
    """Put what one review says above what the others do."""
    first, *others = lines
    return joined([first, *(tag("div", one) for one in others)])


def _difference(published: float | None, here: float | None) -> str:
    if published is None or here is None:
        return NOTHING
    word = "later" if here > published else "earlier"
    return f"{span(abs(here - published))} {word}"


def _met(*, is_met: bool) -> Markup:
    return tag("b", "yes" if is_met else "NO", class_="good" if is_met else "bad")


def _deed(scenario: Scenario, title: str, region: str) -> Markup:
    if region in scenario.cloud.regions:
        place = scenario.cloud.regions[region].title
    else:
        struck = next((one.regions for one in scenario.timeline if one.title == title), ())
        place = ", ".join(scenario.cloud.regions[one].title for one in struck)
    return joined([title, tag("small", place)])
