"""How answers and errors reach the terminal: tables for people, one JSON object for programs.

Answers go to stdout; errors go to stderr, or with `--json` to stdout as `{"error": {...}}`.
A command writes once, at its end, so that a program never reads half an answer.
"""

import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from rich.console import Console

from surgetank.app.cli.status import STATUS_OF_CODE, ExitStatus
from surgetank.core.errors import SurgetankError

__all__ = [
    "JsonFlag",
    "columns_max",
    "console",
    "print_json",
    "report_error",
    "report_interrupt",
]

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]
"""The option that every command has."""

TRACEBACK_VARIABLE = "SURGETANK_TRACEBACK"


def console(*, width: int | None = None) -> Console:
    """Give the terminal for people: plain text when stdout is not one.

    `width` is what tables may take, in columns; None: what the terminal has, or COLUMNS says.
    """
    return Console(highlight=False, soft_wrap=True, width=width)


def columns_max() -> int | None:
    """Columns of a line on the terminal, or as COLUMNS says; None in a pipe or a file: any."""
    known = console()
    return known.width if known.is_terminal or "COLUMNS" in os.environ else None


def print_json(document: Mapping[str, object]) -> None:
    """Print one JSON object, indented, with whatever JSON lacks as text."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def report_error(error: Exception, *, as_json: bool) -> ExitStatus:
    """Say what went wrong, to whom it concerns, and give the exit status that says the same."""
    status, code, message = _describe(error)
    notes: list[str] = getattr(error, "__notes__", [])
    if as_json:
        facts = {name: fact for name, fact in vars(error).items() if not name.startswith("_")}
        print_json({"error": {**facts, "code": code, "message": message, "notes": notes}})
    else:
        _print_error(message, notes)
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error)
    elif status is ExitStatus.OUR_FAULT:
        typer.echo(f"Not your mistake; {TRACEBACK_VARIABLE}=1 shows where.", file=sys.stderr)
    return status


def report_interrupt(*, as_json: bool) -> ExitStatus:
    """Say that the keyboard stopped us."""
    if as_json:
        print_json({"error": {"code": "interrupted", "message": "interrupted", "notes": []}})
    else:
        _print_error("interrupted")
    return ExitStatus.INTERRUPTED


def _print_error(message: str, notes: Sequence[str] = ()) -> None:
    typer.echo(f"surgetank: {message}", file=sys.stderr)
    for note in notes:
        typer.echo(f"  {note}", file=sys.stderr)


def _describe(error: Exception) -> tuple[ExitStatus, str, str]:
    """Exit status, stable code, and words for people."""
    match error:
        case SurgetankError():
            status = STATUS_OF_CODE.get(error.code, ExitStatus.OUR_FAULT)
            return status, error.code, str(error)
        case typer.TyperException():
            context: typer.Context | None = getattr(error, "ctx", None)
            command = context.command_path if context else "surgetank"
            message = f"{error.format_message()} See {command} --help"
            return ExitStatus.BAD_INPUT, "invalid_input", message
        case _:
            message = f"internal error: {type(error).__name__}: {error}"
            return ExitStatus.OUR_FAULT, "internal", message
