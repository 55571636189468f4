"""A drain bench as one drawing: each law's ratios over the worlds, and one run second by second."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import ceil
from typing import TypeVar
from xml.etree import ElementTree as ET

from surgetank.rehearsal.drain.bench import Second, Timeline
from surgetank.rehearsal.drain.document import RATIO_MAX, Document, LawResult
from surgetank.rehearsal.drain.drawing import (
    LINE,
    WIDTH,
    Frame,
    Line,
    Point,
    dots,
    legend,
    number,
    rule,
    scale_step,
    steps,
    svg,
    words,
)
from surgetank.rehearsal.drain.terminal import percent

BINS_MAX = 200
"""Bins of a timeline; each is the mean of its seconds."""
_PAD = 12.0
_LEFT, _RIGHT = 190.0, WIDTH - 150.0
"""Of the ratios: names stand on the left, figures on the right."""
_ROW = 22.0
_BEYOND = 10.0
"""Pixels to the right of all ratios, where worlds that were not drained are drawn."""
_JITTER = (0, 4, -4, 2, -2, 5, -5, 1, -1, 3, -3)
"""Pixels by which dots are moved up and down, so that equal ones can be told apart."""
_RATIO_MIN = 0.95
_TICKS = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0, RATIO_MAX)
_PANEL = 86.0
_PANEL_LEFT = 90.0
T = TypeVar("T")


def render(document: Document, timeline: Timeline | None = None) -> str:
    """Draw a bench.

    Args:
        document: What came of it.
        timeline: One run to draw below; None: only the ratios.

    Returns:
        SVG that needs nothing else; equal benches give equal text.
    """
    parts, y = _ratios(document, _PAD)
    said = [_said(document)]
    if timeline is not None:
        drawn, y = _timeline(timeline, y + _PAD)
        parts += drawn
        said.append(_told(timeline))
    title = "Time to drain a backlog, over the optimum, by release law"
    return svg(title, " ".join(said), y + _PAD, parts)


def _said(document: Document) -> str:
    laws = "; ".join(
        f"{name} drains {percent(one.summary.drained_share)}, median {one.summary.ratio.median:.3f}"
        f", p90 {one.summary.ratio.p90:.3f}"
        for name, one in document.laws.items()
    )
    return f"{len(document.worlds)} worlds, each a dot for each law: {laws}."


def _ratios(document: Document, y: float) -> tuple[list[ET.Element], float]:
    """Draw a row of dots for each law, and say where the rows end."""
    parts = [words("time to drain over the optimum; each dot is a world", _LEFT, y + 8)]
    parts += [
        *legend({"median": "blue", "p90": "orange", "not drained": "bad"}, _LEFT, y + 8 + LINE)
    ]
    frame = Frame(
        _LEFT,
        _RIGHT,
        y + 2 * LINE + 4,
        _ROW * len(document.laws),
        _RATIO_MIN,
        RATIO_MAX,
        is_log=True,
    )
    heads = (("drained", 74.0), ("p90", 122.0))
    parts += [
        words(head, _RIGHT + at, frame.y - 4, anchor="end", kind="quiet") for head, at in heads
    ]
    for tick in _TICKS:
        x = frame.x(tick)
        parts.append(rule(x, frame.y, x, frame.foot, kind="grid"))
        parts.append(words(f"{tick:g}", x, frame.foot + 15, anchor="middle", kind="quiet"))
    for row, (name, result) in enumerate(document.laws.items()):
        parts += _row(frame, frame.y + _ROW * (row + 0.5), name, result)
    return parts, frame.foot + 2 * LINE


def _row(frame: Frame, y: float, name: str, result: LawResult) -> list[ET.Element]:
    found = result.summary
    drained, others = list[Point](), list[Point]()
    for index, one in enumerate(result.worlds.values()):
        height = y + _JITTER[index % len(_JITTER)]
        if one.drained:
            drained.append((frame.x(one.ratio), height))
        else:
            others.append((frame.right + _BEYOND, height))
    parts = [words(name, _LEFT - 12, y + 4, anchor="end")]
    parts += [dots(drained, tone="muted"), dots(others, tone="bad")]
    for ratio, tone in ((found.ratio.median, "blue"), (found.ratio.p90, "orange")):
        x = frame.x(ratio)
        parts.append(rule(x, y - 8, x, y + 8, kind=f"mark {tone}"))
    parts.append(words(percent(found.drained_share), _RIGHT + 74, y + 4, anchor="end"))
    parts.append(words(f"{found.ratio.p90:.3f}", _RIGHT + 122, y + 4, anchor="end"))
    return parts


def _told(timeline: Timeline) -> str:
    task, run = timeline.task, timeline.run
    ended = "never" if run.drained_s is None else f"after {run.drained_s:.0f} s"
    return (
        f"Below, {task.law} in the world {task.name}, seed {task.seed}: drained {ended}, "
        f"{percent(run.fresh_success)} of fresh operations ended well."
    )


def _timeline(timeline: Timeline, y: float) -> tuple[list[ET.Element], float]:
    task, seconds = timeline.task, timeline.seconds
    head = f"{task.law} in {task.name} ({task.world.title}), seed {task.seed}; means of "
    parts = [words(f"{head}{_bin_s(seconds)} s", _PANEL_LEFT, y + LINE, kind="strong")]
    y += LINE + _PAD
    if not seconds:
        return parts, y
    left = [task.world.backlog - done for done in accumulate(one.backlog_ok for one in seconds)]
    panels = (
        ("calls a second", _rates(seconds)),
        ("backlog left", [Line("backlog left", "blue", _means(left))]),
        (
            f"seconds of wait; callers give up after {task.world.timeout_s:g}",
            [Line("wait", "orange", _means([one.wait_s for one in seconds]))],
        ),
        (
            "fresh operations that fail, a second",
            [Line("fresh failed", "bad", _means([one.fresh_failed for one in seconds]))],
        ),
    )
    frame = None
    for title, lines in panels:
        drawn, frame = _panel(title, lines, y, len(seconds))
        parts += drawn
        y = frame.foot + _PAD
    drawn, frame = _modes(seconds, y, timeline.modes)
    return [*parts, *drawn, *_seconds_axis(frame)], frame.foot + 2 * LINE


def _rates(seconds: Sequence[Second]) -> list[Line]:
    return [
        Line("capacity now", "muted", _means([one.capacity_per_s for one in seconds])),
        Line("offered", "orange", _means([one.sent for one in seconds])),
        Line("served well", "blue", _means([one.ok for one in seconds])),
        Line("of these backlog", "good", _means([one.backlog_ok for one in seconds])),
    ]


def _panel(
    title: str, lines: Sequence[Line], y: float, span_s: int
) -> tuple[list[ET.Element], Frame]:
    top = max(1e-9, *(value for line in lines for value in line.values))
    step = scale_step(top)
    frame = _frame(y, span_s, top=step * ceil(top / step))
    parts = [words(title, _PANEL_LEFT, y + 10, kind="quiet")]
    if len(lines) > 1:
        parts += legend({line.name: line.tone for line in lines}, _PANEL_LEFT + 130, y + 10)
    for tick in range(ceil(frame.top / step - 1e-6) + 1):
        at = frame.over(step * tick)
        parts.append(rule(frame.left, at, frame.right, at, kind="grid"))
        label = f"{step * tick:,.12g}"
        parts.append(words(label, frame.left - 6, at + 4, anchor="end", kind="quiet"))
    return [*parts, *(steps(frame, line) for line in lines)], frame


def _modes(
    seconds: Sequence[Second], y: float, names: Mapping[int, str]
) -> tuple[list[ET.Element], Frame]:
    """Draw which mode the law was in for most of each bin, one row for each mode that was seen."""
    binned = [
        Counter(round(one.mode) for one in some).most_common(1)[0][0] for some in _bins(seconds)
    ]
    seen = sorted(set(binned))
    frame = _frame(y, len(seconds), top=float(len(seen)))
    parts = [words("mode of the law", _PANEL_LEFT, y + 10, kind="quiet")]
    for row, mode in enumerate(seen):
        at = frame.over(row + 0.5)
        parts.append(rule(frame.left, at, frame.right, at, kind="grid"))
        name = names.get(mode, f"mode {mode}")
        parts.append(words(name, frame.left - 6, at + 4, anchor="end", kind="quiet"))
    line = Line("mode", "blue", [seen.index(mode) + 0.5 for mode in binned])
    return [*parts, steps(frame, line)], frame


def _seconds_axis(frame: Frame) -> list[ET.Element]:
    step = scale_step(frame.high, ticks_max=8)
    ticks = [step * index for index in range(int(frame.high / step) + 1)]
    return [
        words(f"{number(tick)} s", frame.x(tick), frame.foot + 16, anchor="middle", kind="quiet")
        for tick in ticks
    ]


def _frame(y: float, span_s: int, *, top: float) -> Frame:
    return Frame(_PANEL_LEFT, WIDTH - 2 * _PAD, y + LINE, _PANEL - LINE, 0.0, float(span_s), top)


def _bin_s(seconds: Sequence[object]) -> int:
    return max(1, ceil(len(seconds) / BINS_MAX))


def _bins(values: Sequence[T]) -> list[Sequence[T]]:
    size = _bin_s(values)
    return [values[at : at + size] for at in range(0, len(values), size)]


def _means(values: Sequence[float]) -> list[float]:
    return [sum(some) / len(some) for some in _bins(values)]
