"""What `surgetank op` shows to people."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from surgetank.app.cli.output import columns_max, console

Document = Mapping[str, Any]

_LISTED = ("id", "state", "kind", "region", "lane", "subject", "created_at", "detail")
_FITTED = ("id", "state", "age", "kind", "region", "lane", "subject", "detail")
"""On a terminal; an age is shorter than an instant."""
_FIRST_TO_GO = ("lane", "region", "subject", "kind")
"""What a narrow terminal does without: `op show` and --json have it, and `op list` filters by it."""
_DETAIL_COLUMNS_MIN = 15
"""Of a detail, before it is cut for other facts: the step and its status."""
_GAP = 2
"""Columns between two columns of a table."""
_ANY_WIDTH = 1_000_000
"""Columns of a line that nothing folds: more than an operation's facts can have."""
_AGES = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
"""Units of an age and their seconds, the largest first."""
_HELD = ("scope", "name", "since", "by", "reason")
_STEP = ("name", "dependency", "action", "state", "tries", "sleeps", "detail")


def show_operations(found: Sequence[Document], *, now: float) -> None:
    """Show operations, one a line: whole in a pipe or a file, on a terminal as much as fits.

    Ids are always whole. Other facts go, one after the other, before a detail is cut to less than
    its first words; a fact that no operation has takes no room.

    Args:
        found: As the HTTP API lists them.
        now: Seconds since 1970, for their ages.
    """
    columns = columns_max()
    if columns is None:
        _show(_LISTED, found, "no operation", width=_ANY_WIDTH)
        return
    rows = [{**one, "age": _age(one["created_at"], now)} for one in found]
    sizes = {name: _size(name, rows) for name in _FITTED if any(row[name] for row in rows)}
    sizes = _fitted(sizes, columns)
    _show(tuple(sizes), [_cut(row, sizes) for row in rows], "no operation", width=_ANY_WIDTH)


def _fitted(sizes: Mapping[str, int], columns: int) -> dict[str, int]:
    """Sizes of the facts that a line of so many columns has room for."""
    found = dict(sizes)
    if "detail" in found:
        found["detail"] = min(sizes["detail"], _DETAIL_COLUMNS_MIN)
    for name in _FIRST_TO_GO:
        if _line(found) > columns:
            found.pop(name, None)
    if "detail" in found:
        room = max(0, columns - _line(found))
        found["detail"] = min(sizes["detail"], found["detail"] + room)
    return found


def _age(created_at: str, now: float) -> str:
    """How long ago, in its largest unit: 0s to 59s, 1m, 1h, 1d and so on."""
    age_s = max(0.0, now - datetime.fromisoformat(created_at).timestamp())
    unit, unit_s = next((one for one in _AGES if age_s >= one[1]), _AGES[-1])
    return f"{age_s // unit_s:.0f}{unit}"


def _size(name: str, rows: Sequence[Document]) -> int:
    """Columns that a fact takes."""
    return max(cell_len(name), *(cell_len(_plain(row[name])) for row in rows))


def _line(sizes: Mapping[str, int]) -> int:
    """Columns of a line of facts of these sizes."""
    return sum(sizes.values()) + _GAP * (len(sizes) - 1)


def _cut(row: Document, sizes: Mapping[str, int]) -> dict[str, Text]:
    """The facts of a row, each at most so many columns."""
    cells = {name: Text(_plain(row[name])) for name in sizes}
    for name, cell in cells.items():
        cell.truncate(sizes[name], overflow="ellipsis")
    return cells


def _plain(value: object) -> str:
    """What a fact says, on one line."""
    return "" if value is None else " ".join(str(value).split())


def show_holds(found: Sequence[Document]) -> None:
    """Show holds, one a row."""
    _show(_HELD, found, "nothing is held")


def show_receipts(found: Sequence[Document]) -> None:
    """Show what was submitted, one a row."""
    rows = [{**one, "new": "new" if one["is_new"] else "known"} for one in found]
    _show(("id", "key", "new"), rows, "nothing was submitted")


def show_counts(found: Document) -> None:
    """Show how many operations stand where."""
    rows = [{"state": state, "operations": count} for state, count in found["states"].items()]
    _show(("state", "operations"), [*rows, {"state": "steps owed", "operations": found["owed"]}])


def show_operation(found: Document) -> None:
    """Show one operation: its facts, then its steps."""
    table = _table(("fact", "value"))
    for name, value in found.items():
        if name != "steps" and value not in ("", None):
            table.add_row(name, _cell(value))
    console().print(table)
    console().print()
    _show(_STEP, found["steps"])


def _show(
    columns: Sequence[str],
    rows: Sequence[Document],
    nothing: str = "",
    *,
    width: int | None = None,
) -> None:
    if not rows:
        console().print(nothing)
        return
    table = _table(columns)
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    console(width=width).print(table)


def _table(columns: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.removesuffix("_at"), no_wrap=column == "id")
    return table


def _cell(value: object) -> str | Text:
    if isinstance(value, Text):
        return value
    return "" if value is None else str(value).replace("[", "\\[")
