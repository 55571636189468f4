"""The command action: what a program is handed, what its end means, and what it leaves for later."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from surgetank.core.errors import ConflictError, DependencyRejectedError, InvalidInputError
from surgetank.core.operation import NewOperation, OperationId, OperationState
from surgetank.core.process import Command
from surgetank.core.value import Dependency, OutcomeKind
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.process import Program, ScriptedProcesses
from surgetank.safeguards.operations.action import ActionResult, StepCall
from surgetank.safeguards.operations.argument import read_arguments
from surgetank.safeguards.operations.command_action import (
    ARGV_MAX,
    PATTERNS_MAX,
    VARIABLES_MAX,
    CommandAction,
    CommandActionPolicy,
    CommandArguments,
)
from surgetank.safeguards.operations.pattern import PATTERN_CHARACTERS_MAX
from surgetank.safeguards.operations.record import (
    CHECKPOINT_CHARACTERS_MAX,
    DETAIL_CHARACTERS_MAX,
)

OURS = {"PATH": "/bin", "HOME": "/root", "PROXY": "p"}
OK, PERMANENT, TRANSIENT = OutcomeKind.OK, OutcomeKind.PERMANENT, OutcomeKind.TRANSIENT
TIMEOUT, THROTTLED, BLOCKED = OutcomeKind.TIMEOUT, OutcomeKind.THROTTLED, OutcomeKind.BLOCKED
BUSY = b"ERROR: (TooManyRequests) later\n"


@dataclass
class Played:
    """What came of one call."""

    result: ActionResult
    saved: list[str]
    commands: list[Command]
    ended_at: float


def run_tool(
    program: Program = Program(),  # noqa: B008 - a value
    *,
    checkpoint: str = "",
    save_fails: bool = False,
    policy: CommandActionPolicy | None = None,
    **arguments: Any,
) -> Played:
    """Run `tool` once; it does what `program` says."""

    async def main(loop: VirtualLoop) -> Played:
        clock = VirtualClock(loop)
        processes = ScriptedProcesses({"tool": program}, clock=clock, environment=OURS)
        action = CommandAction(processes=processes, policy=policy or CommandActionPolicy())
        saved = list[str]()

        async def save(text: str) -> None:
            if save_fails:
                raise ConflictError("the lease is lost")
            assert processes.running == 1, "saved while it goes on"
            saved.append(text)

        text = json.dumps({"argv": ["tool"], **arguments})
        call = StepCall(
            OperationId("0123"), "vm", Dependency("compute@eastus"), text, checkpoint, save
        )
        return Played(await action(call), saved, processes.started, clock.now())

    return run(main)


def permanent(**arguments: Any) -> str:
    """Why a call cannot be made; nothing was started."""
    played = run_tool(**arguments)
    assert (played.result.outcome.kind, played.commands) == (PERMANENT, [])
    assert not played.result.may_have_acted
    return played.result.outcome.detail


def test_a_program_is_handed_what_the_arguments_say() -> None:
    (command,) = run_tool(
        argv=["tool", "$HOME", "a b"], cwd="/srv", stdin="é", environment={"A": "b"}
    ).commands
    assert (command.argv, command.cwd, command.stdin) == (
        ("tool", "$HOME", "a b"), "/srv", "é".encode(),
    )  # fmt: skip
    assert command.environment["A"] == "b"


def test_a_program_sees_what_the_policy_allows_of_ours_and_nothing_else() -> None:
    (command,) = run_tool(checkpoint="so far").commands
    assert command.environment == {
        "PATH": "/bin",
        "HOME": "/root",
        "SURGETANK_OPERATION_ID": "0123",
        "SURGETANK_STEP": "vm",
        "SURGETANK_CHECKPOINT": "so far",
    }
    assert command.note_variable == "SURGETANK_CHECKPOINT_FILE"


def test_a_policy_may_hand_on_more() -> None:
    policy = CommandActionPolicy(inherited=("PROXY",))
    (command,) = run_tool(policy=policy).commands
    assert command.environment["PROXY"] == "p"
    assert "PATH" not in command.environment


@pytest.mark.parametrize(
    ("program", "kind", "may_have_acted", "detail"),
    [
        (Program(), OK, False, ""),
        (Program(exit_code=1), PERMANENT, False, "exit 1"),
        (Program(exit_code=75), TRANSIENT, False, "exit 75"),
        (Program(exit_code=-9), TRANSIENT, True, "signal 9"),
        (Program(600.5), TIMEOUT, True, "no end in 600 s"),
    ],
)
def test_an_end_means_without_a_word_of_the_arguments(
    program: Program, kind: OutcomeKind, detail: str, *, may_have_acted: bool
) -> None:
    result = run_tool(program).result
    assert (result.outcome.kind, result.may_have_acted) == (kind, may_have_acted)
    assert result.outcome.detail == detail


@pytest.mark.parametrize(
    ("exit_code", "kind", "may_have_acted"),
    [
        (0, PERMANENT, False),
        (3, OK, False),
        (4, BLOCKED, False),
        (75, THROTTLED, False),
        (-9, PERMANENT, True),
        (5, TIMEOUT, True),
    ],
)
def test_the_arguments_say_what_an_exit_code_or_a_signal_means(
    exit_code: int, kind: OutcomeKind, *, may_have_acted: bool
) -> None:
    said = {"0": "permanent", "3": "ok", "4": "blocked", "75": "throttled", "137": "permanent"}
    outcomes = {"exit": {**said, "5": "timeout"}}
    result = run_tool(Program(exit_code=exit_code), outcomes=outcomes).result
    assert (result.outcome.kind, result.may_have_acted) == (kind, may_have_acted)


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        (Program(exit_code=1, stderr=BUSY), THROTTLED),
        (Program(exit_code=3, stderr=BUSY), THROTTLED),
        (Program(exit_code=3, stderr=b"toomanyrequests"), BLOCKED),
        (Program(exit_code=1, stderr=b"denied by POLICY"), BLOCKED),
        (Program(exit_code=1, stderr=b"denied by policy\nTooManyRequests"), THROTTLED),
        (Program(exit_code=1, stderr=b"\xff\xfeTooManyRequests\x00"), THROTTLED),
        (Program(exit_code=-9, stderr=BUSY), THROTTLED),
        (Program(exit_code=0, stderr=BUSY), OK),
        (Program(exit_code=4, stderr=BUSY), OK),
        (Program(exit_code=1, stdout=BUSY), PERMANENT),
        (Program(9999.0, stderr=BUSY), TIMEOUT),
    ],
)
def test_the_first_pattern_that_is_found_decides_unless_the_exit_code_means_ok(
    program: Program, kind: OutcomeKind
) -> None:
    patterns = [
        {"pattern": r"\(?TooManyRequests", "outcome": "throttled"},
        {"pattern": "(?i)denied by policy$", "outcome": "blocked"},
    ]
    outcomes = {"exit": {"3": "blocked", "4": "ok"}, "stderr": patterns}
    assert run_tool(program, outcomes=outcomes).result.outcome.kind is kind


def test_a_pattern_that_would_keep_others_busy_for_ever_is_found_at_once() -> None:
    """Python's own expressions take longer than the universe is old for this one."""
    patterns = [{"pattern": "^(a+)+$", "outcome": "throttled"}]
    program = Program(exit_code=1, stderr=b"a" * 16_000 + b"!")
    assert run_tool(program, outcomes={"stderr": patterns}).result.outcome.kind is PERMANENT


