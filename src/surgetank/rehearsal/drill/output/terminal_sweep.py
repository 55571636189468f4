"""A sweep on the terminal: one line for each value, and what they show together."""

import textwrap
from collections.abc import Mapping
from typing import Any

from rich.text import Text

from surgetank.rehearsal.drill.study.sweep import restated_title
from surgetank.rehearsal.drill.study.turning import Row, sentence, sweep_rows
from surgetank.rehearsal.drill.wording import count, percent, plain, printable, span
from surgetank.rehearsal.scenario.schema import Scenario

WIDTH = 80
_COLUMNS = (
    ("VMs blocked", 11), ("tokens down", 11), ("covered", 7), ("others", 6), ("all", 6),
    ("done", 6),
)  # fmt: skip
_NAME_WIDTH_MAX = WIDTH - sum(size + 2 for _, size in _COLUMNS)


def render_sweep(scenario: Scenario, result: Mapping[str, Any]) -> Text:
    """Say what a sweep found; lines with styles, ending without a line break.

    Args:
        scenario: What was played.
        result: With `sweep`, as `sweep.sweep` gives it.
    """
    seeds = count(len(result["seeds"]), "seed")
    facts = f" · virtual clock · {seeds} · scale {result['scale']}"
    lines = [Text.assemble((printable(scenario.title), "bold"), facts)]
    for of in result["sweep"]["variants"]:
        lines += [Text(""), *_table(scenario, result, of)]
    return Text("\n").join(lines)


def _table(scenario: Scenario, result: Mapping[str, Any], of: str) -> list[Text]:
    over = " (medians)" if len(result["seeds"]) > 1 else ""
    whose = "creates in time of those covered, of the others, of all"
    name = printable(result["sweep"]["name"])
    variant = scenario.variants[of]
    who = restated_title(variant, name, share=name) or variant.title
    title = f"{printable(who)}{over}; {whose}"
    rows = sweep_rows(result, of)
    cells = [(plain(row.value), *_cells(row)) for row in rows]
    wanted = max(len(word) for word in (name, *(first for first, *_ in cells)))
    widths = (min(wanted, _NAME_WIDTH_MAX), *(size for _, size in _COLUMNS))
    table = [Text(line) for line in textwrap.wrap(title, WIDTH)]
    table.append(_line((name, *(head for head, _ in _COLUMNS)), widths, "bold"))
    for row, line in zip(rows, cells, strict=True):
        table.append(_line(line, widths, "red" if row.tokens_s else "green"))
    table += [Text(line) for line in textwrap.wrap(printable(sentence(result, of)), WIDTH)]
    return table


def _cells(row: Row) -> tuple[str, ...]:
    ratios = (row.covered_ratio, row.others_ratio, row.fresh_ratio, row.done_ratio)
    return (span(row.blocked_s), span(row.tokens_s), *map(percent, ratios))


def _line(cells: tuple[str, ...], widths: tuple[int, ...], style: str) -> Text:
    fitted = (cell[:width].ljust(width) for cell, width in zip(cells, widths, strict=True))
    line = Text("  ".join(fitted), style)
    line.rstrip()
    return line
