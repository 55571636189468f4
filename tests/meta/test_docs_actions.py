"""The page of the actions: its tables are those of the code, and its examples do what it says."""

import asyncio
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from surgetank.control.outcome import CODE_KINDS, RETRY_AFTER_S_MAX, STATUS_KINDS
from surgetank.core.errors import DependencyThrottledError
from surgetank.core.http import Request, Response, Timeouts
from surgetank.core.operation import OperationId
from surgetank.core.value import Dependency, OutcomeKind
from surgetank.rehearsal.drill.output.markdown import code, table
from surgetank.rehearsal.drill.output.schema_table import lines, section
from surgetank.runtime.live.process import LiveProcesses
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.process import Program, ScriptedProcesses
from surgetank.safeguards.operations.action import Action, ActionResult, StepCall
from surgetank.safeguards.operations.callable_action import GROUP, load_actions
from surgetank.safeguards.operations.command_action import (
    CommandAction,
    CommandActionPolicy,
    CommandArguments,
)
from surgetank.safeguards.operations.http_action import HttpAction, HttpActionPolicy, HttpArguments
from surgetank.safeguards.operations.pattern import PATTERN_BYTES_MAX
from surgetank.safeguards.operations.record import CHECKPOINT_CHARACTERS_MAX

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "actions.md").read_text("utf-8")
BOUNDS = {
    "exclusiveMinimum": "above {}",
    "minItems": "at least {}",
    "minLength": "at least {}",
    "maxItems": "at most {}",
    "maxLength": "at most {} characters",
    "maxProperties": "at most {}",
}


def bounded(said: str, field: Mapping[str, Any]) -> str:
    return ", ".join(
        [said, *(text.format(field[key]) for key, text in BOUNDS.items() if key in field)]
    )


def default(key: str, part: Mapping[str, Any]) -> str:
    field = part["properties"][key]
    if key in part.get("required", ()):
        return "required"
    if "$ref" in field:
        return code("{}")  # a part, all of whose keys have defaults
    value = field.get("default", {})
    return "left out" if value is None else code(json.dumps(value))


def written(field: Mapping[str, Any]) -> dict[str, Any]:
    """A field as it is written: left out rather than null, and of any type where it has none."""
    (given,) = [one for one in field.get("anyOf", ()) if one["type"] != "null"] or [{}]
    left_out = ("anyOf", "$ref") if field.get("$ref") == "#/$defs/JsonValue" else ("anyOf",)
    kept = {key: value for key, value in field.items() if key not in left_out}
    return {"type": "any", **kept, **given}


def tables() -> Iterator[tuple[str, str]]:
    for model in (HttpArguments, CommandArguments):
        schema = model.model_json_schema()
        for name, part in {model.__name__: schema, **schema["$defs"]}.items():
            if "properties" in part:
                fields = {key: written(field) for key, field in part["properties"].items()}
                part_written = {**part, "properties": fields}
                made = section(name, part_written, column="default", say=default, bounded=bounded)
                yield name, made.split("\n\n")[-1]
    kinds = dict.fromkeys(CODE_KINDS.values())
    rows = [
        [code(kind), ", ".join(code(one) for one, its in CODE_KINDS.items() if its is kind)]
        for kind in kinds
    ]
    yield "codes", lines(table(("outcome", "codes"), rows))


TABLES = dict(tables())


def block(language: str, section: str) -> str:
    """The first example in a language after a heading."""
    after = PAGE.partition(f"\n{section}\n")[2]
    found = re.search(rf"```{language}\n(.*?)```", after, re.DOTALL)
    assert found is not None, f"no example in {language} after {section}"
    return found[1]


def a_call(arguments: str, checkpoint: str = "") -> StepCall:
    async def save(_: str) -> None:
        pass

    dependency = Dependency("compute@eastus")
    return StepCall(OperationId("0123"), "vm", dependency, arguments, checkpoint, save)


def called(action: Action, arguments: str) -> ActionResult:
    async def main(_: VirtualLoop) -> ActionResult:
        return await action(a_call(arguments))

    return run(main)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_that_of_the_code(name: str) -> None:
    assert TABLES[name] in PAGE, f"write it anew:\n{TABLES[name]}"


def statuses(kind: OutcomeKind) -> str:
    *others, last = (str(status) for status, its in STATUS_KINDS.items() if its is kind)
    return f"{', '.join(others)} and {last} `{kind}`" if others else f"{last} `{kind}`"


