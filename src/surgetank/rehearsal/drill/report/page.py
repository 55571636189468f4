"""The page, put together: what it shows, in which order.

The first screen has the result in a sentence, the outage over time, hours of outage by who acts,
what all of it rests on, and the command that plays it again. Below stands everything that was
measured, and how to read it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from surgetank.rehearsal.drill.comparison import Standing, median_run, replay_command, seated
from surgetank.rehearsal.drill.headline import headline
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.report import bars, chart, choice, figures, script, telling
from surgetank.rehearsal.drill.report import table as tables
from surgetank.rehearsal.drill.report.curve import curves
from surgetank.rehearsal.drill.report.markup import Markup, joined, tag
from surgetank.rehearsal.drill.report.notes import notes
from surgetank.rehearsal.drill.report.payload import data
from surgetank.rehearsal.drill.report.style import style_sheet
from surgetank.rehearsal.drill.wording import count, percent, span
from surgetank.rehearsal.scenario.schema import Scenario, Seat


class _Section(NamedTuple):
    """A part of the page below its first screen."""

    name: str
    title: str
    content: Markup | None
    """None where there is nothing to show; then the part is left out."""
    is_scripted: bool = False
    """Whether it stays hidden until a script has filled it."""


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
    replay = _replay(command, replay_command(scenario, result, source=source))
    rests = _part("rests", "What it rests on", figures.rests(scenario, result))
    first = tag(
        "div",
        tag("div", _outage(scenario, runs, result), replay),
        tag("div", _who(result), rests),
        class_="first",
    )
    sections = [one for one in _sections(scenario, runs, result) if one.content is not None]
    below = [
        _part(one.name, one.title, one.content, hidden="" if one.is_scripted else None)
        for one in sections
    ]
    scripts = script.scripts(script.vendor())
    styles = [style_sheet(), *script.styles(script.vendor())]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=script.policy(scripts, styles)),
        tag("title", f"{scenario.title}: Surgetank drill"),
        tag("link", rel="icon", href="data:,"),
        *(tag("style", Markup(one)) for one in styles),
    )
    body = tag(
        "body",
        _header(scenario, runs, result, sections),
        tag("main", first, *below),
        tag("footer", f"Surgetank, {result['schema']}, {scenario.name}."),
        data(scenario, runs, result),
        script.inlined(scripts),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _sections(scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any]) -> list[_Section]:
    is_played = seated(result, Seat.NOBODY) is not None
    every = figures.every(scenario) if result["sensitivity"] else None
    return [
        _Section("timelines", "Timelines", Markup(), is_scripted=True),
        _Section("panels", "Each variant over time", _panels(scenario, runs, result)),
        _Section(
            "operations", "Operations, one by one", telling.operations(scenario, runs, result)
        ),
        _Section("governed", "What governors held back", telling.governors(scenario, runs, result)),
        _Section("all", "All metrics", tables.metrics(result)),
        _Section(
            "published-times",
            "Published times",
            tables.milestones(scenario, result, is_played=is_played),
        ),
        _Section("expected", "What the scenario expects", tables.expectations(scenario, result)),
        _Section("happened", "What happened when", tables.deeds(scenario, runs, result)),
        _Section("every-figure", "All figures", every),
        _Section(
            "reading",
            "How to read this page, and what it does not show",
            notes(scenario, result),
        ),
    ]


def _part(name: str, title: str, *children: Markup | None, hidden: str | None = None) -> Markup:
    heading = tag("h2", title, id=name)
    return tag("section", heading, *children, aria_labelledby=name, class_=name, hidden=hidden)


def _header(
    scenario: Scenario,
    runs: Sequence[Run],
    result: Mapping[str, Any],
    sections: Sequence[_Section],
) -> Markup:
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
        tag(
            "li",
            tag("a", one.title.partition(",")[0], href=f"#{one.name}"),
            hidden="" if one.is_scripted else None,
        )
        for one in sections
    )
    return tag(
        "header",
        tag("h1", f"{scenario.title}: the outage, and what each safeguard would have changed"),
        tag("p", headline(scenario, runs, result), class_="lead"),
        tag("p", verdict, facts, class_="facts"),
        tag("nav", tag("ul", *links), aria_label="On this page"),
    )


def _outage(scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any]) -> Markup:
    name = choice.shown_variant(result)
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
    return _part(
        "outage", "The outage over time", tag("figure", drawing, tag("figcaption", caption))
    )


def _who(result: Mapping[str, Any]) -> Markup:
    several = len(result["seeds"]) > 1
    spread = " Medians, whiskers p5 to p95 over seeds." if several else ""
    own = (
        " * The cloud's: what you can save is yourself; VMs of your rows are your own creates."
        if any(row.is_own for row in choice.rows(result))
        else ""
    )
    caption = (
        "Hours and minutes in outage: creates that failed or came late; tokens, in the region where "
        f"it took longest. In time: creates done by their deadline.{spread}{own}"
    )
    figure = tag("figure", bars.bars(result), tag("figcaption", caption))
    return _part("who", "Who acts", figure, *curves(result))


def _replay(command: str, one: str) -> Markup:
    return _part(
        "replay",
        "Play it again",
        tag(
            "pre",
            tag("code", command),
            tabindex=0,
            role="group",
            aria_label="The command of this drill",
        ),
        tag("p", "The run most worth a second look, alone:"),
        tag("pre", tag("code", one), tabindex=0, role="group", aria_label="The command of one run"),
    )


def _panels(scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any]) -> Markup:
    rows = [row for row in choice.rows(result) if not row.is_beneath]
    drawn = chart.panels(scenario, runs, result, [row.name for row in rows])
    panels = [
        tag("div", tag("h3", row.title), tag("p", _standing(row), class_="muted"), drawing)
        for row, drawing in zip(rows, drawn, strict=True)
    ]
    intro = (
        "One scale for all: the backlog's is the largest of any variant. Regions whose tokens were "
        "in outage in no variant are not drawn."
    )
    return joined([tag("p", intro), tag("div", *panels, class_="multiples")])


def _standing(row: Standing) -> str:
    whose = "your VMs" if row.is_own else "VMs"
    return (
        f"{whose} blocked {span(row.blocked_s.median)}, tokens down {span(row.tokens_s.median)}, "
        f"{percent(row.fresh_ratio.median)} in time"
    )
