"""`surgetank op`: submit operations, see where they stand, and act on them."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from surgetank.app.cli import op_hold, op_submit
from surgetank.app.cli.op_asking import Where, asking, part
from surgetank.app.cli.op_option import ServerOption, StoreOption, where
from surgetank.app.cli.op_table import show_counts, show_operation, show_operations
from surgetank.app.cli.output import JsonFlag, print_json
from surgetank.core.operation import OperationState
from surgetank.core.value import Lane
from surgetank.safeguards.operations.api.page import LIMIT
from surgetank.safeguards.operations.api.path import COUNTS, OPERATIONS
from surgetank.safeguards.operations.store import PAGE_MAX

__all__ = ["register"]

LISTED_MAX = 100_000
"""Most that one command lists: more is for a program, page by page."""
ACTED_MAX = 10_000
"""Operations that one command cancels."""

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="As `op submit` and `op list` say.")]
IdsArgument = Annotated[list[str], typer.Argument(metavar="ID...", help="One or more.")]
StateOption = Annotated[
    list[OperationState] | None,
    typer.Option("--state", metavar="STATE", help="In this state; several: in any of them."),
]
KindOption = Annotated[str | None, typer.Option("--kind", metavar="K", help="Of this kind.")]
RegionOption = Annotated[str | None, typer.Option("--region", metavar="R", help="In this region.")]
LaneOption = Annotated[
    Lane | None, typer.Option("--lane", metavar="LANE", help="Of this lane: fresh or backlog.")
]
SubjectOption = Annotated[
    str | None, typer.Option("--subject", metavar="S", help="Of this subject.")
]
LimitOption = Annotated[
    int, typer.Option("--limit", metavar="N", min=1, max=LISTED_MAX, help="At most so many.")
]
DoneOption = Annotated[
    bool | None,
    typer.Option(
        "--done/--not-done",
        help="Of one that ended unknown: the call in doubt was made, or was not.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add `op` to the command line."""
    group = typer.Typer(
        help="Submit operations, see where they stand, and act on them.", rich_markup_mode=None
    )
    op_submit.register(group)
    group.command("show")(_show)
    group.command("list")(_list)
    group.command("cancel")(_cancel)
    group.command("redrive")(_redrive)
    op_hold.register(group)
    group.command("counts")(_counts)
    app.add_typer(group, name="op")


def _show(
    operation: IdArgument,
    *,
    server: ServerOption = None,
    store: StoreOption = None,
    json: JsonFlag = False,
) -> None:
    """Show one operation and its steps."""
    found = asyncio.run(_ask(where(server, store), "GET", f"{OPERATIONS}/{part(operation)}"))
    print_json(found) if json else show_operation(found)


def _list(
    *,
    state: StateOption = None,
    kind: KindOption = None,
    region: RegionOption = None,
    lane: LaneOption = None,
    subject: SubjectOption = None,
    limit: LimitOption = LIMIT,
    server: ServerOption = None,
    store: StoreOption = None,
    json: JsonFlag = False,
) -> None:
    """List operations, oldest first.

    On a terminal, lines are as long as it is wide: ids stay whole, what does
    not fit is left out and a detail is cut. In a pipe or a file nothing is;
    programs read --json.

    \b
    surgetank op list --state failed --state unknown
    surgetank op list --region eastus --limit 1000 --json
    """  # noqa: D301 - click wants the character, not the two that spell it
    query = {
        "state": [one.value for one in state or ()],
        "kind": kind,
        "region": region,
        "lane": lane and lane.value,
        "subject": subject,
    }
    found, now = asyncio.run(_pages(where(server, store), query, limit))
    print_json({"operations": found}) if json else show_operations(found, now=now)


def _cancel(
    operations: IdsArgument,
    *,
    server: ServerOption = None,
    store: StoreOption = None,
    json: JsonFlag = False,
) -> None:
    """End operations that nobody wants any more, each before its next call.

    Steps that were done stay done. A call that is under way ends first.
    """
    if len(operations) > ACTED_MAX:
        raise typer.BadParameter(f"at most {ACTED_MAX:,} operations")
    paths = [f"{OPERATIONS}/{part(each)}/cancel" for each in operations]
    found, now = asyncio.run(_act(where(server, store), paths))
    print_json({"operations": found}) if json else show_operations(found, now=now)


def _redrive(
    operation: IdArgument,
    *,
    is_done: DoneOption = None,
    server: ServerOption = None,
    store: StoreOption = None,
    json: JsonFlag = False,
) -> None:
    """Go on with an operation that failed, expired or ended unknown, in the backlog lane.

    One that ended unknown needs --done or --not-done: somebody must have looked.
    """
    path = f"{OPERATIONS}/{part(operation)}/redrive"
    body = {"is_done": is_done}
    found = asyncio.run(_ask(where(server, store), "POST", path, body=body))
    print_json(found) if json else show_operation(found)


def _counts(
    *,
    lane: LaneOption = None,
    server: ServerOption = None,
    store: StoreOption = None,
    json: JsonFlag = False,
) -> None:
    """Count operations by state."""
    query = {"lane": lane and lane.value}
    found = asyncio.run(_ask(where(server, store), "GET", COUNTS, query=query))
    print_json(found) if json else show_counts(found)


async def _ask(place: Where, method: str, path: str, **what: Any) -> dict[str, Any]:
    async with asking(place) as asked:
        return await asked.ask(method, path, **what)


async def _act(place: Where, paths: Sequence[str]) -> tuple[list[dict[str, Any]], float]:
    """Ask for one thing after the other; gives the answers, and the time."""
    async with asking(place) as asked:
        return [await asked.ask("POST", path) for path in paths], asked.clock.now()


async def _pages(
    place: Where, query: dict[str, Any], limit: int
) -> tuple[list[dict[str, Any]], float]:
    """List as many as are wanted, page by page; gives them, and the time."""
    found = list[dict[str, Any]]()
    cursor = None
    async with asking(place) as asked:
        while len(found) < limit:
            size = min(limit - len(found), PAGE_MAX)
            page = {**query, "limit": size, "cursor": cursor}
            answer = await asked.ask("GET", OPERATIONS, query=page)
            found += answer["operations"]
            cursor = answer["next"]
            if cursor is None:
                break
        return found, asked.clock.now()
