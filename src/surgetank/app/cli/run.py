"""`surgetank run`: one command of a CI job under the governor that all such jobs share.

By a server, or by a file of the machine.
"""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surgetank.app.cli import child
from surgetank.app.cli.child import Ending
from surgetank.app.cli.output import JsonFlag
from surgetank.client.held import WAIT_S_LIMIT
from surgetank.client.remote import Client
from surgetank.core.errors import ConfigError, InvalidInputError, RefusedError
from surgetank.core.value import Lane, Outcome, OutcomeKind

if TYPE_CHECKING:
    from surgetank.client.job import Job
    from surgetank.control.governor import GovernorPolicy

__all__ = ["register"]

URL_VARIABLE = "SURGETANK_URL"
TOKEN_VARIABLE = "SURGETANK_TOKEN"  # noqa: S105 - a name, not a token
WAIT_S = 600.0
"""For leave, without `--wait`: longer than a breaker stays open, shorter than a job's patience."""
TOKEN_BYTES_MAX = 4_096
"""Of `--token-file`: longer is not a token."""
_STATUS_MAX = 255

OnOption = Annotated[
    str, typer.Option("--on", metavar="DEPENDENCY", help="Whom it calls, as compute@eastus.")
]
LaneOption = Annotated[
    Lane, typer.Option("--lane", help="Who waits: backlog is replayed work, and yields to fresh.")
]
RetryOption = Annotated[
    bool, typer.Option("--retry", help="It was run before and failed: take of the retry budget.")
]
WaitOption = Annotated[
    float,
    typer.Option(
        "--wait", metavar="SECONDS", min=0.0, max=WAIT_S_LIMIT, help="Wait so long for leave."
    ),
]
ServerOption = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help=f"Whom to ask; {URL_VARIABLE} if unsaid."),
]
TokenOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file", metavar="FILE", help=f"Holds the bearer token; {TOKEN_VARIABLE} if unsaid."
    ),
]
StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state", metavar="FILE", dir_okay=False,
        help="Ask no server: share with the jobs of this machine that name the same file.",
    ),
]  # fmt: skip
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="With --state: its section governor; ours if unsaid."
    ),
]
ClosedOption = Annotated[
    bool,
    typer.Option("--fail-closed", help="Do not run it when the server, or the file, is away."),
]
ThrottledOption = Annotated[
    list[int] | None,
    typer.Option(
        "--throttled-exit", metavar="N", min=1, max=_STATUS_MAX,
        help="This exit status says: too fast. May be given several times, as the next two.",
    ),
]  # fmt: skip
BlockedOption = Annotated[
    list[int] | None,
    typer.Option(
        "--blocked-exit", metavar="N", min=1, max=_STATUS_MAX,
        help="This one says: a policy refuses, and trying again cannot help.",
    ),
]  # fmt: skip
PermanentOption = Annotated[
    list[int] | None,
    typer.Option(
        "--permanent-exit", metavar="N", min=1, max=_STATUS_MAX,
        help="This one says: the dependency answered, and what failed is our own.",
    ),
]  # fmt: skip
CommandArgument = Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="What to run.")]


def register(app: typer.Typer) -> None:
    """Add `run` to the command line."""
    app.command("run", context_settings={"allow_interspersed_args": False})(_run)


