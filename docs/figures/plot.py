# ruff: noqa: INP001 - run from the root of the repository; part of no package
"""The drawings of the documentation, from runs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from docs.figures.drawing import Line, Mark, Panel, bars, over_time, scatter

from surgetank.rehearsal.drill.comparison import tokens_s
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.wording import percent, span
from surgetank.rehearsal.scenario.schema import Scenario

_BIN_S = 300.0
"""What is drawn over time is the mean of so long."""
_TONES = {
    "nobody": "orange",
    "everybody-steps": "muted",
    "everybody-governor": "blue",
    "everybody-mirror": "good",
}


def collapse(scenario: Scenario, nobody: Run, governed: Run, region: str) -> str:
    """Draw the queue and the speed of a region's token service, with and without the governor."""
    span_at = (_at(2, 23, 30), _at(3, 6, 30))

    def lines(column: str) -> list[Line]:
        return [
            Line(name, tone, _means(run, getattr(run.series.regions[region], column), span_at))
            for name, tone, run in (("nobody", "orange", nobody), ("governor", "blue", governed))
        ]

    queue, speed = lines("queue_s"), lines("live_ratio")
    most, calm = (max(value for _, value in line.points) for line in queue)
    least = min(value for _, value in speed[0].points)
    events = [Mark(at, f"{_clock(at)} {title}") for at, title, one in nobody.acted if one == region]
    timeout_s = scenario.cloud.client_timeout_s
    return over_time(
        "The token service of East US, with nobody acting and under the governor",
        f"Means of five minutes, UTC. With nobody acting the queue reaches {most:.0f} s and the "
        f"nodes fall to {percent(least)} of their speed, until traffic is taken off; under the "
        f"governor the queue reaches {calm:.0f} s.",
        [
            Panel(
                "seconds until a call that arrives would start",
                _ceiling(most, 30.0),
                30.0,
                queue,
                [Mark(timeout_s, f"clients give up after {timeout_s:g} s")],
            ),
            Panel("speed of the nodes, 1 is all that were there at the start", 1.6, 0.5, speed),
        ],
        span=span_at,
        events=sorted(events),
    )


def goodput(nobody: Run, governed: Run, region: str, *, capacity: float) -> str:
    """Draw what a region's token service was asked against what it answered in time."""
    began = nobody.outages.identity[region][0].start_at // _BIN_S * _BIN_S
    off = next((at for at, title, _ in nobody.acted if "traffic off" in title), began)
    end = nobody.series.at[-1]

    def points(run: Run, low: float, high: float) -> list[tuple[float, float]]:
        one = run.series.regions[region]
        answered = [
            tried - failed
            for tried, failed in zip(one.tokens_tried, one.tokens_failed, strict=True)
        ]
        asked = _means(run, one.tokens_offered, (low, high))
        given = dict(_means(run, answered, (low, high)))
        return [(x, given[at]) for at, x in asked]

    storm = points(nobody, began, off)
    clouds = [
        Line("governor, all night", "blue", points(governed, 0.0, end)),
        Line("nobody, before", "muted", points(nobody, 0.0, began)),
        Line(f"nobody, until {_clock(off)}", "orange", storm),
        Line("nobody, the ramp and after", "good", points(nobody, off, end)),
    ]
    most = max(x for cloud in clouds for x, _ in cloud.points)
    high = max(capacity * 1.15, *(y for cloud in clouds for _, y in cloud.points))
    asked, given = (sum(point[axis] for point in storm) / len(storm) for axis in (0, 1))
    return scatter(
        "What the token service of East US was asked, and what it answered in time",
        "Each point is the mean of five minutes. Before the repair and under the governor, what is "
        f"asked is answered. In the storm {asked:.0f} calls a minute arrive, {given:.1f} are "
        f"answered in time, and the nodes could do {capacity:.0f} if they were warm.",
        clouds,
        x=Mark(_ceiling(most, 10.0), "calls that arrive, a minute"),
        y=Mark(_ceiling(high, 5.0), "answered in time, a minute"),
        step=5.0,
        across=[Mark(capacity, "what all nodes can do when warm")],
    )


def backlog(scenario: Scenario, runs: Sequence[Run]) -> str:
    """Draw the creates that wait, of some variants."""
    span_at = (scenario.start.timestamp(), scenario.end.timestamp())
    lines = [
        Line(
            scenario.variants[run.variant].title,
            _TONES[run.variant],
            _means(run, run.series.backlog, span_at),
        )
        for run in runs
    ]
    most = max(value for line in lines for _, value in line.points)
    return over_time(
        "Creates that wait to be tried again, in all regions",
        f"Means of five minutes, UTC. The backlog reaches {most:.0f}; with a warm mirror in front "
        "of everybody there is none.",
        [Panel("operations that wait", _ceiling(most, 100.0), 100.0, lines)],
        span=span_at,
        height=190.0,
    )


def share(points: Sequence[tuple[float, Mapping[str, Any]]]) -> str:
    """Draw the outages by the share of the load that has all safeguards."""
    groups = [
        (
            percent(value),
            [
                (name, span(seconds), seconds / 3600)
                for name, seconds in (
                    ("creates blocked", metrics["provisioning_outage_s"]),
                    ("tokens down, the longer of both regions", tokens_s(metrics)),
                )
            ],
        )
        for value, metrics in points
    ]
    most = max(hours for _, some in groups for _, _, hours in some)
    return bars(
        "Outage by the share of the load under all safeguards",
        "; ".join(
            f"share {words}: " + ", ".join(f"{name} {said}" for name, said, _ in some)
            for words, some in groups
        ),
        groups,
        y=Mark(_ceiling(most, 2.0), "hours"),
        step=2.0,
    )


def _means(
    run: Run, values: Sequence[float], span_at: tuple[float, float]
) -> list[tuple[float, float]]:
    """Take the means of bins, by the instant at which each begins."""
    low, high = span_at
    bins: dict[float, list[float]] = {}
    before = [run.series.at[0] - 60.0, *run.series.at]
    for (at, _), value in zip(pairwise(before), values, strict=True):
        if low <= at < high:
            bins.setdefault(at // _BIN_S * _BIN_S, []).append(value)
    return [(at, sum(some) / len(some)) for at, some in bins.items()]


def _ceiling(value: float, step: float) -> float:
    return step * -int(-value // step)


def _at(day: int, hour: int, minute: int) -> float:
    return datetime(2026, 2, day, hour, minute, tzinfo=UTC).timestamp()


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M")
