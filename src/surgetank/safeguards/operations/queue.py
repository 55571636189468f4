"""What an operation waits for, as a short text that can be compared and indexed.

Operations of one queue ask for the same permits, so one refusal answers for all of them: none of
the others is read, asked for or written until the refusal ends. The text is the lane (`0` fresh,
`1` backlog) and the dependencies to ask for, as `0 compute@eastus`. A `?` before a dependency
says that the next step has a way round it: its fallback, or being skipped. In the backlog a
dependency stands once for each call there still to come, as it does in what is asked.

A priority other than 0 follows the lane, as `0+5 compute@eastus`; `~3` says that the operation was
let go by the holds numbered up to 3.

Leased operations are in the queue `!`, due when the lease ends. Before the text of a queue, `#3 `
parks its operations while the hold numbered 3 stands, and `=` until another of the same subject
has ended.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from surgetank.core.operation import Step, StepState
from surgetank.core.value import Dependency, Lane
from surgetank.safeguards.operations.record import Progress, Record

LEASED = "!"
NEXT = "="
"""Waits for another operation of its subject to end."""
PARKED = "#"
"""Waits for a hold to be released."""
_LANES = {"0": Lane.FRESH, "1": Lane.BACKLOG}
_GATE = re.compile(r"(?:#(\d+) )?([01])([+-]\d)?(?:~(\d+))?((?: .+)?)", re.DOTALL)


class Gate(NamedTuple):
    """A queue's text, read."""

    lane: Lane
    dependencies: tuple[Dependency, ...]
    """As they are asked for: in the order of the steps, each as often as it weighs; empty when
    nothing is asked."""
    has_way_round: bool
    priority: int = 0
    let_go: int = 0
    """Number of the newest hold that no longer holds it."""
    parked_by: int = 0
    """Number of the hold that it waits for; 0 for none."""


def lane_of(record: Record) -> Lane:
    """The lane it asks in: debts are never fresh."""
    return Lane.BACKLOG if record.is_owing else record.lane


def next_position(record: Record) -> int | None:
    """The step to run next; None when all that can be done is done."""
    wanted = StepState.OWED if record.is_owing else StepState.PENDING
    for position, progress in enumerate(record.progress):
        if progress.state is wanted and not progress.is_given_up:
            return position
    return None


def can_skip(record: Record, step: Step) -> bool:
    """Whether the operation may go on without this step for now."""
    return step.is_optional and not step.is_security and not record.is_owing


def dependency_of(record: Record, position: int) -> Dependency | None:
    """Whose leave the next call of a step needs; None for a fallback that needs none."""
    step = record.steps[position]
    return step.fallback_dependency if record.progress[position].is_fallback else step.dependency


def has_way_round(record: Record, position: int) -> bool:
    """Whether the operation need not wait for leave to make this step's own call."""
    step, progress = record.steps[position], record.progress[position]
    if progress.is_probing:
        return False
    return can_skip(record, step) or (step.fallback is not None and not progress.is_fallback)


def gated_positions(record: Record) -> tuple[int, ...]:
    """Steps to come that cannot go without leave, the first one on each dependency.

    The backlog asks for all of them at once. Only the first on each dependency: two permits at one
    instant would never be given by a trickle. Further calls there are in its weight.
    """
    positions: dict[Dependency, int] = {}
    for position, dependency in _calls(record):
        if not has_way_round(record, position):
            positions.setdefault(dependency, position)
    return tuple(positions.values())


def weighed(record: Record, dependencies: Iterable[Dependency]) -> tuple[Dependency, ...]:
    """Repeat each dependency as often as the operation is likely still to call it.

    Each step to come counts once. What is done does not count, nor does another try, which nobody
    foresees: it counts when the operation enters anew for it. A step with a way round counts: it
    does not wait at the entrance, but it goes round only when it is refused or fails, and so most
    likely calls. A fallback counts where it leads once it is turned to; before, it does not.

    Args:
        record: Before the calls.
        dependencies: Those to ask for, each once; each has a call to come.

    Returns:
        In the order given, those that are alike together.
    """
    calls = Counter(dependency for _, dependency in _calls(record))
    return tuple(each for name in dependencies for each in (name,) * calls[name])


def _calls(record: Record) -> Iterable[tuple[int, Dependency]]:
    """Steps that are still to call with leave, and where."""
    wanted = StepState.OWED if record.is_owing else StepState.PENDING
    for position, progress in enumerate(record.progress):
        if progress.state is wanted and not progress.is_given_up:
            dependency = dependency_of(record, position)
            if dependency is not None:
                yield position, dependency


def queue_of(record: Record) -> str | None:
    """The queue that it waits in when no worker holds it; None when nothing is left to do."""
    position = next_position(record)
    if position is None:
        return None
    head = _head(record)
    if lane_of(record) is Lane.BACKLOG:
        positions = gated_positions(record)
        gated = [dependency for at, dependency in _calls(record) if at in positions]
        return " ".join((head, *weighed(record, gated)))
    dependency = dependency_of(record, position)
    if dependency is None:
        return head
    mark = "?" if has_way_round(record, position) else ""
    return f"{head} {mark}{dependency}"


def _head(record: Record) -> str:
    lane = "1" if lane_of(record) is Lane.BACKLOG else "0"
    priority = f"{record.priority:+d}" if record.priority else ""
    let_go = f"~{record.let_go}" if record.let_go else ""
    return lane + priority + let_go


def read_queue(text: str) -> Gate:
    """Read a queue's text; those that begin with `!` or `=` have no gate."""
    found = _GATE.fullmatch(text)
    assert found is not None, f"no text of a queue: {text!r}"
    parked_by, lane, priority, let_go, rest = found.groups()
    names = rest.split(" ")[1:]
    return Gate(
        _LANES[lane],
        tuple(Dependency(name.removeprefix("?")) for name in names),
        has_way_round=bool(names) and names[0].startswith("?"),
        priority=int(priority or 0),
        let_go=int(let_go or 0),
        parked_by=int(parked_by or 0),
    )


def is_retry(progress: Progress) -> bool:
    """Whether its step's next call is another try, which retry budgets count.

    Waking from a sleep is not: a blocked call spends no budget.
    """
    return progress.tries > 0
