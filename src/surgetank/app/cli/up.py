"""`surgetank up`: the stand-in cloud and its safeguards on loopback, for real clients."""

import asyncio
import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from json import dumps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated
from urllib.parse import urlsplit

import typer

from surgetank.app.cli.output import JsonFlag
from surgetank.app.cli.status import ExitStatus
from surgetank.app.cli.stop import told_to_stop
from surgetank.app.wiring import configure_logs, live
from surgetank.core.errors import ConfigError
from surgetank.rehearsal.scenario.reader import load
from surgetank.rehearsal.standin.service import SERVICES, Plan, StandIn, stand_in

__all__ = ["register"]

ROLES = {
    "control": "faults, acts, state",
    "blob": "storage itself",
    "identity": "the token service itself",
    "management": "machines and their extensions",
    "mirror": "storage by way of the mirror",
    "broker": "tokens by way of the broker",
}
FOR_S_MAX = 31 * 86_400.0
"""Longest `--for`: a month."""
FIGURE_S_MAX = 3_600.0
"""Longest `--boot` and `--token-gap`: nobody waits longer at a desk."""
_PORT_MAX = 65_535

ScenarioArgument = Annotated[
    str, typer.Argument(metavar="[NAME|FILE]", help="Whose figures count.")
]
RegionOption = Annotated[str, typer.Option("--region", metavar="R", help="One of its regions.")]
HostOption = Annotated[
    str, typer.Option("--host", metavar="ADDRESS", help="A loopback address to listen on.")
]
PortOption = Annotated[
    int,
    typer.Option(
        "--port",
        metavar="N",
        min=0,
        max=_PORT_MAX + 1 - len(SERVICES),
        help=f"The first of {len(SERVICES)} ports in a row; 0 takes ports that are free.",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Keep the mirror's copies here; else for one run."),
]
ForOption = Annotated[
    float | None,
    typer.Option(
        "--for", metavar="SECONDS", min=0.0, max=FOR_S_MAX, help="Stop by itself after so long."
    ),
]
BootOption = Annotated[
    float | None,
    typer.Option(
        "--boot",
        metavar="SECONDS",
        min=0.0,
        max=FIGURE_S_MAX,
        help="Until a machine's agent runs; else as figured.",
    ),
]
TokenGapOption = Annotated[
    float | None,
    typer.Option(
        "--token-gap",
        metavar="SECONDS",
        min=0.0,
        max=FIGURE_S_MAX,
        help="Between the tokens of a new machine; else as figured.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add `up` to the command line."""
    app.command("up")(_up)


def _up(
    scenario: ScenarioArgument = "azure-2026-02",
    *,
    region: RegionOption = "eastus",
    host: HostOption = "127.0.0.1",
    port: PortOption = 0,
    data: DataOption = None,
    for_s: ForOption = None,
    boot_s: BootOption = None,
    token_gap_s: TokenGapOption = None,
    json: JsonFlag = False,
) -> ExitStatus:
    """Serve the stand-in cloud and the safeguards on loopback, for real Azure clients.

    Prints where everything is once all of it serves; with --json as one line. SIGTERM stops it
    with 0 and the keyboard with 130, after what was begun has ended.

    \b
    surgetank up
    surgetank up --region westus --port 9000 --data /var/tmp/copies
    surgetank up --json --for 600
    """  # noqa: D301 - click wants the character, not the two that spell it
    configure_logs(logging.WARNING)
    plan = Plan(load(scenario), region, host, port, boot_s=boot_s, token_gap_s=token_gap_s)
    return asyncio.run(_run(plan, data=data, for_s=for_s, as_json=json))


async def _run(plan: Plan, *, data: Path | None, for_s: float | None, as_json: bool) -> ExitStatus:
    """Serve until told to stop."""
    with told_to_stop() as (told, _), _directory(data) as directory:
        async with (
            live() as (ports, http, serve, *_),
            stand_in(plan, ports, http=http, serve=serve, directory=directory) as standing,
        ):
            typer.echo(dumps(_document(plan, standing)) if as_json else _page(plan, standing))
            try:
                async with asyncio.timeout(for_s):
                    return await told
            except TimeoutError:
                return ExitStatus.DONE


@contextmanager
def _directory(data: Path | None) -> Generator[Path]:
    """Give the folder for the mirror's copies; one that nobody named goes with the command."""
    if data is None:
        with TemporaryDirectory(prefix="surgetank-up-") as name:
            yield Path(name)
        return
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror
    else:
        reason = None if os.access(data, os.W_OK | os.X_OK) else "it cannot be written"
    if reason is not None:
        wanted = "a folder that can be written, or made"
        raise ConfigError(file=str(data), key="--data", value=reason, wanted=wanted)
    yield data


def _environment(standing: StandIn) -> dict[str, str]:
    """What clients that obey their environment go by: the way of the safeguards."""
    account = standing.region.accounts[0].name
    return {
        "AZURE_POD_IDENTITY_AUTHORITY_HOST": standing.urls["broker"],
        "SURGETANK_BLOB": f"{standing.urls['mirror']}/{account}",
        "SURGETANK_CONTROL": standing.urls["control"],
    }


def _document(plan: Plan, standing: StandIn) -> dict[str, object]:
    return {
        "scenario": plan.scenario.name,
        "region": plan.region,
        "endpoints": dict(standing.urls),
        "accounts": [one.name for one in standing.region.accounts],
        "artifacts": [
            {"manifest": _path(one.manifest), "package": _path(one.package)}
            for one in standing.region.extensions
        ],
        "environment": _environment(standing),
    }


def _path(url: str) -> str:
    """An artifact's path on `blob` or `mirror`: the account, then its own path."""
    parts = urlsplit(url)
    return f"/{parts.netloc.partition('.')[0]}{parts.path}"


def _page(plan: Plan, standing: StandIn) -> str:
    endpoints = [f"{name:<11} {standing.urls[name]}  {ROLES[name]}" for name in SERVICES]
    first = standing.region.extensions[0]
    exports = [f"export {name}={value}" for name, value in _environment(standing).items()]
    return "\n".join(
        [
            f"{plan.scenario.title} · {plan.region} · ready",
            "",
            *endpoints,
            "",
            *exports,
            "",
            f"an artifact: {standing.urls['mirror']}{_path(first.manifest)}",
            f"a fault: curl -X POST {standing.urls['control']}/faults/policy",
            "Ctrl-C stops it.",
        ]
    )
