import _thread
import datetime as dt
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from types import ModuleType
from typing import Any

import pytest

from surgetank.core.errors import FenceError
from surgetank.runtime.simulation.fence import REFUSALS_LIMIT, fence

OURS = """
import datetime, os, random, time, uuid
from datetime import date
from datetime import datetime as Moment
from time import monotonic

def by_name(): return monotonic()
def by_module(): return time.monotonic()
def wall(): return time.time()
def wall_ns(): return time.time_ns()
def counter(): return time.perf_counter()
def now(): return Moment.now()
def utcnow(): return Moment.now(datetime.timezone.utc)
def now_by_module(): return datetime.datetime.now()
def today(): return date.today()
def chance(): return random.random()
def unique(): return uuid.uuid4()
def noise(): return os.urandom(1)
def built(): return Moment(2026, 2, 2, 18, 3), Moment.fromtimestamp(0, datetime.timezone.utc)
def is_moment(value): return isinstance(value, Moment)
def seeded(): return random.Random(1).random()
"""
READINGS = [
    "by_name", "by_module", "wall", "wall_ns", "counter", "now", "utcnow", "now_by_module",
    "today", "chance", "unique", "noise",
]  # fmt: skip


@pytest.fixture
def ours() -> Generator[Any]:
    """A module of ours that keeps clocks in every way it can."""
    module = ModuleType("surgetank.a_module_of_ours")
    exec(OURS, vars(module))  # noqa: S102 - so that its code is called from there
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


@pytest.mark.parametrize(
    ("reach", "named"),
    [
        (socket.socket, "socket"),
        (lambda: socket.socketpair(), "socket"),  # noqa: PLW0108 - looked up behind the fence
        (lambda: socket.create_connection(("127.0.0.1", 9)), "socket"),
        (lambda: socket.getaddrinfo("localhost", 80), "socket.getaddrinfo"),
        (lambda: socket.gethostbyname("localhost"), "socket.gethostbyname"),
        (lambda: subprocess.Popen([sys.executable, "-V"]), "subprocess.Popen"),
        (lambda: os.system("true"), "os.system"),  # noqa: S605, S607 - never begins  # pyright: ignore[reportDeprecated] - still there
        (os.fork, "os.fork"),
        (lambda: os.kill(os.getpid(), 0), "os.kill"),
        (lambda: threading.Thread(target=print).start(), "Thread.start"),
        (lambda: _thread.start_new_thread(print, ()), "start_new_thread"),
        (lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN), "signal.signal"),
        (lambda: signal.alarm(1), "signal.alarm"),
        (lambda: time.sleep(0), "time.sleep"),  # noqa: TID251 - what is fenced
    ],
)
def test_the_world_is_out_of_reach_of_anybody(reach: Any, named: str) -> None:
    with fence(), pytest.raises(FenceError, match=named):
        reach()


@pytest.mark.parametrize("reading", READINGS)
def test_clocks_and_unseeded_chance_are_refused_to_our_modules(ours: Any, reading: str) -> None:
    with fence(), pytest.raises(FenceError, match="time and chance come from ports"):
        getattr(ours, reading)()


@pytest.mark.parametrize("reading", READINGS)
def test_the_fence_comes_down_without_a_trace(ours: Any, reading: str) -> None:
    def kept() -> list[object]:
        fenced = (time, "time"), (time, "sleep"), (signal, "signal"), (os, "urandom")
        return [ours.__dict__.copy(), *(getattr(module, name) for module, name in fenced)]

    before = kept()
    with pytest.raises(LookupError), fence():
        raise LookupError
    assert kept() == before
    assert getattr(ours, reading)() is not None
    socket.socket().close()


def test_dates_can_be_built_and_told_and_seeded_chance_drawn(ours: Any) -> None:
    real = dt.datetime(2026, 2, 2, 18, 3)  # noqa: DTZ001 - any
    with fence():
        assert ours.built()[0] == real
        assert type(ours.built()[1]) is dt.datetime
        assert ours.is_moment(real)
        assert not ours.is_moment("real")
        assert 0 <= ours.seeded() < 1


def test_others_may_look_at_the_clock() -> None:
    with fence():
        logging.LogRecord("n", logging.INFO, "p", 1, "m", None, None)
        assert time.monotonic() > 0  # noqa: TID251 - by a module that is not ours
        assert dt.datetime.now(dt.UTC) is not None  # noqa: TID251 - likewise


def test_another_thread_goes_on() -> None:
    up, down = threading.Event(), threading.Event()
    made: list[int] = []

    def work() -> None:
        assert up.wait(5)
        with socket.socket() as one:
            made.append(one.family)
        down.set()

    thread = threading.Thread(target=work)
    thread.start()
    with fence():
        up.set()
        assert down.wait(5)
    thread.join()
    assert made == [socket.AF_INET]


def test_an_inner_fence_leaves_the_outer_one_up() -> None:
    with fence():
        with fence():
            pass
        with pytest.raises(FenceError):
            socket.socket()
    socket.socket().close()


def test_what_was_imported_behind_the_fence_works_after_it() -> None:
    with fence():
        kept = time.time  # noqa: TID251 - what is fenced
    assert kept() > 0


def test_what_was_refused_is_told_though_the_refusal_was_swallowed(ours: Any) -> None:
    with fence() as refused:
        for reach in (ours.wall, lambda: time.sleep(1), socket.socket):  # noqa: TID251 - what is fenced
            with pytest.raises(FenceError):
                reach()
    assert refused[:2] == ["time.time", "time.sleep"]
    assert refused[2].startswith("socket.__new__")


def test_what_an_inner_fence_refuses_is_told_to_the_outer_one() -> None:
    with fence() as refused, fence(), pytest.raises(FenceError):
        socket.socket()
    assert len(refused) == 1


def test_a_fence_begins_without_refusals() -> None:
    with fence(), pytest.raises(FenceError):
        socket.socket()
    with fence() as refused:
        assert refused == []


def test_refusals_told_are_limited() -> None:
    with fence() as refused:
        for _ in range(REFUSALS_LIMIT + 1):
            with pytest.raises(FenceError):
                time.sleep(0)  # noqa: TID251 - what is fenced
    assert len(refused) == REFUSALS_LIMIT
