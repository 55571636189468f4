"""What `surgetank op` shows to people."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from surgetank.app.cli.output import console

Document = Mapping[str, Any]

_LISTED = ("id", "state", "kind", "region", "lane", "subject", "created_at", "detail")
_HELD = ("scope", "name", "since", "by", "reason")
_STEP = ("name", "dependency", "action", "state", "tries", "sleeps", "detail")


def show_operations(found: Sequence[Document]) -> None:
    """Show operations, one a row."""
    _show(_LISTED, found, "no operation")


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


def _show(columns: Sequence[str], rows: Sequence[Document], nothing: str = "") -> None:
    if not rows:
        console().print(nothing)
        return
    table = _table(columns)
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    console().print(table)


def _table(columns: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.removesuffix("_at"), no_wrap=column == "id")
    return table


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("[", "\\[")