def test_patterns_are_looked_for_in_what_is_kept() -> None:
    patterns = [{"pattern": "first", "outcome": "throttled"}]
    program = Program(exit_code=1, stderr=b"first last")
    for kept, kind in ((10, THROTTLED), (9, PERMANENT)):
        policy = CommandActionPolicy(output_bytes_max=kept)
        played = run_tool(program, policy=policy, outcomes={"stderr": patterns})
        assert played.result.outcome.kind is kind


@pytest.mark.parametrize(
    ("program", "detail"),
    [
        (
            Program(exit_code=2, stderr=b"usage: tool\nno such flag\n\n", stdout=b"x"),
            "no such flag",
        ),
        (Program(exit_code=2, stderr=b" \n", stdout=b"said here\n"), "said here"),
        (Program(exit_code=2, stderr=b"\x1b[31mr\xc3\xa9d\xff\x00"), "[31mréd\ufffd"),
    ],
)
def test_detail_is_the_last_line_that_it_wrote_as_far_as_that_prints(
    program: Program, detail: str
) -> None:
    assert run_tool(program).result.outcome.detail == f"exit 2: {detail}"


def test_detail_is_bounded() -> None:
    detail = run_tool(Program(exit_code=2, stderr=b"x" * 10_000)).result.outcome.detail
    assert len(detail) == DETAIL_CHARACTERS_MAX


