"""The page's drawings over time: the outage with nobody acting, and one panel a variant.

The first is drawn twice, for wide and for narrow screens; the style sheet shows one of the two.
Where there are several seeds, a drawing over time shows the seed in the middle, and says so.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from surgetank.rehearsal.drill.comparison import median_run
from surgetank.rehearsal.drill.outage import Outage
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.report.choice import shown_variant
from surgetank.rehearsal.drill.report.drawing import (
    CHARACTER,
    Event,
    Frame,
    Lane,
    Level,
    cut,
    svg,
    timeline,
)
from surgetank.rehearsal.drill.report.markup import Markup, joined, tag
from surgetank.rehearsal.drill.report.style import region_tone
from surgetank.rehearsal.drill.series import EVERY_S, Series
from surgetank.rehearsal.drill.wording import number, span, time_of_day
from surgetank.rehearsal.scenario.schema import Scenario

REGIONS_MAX = 8
"""Regions with a lane of their own; those with the longest outage of tokens come first."""
PANEL_REGIONS_MAX = 3
BUCKET_ROWS = 5
"""Minutes that are drawn as one: at night a replica sees two or three calls a minute."""
_FAILING_RATIO = 0.1
_PANEL_WIDTH = 344.0


class Screen(NamedTuple):
    """A size to draw for."""

    name: str
    width: float
    left: float
    right: float


_WIDE = Screen("wide", 800, 152, 8)
_NARROW = Screen("narrow", 356, 0, 6)
_LANE = 46.0
_QUIET_LANE = 14.0


def outage_chart(scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any]) -> Markup:
    """Draw the variant where nobody acts (or the first one played) from start to end."""
    name = shown_variant(result)
    run = median_run(runs, name)
    lanes = [
        _reads_lane(run.series),
        _creates_lane(scenario, run),
        *(_tokens_lane(scenario, run, region) for region in _regions(scenario, run)),
    ]
    events = _events(scenario, run)
    title = f"{scenario.title}: {result['variants'][name]['title']}, seed {run.seed}"
    description = ". ".join(
        f"{one.title}, {one.subtitle}: {one.note or 'no outage'}" for one in lanes
    )

    def draw(screen: Screen) -> Markup:
        frame = _frame(scenario, screen)
        height, parts = timeline(frame, lanes, events)
        return svg(
            f"outage-{screen.name}",
            title,
            description,
            size=(screen.width, height),
            parts=parts,
            # Where time lies, for a script that reads off what the mouse is over.
            data_left=screen.left,
            data_right=screen.right,
        )

    return _both(draw, _WIDE, _NARROW)


def panels(
    scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any], names: Sequence[str]
) -> list[Markup]:
    """Draw a small timeline of each variant named, all to one scale."""
    chosen = {name: median_run(runs, name) for name in names}
    peak = max([1, *(max(run.series.backlog, default=0) for run in chosen.values())])
    regions = panel_regions(scenario, list(chosen.values()))
    drawn: list[Markup] = []
    for name, run in chosen.items():
        lanes = [
            _backlog_lane(run.series, peak, height=46),
            *(_panel_tokens_lane(scenario, run, region) for region in regions),
        ]
        frame = _frame(scenario, Screen("panel", _PANEL_WIDTH, 0, 6))
        height, parts = timeline(frame, lanes, [])
        title = f"{result['variants'][name]['title']}, seed {run.seed}"
        found = "; ".join(f"{one.title}: {one.subtitle}" for one in lanes)
        size = (_PANEL_WIDTH, height)
        drawn.append(svg(f"panel-{name}", title, found, size=size, parts=parts))
    return drawn


def panel_regions(scenario: Scenario, runs: Sequence[Run]) -> list[str]:
    """Name the regions with the longest outages of tokens in any of the runs, in order."""

    def outage_s(region: str) -> float:
        return max(_token_outage_s(run, region) for run in runs)

    regions = list(scenario.cloud.regions)
    kept = sorted(regions, key=lambda region: -outage_s(region))[:PANEL_REGIONS_MAX]
    return [region for region in regions if region in kept and outage_s(region) > 0]


def _frame(scenario: Scenario, screen: Screen) -> Frame:
    start_at, end_at = scenario.start.timestamp(), scenario.end.timestamp()
    return Frame(screen.width, screen.left, screen.right, start_at, end_at)


def _both(draw: Callable[[Screen], Markup], wide: Screen, narrow: Screen) -> Markup:
    return joined(tag("div", draw(one), class_=f"chart {one.name}") for one in (wide, narrow))


def _regions(scenario: Scenario, run: Run) -> list[str]:
    """Name the regions to draw, in the scenario's order."""
    regions = list(scenario.cloud.regions)
    kept = sorted(regions, key=lambda region: -_token_outage_s(run, region))[:REGIONS_MAX]
    return [region for region in regions if region in kept]


