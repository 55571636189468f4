"""A drain bench on the terminal: one line for each law, then where the first law is slowest."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rich.console import Group
from rich.table import Table
from rich.text import Text

from surgetank.rehearsal.drain.document import Document, LawResult, WorldResult
from surgetank.rehearsal.drain.summary import FRESH_SUCCESS_MIN, RESTORED_S_MAX

SLOWEST = 10
"""Worlds of the first law that are listed; the JSON has all."""
WIDTH = 80
_LAW_HEADS = MappingProxyType(
    {"done": 5, "median": 6, "p90": 5, "worst": 5, "fresh": 5, "least": 5, "back": 5, "over": 6,
     "waste": 5}
)  # fmt: skip
_LAW_WIDTH = WIDTH - sum(_LAW_HEADS.values()) - len(_LAW_HEADS)
_WORLD_HEADS = MappingProxyType(
    {"done": 5, "ratio": 5, "fresh": 5, "back": 6, "over": 6, "waste": 5}
)
_WORLD_WIDTH = WIDTH - sum(_WORLD_HEADS.values()) - len(_WORLD_HEADS)
_NOTHING = "-"
_NEVER = "never"


def render(document: Document) -> Group:
    """Say what a bench found; nothing in it depends on the machine or the hour."""
    first = next(iter(document.laws))
    worlds = len(document.worlds)
    runs = sum(
        len(one.seeds) for result in document.laws.values() for one in result.worlds.values()
    )
    head = Text.assemble(
        ("Draining a backlog", "bold"),
        f" · virtual clock · {_count(worlds, 'world')} · {_count(runs, 'run')}",
    )
    notes = (
        "done: worlds drained within 4 times the optimum; then time over the optimum",
        f"fresh: worlds where at least {FRESH_SUCCESS_MIN:.1%} of it ended well; least: in any",
        f"back: where fresh alone was too much, served {RESTORED_S_MAX:.0f} s after capacity came back",
        "over: seconds of overload; waste: services for nobody; both of the median world",
    )
    return Group(
        head,
        Text(""),
        _laws(document),
        *(Text(note, "dim") for note in notes),
        Text(""),
        Text(f"where {first} is slowest", "bold"),
        _slowest(document, first),
    )


def _laws(document: Document) -> Table:
    table = _table("law", _LAW_WIDTH, _LAW_HEADS)
    for name, result in document.laws.items():
        table.add_row(name, *_law_cells(result))
    return table


def _law_cells(result: LawResult) -> Sequence[str]:
    found = result.summary
    ratios = (found.ratio.median, found.ratio.p90, found.ratio.worst)
    return (
        percent(found.drained_share),
        *(f"{ratio:.3f}" for ratio in ratios),
        percent(found.fresh.share),
        percent(found.fresh.minimum),
        percent(found.recovery.share),
        _seconds(found.overload_s.median),
        percent(found.wasted_ratio.median),
    )


def _slowest(document: Document, law: str) -> Table:
    table = _table("world", _WORLD_WIDTH, _WORLD_HEADS)
    worlds = document.laws[law].worlds
    ranked = sorted(worlds.items(), key=lambda item: (-item[1].ratio, item[0]))
    for name, one in ranked[:SLOWEST]:
        is_short = document.worlds[name].judged_by == "recovery"
        table.add_row(name, *_world_cells(one, is_short=is_short))
    return table


def _world_cells(one: WorldResult, *, is_short: bool) -> Sequence[str]:
    restored_s = one.fresh_restored_s
    back = _NEVER if restored_s is None else _seconds(restored_s)
    return (
        "yes" if one.drained else "no",
        f"{one.ratio:.3f}",
        percent(one.fresh_success),
        back if is_short else _NOTHING,
        _seconds(one.overload_s),
        percent(one.wasted_ratio),
    )


def _table(first: str, width: int, heads: Mapping[str, int]) -> Table:
    """Make a table of fixed widths: one that is fitted to the screen loses digits."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column(first, no_wrap=True, max_width=width)
    for head, size in heads.items():
        table.add_column(head, justify="right", no_wrap=True, width=size)
    return table


def percent(share: float | None) -> str:
    """Write a share to a tenth of a percent, rounded down: below all is never written as all."""
    return _NOTHING if share is None else f"{int(share * 1000 + 1e-9) / 10:g}%"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s"


def _count(quantity: int, noun: str) -> str:
    return f"{quantity:,} {noun}" if quantity == 1 else f"{quantity:,} {noun}s"
