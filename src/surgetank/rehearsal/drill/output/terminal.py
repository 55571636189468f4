"""The drill on the terminal: milestones, who acts, and the verdict, in 80 columns or fewer.

The text says the same with and without colour. Nothing in it depends on the machine or the hour:
equal drills give equal text. Words of a scenario file cannot steer the terminal.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from surgetank.rehearsal.drill.comparison import Standing, judged, replay_command, seated, standings
from surgetank.rehearsal.drill.output.assumption import assumptions
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.wording import (
    NEVER,
    NOTHING,
    count,
    number,
    observed,
    percent,
    printable,
    seconds_of,
    span,
    time_of_day,
)
from surgetank.rehearsal.quantile import quantile
from surgetank.rehearsal.scenario.event import Entry, ScaleOut, TrafficOff
from surgetank.rehearsal.scenario.schema import Scenario, Seat

WIDTH_MIN = 60
WIDTH_MAX = 200

_SCRIPTED = "scripted"
_KIND_STYLES = {"EMERGED": "bold green", "CALIBRATED": "bold yellow", "if needed": "dim"}
_WHO_COLUMNS = (("VMs blocked", 11), ("tokens down", 11), ("fresh", 6), ("done", 6), ("wasted", 6))


class _Line(NamedTuple):
    """One line of the milestones table."""

    at: float
    clock: str
    name: str
    published: str
    here: str
    kind: str


def render(
    scenario: Scenario,
    result: Mapping[str, Any],
    *,
    runs: Sequence[Run] = (),
    width: int = 80,
    report: object | None = None,
    source: str = "",
) -> Text:
    """Say what the drill found.

    Args:
        scenario: What was played.
        result: As `build_result` gives it.
        runs: Those that `result` was built from, to say when operators acted and how long tokens
            stayed away after it; without them, acts are listed as scripted.
        width: Columns to keep to, from `WIDTH_MIN` to `WIDTH_MAX`; others are brought within.
            Long names are cut; commands and paths are not, so that they can be copied.
        report: Where the page was written; None when it was not.
        source: The name or file that the scenario was read from; empty for its own name.

    Returns:
        Lines with styles, ending without a line break.
    """
    columns = max(WIDTH_MIN, min(width, WIDTH_MAX))
    blocks = [
        [_heading(scenario, result), *_milestones(scenario, runs, result, columns)],
        _who_acts(result, columns),
        _closing(scenario, result, columns, report, source),
    ]
    blank = Text("")
    lines = [line for block in blocks for line in (*block, blank)]
    return Text("\n").join(lines[:-1])


def _heading(scenario: Scenario, result: Mapping[str, Any]) -> Text:
    seeds = count(len(result["seeds"]), "seed")
    facts = f" · virtual clock · {seeds} · scale {result['scale']}"
    return Text.assemble((printable(scenario.title), "bold"), facts)


def _milestones(
    scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any], width: int
) -> list[Text]:
    nobody = seated(result, Seat.NOBODY)
    watched = [run for run in runs if run.variant == nobody]
    lines = [
        _milestone(scenario, row, is_played=nobody is not None) for row in result["milestones"]
    ]
    known = {row["name"] for row in result["milestones"] if row["kind"] == _SCRIPTED}
    shown = nobody or next(iter(result["variants"]))
    lines += [
        _entry(scenario, one, watched)
        for one in scenario.timeline
        if one.title not in known and one.is_of(shown)
    ]
    lines.sort(key=lambda line: line.at)
    several = len(result["seeds"]) > 1
    head = "here (median, p5-p95)" if several else "here"
    clocks = max((cell_len(line.clock) for line in lines), default=5)
    heres = max([cell_len(head), *(cell_len(line.here) for line in lines)])
    published = max([9, *(cell_len(line.published) for line in lines)])
    room = width - clocks - heres - published - 10 - 8
    names = min(room, max((cell_len(line.name) for line in lines), default=0))
    sizes = (clocks, names, published, heres)
    table = [_row(("UTC", "", "published", head), sizes, style="dim")]
    table[0].rstrip()
    for line in lines:
        row = _row((line.clock, line.name, line.published, line.here), sizes)
        if line.kind:
            row.append("  ").append(line.kind, _KIND_STYLES.get(line.kind, ""))
        row.rstrip()
        table.append(row)
    return table


def _milestone(scenario: Scenario, row: Mapping[str, Any], *, is_played: bool) -> _Line:
    at = seconds_of(row["published"])
    assert at is not None, "a milestone has a published time"
    clock, name = time_of_day(at, scenario), printable(row["name"])
    also = [time_of_day(seconds_of(said["published"]), scenario) for said in row.get("also", ())]
    published = "/".join([clock, *also])
    if row["kind"] == _SCRIPTED:
        return _Line(at, clock, name, published, _SCRIPTED, "")
    if not is_played:
        return _Line(at, "", name, published, "not played", "")
    median, low, high = (
        time_of_day(seconds_of(row[key]), scenario) for key in ("median", "p5", "p95")
    )
    here = median if low == high else f"{median} ({low}-{high})"
    kind = "" if median == NEVER else row["kind"].upper()
    return _Line(at, "", name, published, here, kind)


def _entry(scenario: Scenario, entry: Entry, watched: Sequence[Run]) -> _Line:
    at = entry.at.timestamp()
    clock, name = time_of_day(at, scenario), printable(entry.title)
    published = "assumed" if entry.source is None else clock
    if entry.when is None or not watched:
        return _Line(at, clock, name, published, _SCRIPTED, "")
    return _Line(at, clock, name, published, _deed(scenario, entry, watched), "if needed")


def _deed(scenario: Scenario, entry: Entry, watched: Sequence[Run]) -> str:
    """Say when operators did what they do only on a cause, and how long tokens then stayed away."""
    done = [_first_done(run, entry) for run in watched]
    times = [at for at in done if at is not None]
    if not times:
        return "not needed"
    if len(times) < len(done):
        return f"in {len(times)} of {len(done)} seeds"
    clock = time_of_day(quantile(times, 0.5), scenario)
    if not isinstance(entry.act, ScaleOut | TrafficOff):
        return clock
    waits = [_back_s(run, entry) for run in watched]
    wait_s = quantile(waits, 0.5)
    return f"{clock}, never back" if wait_s is None else f"{clock}, back {span(wait_s)} later"


def _first_done(run: Run, entry: Entry) -> float | None:
    return min((at for at, title, _ in run.acted if title == entry.title), default=None)


def _back_s(run: Run, entry: Entry) -> float | None:
    """Seconds from the act until tokens were back wherever it was done; None when never."""
    waits = [0.0]
    for at, title, region in run.acted:
        if title != entry.title:
            continue
        for outage in run.outages.identity.get(region, []):
            if outage.start_at <= at < outage.end_at:
                if not outage.is_over:
                    return None
                waits.append(outage.end_at - at)
    return max(waits)


def _who_acts(result: Mapping[str, Any], width: int) -> list[Text]:
    rows = standings(result)
    room = width - sum(size + 2 for _, size in _WHO_COLUMNS)
    head = "WHO ACTS (medians)" if len(result["seeds"]) > 1 else "WHO ACTS"
    names = min(room, max(cell_len(text) for text in (head, *map(_title, rows))))
    sizes = (names, *(size for _, size in _WHO_COLUMNS))
    table = [_row((head, *(name for name, _ in _WHO_COLUMNS)), sizes, style="bold")]
    for row in rows:
        style = "dim" if row.is_beneath else ""
        line = _row((_title(row), *_cells(row)), sizes, style)
        line.rstrip()
        table.append(line)
    own = next((row for row in rows if row.is_own), None)
    if own is not None:
        table += [Text(line, "dim") for line in _own_note(result, own, width)]
    return table


def _title(row: Standing) -> str:
    return f"  {row.title}" if row.is_beneath else printable(row.title)


def _cells(row: Standing) -> tuple[str, ...]:
    tokens = span(row.tokens_s.median)
    return (
        span(row.blocked_s.median),
        f"{tokens} *" if row.is_own else tokens,
        percent(row.fresh_ratio.median),
        NOTHING if row.done_ratio is None else percent(row.done_ratio.median),
        NOTHING if row.wasted_ratio is None else percent(row.wasted_ratio.median),
    )


def _own_note(result: Mapping[str, Any], own: Standing, width: int) -> Iterator[str]:
    summary = result["variants"][own.name]["summary"]
    mine, everyones = (
        number(summary[name]["median"])
        for name in ("own_operations_submitted", "operations_submitted")
    )
    note = (
        f"* the cloud's; what you can save is yourself: VMs blocked and fresh are of your {mine} "
        f"creates among {everyones}, each of which stands until the next"
    )
    yield from textwrap.wrap(note, width, subsequent_indent="  ")


def _closing(
    scenario: Scenario, result: Mapping[str, Any], width: int, report: object | None, source: str
) -> list[Text]:
    text = printable(assumptions(scenario, result))
    lines = [Text(line) for line in textwrap.wrap(text, width, subsequent_indent="  ")]
    lines.append(_verdict(result))
    for expectation, found in judged(scenario, result):
        if not found["met"]:
            value = observed(expectation.metric, found["observed"])
            text = f"not met: {printable(found['text'])}; observed {value}"
            wrapped = textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="    ")
            lines += [Text(line, "red") for line in wrapped]
    again = replay_command(scenario, result, source=source)
    lines.append(Text(f"replay: {printable(again)}"))
    if report is not None:
        lines.append(Text(f"report: {printable(str(report))}"))
    return lines


def _verdict(result: Mapping[str, Any]) -> Text:
    found = result["expectations"]
    if not found:
        return Text("no expectation is put to what was played", "yellow")
    met = sum(one["met"] for one in found)
    is_met = result["verdict"] == "met"
    word = "verdict met" if is_met else "verdict NOT MET"
    style = "bold green" if is_met else "bold red"
    return Text.assemble(f"expectations {met}/{len(found)} met · ", (word, style))


def _row(cells: Sequence[str], sizes: Sequence[int], style: str = "") -> Text:
    """Set cells in columns two spaces apart, each cut or filled to its size."""
    fitted = (_fit(cell, size) for cell, size in zip(cells, sizes, strict=True))
    return Text("  ".join(fitted), style)


def _fit(text: str, size: int) -> str:
    if cell_len(text) <= size:
        return set_cell_size(text, size)
    return set_cell_size(text, size - 1) + "…"