def _token_outage_s(run: Run, region: str) -> float:
    return sum(one.end_at - one.start_at for one in run.outages.identity.get(region, []))


def _events(scenario: Scenario, run: Run) -> list[Event]:
    """List what happened, with one act in several regions in the same minute as one."""
    found: dict[str, Event] = {}
    for at, title, _ in run.acted:
        label = f"{time_of_day(at, scenario)} {title}"
        found.setdefault(label, Event(at, cut(label, 40 * CHARACTER)))
    return list(found.values())


def _buckets(series: Series) -> list[tuple[float, float, slice]]:
    rows = range(0, len(series.at), BUCKET_ROWS)
    return [
        (
            series.at[row - 1] if row else series.at[0] - EVERY_S,
            series.at[last],
            slice(row, last + 1),
        )
        for row in rows
        for last in (min(row + BUCKET_ROWS, len(series.at)) - 1,)
    ]


def _reads_lane(series: Series) -> Lane:
    refused = [
        sum(row)
        for row in zip(*(one.reads_refused for one in series.regions.values()), strict=True)
    ]
    found = [
        (start, end, sum(refused[rows]) / len(refused[rows]))
        for start, end, rows in _buckets(series)
    ]
    top = max([1.0, *(rate for _, _, rate in found)])
    levels = [Level(start, end, rate / top) for start, end, rate in found]
    return Lane("Reads refused", "a minute", "reads", _LANE, levels, f"{top:.0f}")


def _creates_lane(scenario: Scenario, run: Run) -> Lane:
    backlog = run.series.backlog
    lane = _backlog_lane(run.series, max([1, *backlog]), height=_LANE)
    published = _published(scenario, "provisioning_outage", None)
    found = run.outages.provisioning
    note = _note(scenario, found, published)
    return lane._replace(
        title="VM creates", subtitle="waiting", outages=found, published=published, note=note
    )


def _backlog_lane(series: Series, top: int, *, height: float) -> Lane:
    backlog = series.backlog
    levels = [Level(start, end, max(backlog[rows]) / top) for start, end, rows in _buckets(series)]
    subtitle = f"peak {number(max(backlog, default=0))}"
    return Lane("Backlog", subtitle, "creates", height, levels, number(top))


def _tokens_lane(scenario: Scenario, run: Run, region: str) -> Lane:
    found = run.outages.identity.get(region, [])
    published = _published(scenario, "identity_outage", region)
    note = _note(scenario, found, published)
    is_quiet = not note and not _ever_failed(run.series, region)
    return Lane(
        f"Tokens, {scenario.cloud.regions[region].title}",
        "share that failed",
        _tone(scenario, region),
        _QUIET_LANE if is_quiet else _LANE,
        _token_levels(run.series, region),
        "" if is_quiet else "100%",
        found,
        published,
        note,
    )


def _panel_tokens_lane(scenario: Scenario, run: Run, region: str) -> Lane:
    title = scenario.cloud.regions[region].title
    found = run.outages.identity.get(region, [])
    said = f"in outage {span(_token_outage_s(run, region))}" if found else "no outage"
    levels = _token_levels(run.series, region)
    return Lane(f"Tokens failed, {title}", said, _tone(scenario, region), 30, levels, "100%")


def _tone(scenario: Scenario, region: str) -> str:
    return region_tone(list(scenario.cloud.regions).index(region))


def _token_levels(series: Series, region: str) -> list[Level]:
    levels: list[Level] = []
    for start, end, rows in _buckets(series):
        tried = sum(series.regions[region].tokens_tried[rows])
        failed = sum(series.regions[region].tokens_failed[rows])
        levels.append(Level(start, end, failed / tried if tried else None))
    return levels


def _ever_failed(series: Series, region: str) -> bool:
    return any((one.share or 0.0) >= _FAILING_RATIO for one in _token_levels(series, region))


def _published(
    scenario: Scenario, what: str, region: str | None
) -> tuple[float | None, float | None]:
    """Give the published start and end of an outage, where there are any."""
    place = "" if region is None else f"@{region}"
    times = {one.measure: one.at.timestamp() for one in scenario.published}
    return times.get(f"{what}.start{place}"), times.get(f"{what}.end{place}")


def _note(
    scenario: Scenario, found: Sequence[Outage], published: tuple[float | None, float | None]
) -> str:
    spans = [
        f"{time_of_day(one.start_at, scenario)}-"
        + (time_of_day(one.end_at, scenario) if one.is_over else "the end")
        for one in found
    ]
    parts = [f"outage {', '.join(spans)}"] if spans else []
    start, end = published
    if start is not None:
        began = time_of_day(start, scenario)
        when = f"from {began}" if end is None else f"{began}-{time_of_day(end, scenario)}"
        parts.append(f"{'published' if parts else 'no outage here; published'} {when}")
    return " · ".join(parts)
