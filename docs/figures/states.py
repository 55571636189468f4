# ruff: noqa: INP001 - run from the root of the repository; part of no package
"""The state machine of operations and of steps, as walked, and why each arrow is there.

An arrow that is walked and not explained here is an error, and so is one that is explained and not
walked: whoever changes the machine changes this page.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from docs.figures.diagram import Arrow, Box, Machine, Way, draw
from docs.figures.page import Made, lines
from docs.figures.walk import SUBMITTED, Move, walk

from surgetank.rehearsal.drill.output.markdown import table

Pair = tuple[str, str]
"""From and to."""
Causes = Mapping[Pair, Iterable[str]]

OPERATION: Mapping[Pair, str] = {
    ("submitted", "ready"): "It is durable before its submission is acknowledged. "
    "Behind an older one of its subject it has its state already, and its turn comes later.",
    ("submitted", "superseded"): "What its subject wants now is newer, so it never runs; "
    "it is stored all the same, so that its key is answered.",
    ("ready", "ready"): "It moves from queue to queue, and no call was begun: put off into the "
    "backlog, held, let go, or its turn has come.",
    ("ready", "running"): "That its call is about to be made is durable before it is made, so that "
    "no crash can hide one.",
    ("ready", "waiting"): "It went round its first step, and the next has no leave.",
    ("ready", "succeeded"): "All its steps could be skipped, and had no leave: it now owes them "
    "all.",
    ("ready", "expired"): "Nobody wants it any more, and it has cost nothing.",
    ("ready", "cancelled"): "At once: no call is under way.",
    ("ready", "superseded"): "At once: no call is under way.",
    ("waiting", "waiting"): "It moves from queue to queue: put off into the backlog, held, or let "
    "go.",
    ("waiting", "ready"): "It began again from the start, was parked for a hold and is so no more, "
    "and has no leave yet.",
    ("waiting", "running"): "Its time has come and it has leave: another try, its probe, or the "
    "next step.",
    ("waiting", "succeeded"): "All that was left could be skipped, and had no leave: it now owes "
    "that.",
    ("waiting", "expired"): "Its deadline counts while it waits, however far it has come: what its "
    "steps made is its owner's to clean up.",
    ("waiting", "cancelled"): "At once: no call is under way.",
    ("waiting", "superseded"): "At once: no call is under way.",
    ("running", "running"): "A step has ended and the next is begun in the same write, by the same "
    "worker. A checkpoint is written while a call is under way; so is that it is to stop after it.",
    ("running", "waiting"): "A call failed and may be tried again, is blocked and sleeps, or is in "
    "doubt and has a probe. Or its worker closed or went silent, or the next step is held or has no leave.",
    ("running", "succeeded"): "Nothing is left to do; steps that were skipped may be owed.",
    ("running", "failed"): "Nothing helps: the call is wrong, or its tries are spent, and the step "
    "can be neither replaced nor skipped.",
    (
        "running",
        "unknown",
    ): "A call that may not be repeated may have been made, and no probe could "
    "tell: a person must look.",
    ("running", "expired"): "A call ended after the deadline: no further one is made. This is so "
    "even where that call was the last.",
    ("running", "cancelled"): "It was told to stop while a call was under way, which ended first, "
    "or whose worker went silent.",
    ("running", "superseded"): "It was told to stop while a call was under way, which ended first, "
    "or whose worker went silent.",
    ("succeeded", "succeeded"): "It pays its debts in the backlog lane, and stays succeeded "
    "whatever becomes of them: one that cannot be paid is given up and stays recorded as owed, and "
    "a redrive takes it up again.",
    ("failed", "waiting"): "A person has it begun again where it failed, as backlog and so behind "
    "the release; steps that are done stay done.",
    ("expired", "waiting"): "As above, and its deadline counts no more.",
    ("expired", "succeeded"): "Its last call had ended well, only too late.",
    ("unknown", "waiting"): "A person has looked: the call was not made, or it was and others are "
    "still to come.",
    ("unknown", "succeeded"): "A person has looked: the call was made, and was the last.",
}
"""Why each arrow between states of an operation is there, in the order of the page."""

STEP: Mapping[Pair, str] = {
    ("pending", "pending"): "It turns to its fallback while it waits for leave for that, or is "
    "begun again by a redrive, with its own arguments and all its tries.",
    ("pending", "started"): "Written down before the call is made.",
    ("pending", "owed"): "It is optional, its dependency gives no leave, and a debt is cheaper "
    "than a queue.",
    ("pending", "done"): "Its probe was still to be asked when its operation ended, and a person "
    "tells instead.",
    ("pending", "fallen_back"): "As above, of its fallback.",
    ("started", "started"): "Where it stands is saved, or its operation has succeeded and the call "
    "that pays the debt is in doubt: it stays so, given up.",
    ("started", "pending"): "Another try is to come, or its probe, or its fallback; "
    "or its operation has failed, and a redrive would begin here.",
    ("started", "done"): "It never runs again.",
    ("started", "fallen_back"): "Its fallback was done instead; it never runs again.",
    ("started", "owed"): "It is optional and cannot be done now; or the debt was tried and is to "
    "be tried again, or given up.",
    ("owed", "owed"): "The debt is given up as nobody wants it any more, taken up again by a "
    "redrive, or turned to its fallback.",
    ("owed", "started"): "The debt is paid now that there is leave.",
    ("owed", "done"): "Its probe was still to be asked when the debt was given up, and a person "
    "tells instead.",
    ("owed", "fallen_back"): "As above, of its fallback.",
}
"""Why each arrow between states of a step is there, in the order of the page."""

_OPERATION_BOXES: Mapping[str, Box] = {
    SUBMITTED: Box(60, 120, "muted"),
    "ready": Box(160, 230, "blue", loop=200),
    "running": Box(390, 230, "blue", loop=0),
    "waiting": Box(640, 230, "blue", loop=0),
    "succeeded": Box(240, 60, "good", loop=180),
    "unknown": Box(430, 60, "orange"),
    "failed": Box(640, 60, "orange"),
    "superseded": Box(160, 400, "muted"),
    "expired": Box(390, 400, "orange"),
    "cancelled": Box(640, 400, "muted"),
}
_OPERATION_WAYS: Mapping[Pair, Way] = {
    ("submitted", "superseded"): Way(56),
    ("ready", "waiting"): Way(-62, 0.35),
    ("ready", "expired"): Way(0, 0.75),
    ("ready", "cancelled"): Way(0, 0.8),
    ("waiting", "ready"): Way(-62),
    ("waiting", "running"): Way(30),
    ("waiting", "succeeded"): Way(0, 0.78),
    ("waiting", "expired"): Way(12, 0.6),
    ("waiting", "superseded"): Way(0, 0.8),
    ("running", "waiting"): Way(30),
    ("running", "failed"): Way(0, 0.75),
    ("running", "succeeded"): Way(0, 0.6),
    ("running", "expired"): Way(0, 0.75),
    ("running", "cancelled"): Way(0, 0.25),
    ("running", "superseded"): Way(0, 0.25),
    ("expired", "waiting"): Way(24, 0.5),
    ("expired", "succeeded"): Way(0, 0.3),
    ("unknown", "waiting"): Way(0, 0.3),
}
_STEP_BOXES: Mapping[str, Box] = {
    "pending": Box(160, 530, "blue", loop=180),
    "started": Box(390, 530, "blue", loop=90),
    "owed": Box(390, 640, "orange", loop=270),
    "done": Box(640, 530, "good"),
    "fallen_back": Box(640, 640, "good"),
}
_STEP_WAYS: Mapping[Pair, Way] = {
    ("pending", "done"): Way(-62, 0.75),
    ("pending", "fallen_back"): Way(0, 0.7),
    ("started", "fallen_back"): Way(0, 0.25),
    ("owed", "done"): Way(0, 0.75),
}


def states(_jobs: int) -> Made:
    """Walk the state machine, and draw and explain what was found.

    Raises:
        ValueError: An arrow has no explanation, or an explanation no arrow.
    """
    moves = list(walk())
    operation, step = of_operations(moves), of_steps(moves)
    facts = {"operation": _table(operation, OPERATION), "step": _table(step, STEP)}
    machines = (
        Machine("An operation", 16, 20, _OPERATION_BOXES, _numbered(OPERATION), _OPERATION_WAYS),
        Machine("A step of it", 16, 460, _STEP_BOXES, _numbered(STEP), _STEP_WAYS),
    )
    drawn = draw(
        "States of an operation and of its steps",
        "Boxes are states and arrows are changes, numbered as in the tables of the page.",
        machines,
        height=710,
    )
    return Made(facts, {"operation-states.svg": drawn})


def of_operations(moves: Iterable[Move]) -> Causes:
    """Gather what changes the state of an operation, or moves it within one."""
    found = defaultdict[Pair, set[str]](set)
    for move in moves:
        before = SUBMITTED if move.before is None else move.before.state.value
        found[before, move.after.state.value].add(move.cause)
    return found


def of_steps(moves: Iterable[Move]) -> Causes:
    """Gather what changes the state of a step, or anything else of it."""
    found = defaultdict[Pair, set[str]](set)
    for move in moves:
        before = () if move.before is None else move.before.progress
        for was, now in zip(before, move.after.progress, strict=False):
            if was != now:
                found[was.state.value, now.state.value].add(move.cause)
    return found


def check(found: Causes, explained: Mapping[Pair, str]) -> None:
    """Hold what was walked against what is explained.

    Raises:
        ValueError: An arrow has no explanation, or an explanation no arrow.
    """
    for pair in found.keys() ^ explained.keys():
        missing = "explanation" if pair in found else "arrow"
        raise ValueError(f"{' to '.join(pair)}: no {missing}; see docs/figures/states.py")


def _table(found: Causes, explained: Mapping[Pair, str]) -> str:
    check(found, explained)
    head = ("", "from", "to", "when", "why")
    cells = (
        [
            str(arrow.number),
            f"`{arrow.before}`",
            f"`{arrow.after}`",
            when(found[arrow.before, arrow.after]),
            explained[arrow.before, arrow.after],
        ]
        for arrow in _numbered(explained)
    )
    return lines(table(head, cells))


def _numbered(explained: Mapping[Pair, str]) -> Sequence[Arrow]:
    return [Arrow(*pair, number) for number, pair in enumerate(explained, start=1)]


_SAID = re.compile(r"(answer|probe) `([a-z]+)`(.*)")


def when(causes: Iterable[str]) -> str:
    """Say causes in few words: answers of one sort share their first word and their last."""
    sorts = defaultdict[tuple[str, str], list[str]](list)
    others = list[str]()
    for cause in sorted(causes):
        said = _SAID.fullmatch(cause)
        if said is None:
            others.append(cause)
        else:
            sorts[said[1], said[3]].append(f"`{said[2]}`")
    grouped = [f"{first} {', '.join(some)}{last}" for (first, last), some in sorts.items()]
    return "; ".join([*grouped, *others])
