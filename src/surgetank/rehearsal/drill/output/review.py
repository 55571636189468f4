"""The drill as a post-incident review, in Markdown: a skeleton that its figures have filled in.

Sections are those of public templates (Google's SRE workbook, Microsoft's post-incident reviews):
summary, impact, timeline, what would have changed, what was assumed, open questions, action items.
Trigger and causes are in the timeline, as scripted and emerged; who did well and who answered the
page is for people to write. Nothing in it depends on the machine or the hour.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from surgetank.rehearsal.drill.comparison import (
    Spread,
    judged,
    median_run,
    replay_command,
    seated,
    standings,
)
from surgetank.rehearsal.drill.headline import headline
from surgetank.rehearsal.drill.output import review_timeline
from surgetank.rehearsal.drill.output.markdown import block, code, table, text
from surgetank.rehearsal.drill.output.review_action import actions, flips, pairs, questions, what
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.wording import (
    NOTHING,
    count,
    observed,
    percent,
    plain,
    span,
)
from surgetank.rehearsal.scenario.schema import Figure, Scenario, Seat


def render(
    scenario: Scenario,
    runs: Sequence[Run],
    result: Mapping[str, Any],
    *,
    command: str,
    source: str = "",
) -> str:
    """Make the review.

    Args:
        scenario: What was played.
        runs: At least one of each variant in `result`; those that it was built from.
        result: As `build_result` gives it.
        command: What was typed, to be typed again.
        source: The name or file that the scenario was read from; empty for its own name.

    Returns:
        Markdown for GitHub, without HTML, the same for the same drill.
    """
    shown = median_run(runs, seated(result, Seat.NOBODY) or next(iter(result["variants"])))
    sections = {
        "Summary": _summary(scenario, runs, result),
        "Impact": _impact(result),
        "Timeline": review_timeline.lines(scenario, shown, result),
        "Who acts, and what it would have changed": _changes(scenario, result),
        "What was expected": _expected(scenario, result),
        "What was assumed": _assumed(scenario, result),
        "Open questions": questions(scenario, shown, result),
        "Action items": actions(scenario, result),
        "Play it again": _replay(command, replay_command(scenario, result, source=source)),
    }
    lines = [f"# Review of a drill: {text(scenario.title)}"]
    for title, body in sections.items():
        lines += ["", f"## {title}", "", *body]
    return "\n".join(lines) + "\n"


def _summary(scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any]) -> list[str]:
    found = result["expectations"]
    met = sum(one["met"] for one in found)
    word = "met" if result["verdict"] == "met" else "**NOT MET**"
    verdict = f"{word}, with {met} of {count(len(found), 'expectation')} met"
    seeds = ", ".join(map(str, result["seeds"]))
    start, end = (f"{at:%Y-%m-%d %H:%M}" for at in (scenario.start, scenario.end))
    return [
        text(headline(scenario, runs, result)),
        "",
        f"- Verdict: {verdict}." if found else "- No expectation is put to what was played.",
        f"- Scenario: {code(scenario.name)}, {start} to {end} UTC, scale {text(result['scale'])}.",
        f"- Seeds: {seeds}; figures are medians over them.",
        "- A rehearsal on a virtual clock: it measures a stand-in, and nobody's cloud.",
    ]


def _impact(result: Mapping[str, Any]) -> list[str]:
    head = ("who acts", "VM creates blocked", "tokens down", "creates in time", "done", "wasted")
    rows = [
        [
            f"↳ {text(row.title)}" if row.is_beneath else text(row.title),
            _over(row.blocked_s, span),
            _over(row.tokens_s, span),
            _over(row.fresh_ratio, percent),
            _over(row.done_ratio, percent),
            _over(row.wasted_ratio, percent),
        ]
        for row in standings(result)
    ]
    own = ["", "Creates of your rows are yours alone; tokens are always the cloud's."]
    return [*table(head, rows), *(own if any(row.is_own for row in standings(result)) else [])]


def _over(spread: Spread | None, write: Callable[[float | None], str]) -> str:
    if spread is None:
        return NOTHING
    median, low, high = map(write, spread)
    return median if low == high else f"{median} ({low} to {high})"


def _changes(scenario: Scenario, result: Mapping[str, Any]) -> list[str]:
    held = pairs(result)
    if not held:
        return ["Nothing to hold against one another: play nobody, and some variant, together."]
    return [
        f"- **{text(row.title)}** ({what(scenario.variants[row.name])}): "
        f"VM creates blocked {span(row.blocked_s.median)} instead of "
        f"{span(without.blocked_s.median)}, {percent(row.fresh_ratio.median)} of creates in time "
        f"instead of {percent(without.fresh_ratio.median)}, tokens down "
        f"{span(row.tokens_s.median)} instead of {span(without.tokens_s.median)}."
        for row, without in held
    ]


def _expected(scenario: Scenario, result: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            code(found["text"]),
            observed(one.metric, found["observed"]),
            "met" if found["met"] else "**NOT MET**",
        ]
        for one, found in judged(scenario, result)
    ]
    if not rows:
        return ["No expectation is put to what was played."]
    return table(("expectation", "observed", "verdict"), rows)


def _assumed(scenario: Scenario, result: Mapping[str, Any]) -> list[str]:
    assumed, total = scenario.figure_counts()
    hours = [entry for entry in scenario.timeline if entry.assumed is not None]
    moved = {one["figure"]: one for one in result["sensitivity"]}
    rows = [
        [code(name), plain(one.value), _range(one), flips(moved.get(name)), text(one.assumed)]
        for name, one in scenario.figures.items()
        if one.assumed is not None
    ]
    head = ("figure", "value", "may lie in", "verdict flips", "why assumed")
    shares = f"{assumed} of {total} figures and {len(hours)} of {len(scenario.timeline)} hours"
    lines = [f"{shares} are assumed: vendors publish times, not rates."]
    if rows:
        lines += ["", *table(head, rows)]
    if hours:
        lines += [
            "",
            *(f"- Hour of {text(one.title)}: {text(one.assumed or '')}." for one in hours),
        ]
    return lines


def _range(figure: Figure) -> str:
    return NOTHING if figure.range is None else " to ".join(plain(end) for end in figure.range)


def _replay(command: str, again: str) -> list[str]:
    return [*block([command]), "", "The run most worth a second look, alone:", "", *block([again])]
