"""Actions that are Python functions of other distributions, found by entry point.

A distribution names them in the group `surgetank.actions`, as
`resize = "acme.actions:resize"`. Each is an async function of one `StepCall`. It gives an
`ActionResult`, or None or a text when all is well: the text is the step's checkpoint. It raises a
`DependencyError` when the outside failed.
"""

import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable
from importlib.metadata import EntryPoint

from surgetank.core.errors import ConfigError
from surgetank.core.value import Outcome, OutcomeKind
from surgetank.safeguards.operations.action import Action, ActionResult, StepCall
from surgetank.safeguards.operations.record import CHECKPOINT_CHARACTERS_MAX, clip

GROUP = "surgetank.actions"

Function = Callable[[StepCall], Awaitable[object]]


class CallableAction:
    """Calls a function for steps."""

    def __init__(self, function: Function, *, name: str) -> None:
        self._function = function
        self._name = name

    async def __call__(self, call: StepCall, /) -> ActionResult:
        """Call the function, and take what it gives; what it raises goes through."""
        given = await self._function(call)
        match given:
            case ActionResult():
                result = given
            case None:
                result = ActionResult(Outcome(OutcomeKind.OK))
            case str():
                result = ActionResult(Outcome(OutcomeKind.OK), given)
            case _:
                return self._unusable(f"gave {type(given).__name__}, not ActionResult, str or None")
        if len(result.checkpoint) > CHECKPOINT_CHARACTERS_MAX:
            return self._unusable(f"gave a checkpoint over {CHECKPOINT_CHARACTERS_MAX} characters")
        return result

    def _unusable(self, why: str) -> ActionResult:
        """It has acted, and another call would give the same."""
        outcome = Outcome(OutcomeKind.PERMANENT, clip(f"{self._name} {why}"))
        return ActionResult(outcome, may_have_acted=True)


def load_actions(
    entry_points: Iterable[EntryPoint], *, taken: Collection[str]
) -> dict[str, Action]:
    """Import the actions of other distributions.

    Args:
        entry_points: Of the group `GROUP`, as `importlib.metadata` finds them.
        taken: Names of actions that there are already.

    Raises:
        ConfigError: Two have one name, one has a name of `taken`, or what one names cannot be
            imported or is no async function; names distribution and entry point.
    """
    owners = dict[str, str]()
    actions = dict[str, Action]()
    for entry_point in entry_points:
        name = entry_point.name
        if name in taken:
            raise _unfit(entry_point, "an action of Surgetank has this name; choose another")
        if name in owners:
            raise _unfit(entry_point, f"{owners[name]} has an action of this name; remove one")
        owners[name] = _owner(entry_point)
        actions[name] = CallableAction(_load(entry_point), name=name)
    return actions


def _load(entry_point: EntryPoint) -> Function:
    try:
        found: object = entry_point.load()
    except (Exception, SystemExit) as error:  # importing runs code of others: it may raise anything
        raise _unfit(entry_point, f"it cannot be imported: {error!r}") from error
    if not inspect.iscoroutinefunction(found):
        raise _unfit(entry_point, f"wants an async function of one StepCall, not {found!r}")
    try:
        inspect.signature(found).bind(None)
    except TypeError as error:
        raise _unfit(entry_point, f"wants a function of one StepCall: {error}") from error
    return found


def _owner(entry_point: EntryPoint) -> str:
    """Name the distribution, as `acme 1.0`."""
    distribution = entry_point.dist
    return "?" if distribution is None else f"{distribution.name} {distribution.version}"


def _unfit(entry_point: EntryPoint, wanted: str) -> ConfigError:
    return ConfigError(
        file=_owner(entry_point),
        key=f"{GROUP}.{entry_point.name}",
        value=entry_point.value,
        wanted=wanted,
    )
