"""`surgetank op hold`, `release` and `holds`: stop beginning operations, and go on in steps."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import typer

from surgetank.app.cli.op_asking import Asking, Where, asking, part
from surgetank.app.cli.op_option import ServerOption, StoreOption, where
from surgetank.app.cli.op_table import show_holds
from surgetank.app.cli.output import JsonFlag, print_json
from surgetank.core.errors import InvalidInputError
from surgetank.safeguards.operations.api.path import HOLD_ALL, HOLDS, RELEASED_MAX

__all__ = ["register"]

EVERY_S_MAX = 86_400.0
"""Longest `--every`: a day."""

AllOption = Annotated[bool, typer.Option("--all", help="Every operation.")]
DependencyOption = Annotated[
    str | None,
    typer.Option("--dependency", metavar="D", help="Those that call it, as identity@eastus."),
]
RegionOption = Annotated[str | None, typer.Option("--region", metavar="R", help="Those of it.")]
KindOption = Annotated[str | None, typer.Option("--kind", metavar="K", help="Those of it.")]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="For whoever finds them held.")
]
StepsOption = Annotated[
    int | None,
    typer.Option("--in-steps", metavar="N", min=1, max=RELEASED_MAX, help="So many at a time."),
]
EveryOption = Annotated[
    float | None,
    typer.Option(
        "--every", metavar="SECONDS", min=0.1, max=EVERY_S_MAX, help="Between steps; else 10."
    ),
]
EVERY_S = 10.0
"""Between steps: long enough to see in the counts how the last one fares."""


class _Released(NamedTuple):
    """How far a release has come."""

    operations: int
    steps: int
    is_lifted: bool


def register(group: typer.Typer) -> None:
    """Add the commands to those of operations."""
    group.command("hold")(_hold)
    group.command("release")(_release)
    group.command("holds")(_holds)


def _hold(
    *,
    everything: AllOption = False,
    dependency: DependencyOption = None,
    region: RegionOption = None,
    kind: KindOption = None,
    reason: ReasonOption = "",
    server: ServerOption = None,
    store: StoreOption = None,
    json: JsonFlag = False,
) -> None:
    """Begin no operation of those named until they are released; calls under way end.

    \b
    surgetank op hold --all --reason "INC-4711: tokens"
    surgetank op hold --dependency identity@eastus
    """  # noqa: D301 - click wants the character, not the two that spell it
    path = _path(everything=everything, dependency=dependency, region=region, kind=kind)
    found = asyncio.run(_put(where(server, store), path, reason))
    print_json(found) if json else show_holds([found])


def _release(
    *,
    everything: AllOption = False,
    dependency: DependencyOption = None,
    region: RegionOption = None,
    kind: KindOption = None,
    in_steps: StepsOption = None,
    every_s: EveryOption = None,
    server: ServerOption = None,
    store: StoreOption = None,
    json: JsonFlag = False,
) -> None:
    """Let held operations go, in the backlog lane: all at once, or so many every so often.

    In steps it goes on until none is held, and says on standard error how far it is. The keyboard
    stops it between two steps: what went goes on, the others stay held.

    \b
    surgetank op release --all --in-steps 50 --every 30
    """  # noqa: D301 - click wants the character, not the two that spell it
    path = _path(everything=everything, dependency=dependency, region=region, kind=kind)
    if in_steps is None and every_s is not None:
        raise InvalidInputError("--every goes with --in-steps")
    place = where(server, store)
    done = asyncio.run(_let_go(place, path, in_steps, every_s or EVERY_S))
    if json:
        print_json({"released": done.operations, "steps": done.steps, "is_lifted": True})
    else:
        one_by_one = f" after {done.operations} let go one by one" if in_steps else ""
        typer.echo(f"the hold is lifted{one_by_one}")


def _holds(
    *, server: ServerOption = None, store: StoreOption = None, json: JsonFlag = False
) -> None:
    """List what is held, since when, by whom and why."""
    found = asyncio.run(_list(where(server, store)))
    print_json(found) if json else show_holds(found["holds"])


def _path(*, everything: bool, **names: str | None) -> str:
    """Where the hold is.

    Raises:
        InvalidInputError: None is named, or more than one.
    """
    given = {scope: name for scope, name in names.items() if name is not None}
    if len(given) + everything != 1:
        raise InvalidInputError("one of --all, --dependency, --region and --kind")
    for scope, name in given.items():
        return f"{HOLDS}/{scope}/{part(name)}"
    return HOLD_ALL


async def _list(place: Where) -> dict[str, Any]:
    async with asking(place) as asked:
        return await asked.ask("GET", HOLDS)


async def _put(place: Where, path: str, reason: str) -> Mapping[str, Any]:
    async with asking(place) as asked:
        return await asked.ask("PUT", path, body={"reason": reason})


async def _let_go(place: Where, path: str, in_steps: int | None, every_s: float) -> _Released:
    async with asking(place) as asked:
        if in_steps is None:
            answer = await asked.ask("DELETE", path)
            return _Released(answer["released"], 1, is_lifted=True)
        return await _let_go_in_steps(asked, path, in_steps, every_s)


async def _let_go_in_steps(asked: Asking, path: str, limit: int, every_s: float) -> _Released:
    done = _Released(0, 0, is_lifted=False)
    try:
        while not done.is_lifted:
            if done.steps:
                await asked.clock.sleep_until(asked.clock.now() + every_s)
            answer = await asked.ask("POST", f"{path}/release", body={"limit": limit})
            operations = done.operations + answer["released"]
            done = _Released(operations, done.steps + 1, answer["is_lifted"])
            _say(f"step {done.steps}: {answer['released']} let go, {operations} in all")
    except asyncio.CancelledError:
        _say(f"stopped after {done.operations}: the others stay held")
        raise
    return done


def _say(text: str) -> None:
    typer.echo(text, file=sys.stderr)
