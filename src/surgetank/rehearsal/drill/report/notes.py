"""How to read the page, and what it does not show."""

from collections.abc import Mapping
from typing import Any

from surgetank.rehearsal.drill.comparison import seated
from surgetank.rehearsal.drill.report.markup import Markup, tag
from surgetank.rehearsal.drill.wording import number, percent
from surgetank.rehearsal.scenario.schema import Scenario, Seat


def notes(scenario: Scenario, result: Mapping[str, Any]) -> Markup:
    """List what the words mean, and what the figures cannot say."""
    found = [*_terms(scenario), *_limits(scenario, result)]
    return tag("ul", *(tag("li", tag("b", head), body) for head, body in found), class_="notes")


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
                "what its own operators or its own door could have done, and nobody else. Everybody: "
                "safeguards on the share that the scenario says. A customer cannot save the cloud, only itself."
            ),
        ),
        (
            "Time. ",
            (
                "All times are UTC. The services are the ones meant to run in production; only their "
                "clock and their network are virtual, so a seed gives the same run each time."
            ),
        ),
    ]


def _limits(scenario: Scenario, result: Mapping[str, Any]) -> list[tuple[str, str]]:
    assumed, total = scenario.figure_counts()
    seeds = len(result["seeds"])
    found = [
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
        found.insert(2, ("Your row. ", own))
    return found


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
