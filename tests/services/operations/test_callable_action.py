"""Actions of other distributions: found by entry point, called, and refused with a reason."""

import sys
from collections.abc import Callable, Generator
from importlib import invalidate_caches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from random import Random
from textwrap import dedent
from typing import Any, Protocol

import pytest

from surgetank.core.errors import ConfigError, DependencyThrottledError, InvalidInputError
from surgetank.core.operation import NewOperation, OperationId, OperationState
from surgetank.core.value import Dependency, Outcome, OutcomeKind
from surgetank.runtime.assembly import Ports, make_actions
from surgetank.runtime.simulation.blocking import InlineBlocking
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.network import Network
from surgetank.runtime.simulation.process import ScriptedProcesses
from surgetank.safeguards.operations.action import Action, ActionResult, StepCall
from surgetank.safeguards.operations.callable_action import GROUP, load_actions
from surgetank.safeguards.operations.command_action import CommandActionPolicy
from surgetank.safeguards.operations.http_action import HttpActionPolicy
from surgetank.safeguards.operations.record import CHECKPOINT_CHARACTERS_MAX

BUILT_IN = ["command", "http"]
CODE = """
from surgetank.core.errors import DependencyThrottledError
from surgetank.core.value import Outcome, OutcomeKind
from surgetank.safeguards.operations.action import ActionResult, StepCall


async def nothing(call: StepCall) -> None:
    pass


async def remembers(call: StepCall) -> str:
    await call.save("begun")
    return f"{call.step_name} after {call.checkpoint}"


async def decides(call: StepCall) -> ActionResult:
    return ActionResult(Outcome(OutcomeKind.BLOCKED, "no"), "so far", may_have_acted=True)


async def throttled(call: StepCall) -> None:
    raise DependencyThrottledError("slowly", may_have_acted=False)


async def gives_a_number(call: StepCall) -> int:
    return 7


async def gives_much(call: StepCall) -> str:
    return "x" * 4097


async def wants_two(call: StepCall, other: object) -> None:
    pass


class Actions:
    async def resize(self, call: StepCall) -> None:
        pass


def plain(call: StepCall) -> None:
    pass


actions = Actions()
"""


class Install(Protocol):
    def __call__(self, *lines: str, name: str = "acme", code: str = CODE) -> list[EntryPoint]: ...


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Install]:
    """Install a distribution beside those that are there; gives all entry points of the group."""
    monkeypatch.delitem(sys.modules, "acme", raising=False)
    modules = set(sys.modules)

    def install(*lines: str, name: str = "acme", code: str = CODE) -> list[EntryPoint]:
        place = tmp_path / name
        information = place / f"{name}-1.0.dist-info"
        information.mkdir(parents=True)
        (place / f"{name}.py").write_text(dedent(code), encoding="utf-8")
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        (information / "METADATA").write_text(metadata, encoding="utf-8")
        said = "\n".join([f"[{GROUP}]", *lines, ""])
        (information / "entry_points.txt").write_text(said, encoding="utf-8")
        monkeypatch.setattr(sys, "path", [str(place), *sys.path])
        invalidate_caches()
        return list(entry_points(group=GROUP))

    yield install
    for module in set(sys.modules) - modules:
        del sys.modules[module]


def called(action: Action, *, checkpoint: str = "") -> tuple[ActionResult, list[str]]:
    """What comes of one call, and what it saved."""
    saved = list[str]()

    async def save(text: str) -> None:
        saved.append(text)

    async def main(_: VirtualLoop) -> ActionResult:
        dependency = Dependency("compute@eastus")
        return await action(StepCall(OperationId("0"), "vm", dependency, "{}", checkpoint, save))

    return run(main), saved


def made(points: list[EntryPoint]) -> dict[str, Action]:
    """All actions, as a service makes them."""

    async def main(loop: VirtualLoop) -> dict[str, Action]:
        clock = VirtualClock(loop)
        return make_actions(
            Ports(clock, Random(1), InlineBlocking()),
            http=Network(loop).client("here"),
            http_policy=HttpActionPolicy(),
            processes=ScriptedProcesses({}, clock=clock),
            command_policy=CommandActionPolicy(),
            entry_points=points,
        )

    return run(main)


def refused(points: list[EntryPoint]) -> str:
    """Why actions cannot be loaded."""
    with pytest.raises(ConfigError) as caught:
        load_actions(points, taken=("command", "http"))
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("nothing", ActionResult(Outcome(OutcomeKind.OK))),
        ("actions.resize", ActionResult(Outcome(OutcomeKind.OK))),
        ("remembers", ActionResult(Outcome(OutcomeKind.OK), "vm after before")),
        (
            "decides",
            ActionResult(Outcome(OutcomeKind.BLOCKED, "no"), "so far", may_have_acted=True),
        ),
    ],
)
def test_a_function_is_called_and_what_it_gives_is_taken(
    install: Install, name: str, result: ActionResult
) -> None:
    actions = load_actions(install(f"resize = acme:{name}"), taken=())
    assert list(actions) == ["resize"]
    assert called(actions["resize"], checkpoint="before")[0] == result


