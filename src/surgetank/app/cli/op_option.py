"""Options that every command of `surgetank op` has."""

from os import environ
from pathlib import Path
from typing import Annotated

import typer

from surgetank.app.cli.op_asking import Where
from surgetank.app.cli.option import check_alone

__all__ = ["ServerOption", "StoreOption", "where"]

SERVER = "http://127.0.0.1:8470"
TOKEN_VARIABLE = "SURGETANK_TOKEN"  # noqa: S105 - its name

ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        envvar="SURGETANK_URL",
        help=f"Where `surgetank serve` listens; else {SERVER}. {TOKEN_VARIABLE} is its token.",
    ),
]
StoreOption = Annotated[
    Path | None,
    typer.Option("--store", metavar="FILE", help="A store's file instead, when nothing serves."),
]


def where(server: str | None, store: Path | None) -> Where:
    """Say where operations are; a file goes before what the environment says of a server.

    Raises:
        InvalidInputError: Both were given.
    """
    if server != environ.get("SURGETANK_URL"):
        check_alone("--store", {"--server": store and server})
    return Where(server or SERVER, environ.get(TOKEN_VARIABLE, ""), store)
