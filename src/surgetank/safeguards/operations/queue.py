"""What an operation waits for, as a short text that can be compared and indexed.

Operations of one queue ask for the same permits, so one refusal answers for all of them: none of
the others is read, asked for or written until the refusal ends. The text is the lane (`0` fresh,
`1` backlog) and the dependencies to ask for, as `0 compute@eastus`. A `?` before a dependency
says that the next step has a way round it: its fallback, or being skipped. In the backlog a
dependency stands once for each call there still to come, as it does in what is asked.

Leased operations are in the queue `!`, due when the lease ends.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from surgetank.core.operation import Step, StepState
from surgetank.core.value import Dependency, Lane
from surgetank.safeguards.operations.record import Progress, Record

LEASED = "!"


class Gate(NamedTuple):
    """A queue's text, read."""

    lane: Lane
    dependencies: tuple[Dependency, ...]
    """As they are asked for: in the order of the steps, each as often as it weighs; empty when
    nothing is asked."""
    has_way_round: bool


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


def has_way_round(record: Record, position: int) -> bool:
    """Whether the operation need not wait for leave to make this step's own call."""
    step, progress = record.steps[position], record.progress[position]
    return can_skip(record, step) or (step.fallback is not None and not progress.is_fallback)


def gated_positions(record: Record) -> tuple[int, ...]:
    """Steps to come that cannot go without leave, the first one on each dependency.

    The backlog asks for all of them at once. Only the first on each dependency: two permits at one
    instant would never be given by a trickle. Further calls there are in its weight.
    """
    positions: dict[Dependency, int] = {}
    for position in _own_calls(record):
        if not has_way_round(record, position):
            positions.setdefault(record.steps[position].dependency, position)
    return tuple(positions.values())


def weighed(record: Record, dependencies: Iterable[Dependency]) -> tuple[Dependency, ...]:
    """Repeat each dependency as often as the operation is likely still to call it.

    Each step to come counts once. What is done does not count, nor does another try, which nobody
    foresees: it counts when the operation enters anew for it. A step with a way round counts: it
    does not wait at the entrance, but it goes round only when it is refused or fails, and so most
    likely calls. A fallback does not count: it leads elsewhere.

    Args:
        record: Before the calls.
        dependencies: Those to ask for, each once; each has a call to come.

    Returns:
        In the order given, those that are alike together.
    """
    calls = Counter(record.steps[position].dependency for position in _own_calls(record))
    return tuple(each for name in dependencies for each in (name,) * calls[name])


def _own_calls(record: Record) -> Iterable[int]:
    """Steps that are still to make their own call, not their fallback's."""
    wanted = StepState.OWED if record.is_owing else StepState.PENDING
    for position, progress in enumerate(record.progress):
        if progress.state is wanted and not (progress.is_given_up or progress.is_fallback):
            yield position


def queue_of(record: Record) -> str | None:
    """The queue that it waits in when no worker holds it; None when nothing is left to do."""
    position = next_position(record)
    if position is None:
        return None
    if lane_of(record) is Lane.BACKLOG:
        gated = (record.steps[each].dependency for each in gated_positions(record))
        return " ".join(("1", *weighed(record, gated)))
    if record.progress[position].is_fallback:
        return "0"
    mark = "?" if has_way_round(record, position) else ""
    return f"0 {mark}{record.steps[position].dependency}"


def read_queue(text: str) -> Gate:
    """Read a queue's text."""
    lane, *names = text.split(" ")
    return Gate(
        Lane.BACKLOG if lane == "1" else Lane.FRESH,
        tuple(Dependency(name.removeprefix("?")) for name in names),
        has_way_round=bool(names) and names[0].startswith("?"),
    )


def is_retry(progress: Progress) -> bool:
    """Whether its step's next call is another try, which retry budgets count.

    Waking from a sleep is not: a blocked call spends no budget.
    """
    return progress.tries > 0
