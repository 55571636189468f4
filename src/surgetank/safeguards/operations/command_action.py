"""The built-in action `command`: one program, run to its end, and what its end means.

It is given as `argv`: no shell reads it. It sees the variables that the policy allows, those of
its arguments, and `SURGETANK_OPERATION_ID` and `SURGETANK_STEP`, the same at every try, by which
it can tell tries apart from wishes.

What it writes to the file that `SURGETANK_CHECKPOINT_FILE` names is its checkpoint, a line each,
durable while it goes on: the next try finds the last one in `SURGETANK_CHECKPOINT`. So a program
that writes down what it began, and then looks after it, need not be repeatable.

What may have acted: a program that was cut off or killed. One that ended by itself has said how.
Source of exit code 75: `EX_TEMPFAIL` of BSD's sysexits.h.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from surgetank.core.errors import InvalidInputError
from surgetank.core.ports import Processes
from surgetank.core.process import Command, Ended, ProcessLimits
from surgetank.core.value import Outcome, OutcomeKind
from surgetank.safeguards.operations.action import ActionResult, StepCall
from surgetank.safeguards.operations.argument import Arguments, read_arguments
from surgetank.safeguards.operations.pattern import PATTERN_CHARACTERS_MAX, compile_pattern
from surgetank.safeguards.operations.record import CHECKPOINT_CHARACTERS_MAX, clip

ARGV_MAX = 256
VARIABLES_MAX = 64
PATTERNS_MAX = 8
"""Two seconds for the worst of them together, and a lease lasts a minute."""
NOTE_BYTES_MAX = 4 * CHECKPOINT_CHARACTERS_MAX + 1
"""One byte more than the longest checkpoint in UTF-8, so that a longer one is seen to be."""
EXIT_KINDS: Mapping[int, OutcomeKind] = MappingProxyType(
    {0: OutcomeKind.OK, 75: OutcomeKind.TRANSIENT}
)
"""What an exit code means when the arguments do not say. All else is PERMANENT."""
SIGNAL_CODE = 128
"""Added to the signal that ended a program, as shells do, so that one table says both."""
OURS = "SURGETANK_"
"""What the variables that we set begin with."""

_Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class StderrPattern(Arguments):
    """What it means when something is found on standard error."""

    pattern: Annotated[str, Field(min_length=1, max_length=PATTERN_CHARACTERS_MAX)]
    """A regular expression of RE2, found anywhere in what is kept of standard error; `(?i)` in
    front ignores case."""
    outcome: OutcomeKind
    """The outcome then."""


class CommandOutcomes(Arguments):
    """What the end of a command means, before the defaults."""

    exit: dict[Annotated[int, Field(ge=0, le=255)], OutcomeKind] = Field(
        default_factory=dict[int, OutcomeKind]
    )
    """Outcomes by exit code; 128 + N for a program that signal N ended."""
    stderr: Annotated[tuple[StderrPattern, ...], Field(max_length=PATTERNS_MAX)] = ()
    """Looked for in this order where the exit code does not mean `ok`; the first that is found
    decides, before the exit code."""


class CommandArguments(Arguments):
    """Arguments of `command`."""

    argv: Annotated[tuple[str, ...], Field(min_length=1, max_length=ARGV_MAX)]
    """The program, by path or as found in `PATH`, and its arguments."""
    cwd: Annotated[str, Field(min_length=1)] | None = None
    """Directory to start in; left out: where the worker runs."""
    stdin: str = ""
    """What it may read, as UTF-8; then its input ends."""
    environment: Annotated[dict[_Variable, str], Field(max_length=VARIABLES_MAX)] = Field(
        default_factory=dict[str, str]
    )
    """Variables to set, besides those that the policy hands on; none begins with `SURGETANK_`."""
    timeout_s: Annotated[float, Field(gt=0)] | None = None
    """Seconds until it is told to end; left out: the policy's."""
    outcomes: CommandOutcomes = CommandOutcomes()
    """What its end means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandActionPolicy:
    """Limits of the command action; raises `InvalidInputError` if out of range."""

    programs: tuple[str, ...] = ()
    """Programs that may be run, as `argv` names them; empty for any. A guard against mistakes and
    no wall: by its arguments and variables a program may be made to run others."""
    inherited: tuple[str, ...] = (
        "HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER",
    )  # fmt: skip
    """Variables of ours that a program sees. As sudo keeps them: enough to find programs, homes
    and languages, and no secret among them."""
    timeout_s: float = 600.0
    """Seconds for a command that names no time-out; above 0. A machine takes minutes."""
    timeout_s_max: float = 3500.0
    """Seconds that a command may ask for; above 0. Less than the hour that a call of a step may
    take, so that a time-out is told with what the program said."""
    grace_s: float = 10.0
    """Seconds from SIGTERM to SIGKILL, and for what a program left running to finish writing; at
    least 0. As Docker stops."""
    output_bytes_max: int = 16 * 1024
    """Bytes kept of each output, the last ones; from 1 to 65536: patterns are searched in them."""

    def __post_init__(self) -> None:
        is_timely = 0 < self.timeout_s <= self.timeout_s_max and self.grace_s >= 0
        if not is_timely or not 1 <= self.output_bytes_max <= 64 * 1024:
            raise InvalidInputError(f"out of range: {self}")


class CommandAction:
    """Runs commands for steps."""

    def __init__(self, *, processes: Processes, policy: CommandActionPolicy) -> None:
        self._processes = processes
        self._policy = policy

    async def __call__(self, call: StepCall, /) -> ActionResult:
        """Run the command, and save its notes as checkpoints."""
        try:
            arguments = read_arguments(CommandArguments, call.arguments)
            limits = self._limits(arguments)
            command = self._command(arguments, call)
            patterns = [
                (compile_pattern(each.pattern), each.outcome) for each in arguments.outcomes.stderr
            ]
        except InvalidInputError as error:
            return ActionResult(Outcome(OutcomeKind.PERMANENT, clip(str(error))))

        async def noted(note: bytes) -> None:
            await call.save(_read_note(note))

        try:
            ended = await self._processes.run(command, limits=limits, noted=noted)
            checkpoint = call.checkpoint if ended.note is None else _read_note(ended.note)
        except InvalidInputError as error:
            outcome = Outcome(OutcomeKind.PERMANENT, clip(str(error)))
            return ActionResult(outcome, may_have_acted=True)
        if ended.is_timed_out:
            kind = OutcomeKind.TIMEOUT
            detail = f"no end in {limits.timeout_s:g} s"
        else:
            kind = _kind(ended, arguments.outcomes.exit, patterns)
            detail = _ending(ended.exit_code)
        if kind is OutcomeKind.OK:
            return ActionResult(Outcome(kind), checkpoint)
        # What has a checkpoint goes on from there: that is no repeat.
        is_cut_off = kind is OutcomeKind.TIMEOUT or ended.exit_code < 0
        return ActionResult(
            Outcome(kind, clip(f"{detail}{_last_words(ended)}")),
            checkpoint,
            may_have_acted=is_cut_off and not checkpoint,
            is_absent=ended.exit_code in arguments.outcomes.exit,
        )

    def _limits(self, arguments: CommandArguments) -> ProcessLimits:
        policy = self._policy
        timeout_s = policy.timeout_s if arguments.timeout_s is None else arguments.timeout_s
        if timeout_s > policy.timeout_s_max:
            raise InvalidInputError(f"timeout_s = {timeout_s:g}: at most {policy.timeout_s_max:g}")
        return ProcessLimits(timeout_s, policy.grace_s, policy.output_bytes_max, NOTE_BYTES_MAX)

    def _command(self, arguments: CommandArguments, call: StepCall) -> Command:
        programs = self._policy.programs
        if programs and arguments.argv[0] not in programs:
            raise InvalidInputError(
                f"argv.0 = {arguments.argv[0]!r}: the policy allows {', '.join(programs)}"
            )
        if taken := [name for name in arguments.environment if name.startswith(OURS)]:
            raise InvalidInputError(f"environment.{taken[0]}: names with {OURS} are ours to set")
        ours = {
            f"{OURS}OPERATION_ID": call.operation_id,
            f"{OURS}STEP": call.step_name,
            f"{OURS}CHECKPOINT": call.checkpoint,
        }
        return Command(
            argv=arguments.argv,
            environment={**arguments.environment, **ours},
            inherited=self._policy.inherited,
            cwd=arguments.cwd,
            stdin=arguments.stdin.encode(),
            note_variable=f"{OURS}CHECKPOINT_FILE",
        )


def _kind(
    ended: Ended,
    own: Mapping[int, OutcomeKind],
    patterns: list[tuple[Callable[[bytes], bool], OutcomeKind]],
) -> OutcomeKind:
    """What the end of a program means that ended before its time-out."""
    code = ended.exit_code
    default = OutcomeKind.TRANSIENT if code < 0 else OutcomeKind.PERMANENT
    code = code if code >= 0 else SIGNAL_CODE - code
    kind = own.get(code, EXIT_KINDS.get(code, default))
    if kind is OutcomeKind.OK:
        return kind
    return next((said for is_found, said in patterns if is_found(ended.stderr)), kind)


def _ending(exit_code: int) -> str:
    return f"exit {exit_code}" if exit_code >= 0 else f"signal {-exit_code}"


def _last_words(ended: Ended) -> str:
    """The last line of standard error, else of standard output, in characters that print."""
    for output in (ended.stderr, ended.stdout):
        lines = output.decode(errors="replace").split("\n")
        for line in reversed(lines):
            text = "".join(each if each.isprintable() else " " for each in line).strip()
            if text:
                return f": {text}"
    return ""


def _read_note(note: bytes) -> str:
    """Read a checkpoint.

    Raises:
        InvalidInputError: It is too long, or cannot be handed to the next try.
    """
    try:
        text = note.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"a checkpoint that is no UTF-8: {error}") from error
    if len(text) > CHECKPOINT_CHARACTERS_MAX or "\0" in text:
        raise InvalidInputError(
            f"a checkpoint is one line of at most {CHECKPOINT_CHARACTERS_MAX} characters, "
            "none of them null"
        )
    return text
