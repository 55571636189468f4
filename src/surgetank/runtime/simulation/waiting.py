"""Says in words what tasks wait for, for the messages of a loop that cannot go on."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import cast

TASKS_NAMED_LIMIT = 100
"""More are counted, not named: a message is read by people."""
DEPTH_LIMIT = 200
"""Awaits that are followed inward; a chain that long is a loop of its own."""

_MACHINERY = ("asyncio.", "surgetank.runtime.simulation.")  # Tells little of who waits.
_INNER = ("cr_await", "gi_yieldfrom", "ag_await")
_FRAME = ("cr_frame", "gi_frame", "ag_frame")


def describe_tasks(tasks: Iterable["asyncio.Task[object]"]) -> str:
    """One line for each task that waits: its name, its coroutine, where, and for what."""
    lines = [f"  {describe_task(task)}" for task in tasks]
    left_out = len(lines) - TASKS_NAMED_LIMIT
    if left_out > 0:
        lines[TASKS_NAMED_LIMIT:] = [f"  and {left_out} more"]
    return "\n".join(lines)


def describe_task(task: "asyncio.Task[object]") -> str:
    """As `task 'w' (Worker.run) waits at locks.py:213 in Event.wait, from w.py:8 in ..., for ...`."""
    coroutine = task.get_coro()
    frames = _frames(coroutine)
    name = getattr(coroutine, "__qualname__", "?")
    waiter: object = getattr(task, "_fut_waiter", None)
    text = f"task {task.get_name()!r} ({name})"
    if frames:
        text += f" waits at {_place(frames[-1])}"
        ours = next((frame for frame in reversed(frames) if not _is_machinery(frame)), frames[-1])
        if ours is not frames[-1]:
            text += f", from {_place(ours)}"
    return f"{text}, for {_describe_future(waiter)}"


def describe_callback(callback: Callable[..., object] | None) -> str:
    """What a loop is about to call: the task it steps, or the function."""
    owner: object = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return describe_task(cast("asyncio.Task[object]", owner))
    code: object = getattr(callback, "__code__", None)
    name: object = getattr(callback, "__qualname__", repr(callback))
    if code is None:
        return f"callback {name}"
    file, line = getattr(code, "co_filename", "?"), getattr(code, "co_firstlineno", 0)
    return f"callback {name} at {Path(file).name}:{line}"


def _describe_future(waiter: object) -> str:
    match waiter:
        case None:
            return "its next turn"
        case asyncio.Task():
            return f"task {waiter.get_name()!r}"
        case _:
            return "a future that nobody has set"


def _frames(awaitable: object) -> list[FrameType]:
    """The frames of a chain of awaits, outermost first."""
    frames: list[FrameType] = []
    for _ in range(DEPTH_LIMIT):
        if awaitable is None:
            break
        frame = _first_of(awaitable, _FRAME)
        if isinstance(frame, FrameType):
            frames.append(frame)
        awaitable = _first_of(awaitable, _INNER)
    return frames


def _first_of(owner: object, names: tuple[str, ...]) -> object:
    found = (getattr(owner, name, None) for name in names)
    return next((value for value in found if value is not None), None)


def _is_machinery(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(_MACHINERY)


def _place(frame: FrameType) -> str:
    code = frame.f_code
    path = Path(code.co_filename)
    return f"{path.parent.name}/{path.name}:{frame.f_lineno} in {code.co_qualname}"