def test_a_command_may_name_its_time_out() -> None:
    played = run_tool(Program(100.0), timeout_s=7.5)
    assert played.result.outcome.detail == "no end in 7.5 s"
    assert played.ended_at == 7.5


def test_who_does_not_end_when_told_is_given_the_grace() -> None:
    policy = CommandActionPolicy(grace_s=3.0)
    assert run_tool(Program(100.0, is_deaf=True), timeout_s=7.5, policy=policy).ended_at == 10.5


def test_a_note_is_saved_while_the_program_goes_on_and_kept_at_its_end() -> None:
    played = run_tool(Program(5.0, 75, notes=(b"vm 7",)))
    assert (played.saved, played.result.checkpoint) == (["vm 7"], "vm 7")


def test_without_a_note_the_checkpoint_stays() -> None:
    assert run_tool(Program(exit_code=75), checkpoint="vm 7").result.checkpoint == "vm 7"


def test_an_empty_note_takes_the_checkpoint_back() -> None:
    assert run_tool(Program(exit_code=75, notes=(b"",)), checkpoint="vm 7").result.checkpoint == ""


def test_who_was_cut_off_with_a_checkpoint_goes_on_from_there() -> None:
    result = run_tool(Program(9999.0, notes=(b"vm 7",))).result
    assert (result.outcome.kind, result.checkpoint) == (TIMEOUT, "vm 7")
    assert not result.may_have_acted


@pytest.mark.parametrize(
    "note", [b"x" * (CHECKPOINT_CHARACTERS_MAX + 1), "é".encode() * 99_999, b"\xff", b"a\0b"]
)
def test_a_note_that_cannot_be_a_checkpoint_ends_the_program(note: bytes) -> None:
    played = run_tool(Program(100.0, notes=(note,)))
    assert (played.result.outcome.kind, played.result.may_have_acted) == (PERMANENT, True)
    assert "a checkpoint" in played.result.outcome.detail
    assert played.ended_at == 0.0


@pytest.mark.parametrize("letter", ["x", "\U0001d11e"])
def test_a_checkpoint_of_the_greatest_length_is_kept(letter: str) -> None:
    note = letter * CHECKPOINT_CHARACTERS_MAX
    assert run_tool(Program(notes=(note.encode(),))).result.checkpoint == note


def test_a_lost_lease_ends_the_program() -> None:
    with pytest.raises(ConflictError):
        run_tool(Program(100.0, notes=(b"vm 7",)), save_fails=True)


def test_what_cannot_be_started_is_rejected() -> None:
    with pytest.raises(DependencyRejectedError, match="no-such") as caught:
        run_tool(argv=["no-such"])
    assert not caught.value.may_have_acted