def _run(
    command: CommandArgument,
    *,
    on: OnOption,
    lane: LaneOption = Lane.FRESH,
    retry: RetryOption = False,
    wait_s: WaitOption = WAIT_S,
    server: ServerOption = None,
    token_file: TokenOption = None,
    state: StateOption = None,
    configuration: ConfigOption = None,
    fail_closed: ClosedOption = False,
    throttled_exit: ThrottledOption = None,
    blocked_exit: BlockedOption = None,
    permanent_exit: PermanentOption = None,
    json: JsonFlag = False,
) -> int:
    """Run a command when the dependency that it calls can bear it.

    Every job that names the same dependency shares one breaker, one retry budget and one release.
    How the command ends is told to all: 0 is a success; any other status is a fault of the
    dependency, unless an option says otherwise; a command that a signal ended tells nothing.

    Its exit status is kept (128 and the signal's number when a signal ended it; 126 and 127 when
    it cannot be run). Without leave in time it is not run, and the status is 1. When the server is
    away it is run all the same, which is said on standard error.

    With --state there is no server: the jobs of one machine share by a file. One that is killed is
    forgotten seconds later.

    \b
    surgetank run --on terraform@eastus -- terraform apply -auto-approve
    surgetank run --on compute@eastus --lane backlog --wait 1800 -- ./replay.sh
    surgetank run --on compute@eastus --state /var/tmp/governors.db -- ./create.sh
    """  # noqa: D301 - click wants the character, not the two that spell it
    del json  # `main` has looked: it is for our own errors
    kinds = _kinds(
        {
            OutcomeKind.THROTTLED: throttled_exit or (),
            OutcomeKind.BLOCKED: blocked_exit or (),
            OutcomeKind.PERMANENT: permanent_exit or (),
        }
    )
    _say_on_stderr()
    if state is not None:
        _refuse_with_state(server=server, token_file=token_file)
        asking: Client | Job = _job(state, configuration, is_fail_open=not fail_closed)
    elif configuration is not None:
        raise InvalidInputError("--config goes with --state: a server has its own")
    else:
        asking = Client(_url(server), _token(token_file), is_fail_open=not fail_closed)
    with asking:
        try:
            held = asking.ask(on, lane=lane, retry=retry, wait_s=wait_s)
        except RefusedError as error:
            error.add_note("the command was not run")
            raise
        try:
            ending = child.run(command)
            held.settle(_outcome(ending, kinds))
        finally:
            held.give_back()  # unless it is ended
    if not ending.is_run:
        reason = "not found" if ending.status == child.NOT_FOUND else "cannot be run"
        typer.echo(f"surgetank: {command[0]}: {reason}", file=sys.stderr)
    return ending.status


def _refuse_with_state(*, server: str | None, token_file: Path | None) -> None:
    """Refuse what is said of a server that is not asked."""
    for name, said in (("--server", server), ("--token-file", token_file)):
        if said is not None:
            raise InvalidInputError(f"{name} and --state: one of them")


def _job(state: Path, configuration: Path | None, *, is_fail_open: bool) -> "Job":
    """Make what asks the file.

    Raises:
        ConfigError: The configuration cannot be used.
    """
    # Imported by who needs it: who asks a server starts sooner.
    from surgetank.app.wiring import configure_logs  # noqa: PLC0415 - see above
    from surgetank.client.job import Job  # noqa: PLC0415 - see above

    configure_logs(logging.WARNING)
    policy: GovernorPolicy | None = None
    if configuration is not None:
        from surgetank.runtime import config  # noqa: PLC0415 - see above

        policy = config.read(configuration).governor
    return Job(str(state), policy, is_fail_open=is_fail_open)


def _kinds(said: Mapping[OutcomeKind, Sequence[int]]) -> dict[int, OutcomeKind]:
    """What each exit status says.

    Raises:
        InvalidInputError: One is to say two things.
    """
    kinds = dict[int, OutcomeKind]()
    for kind, statuses in said.items():
        for status in statuses:
            if kinds.setdefault(status, kind) is not kind:
                raise InvalidInputError(
                    f"exit status {status} is said to be {kinds[status]} and {kind}: one of them"
                )
    return kinds


def _outcome(ending: Ending, kinds: Mapping[int, OutcomeKind]) -> Outcome | None:
    """What the command's end says of the dependency; None for nothing."""
    if ending.is_stopped or not ending.is_run:
        return None
    if ending.status == 0:
        return Outcome(OutcomeKind.OK)
    kind = kinds.get(ending.status, OutcomeKind.TRANSIENT)
    return Outcome(kind, f"exit status {ending.status}")


def _url(server: str | None) -> str:
    url = server or os.environ.get(URL_VARIABLE)
    if not url:
        raise InvalidInputError(f"no server to ask: say --server URL, or set {URL_VARIABLE}")
    return url


def _token(file: Path | None) -> str | None:
    """Read the token; without a file, of the environment.

    Raises:
        ConfigError: The file cannot be read, or holds no token.
    """
    if file is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        with file.open("rb") as opened:
            raw = opened.read(TOKEN_BYTES_MAX + 1)
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise ConfigError(
            file=str(file), key="--token-file", value=reason, wanted="a file that can be read"
        ) from error
    token = raw.decode(errors="replace").strip()
    if not token or len(raw) > TOKEN_BYTES_MAX:
        wanted = f"one token, at most {TOKEN_BYTES_MAX} bytes"
        raise ConfigError(
            file=str(file), key="--token-file", value=f"{len(raw)} bytes", wanted=wanted
        )
    return token


def _say_on_stderr() -> None:
    """Let the client say there that it goes on without its server."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("surgetank: %(message)s"))
    log = logging.getLogger("surgetank.client")
    log.addHandler(handler)
    log.propagate = False
