"""What other people's code takes for time and chance, while a stage is played.

Code on our ports is handed its clock and its chance. Other people's retry code reads
`time.monotonic()` to know when to stop, and draws its jitter from `random`: for the length of a
play both are the stage's. On this thread only; everything is put back.

What cannot be replaced stays real: `datetime.now()` and `date.today()` (their classes are types
that others compare by identity), `os.urandom` and what draws from it (`uuid.uuid4`, `secrets`).
"""

import random
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import get_ident
from types import ModuleType

from surgetank.runtime.simulation.chance import stream
from surgetank.runtime.simulation.loop import VirtualLoop

_NS = 1_000_000_000
Reading = Callable[[], float]


@contextmanager
def virtual_time(loop: VirtualLoop) -> Generator[None]:
    """Let the functions of `time` read the loop's: by module, and where a module holds one by name.

    `time.time()` is the loop's `start_at` and on; `monotonic` and `perf_counter` are its
    `time()`, as asyncio has it.
    """
    substitutes = {
        id(original): (original, _substitute(original, reading, loop))
        for name, reading in _readings(loop).items()
        for original in (getattr(time, name),)
    }
    replaced: list[tuple[ModuleType, str, object]] = []
    loaded: list[object] = list(sys.modules.values())
    for module in loaded:
        held = _held(module)
        if held is None or not isinstance(module, ModuleType):
            continue
        for name, value in list(held.items()):
            if id(value) in substitutes:
                original, substitute = substitutes[id(value)]
                replaced.append((module, name, original))
                setattr(module, name, substitute)
    try:
        yield
    finally:
        for holder, name, original in replaced:
            setattr(holder, name, original)


def _held(module: object) -> dict[str, object] | None:
    """What a module holds, without waking a lazy one; None for what only passes for a module.

    Libraries that cffi loaded stand among the modules, and have no such mapping.
    """
    try:
        held: dict[str, object] = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return None
    return held


@contextmanager
def seeded_chance(seed: int) -> Generator[None]:
    """Seed the module `random`, which jitter is drawn from; its state comes back after."""
    state = random.getstate()
    random.seed(stream(seed, "other people's code").getrandbits(64))
    try:
        yield
    finally:
        random.setstate(state)


def _readings(loop: VirtualLoop) -> dict[str, Reading]:
    """What each function of `time` is to say."""

    def wall() -> float:
        return loop.start_at + loop.time()

    return {
        "time": wall,
        "time_ns": lambda: round(wall() * _NS),
        "monotonic": loop.time,
        "monotonic_ns": lambda: round(loop.time() * _NS),
        "perf_counter": loop.time,
        "perf_counter_ns": lambda: round(loop.time() * _NS),
    }


def _substitute(original: Reading, reading: Reading, loop: VirtualLoop) -> Reading:
    """Reads the loop while it runs on this thread, and else the real clock.

    So another thread is not disturbed, nor is who imports it in a play and keeps it.
    """
    thread = get_ident()

    def substitute(*_: object) -> float:  # as an attribute of a class it is called with an object
        return reading() if thread == get_ident() and loop.is_running() else original()

    return substitute