def test_a_function_may_save_on_its_way(install: Install) -> None:
    actions = load_actions(install("resize = acme:remembers"), taken=())
    assert called(actions["resize"])[1] == ["begun"]


def test_an_error_of_the_outside_goes_through(install: Install) -> None:
    actions = load_actions(install("resize = acme:throttled"), taken=())
    with pytest.raises(DependencyThrottledError, match="slowly"):
        called(actions["resize"])


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("gives_a_number", "resize gave int, not ActionResult, str or None"),
        ("gives_much", f"resize gave a checkpoint over {CHECKPOINT_CHARACTERS_MAX} characters"),
    ],
)
def test_what_cannot_be_taken_is_permanent_and_may_have_acted(
    install: Install, name: str, detail: str
) -> None:
    actions = load_actions(install(f"resize = acme:{name}"), taken=())
    assert called(actions["resize"])[0] == ActionResult(
        Outcome(OutcomeKind.PERMANENT, detail), may_have_acted=True
    )


def test_two_distributions_bring_their_actions(install: Install) -> None:
    install("resize = acme:nothing")
    points = install("tag = other:nothing", name="other")
    assert sorted(load_actions(points, taken=())) == ["resize", "tag"]


@pytest.mark.parametrize(
    ("line", "names"), [("resize = acme:nothing", ["command", "http", "resize"]), ("", BUILT_IN)]
)
def test_they_stand_beside_the_built_in_ones(install: Install, line: str, names: list[str]) -> None:
    assert sorted(made(install(line))) == names


@pytest.mark.parametrize("name", BUILT_IN)
def test_none_takes_the_place_of_a_built_in_one(install: Install, name: str) -> None:
    points = install(f"{name} = acme:nothing")
    with pytest.raises(ConfigError, match=f"actions.{name} = .* has this name; choose another"):
        made(points)


def test_none_is_no_error() -> None:
    assert load_actions([], taken=()) == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "http = acme:nothing",
            "acme 1.0: surgetank.actions.http = 'acme:nothing': an action of Surgetank has this",
        ),
        (
            "vm = acme:plain",
            "acme 1.0: surgetank.actions.vm = 'acme:plain': wants an async function of one StepCall",
        ),
        ("vm = acme:Actions", "'acme:Actions': wants an async function"),
        ("vm = acme:actions", "'acme:actions': wants an async function"),
        ("vm = acme:wants_two", "wants a function of one StepCall: missing a required argument"),
        ("vm = acme:absent", "it cannot be imported: AttributeError"),
        ("vm = no_such_module:f", "it cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_an_action_is_refused_with_distribution_entry_point_and_reason(
    install: Install, line: str, said: str
) -> None:
    assert said in refused(install(line))


@pytest.mark.parametrize("code", ["raise SystemExit(1)", "1/0", "this is no Python"])
def test_a_module_that_cannot_be_imported_is_refused(install: Install, code: str) -> None:
    assert "acme 1.0: surgetank.actions.vm = 'acme:f': it cannot be imported: " in refused(
        install("vm = acme:f", code=code)
    )


def test_two_of_one_name_are_refused_and_both_are_named(install: Install) -> None:
    install("vm = acme:nothing")
    said = refused(install("vm = other:nothing", name="other"))
    assert "acme 1.0" in said
    assert "other 1.0" in said


def test_two_of_one_name_in_one_distribution_are_refused(install: Install) -> None:
    assert "acme 1.0 has an action of this name" in refused(
        install("vm = acme:nothing", "vm = acme:decides")
    )


def test_an_entry_point_of_no_distribution_is_refused_all_the_same() -> None:
    point = EntryPoint("vm", "no_such_module:f", GROUP)
    assert refused([point]).startswith("?: surgetank.actions.vm")


def test_an_operation_runs_them_and_one_that_names_another_is_not_taken_in(
    install: Install, play: Callable[..., None], new_operation: Callable[..., NewOperation]
) -> None:
    points = install("resize = acme:nothing")

    async def main(world: Any) -> None:
        world.actions.update(load_actions(points, taken=()))
        worker = world.worker()
        receipt = await worker.submit(new_operation("k", "vm", vm={"action": "resize"}))
        assert (await world.ended(receipt.id)).state is OperationState.SUCCEEDED
        with pytest.raises(InvalidInputError, match="no action is named 'shrink'"):
            await worker.submit(new_operation("l", "vm", vm={"action": "shrink"}))

    play(main)
