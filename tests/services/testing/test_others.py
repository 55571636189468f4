import importlib.util
import random
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from types import ModuleType
from typing import Any

import pytest
import stamina
import tenacity

from surgetank.testing import DependencyError, Fault, Stage, play

READINGS = ["time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"]
THEIRS = "from time import monotonic as clock\ndef read(): return clock()"


@pytest.fixture(autouse=True)
def quiet() -> Generator[None]:
    """Log no retries."""
    stamina.instrumentation.set_on_retry_hooks([])
    yield
    stamina.instrumentation.set_on_retry_hooks(None)


@pytest.fixture
def theirs() -> Generator[Any]:
    """A module of somebody else that keeps a clock under a name of its own."""
    module = ModuleType("somebody_else")
    exec(THEIRS, vars(module))  # noqa: S102 - so that its code is called from there
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


async def wait(stage: Stage, wait_s: float) -> None:
    await stage.clock.sleep_until(stage.clock.now() + wait_s)


@pytest.mark.parametrize("reading", READINGS)
async def test_every_reading_of_time_moves_with_the_stage(stage: Stage, reading: str) -> None:
    before = getattr(time, reading)()
    await wait(stage, 2.0)
    assert getattr(time, reading)() - before == (2_000_000_000 if "_ns" in reading else 2.0)


async def test_the_wall_clock_is_that_of_the_stage(stage: Stage) -> None:
    assert time.time() == stage.clock.now()  # noqa: TID251 - what other people's code reads


async def test_a_clock_kept_under_another_name_is_virtual_too(stage: Stage, theirs: Any) -> None:
    await wait(stage, 5.0)
    assert theirs.read() == 5.0


def test_clocks_are_real_again_afterwards(theirs: Any) -> None:
    async def main(_: Stage) -> list[object]:
        return [*(getattr(time, name) for name in READINGS), theirs.clock]

    before = [*(getattr(time, name) for name in READINGS), theirs.clock]
    assert play(main) != before
    assert [*(getattr(time, name) for name in READINGS), theirs.clock] == before


def test_a_lazy_module_is_not_loaded_by_a_play(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.find_spec("colorsys")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "colorsys", module)
    spec.loader.exec_module(module)
    lazy = type(module)

    async def main(_: Stage) -> None:
        """End at once."""

    play(main)
    assert type(module) is lazy is not ModuleType


def test_a_clock_that_was_imported_in_a_play_is_real_after_it() -> None:
    async def main(_: Stage) -> Any:
        return time.monotonic  # noqa: TID251 - what other people's code keeps

    assert play(main)() > 0.0


def test_another_thread_reads_the_real_clock() -> None:
    asked, told = threading.Event(), threading.Event()
    read: list[float] = []

    def look() -> None:
        assert asked.wait(5)
        read.append(time.monotonic())  # noqa: TID251 - what other people's code reads
        told.set()

    async def main(_: Stage) -> float:
        asked.set()
        assert told.wait(5)
        return time.monotonic()  # noqa: TID251 - likewise

    thread = threading.Thread(target=look)
    thread.start()
    assert play(main) == 0.0
    thread.join()
    assert read[0] > 0.0


def test_jitter_depends_on_the_seed_alone() -> None:
    async def main(_: Stage) -> float:
        return random.random()  # noqa: TID251 - what other people's code draws

    random.seed(1)
    draws = [play(main, seed=seed) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_chance_goes_on_as_if_nothing_had_been_played() -> None:
    async def main(_: Stage) -> float:
        return random.random()  # noqa: TID251 - what other people's code draws

    random.seed(1)
    expected = random.random()  # noqa: TID251 - likewise
    random.seed(1)
    play(main)
    assert random.random() == expected  # noqa: TID251 - likewise


async def test_tenacity_waits_and_gives_up_in_virtual_time(stage: Stage) -> None:
    service = stage.scripted_service([Fault.HANG])
    patient = tenacity.retry(
        stop=tenacity.stop_after_delay(20), wait=tenacity.wait_fixed(1), reraise=True
    )
    with pytest.raises(DependencyError):
        await patient(service.call)(timeout_s=3.0)
    assert list(service.asked_at) == [0.0, 4.0, 8.0, 12.0, 16.0, 20.0]
    assert stage.now_s == 23.0


async def test_stamina_gives_up_at_its_time_out(stage: Stage) -> None:
    service = stage.scripted_service([Fault.HANG])
    patient = stamina.retry(
        on=DependencyError,
        attempts=None,
        timeout=20.0,
        wait_initial=1.0,
        wait_max=1.0,
        wait_jitter=0.0,
    )
    with pytest.raises(DependencyError):
        await patient(service.call)(timeout_s=3.0)
    assert list(service.asked_at) == [0.0, 4.0, 8.0, 12.0, 16.0, 20.0]


Call = Callable[[], Awaitable[object]]


@pytest.mark.parametrize(
    "retrying",
    [
        stamina.retry(on=DependencyError),
        tenacity.retry(wait=tenacity.wait_random_exponential(max=10)),
    ],
    ids=["stamina", "tenacity"],
)
def test_their_jitter_repeats(retrying: Callable[[Call], Call]) -> None:
    async def main(stage: Stage) -> list[float]:
        service = stage.scripted_service([503, 503, 503, 200])
        await retrying(service.call)()
        return list(service.asked_at)

    runs = [play(main, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
