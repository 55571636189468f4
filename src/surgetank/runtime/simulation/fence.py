"""While a drill runs, the real world is out of reach: who reaches for it is told so at once.

Two means, each where it is sound:
- An audit hook of the interpreter sees every socket, look-up, process, thread and signal,
  however it was imported, from any package. A hook cannot be taken out again, so there is one
  for each process and it looks at one flag. It minds only the thread that put up the fence:
  another thread of the process may go on.
- Clocks and chance raise no such events. The functions are replaced where they are kept
  (`time.time`), and again where a module of ours holds one by name; they refuse when called
  from a module of ours, and do their work for all others: logging or a test runner may look at
  the clock.
"""

import _thread
import datetime as dt
import os
import random
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from inspect import currentframe
from threading import get_ident
from types import FrameType, ModuleType
from typing import Any, NoReturn

from surgetank.core.errors import FenceError

OURS = "surgetank"
Place = ModuleType | type
"""Where a function is kept."""
REFUSALS_LIMIT = 100
"""Refusals kept to tell of; code that retries whatever fails may meet one for each try."""

_EVENTS = frozenset({
    "_thread.start_joinable_thread", "_thread.start_new_thread",
    "os.exec", "os.fork", "os.forkpty", "os.kill", "os.killpg", "os.posix_spawn", "os.spawn",
    "os.startfile", "os.system", "pty.spawn", "signal.pthread_kill",
    "socket.__new__", "socket.bind", "socket.connect", "socket.getaddrinfo",
    "socket.gethostbyaddr", "socket.gethostbyname", "socket.getnameinfo", "socket.sendmsg",
    "socket.sendto", "subprocess.Popen", "time.sleep",
})  # fmt: skip

_FOR_NOBODY: tuple[tuple[Place, str], ...] = (
    (threading.Thread, "start"),  # audited from Python 3.12 on
    (_thread, "start_new_thread"),  # likewise
    (time, "sleep"),  # audited from Python 3.13 on
    (socket, "socketpair"),
    (signal, "signal"),
    (signal, "setitimer"),
    (signal, "alarm"),
)
_NOT_FOR_US: tuple[tuple[Place, str], ...] = (
    *((time, name) for name in ("time", "time_ns", "monotonic", "monotonic_ns")),
    *((time, name) for name in ("perf_counter", "perf_counter_ns")),
    (os, "urandom"),
    (uuid, "uuid1"),
    (uuid, "uuid4"),
    *((random, name) for name in ("random", "uniform", "randint", "choice", "shuffle", "sample")),
)


class _Guard:
    """The flag that the hook looks at: the thread that is fenced in, or None."""

    def __init__(self) -> None:
        self.thread: int | None = None
        self.is_hooked = False
        self.refusals: list[str] = []

    def hook(  # pragma: no cover - the interpreter does not trace a hook
        self, event: str, arguments: tuple[object, ...]
    ) -> None:
        if event in _EVENTS and self.thread == get_ident():
            raise refusal(f"{event}{arguments!r:.200}")


_GUARD = _Guard()  # One for each process, as its hook: see above.


def refusal(what: str, why: str = "") -> FenceError:
    """The error to raise for `what`, noted for who put up the fence: its catcher may swallow it."""
    if len(_GUARD.refusals) < REFUSALS_LIMIT:
        _GUARD.refusals.append(what)
    return FenceError(f"virtual time has no {what}{why}")


@contextmanager
def fence() -> Generator[list[str]]:
    """Keep the real world out of reach of this thread; may be nested; restores all it replaced.

    Yields:
        What was refused, in order, the first `REFUSALS_LIMIT`; grows while the fence is up.

    Raises:
        FenceError: Raised in the body, by whatever reaches for a socket, DNS, a signal, a
            process, a thread, or (from our own modules) a wall clock or unseeded chance.
    """
    if not _GUARD.is_hooked:
        sys.addaudithook(_GUARD.hook)
        _GUARD.is_hooked = True
    outer, _GUARD.thread = _GUARD.thread, get_ident()
    if outer is None:
        _GUARD.refusals = []
    replaced = _replace() if outer is None else []
    try:
        yield _GUARD.refusals
    finally:
        _GUARD.thread = outer
        for module, name, original in reversed(replaced):
            setattr(module, name, original)


def _replace() -> list[tuple[Place, str, object]]:
    """Put the substitutes in place; returns what stood there, in order."""
    substitutes: dict[int, object] = {}
    replaced: list[tuple[Place, str, object]] = []

    def put(module: Place, name: str, substitute: object) -> None:
        replaced.append((module, name, getattr(module, name)))
        setattr(module, name, substitute)

    for places, is_for_all in ((_FOR_NOBODY, False), (_NOT_FOR_US, True)):
        for module, name in places:
            original = getattr(module, name)
            substitute = _refusing(original, f"{module.__name__}.{name}", is_for_all=is_for_all)
            substitutes[id(original)] = substitute
            put(module, name, substitute)
    substitutes |= _calendar()
    for module in [m for n, m in sys.modules.items() if f"{n}.".startswith(f"{OURS}.")]:
        if module.__name__ == __name__:
            continue
        for name, value in list(vars(module).items()):
            if id(value) in substitutes:
                put(module, name, substitutes[id(value)])
    return replaced


def _refusing(original: Callable[..., Any], name: str, *, is_for_all: bool) -> Callable[..., Any]:
    """A substitute; one that outlives the fence, by an import made behind it, is the original."""

    def substitute(*arguments: Any, **options: Any) -> Any:
        if _GUARD.thread == get_ident() and (not is_for_all or _is_ours(currentframe())):
            _refuse(name)
        return original(*arguments, **options)

    return substitute


def _is_ours(frame: FrameType | None) -> bool:
    caller = frame.f_back if frame is not None else None
    return caller is not None and f"{caller.f_globals.get('__name__')}.".startswith(f"{OURS}.")


def _refuse(name: str) -> NoReturn:
    raise refusal(name, "; time and chance come from ports")


class _CalendarType(type):
    """So that real dates and times are instances of their substitutes."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.__mro__[1])


def _calendar() -> dict[int, object]:
    """Substitutes for the module `datetime` and its classes, by id of the original.

    Our modules get them by name. The module itself stays as it is: its classes are types that
    others compare by identity.
    """

    def now(cls: type, tz: dt.tzinfo | None = None) -> NoReturn:
        del tz
        _refuse(f"{cls.__mro__[1].__name__}.now")

    def fenced(original: type) -> type:
        body: dict[str, object] = {
            "__new__": lambda _, *arguments, **options: original(*arguments, **options),  # pyright: ignore[reportUnknownLambdaType] - as given
            **{name: classmethod(now) for name in ("now", "utcnow", "today")},
        }
        return _CalendarType(original.__name__, (original,), body)

    module = ModuleType("datetime")
    module.__dict__.update(vars(dt))
    moment, day = fenced(dt.datetime), fenced(dt.date)
    module.__dict__.update(datetime=moment, date=day)
    return {id(dt): module, id(dt.datetime): moment, id(dt.date): day}
