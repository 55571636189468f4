"""`surgetank serve`: one process that runs what a configuration file names."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from surgetank.app.cli.output import JsonFlag
from surgetank.app.cli.status import ExitStatus
from surgetank.app.cli.stop import told_to_stop
from surgetank.app.wiring import actions, configure_logs, live
from surgetank.core.errors import SurgetankError
from surgetank.runtime import config
from surgetank.runtime.live.memory import collect_seldom
from surgetank.runtime.server.service import Server, server
from surgetank.runtime.server.token import Tokens

__all__ = ["register"]

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config", metavar="FILE", envvar="SURGETANK_CONFIG", help="The configuration file."
    ),
]


def register(app: typer.Typer) -> None:
    """Add `serve` to the command line."""
    app.command("serve")(_serve)


def _serve(file: ConfigOption = Path("surgetank.toml"), *, json: JsonFlag = False) -> ExitStatus:
    """Run durable operations and their HTTP API, as FILE says.

    Prints where it listens once it does; with --json as one line. Events go to standard error.
    SIGTERM and the keyboard drain it: /readyz says 503, nothing more is taken in, calls under way
    end within operations.close_s; then it exits 0, or 130 for the keyboard. A second one cuts
    those calls off, and it exits 1: the store knows what was under way. SIGHUP reads the file of
    tokens again.

    \b
    surgetank serve
    surgetank serve --config /etc/surgetank/surgetank.toml --json
    """  # noqa: D301 - click wants the character, not the two that spell it
    configure_logs()
    configuration = config.read(file)
    return asyncio.run(_run(configuration, as_json=json))


async def _run(configuration: config.Configuration, *, as_json: bool) -> ExitStatus:
    """Serve until told to stop; told twice, leave what is under way."""
    with told_to_stop() as (told, told_again):
        async with live() as adapters:
            if configuration.mirror or configuration.broker:
                _log().warning("section.unused", sections="mirror, broker")
            worker = f"{socket.gethostname()}-{os.getpid()}"
            async with server(
                configuration,
                adapters.ports,
                ledger_ports=adapters.ledger_ports,
                actions=actions(adapters, configuration.command),
                serve=adapters.serve,
                worker=worker,
            ) as running:
                with _reading_tokens_again(configuration, running):
                    collect_seldom()
                    _say_started(running, configuration, as_json=as_json)
                    await _told_or_failed(told, running)
                _log().info("server.draining")
                told_again.add_done_callback(_leave)
                await running.drain()
                told_again.remove_done_callback(_leave)
    _log().info("server.stopped")
    return told.result()


async def _told_or_failed(told: "asyncio.Future[ExitStatus]", running: Server) -> None:
    """Return when told to stop, or raise the defect that ended what runs in the background."""
    failing = asyncio.ensure_future(running.failure())
    try:
        either: set[asyncio.Future[Any]] = {told, failing}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if failing.done():
            failing.result()
    finally:
        failing.cancel()


@contextmanager
def _reading_tokens_again(configuration: config.Configuration, running: Server) -> Generator[None]:
    """Read the file of tokens at every SIGHUP; one that is wrong changes nothing."""
    loop = asyncio.get_running_loop()

    def read_again() -> None:
        try:
            running.gate.tokens = Tokens.read(configuration.serve.tokens)
        except SurgetankError as error:
            _log().error("tokens.refused", error=str(error))
        else:
            _log().info("tokens.read")

    loop.add_signal_handler(signal.SIGHUP, read_again)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _say_started(running: Server, configuration: config.Configuration, *, as_json: bool) -> None:
    takes_work = configuration.serve.tokens is not None
    if as_json:
        facts = {"url": running.url, "pid": os.getpid(), "takes_work": takes_work}
        typer.echo(dumps(facts))
    else:
        typer.echo(f"surgetank listens on {running.url}")
        if not takes_work:
            typer.echo("No file of tokens is named (serve.tokens), so nothing can be written.")
    sys.stdout.flush()


def _leave(_: "asyncio.Future[ExitStatus]") -> None:
    """End at once: what was under way is on record as begun, and another start takes it over."""
    _log().warning("server.cut_off")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ExitStatus.NOT_MET)


def _log() -> structlog.typing.FilteringBoundLogger:
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger("surgetank.server")
    return log
