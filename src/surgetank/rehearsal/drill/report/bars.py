"""Outage by who acts: bars, with the spread over seeds.

Two columns of bars to one scale, VMs and tokens; a row is a variant. The drawing is made twice,
for wide and for narrow screens; the style sheet shows one of the two.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from surgetank.rehearsal.drill.comparison import Spread, Standing
from surgetank.rehearsal.drill.report.choice import rows
from surgetank.rehearsal.drill.report.drawing import cut, svg
from surgetank.rehearsal.drill.report.markup import Markup, coordinate, joined, tag
from surgetank.rehearsal.drill.wording import percent, span


class _Form(NamedTuple):
    """A size to draw for."""

    name: str
    width: float
    columns: tuple[float, float]
    """Where the bars of VMs and of tokens begin."""
    bar: float
    """Room for the longest bar; its value stands behind it."""
    row: float
    title: float
    """Room for a row's title, by the width of bold letters; 0 puts it above the bars."""


_WIDE = _Form("wide", 580, (238, 398), 92, 20, 250)
_NARROW = _Form("narrow", 356, (0, 158), 98, 36, 0)
_HEAD = 20.0
_HOUR_S = 3600.0


def bars(result: Mapping[str, Any]) -> Markup:
    """Draw hours of outage by variant, with the spread over seeds where there are several."""
    chosen = rows(result)
    description = ". ".join(
        f"{row.title}: VMs blocked {spread_said(row.blocked_s)}, tokens down {spread_said(row.tokens_s)}, "
        f"{percent(row.fresh_ratio.median)} in time"
        for row in chosen
    )
    title = "Hours of outage by who acts"
    return joined(
        tag("div", _bars(form, chosen, result, title, description), class_=f"chart {form.name}")
        for form in (_WIDE, _NARROW)
    )


def _bars(
    form: _Form,
    chosen: Sequence[Standing],
    result: Mapping[str, Any],
    title: str,
    description: str,
) -> Markup:
    spreads = [one for row in chosen for one in (row.blocked_s, row.tokens_s)]
    longest_s = max([_HOUR_S, *(one.p95 or 0.0 for one in spreads)])
    scale = form.bar / longest_s
    height = _HEAD + form.row * len(chosen)
    heads = zip(("VMs blocked", "tokens down"), form.columns, strict=True)
    parts = [tag("text", words, class_="muted", x=x, y=12) for words, x in heads]
    parts.append(tag("text", "in time", class_="muted end", x=form.width, y=12))
    for index, row in enumerate(chosen):
        parts += _row(form, row, result, y=_HEAD + form.row * index, scale=scale)
    # Above the bars on a narrow screen stand titles, which no line may cross.
    if form.title:
        parts += [
            tag("line", class_="base", x1=x, x2=x, y1=_HEAD - 3, y2=height) for x in form.columns
        ]
    size = (form.width, height + 2)
    return svg(f"bars-{form.name}", title, description, size=size, parts=parts)


def _row(
    form: _Form, row: Standing, result: Mapping[str, Any], *, y: float, scale: float
) -> list[Markup]:
    room = form.title or form.width
    title = tag("text", _title(row, result, room), class_="row", x=0, y=y + 12)
    top = y if form.title else y + 15
    hollow = " hollow" if row.is_beneath else ""
    vms, tokens = form.columns
    mark = " *" if row.is_own else ""
    return [
        title,
        *_bar(row.blocked_s, x=vms, y=top, scale=scale, tone=f"creates{hollow}"),
        *_bar(row.tokens_s, x=tokens, y=top, scale=scale, tone=f"tokens{hollow}", mark=mark),
        tag("text", percent(row.fresh_ratio.median), class_="end", x=form.width, y=top + 12),
    ]


def _title(row: Standing, result: Mapping[str, Any], room: float) -> str:
    """Name who acts, with the share of the load where it is a part that the name leaves out."""
    if row.is_beneath:
        return cut(f"- {row.title}", room)
    share = result["variants"][row.name]["share"]
    is_said = share in {0, 1} or percent(share) in row.title
    return cut(row.title if is_said else f"{row.title}, {percent(share)}", room)


def _bar(
    found: Spread, *, x: float, y: float, scale: float, tone: str, mark: str = ""
) -> list[Markup]:
    median, low, high = (value or 0.0 for value in found)
    width = median * scale
    parts: list[Markup] = []
    if width:
        width = max(1.5, width)
        parts.append(tag("rect", class_=f"bar {tone}", x=x, y=y + 3, width=width, height=10))
    if low != high:
        ends = f"M{coordinate(x + low * scale)} {coordinate(y + 4)}v8m0 -4H"
        ends += f"{coordinate(x + high * scale)}m0 -4v8"
        parts.append(tag("path", class_="whisker", d=ends))
    edge = x + max(width, high * scale)
    said = f"{span(found.median)}{mark}"
    class_ = "value" if median else "value muted"
    return [*parts, tag("text", said, class_=class_, x=edge + 5, y=y + 12)]


def spread_said(found: Spread) -> str:
    """Write a duration over seeds: the median, and p5 to p95 where they differ."""
    if found.p5 == found.p95:
        return span(found.median)
    return f"{span(found.median)} ({span(found.p5)}-{span(found.p95)})"