@pytest.mark.parametrize(
    "words",
    [
        f"2xx and {statuses(OutcomeKind.OK).replace(' `', ' are `')}; ",
        f" {statuses(OutcomeKind.THROTTLED)}; {statuses(OutcomeKind.BLOCKED)}; ",
        f" {statuses(OutcomeKind.TRANSIENT)}; all else is `permanent`.",
        ", ".join(f"`{name}`" for name in CommandActionPolicy().inherited[:-1]),
        f"SIGKILL {CommandActionPolicy().grace_s:g} seconds later",
        f"The last {CommandActionPolicy().output_bytes_max // 1024} KiB of each output",
        f"more than {PATTERN_BYTES_MAX // 1024} KiB of memory",
        f"at most {CHECKPOINT_CHARACTERS_MAX:,} characters long",
        f"a text of at most {CHECKPOINT_CHARACTERS_MAX:,} characters",
        f"for at most {'an hour' if RETRY_AFTER_S_MAX == 3600 else RETRY_AFTER_S_MAX}",
    ],
)
def test_what_the_page_says_in_words_is_what_the_code_says(words: str) -> None:
    assert words in PAGE


def test_every_outcome_stands_in_the_first_table() -> None:
    first = PAGE.partition("### OutcomeKind")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", first, re.MULTILINE) == list(OutcomeKind)


class Client:
    """Answers the one request with the one answer."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer

    async def send(
        self, request: Request, *, timeouts: Timeouts, body_bytes_max: int = 1 << 20
    ) -> Response:
        del timeouts, body_bytes_max
        assert request.method == "DELETE"
        return self.answer

    def stream(self, request: Request, *, timeouts: Timeouts) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Response(204), OutcomeKind.OK),
        (Response(404), OutcomeKind.OK),
        (
            Response(409, {}, b'{"error": {"code": "AnotherOperationInProgress"}}'),
            OutcomeKind.TRANSIENT,
        ),
        (Response(409), OutcomeKind.PERMANENT),
    ],
)
def test_the_example_of_http_does_what_the_page_says(answer: Response, kind: OutcomeKind) -> None:
    async def main(loop: VirtualLoop) -> ActionResult:
        clock, policy = VirtualClock(loop), HttpActionPolicy()
        action = HttpAction(client=Client(answer), clock=clock, policy=policy)
        return await action(a_call(block("json", "## http")))

    assert run(main).outcome.kind is kind


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        (Program(), OutcomeKind.OK),
        (Program(exit_code=3), OutcomeKind.OK),
        (Program(exit_code=1, stderr=b"ERROR: 429 slow down"), OutcomeKind.THROTTLED),
        (Program(exit_code=1, stderr=b"(RequestDisallowedByPolicy)"), OutcomeKind.BLOCKED),
        (Program(exit_code=1), OutcomeKind.PERMANENT),
        (Program(901.0), OutcomeKind.TIMEOUT),
    ],
)
def test_the_example_of_command_does_what_the_page_says(
    program: Program, kind: OutcomeKind
) -> None:
    async def main(loop: VirtualLoop) -> ActionResult:
        processes = ScriptedProcesses({"az": program}, clock=VirtualClock(loop))
        action = CommandAction(processes=processes, policy=CommandActionPolicy())
        return await action(a_call(block("json", "## command")))

    assert run(main).outcome.kind is kind


def test_the_script_with_a_checkpoint_starts_one_machine_however_often_it_is_cut_off(
    tmp_path: Path,
) -> None:
    programs = {
        "create-machine": 'echo "$2 $3" >> "$HOME/created"; echo "machine 7"',
        "await-machine": 'echo "$1" >> "$HOME/awaited"; test -e "$HOME/ready" || exec sleep 600',
    }
    for name, script in programs.items():
        file = tmp_path / name
        file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        file.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)}
    action = CommandAction(processes=LiveProcesses(environment), policy=CommandActionPolicy())
    argv = ["sh", "-c", block("sh", "### What a program is handed")]

    def once(timeout_s: float, checkpoint: str) -> ActionResult:
        arguments = json.dumps({"argv": argv, "timeout_s": timeout_s})

        async def main() -> ActionResult:
            return await action(a_call(arguments, checkpoint))

        return asyncio.run(main())

    first = once(1.0, "")
    assert (first.outcome.kind, first.checkpoint) == (OutcomeKind.TIMEOUT, "machine 7")
    assert not first.may_have_acted
    (tmp_path / "ready").touch()
    assert once(60.0, first.checkpoint).outcome.kind is OutcomeKind.OK
    assert (tmp_path / "created").read_text() == "--request-id 0123\n"
    assert (tmp_path / "awaited").read_text() == "machine 7\nmachine 7\n"


def test_the_function_of_another_distribution_does_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = "## Actions of your own"
    (tmp_path / "acme.py").write_text(block("python", head), encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "acme", raising=False)
    named = tomllib.loads(block("toml", head))["project"]["entry-points"][GROUP]
    actions = load_actions(
        [EntryPoint(name, value, GROUP) for name, value in named.items()], taken=()
    )
    done = called(actions["resize"], '{"size": "small"}')
    assert (done.outcome.kind, done.checkpoint) == (OutcomeKind.OK, "resized to small")
    with pytest.raises(DependencyThrottledError):
        called(actions["resize"], '{"size": "huge"}')
