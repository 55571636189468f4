"""The `surgetank` command: puts the command groups together and turns every ending into a status.

A command group is one module with `register(app)`, named in `GROUPS`. Its commands return an
`ExitStatus` (None means done) and raise errors of `core.errors`; they never exit by themselves.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise, takewhile
from typing import Annotated

import typer

from surgetank import __version__
from surgetank.app.cli.output import print_json, report_error, report_interrupt
from surgetank.app.cli.status import ExitStatus

__all__ = ["main"]

GROUPS = ("drill", "up", "serve", "op", "run", "config", "bench")
"""Command groups, as `--help` lists them; each is a module here with `register(app)`."""

HELP = """Rehearse a cloud control-plane outage, then ride it out with the same code.

\b
First commands:
  surgetank drill azure-2026-02            the outage of February 2026, with and without us
  surgetank drill azure-2026-02 --seed 1 --variant nobody --report page.html
  surgetank up                             the stand-in cloud on loopback, for real clients
  surgetank serve                          durable operations and their HTTP API
  surgetank op submit vm.json              have something done, through an outage too
  surgetank op hold --all                  stop; op release --all --in-steps 50 goes on gently
  surgetank run --on vm@eastus -- COMMAND  a job's command, under a governor that all jobs share
  surgetank config schema                  what a configuration file may say
  surgetank config check surgetank.toml    say all that is wrong with one, before it runs
  surgetank config explain mirror          what a key does, its unit and its default
  surgetank bench drain --laws surgetank   how fast it drains a backlog, in each world

\b
Every command takes --json, and exits with
  0 done or met, 1 not met, 2 bad input, 3 our own fault, 130 interrupted;
  run exits as its command did.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words after the command's name; None takes them from the process.

    Returns:
        The exit status, one of `ExitStatus`, or that of the command that `run` has run. A reader
        that leaves early, as `head` does, ends the process in silence with 1.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    as_json = _wants_json(words)
    try:
        status = (
            _build(words)(words, prog_name="surgetank", standalone_mode=False) or ExitStatus.DONE
        )
        if status == ExitStatus.INTERRUPTED and words[:1] != ["run"]:  # that is its command's own
            report_interrupt(as_json=as_json)
    except OSError as error:  # the answer could not be written, so the error is not either
        _abandon_stdout()
        return report_error(error, as_json=False)
    except Exception as error:  # noqa: BLE001 - the last frame: everything becomes a status here
        return report_error(error, as_json=as_json)
    return int(status)


def _wants_json(words: Sequence[str]) -> bool:
    """Whether standard output is for a program: `--json PATH` leaves it to people."""
    if words[:1] == ["run"]:
        return "--json" in takewhile(lambda word: word != "--", words)
    if words[:1] in (["drill"], ["bench"]):
        return "--json=-" in words or ("--json", "-") in pairwise(words)
    return "--json" in words


def _build(words: Sequence[str]) -> typer.Typer:
    # Only what is asked for is imported: a drill's stack takes most of a second to load.
    asked = [name for name in GROUPS if words[:1] == [name]]
    app = typer.Typer(
        help=HELP,
        add_completion=False,
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_root)
    for name in asked or GROUPS:
        import_module(f"surgetank.app.cli.{name}").register(app)
    return app


def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,  # noqa: FBT002 - typer reads options so
    json: Annotated[bool, typer.Option("--json", help="With --version: as JSON.")] = False,  # noqa: FBT002 - typer reads options so
) -> None:
    if version:
        print_json({"version": __version__}) if json else typer.echo(f"surgetank {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _abandon_stdout() -> None:
    # What is still buffered would fail again at exit, and change the status.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