def test_a_policy_may_name_the_programs_that_may_be_run() -> None:
    policy = CommandActionPolicy(programs=("other", "tool"))
    assert run_tool(policy=policy).result.outcome.kind is OK
    said = permanent(policy=policy, argv=["/usr/bin/tool"])
    assert said == "argv.0 = '/usr/bin/tool': the policy allows other, tool"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"argv": []}, "argv: Tuple should have at least 1 item"),
        ({"argv": ["x"] * (ARGV_MAX + 1)}, "argv: Tuple should have at most 256 items"),
        ({"argv": "tool --now"}, "argv: Input should be a valid array"),
        ({"argv": ["tool", 5]}, "argv.1 = 5: Input should be a valid string"),
        ({"arvg": ["tool"]}, "arvg: Extra inputs are not permitted"),
        ({"cwd": ""}, "cwd: String should have at least 1 character"),
        ({"timeout_s": 0}, "timeout_s = 0: Input should be greater than 0"),
        ({"timeout_s": 3501}, "timeout_s = 3501: at most 3500"),
        ({"environment": {"A=B": "c"}}, "environment.A=B.[key]: String should match"),
        ({"environment": {"SURGETANK_STEP": "c"}}, "environment.SURGETANK_STEP: names with"),
        (
            {"environment": {f"A{n}": "" for n in range(VARIABLES_MAX + 1)}},
            "environment: Dictionary should have at most 64 items",
        ),
        (
            {"outcomes": {"exit": {"256": "ok"}}},
            "outcomes.exit.256.[key]: Input should be less",
        ),
        ({"outcomes": {"exit": {"1": "so-so"}}}, "outcomes.exit.1: Input should be 'ok',"),
        (
            {"outcomes": {"stderr": [{"pattern": "(", "outcome": "ok"}]}},
            "pattern '(': missing ): (",
        ),
        (
            {"outcomes": {"stderr": [{"pattern": r"(.)\1", "outcome": "ok"}]}},
            r"pattern '(.)\\1': invalid escape sequence: \1",
        ),
        (
            {"outcomes": {"stderr": [{"pattern": "((.{30}){30}){30}", "outcome": "ok"}]}},
            "pattern '((.{30}){30}){30}': invalid repetition size",
        ),
        (
            {"outcomes": {"stderr": [{"pattern": r"(?i)\pL{99}", "outcome": "ok"}]}},
            r"pattern '(?i)\\pL{99}': pattern too large",
        ),
        (
            {"outcomes": {"stderr": [{"pattern": "x" * 201, "outcome": "ok"}]}},
            f"outcomes.stderr.0.pattern: String should have at most {PATTERN_CHARACTERS_MAX}",
        ),
        (
            {"outcomes": {"stderr": [{"pattern": "x", "outcome": "ok"}] * (PATTERNS_MAX + 1)}},
            "outcomes.stderr: Tuple should have at most 8 items",
        ),
    ],
)
def test_arguments_that_cannot_be_used_are_permanent_and_say_why(
    arguments: dict[str, Any], said: str
) -> None:
    assert permanent(**arguments).startswith(said)


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"argv": ["\\ud800"]}', "[" * 60_000])
def test_what_is_no_json_object_cannot_be_read(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"^arguments: "):
        read_arguments(CommandArguments, text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout_s": 0.0},
        {"timeout_s": 3501.0},
        {"grace_s": -1.0},
        {"output_bytes_max": 0},
        {"output_bytes_max": 65_537},
    ],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        CommandActionPolicy(**wrong)


def test_after_a_crash_a_step_that_may_not_be_repeated_goes_on_from_its_checkpoint(
    play: Callable[..., None], new_operation: Callable[..., NewOperation]
) -> None:
    async def main(world: Any) -> None:
        def tool(command: Command) -> Program:
            is_new = not command.environment["SURGETANK_CHECKPOINT"]
            return Program(100.0, notes=(b"vm 7",)) if is_new else Program(1.0)

        processes = ScriptedProcesses({"tool": tool}, clock=world.clock)
        world.actions["command"] = CommandAction(processes=processes, policy=CommandActionPolicy())
        first = world.worker("w1")
        vm = {"action": "command", "arguments": '{"argv": ["tool"]}'}
        receipt = await first.submit(new_operation("k", "vm", vm=vm))
        await world.pass_s(10.0)
        world.kill(first)
        world.worker("w2")
        record = await world.ended(receipt.id)
        assert record.state is OperationState.SUCCEEDED
        seen = [each.environment["SURGETANK_CHECKPOINT"] for each in processes.started]
        assert seen == ["", "vm 7"]

    play(main)
