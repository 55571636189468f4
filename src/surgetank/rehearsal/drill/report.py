"""The drill as a page: one file, no script, nothing fetched, fit for a screen, a phone and paper.

The first screen has the result in a sentence, the outage over time, hours of outage by who acts,
and what all of it rests on. Below stands everything that was measured, and how to read it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from surgetank.rehearsal.drill import report_chart as chart
from surgetank.rehearsal.drill import report_table as tables
from surgetank.rehearsal.drill.comparison import (
    Standing,
    median_run,
    replay_command,
    seated,
    standings,
)
from surgetank.rehearsal.drill.headline import headline
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.report_markup import Markup, tag
from surgetank.rehearsal.drill.report_style import style_sheet
from surgetank.rehearsal.drill.wording import count, number, percent, span
from surgetank.rehearsal.scenario.schema import Scenario, Seat

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Even what slipped through would fetch nothing and run nothing."""
_SECTIONS = {
    "outage": "The outage over time",
    "who": "Who acts",
    "rests": "What it rests on",
    "replay": "Play it again",
    "panels": "Each variant over time",
    "all": "All metrics",
    "published-times": "Published times",
    "expected": "What the scenario expects",
    "happened": "What happened when",
    "reading": "How to read this page, and what it does not show",
}


def render(
    scenario: Scenario,
    runs: Sequence[Run],
    result: Mapping[str, Any],
    *,
    command: str,
    source: str = "",
) -> str:
    """Make the page.

    Args:
        scenario: What was played.
        runs: At least one of each variant in `result`; those that it was built from.
        result: As `build_result` gives it.
        command: What was typed, to be typed again.
        source: The name or file that the scenario was read from; empty for its own name.

    Returns:
        A complete document of HTML, the same for the same drill.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("title", f"{scenario.title}: Surgetank drill"),
        tag("link", rel="icon", href="data:,"),
        tag("style", Markup(style_sheet())),
    )
    main = tag(
        "main",
        _outage(scenario, runs, result),
        tag("div", _who(result), _rests(scenario, result), class_="pair"),
        _replay(command, replay_command(scenario, result, source=source)),
        _panels(scenario, runs, result),
        _section("all", tables.metrics(result)),
        _section("published-times", _milestones(scenario, result)),
        _section("expected", tables.expectations(scenario, result)),
        _section("happened", tables.deeds(scenario, runs, result)),
        _section("reading", *_reading(scenario, result)),
    )
    foot = tag("footer", f"Surgetank, {result['schema']}, {scenario.name}.")
    body = tag("body", _header(scenario, runs, result), main, foot)
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _section(name: str, *children: Markup | None) -> Markup:
    return tag("section", tag("h2", _SECTIONS[name], id=name), *children, aria_labelledby=name)


def _header(scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any]) -> Markup:
    found = result["expectations"]
    met = sum(one["met"] for one in found)
    is_met = result["verdict"] == "met"
    verdict = tag(
        "b",
        f"verdict {'met' if is_met else 'NOT MET'}: {met} of {len(found)} expectations"
        if found
        else "no expectation is put to what was played",
        class_="good" if is_met else "bad",
    )
    assumed, total = scenario.figure_counts()
    seeds = len(result["seeds"])
    facts = (
        f" · {count(seeds, 'seed')}{', medians' if seeds > 1 else ''} · virtual clock · "
        f"scale {result['scale']} · {assumed} of {total} figures assumed"
    )
    links = (
        tag("li", tag("a", title.partition(",")[0], href=f"#{name}"))
        for name, title in _SECTIONS.items()
    )
    return tag(
        "header",
        tag("h1", f"{scenario.title}: the outage, and what each safeguard would have changed"),
        tag("p", headline(scenario, runs, result), class_="lead"),
        tag("p", verdict, facts, class_="facts"),
        tag("nav", tag("ul", *links), aria_label="On this page"),
    )


def _outage(scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any]) -> Markup:
    name = chart.shown_variant(result)
    run = median_run(runs, name)
    seeds = len(result["seeds"])
    which = (
        f"seed {run.seed}, the one in the middle of {seeds}" if seeds > 1 else f"seed {run.seed}"
    )
    hidden = len(scenario.cloud.regions) - chart.REGIONS_MAX
    more = f" {count(hidden, 'region')} with less outage of tokens not drawn." if hidden > 0 else ""
    caption = (
        f"{result['variants'][name]['title'].capitalize()} acting, {which}. Grey: published windows "
        "(a dashed line where only the start is known). Coloured bars: outages that emerged. "
        f"Dotted lines: what the scenario scripts. Five minutes a step.{more}"
    )
    drawing = chart.outage_chart(scenario, runs, result)
    return _section("outage", tag("figure", drawing, tag("figcaption", caption)))


def _who(result: Mapping[str, Any]) -> Markup:
    rows = standings(result)
    several = len(result["seeds"]) > 1
    spread = " Bars are medians, whiskers and brackets p5 to p95 over seeds." if several else ""
    own = (
        " * The cloud's: what you can save is yourself. VMs of your rows are your own creates."
        if any(row.is_own for row in rows)
        else ""
    )
    caption = (
        "Hours and minutes in outage: VMs, creates that failed or came late; tokens, in the region "
        f"where it took longest.{spread}{own}"
    )
    return _section("who", tag("figure", chart.bars(result), tag("figcaption", caption)))


def _rests(scenario: Scenario, result: Mapping[str, Any]) -> Markup:
    return _section("rests", tables.figures(scenario, result))


def _replay(command: str, one: str) -> Markup:
    return _section(
        "replay",
        tag("pre", tag("code", command), tabindex=0),
        tag("p", "The run most worth a second look, alone:"),
        tag("pre", tag("code", one), tabindex=0),
    )


def _panels(scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any]) -> Markup:
    drawn = chart.panels(scenario, runs, result)
    rows = [row for row in standings(result) if not row.is_beneath]
    panels = [
        tag("div", tag("h3", row.title), tag("p", _standing(row), class_="muted"), drawing)
        for row, drawing in zip(rows, drawn, strict=True)
    ]
    intro = (
        "One scale for all: the backlog's is the largest of any variant. Regions whose tokens were "
        "in outage in no variant are not drawn."
    )
    return _section("panels", tag("p", intro), tag("div", *panels, class_="panels"))


def _standing(row: Standing) -> str:
    whose = "your VMs" if row.is_own else "VMs"
    return (
        f"{whose} blocked {span(row.blocked_s.median)}, tokens down {span(row.tokens_s.median)}, "
        f"{percent(row.fresh_ratio.median)} in time"
    )


def _milestones(scenario: Scenario, result: Mapping[str, Any]) -> Markup:
    is_played = seated(result, Seat.NOBODY) is not None
    return tables.milestones(scenario, result, is_played=is_played)


def _reading(scenario: Scenario, result: Mapping[str, Any]) -> list[Markup]:
    notes = [*_terms(scenario), *_limits(scenario, result)]
    return [tag("ul", *(tag("li", tag("b", head), body) for head, body in notes))]


def _terms(scenario: Scenario) -> list[tuple[str, str]]:
    return [
        (
            "Emerged and scripted. ",
            (
                "The scenario scripts the trigger, the operators' acts and the fleet, nothing else. "
                "Outages come from queues, time-outs, retries and nodes that fail under load. Operators "
                "scale out or take traffic off only if tokens fail in the variant at hand. A milestone "
                "marked calibrated had a figure set so that it fits, and proves nothing."
            ),
        ),
        (
            "Outage. ",
            (
                "From the first of 3 windows in a row with fewer than 90% of first attempts good, to "
                "the first of 5 in a row above; a window is one minute, or longer until it holds 20 "
                "calls. A create counts from when it was asked for, and is good when done at the first "
                "try and in time: so an outage of creates may begin moments before its cause."
            ),
        ),
        (
            "Seat and share. ",
            (
                "Nobody: everyone retries as they do today. You: safeguards on your own "
                f"{percent(scenario.own_share)} of the load, nothing else changed. The issuer: "
                "admission at the door of the token service alone. Everybody: safeguards on the "
                "share that the scenario says. A customer cannot save the cloud, only itself."
            ),
        ),
        (
            "Time. ",
            (
                "All times are UTC. The services are the ones that run in production; only their "
                "clock and their network are virtual, so a seed gives the same run each time."
            ),
        ),
    ]


def _limits(scenario: Scenario, result: Mapping[str, Any]) -> list[tuple[str, str]]:
    assumed, total = scenario.figure_counts()
    seeds = len(result["seeds"])
    notes = [
        (
            "Assumed figures. ",
            f"{assumed} of {total} figures are assumed: vendors publish times, not rates. "
            + (
                "The table of figures says how far some can move before the verdict flips."
                if result["sensitivity"]
                else "How far each can move before the verdict flips was not tried in this drill."
            ),
        ),
        (
            "Scale. ",
            (
                f"The cloud is a replica at {result['scale']}: rates are divided, ratios kept. "
                "Where it sees few calls a minute, its times are coarser than a real cloud's."
            ),
        ),
        (
            "Seeds. ",
            "One seed is one possible course, not a range; play more to see the spread."
            if seeds == 1
            else f"p5 and p95 are nearest ranks over {seeds} seeds: with few seeds, the least and "
            "the most that were seen. They hold chance, not doubt about assumed figures.",
        ),
        (
            "A stand-in. ",
            (
                "This is no measurement of anybody's cloud. It shows what follows from the figures "
                "above; that published times come out near does not prove that the causes are right."
            ),
        ),
    ]
    own = _own_creates(result)
    if own is not None:
        notes.insert(2, ("Your row. ", own))
    return notes


def _own_creates(result: Mapping[str, Any]) -> str | None:
    name = seated(result, Seat.YOU)
    if name is None:
        return None
    summary = result["variants"][name]["summary"]
    mine, everyones = (
        number(summary[metric]["median"])
        for metric in ("own_operations_submitted", "operations_submitted")
    )
    return (
        f"Your figures come from {mine} creates among {everyones}: one create more or less moves "
        "them visibly. Your time blocked is sampled: each create stands until the next one. The row "
        "beneath is the same work of yours in the variant where nobody acts."
    )
