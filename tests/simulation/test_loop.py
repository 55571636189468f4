import asyncio
import gc
import sys
import threading
import weakref
from collections.abc import AsyncIterator

import pytest

from surgetank.core.errors import DeadlockError, FenceError, SimulationError
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.fence import fence
from surgetank.runtime.simulation.loop import (
    COLLECT_EVERY_STEPS,
    Scheduling,
    VirtualLoop,
    run,
    run_on,
    yield_once,
)


async def nothing() -> None:
    """End at once."""


async def order_of_three(loop: VirtualLoop) -> list[str]:
    clock, order = VirtualClock(loop), list[str]()

    async def worker(name: str) -> None:
        for turn in range(10):
            await clock.sleep_until(float(turn))
            order.append(name)

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(worker(name))
    return order


def test_time_jumps_to_the_next_timer() -> None:
    async def main(loop: VirtualLoop) -> list[float]:
        seen: list[float] = []
        for delay_s in (3600.0, 0.0, 0.5):
            loop.call_later(delay_s, lambda: seen.append(loop.time()))
        await VirtualClock(loop).sleep_until(46_800.0)
        return [*seen, loop.time()]

    assert run(main) == [0.0, 0.5, 3600.0, 46_800.0]


def test_fifo_serves_those_who_are_ready_in_order() -> None:
    assert run(order_of_three) == list("abc" * 10)


def test_shuffled_order_depends_on_the_seed_alone() -> None:
    orders = [run(order_of_three, seed=seed, scheduling="shuffled") for seed in (1, 1, 2)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert orders[0] != list("abc" * 10)
    assert sorted(orders[0]) == sorted("abc" * 10)


@pytest.mark.parametrize("scheduling", ["fifo", "shuffled"])
def test_a_cancelled_call_is_not_made(scheduling: Scheduling) -> None:
    async def main(loop: VirtualLoop) -> list[str]:
        made: list[str] = []
        for delay_s in (0.0, 1.0):
            loop.call_later(delay_s, made.append, "kept")
            entry = loop.call_later(delay_s, made.append, "cancelled")
            entry.cancel()
            entry.cancel()
            assert entry.cancelled()
            assert len({entry, entry, loop.call_soon(list[str]().clear)}) == 2
            assert repr(entry).startswith("<Entry at=")
        await VirtualClock(loop).sleep_until(2.0)
        return made

    assert run(main, scheduling=scheduling) == ["kept", "kept"]


def test_thousands_of_cancelled_timers_are_swept_and_the_rest_still_fire() -> None:
    async def main(loop: VirtualLoop) -> int:
        fired: list[int] = []
        for number in range(5_000):
            entry = loop.call_later(60.0 + number, fired.append, number)
            assert entry.when() == 60.0 + number
            if number % 10:
                entry.cancel()
        await VirtualClock(loop).sleep_until(1.0)
        assert loop.timers_cancelled < 10
        await VirtualClock(loop).sleep_until(10_000.0)
        return len(fired)

    assert run(main) == 500


def test_tasks_and_futures_hash_by_the_order_they_were_made() -> None:
    async def main(loop: VirtualLoop) -> tuple[list[int], list[str]]:
        made = [loop.create_future() for _ in range(3)]
        tasks = [asyncio.create_task(nothing()) for _ in range(3)]
        done, _ = await asyncio.wait(tasks)
        return [hash(future) for future in made], [task.get_name() for task in done]

    numbers, names = run(main)
    assert numbers == [2, 3, 4]
    assert names == ["task-5", "task-6", "task-7"]


def test_an_executors_work_is_done_inline() -> None:
    def fail() -> None:
        raise KeyError("of the work")

    async def main(loop: VirtualLoop) -> int:
        with pytest.raises(KeyError, match="of the work"):
            await loop.run_in_executor(None, fail)
        loop.run_in_executor(None, fail).cancel()
        return await asyncio.to_thread(pow, 2, 10)

    assert run(main) == 1024


def test_a_deadlock_names_every_task_and_what_it_waits_for() -> None:
    async def wait_for_ever(event: asyncio.Event) -> None:
        await event.wait()

    async def main(_: VirtualLoop) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait_for_ever(asyncio.Event()), name="one")
            two = group.create_task(wait_for_ever(asyncio.Event()), name="two")
            await two

    with pytest.raises(DeadlockError) as caught:
        run(main)
    lines = str(caught.value).splitlines()
    assert "no timer is armed at 0.0 s" in lines[0]
    assert [line.split("(")[0].strip() for line in lines[1:]] == [
        "task 'task-1'", "task 'one'", "task 'two'",
    ]  # fmt: skip
    assert "for task 'two'" in lines[1]
    assert "in Event.wait, from simulation/test_loop.py:" in lines[2]
    assert lines[2].endswith("wait_for_ever, for a future that nobody has set")


def test_a_wait_without_end_is_a_deadlock() -> None:
    async def main(loop: VirtualLoop) -> None:
        await VirtualClock(loop).sleep_until(float("inf"))

    with pytest.raises(DeadlockError, match=r"at 0\.0 s"):
        run(main)


def test_a_deadlock_of_very_many_counts_those_it_does_not_name() -> None:
    async def main(loop: VirtualLoop) -> None:
        async def wait() -> None:
            await loop.create_future()

        await asyncio.gather(*(wait() for _ in range(150)))

    with pytest.raises(DeadlockError, match="and 51 more"):
        run(main)


def test_who_spins_while_time_stands_still_is_named() -> None:
    async def spin() -> None:
        while True:
            await yield_once()

    async def main(loop: VirtualLoop) -> None:
        task = asyncio.create_task(spin(), name="spinner")
        await VirtualClock(loop).sleep_until(1.0)
        task.cancel()

    with pytest.raises(
        SimulationError, match=r"time does not move(.|\n)*'spinner'(.|\n)*spin, for its next turn"
    ):
        run(main, steps_per_instant_limit=1_000)


def test_a_callback_that_spins_is_named() -> None:
    async def main(loop: VirtualLoop) -> None:
        def again() -> None:
            loop.call_soon(again)

        again()
        await loop.create_future()

    with pytest.raises(SimulationError, match=r"callback .*again at test_loop.py:\d+"):
        run(main, steps_per_instant_limit=1_000)


def test_a_run_that_never_ends_reaches_its_limit_of_steps() -> None:
    async def main(loop: VirtualLoop) -> None:
        while True:
            await VirtualClock(loop).sleep_until(loop.time() + 1e-6)

    with pytest.raises(SimulationError, match="over the limit"):
        run(main, steps_limit=10_000)


def test_what_is_left_is_cancelled_in_the_order_it_was_made() -> None:
    ended: list[str] = []

    async def linger(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)
            await yield_once()
            asyncio.create_task(nothing()).add_done_callback(lambda _: ended.append("late"))

    async def main(loop: VirtualLoop) -> str:
        loop.lingering = [asyncio.create_task(linger(name)) for name in "abc"]  # type: ignore[attr-defined] # keeps them
        await yield_once()
        return "result"

    assert run(main) == "result"
    assert ended == ["a", "b", "c", "late", "late", "late"]


def test_open_generators_are_closed_in_the_order_they_were_begun() -> None:
    closed: list[str] = []

    async def count(name: str) -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(name)

    kept = [count(name) for name in "cab"]

    async def main(_: VirtualLoop) -> None:
        for generator in kept:
            assert await anext(generator) == 1

    run(main)
    assert closed == ["c", "a", "b"]


def test_a_generator_that_is_let_go_is_closed_as_the_run_goes_on() -> None:
    closed: list[float] = []

    async def count(loop: VirtualLoop) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            closed.append(loop.time())

    async def main(loop: VirtualLoop) -> None:
        assert await anext(count(loop)) == 1
        await VirtualClock(loop).sleep_until(9.0)

    run(main)
    assert closed == [0.0]


def test_a_callback_that_fails_fails_the_run() -> None:
    async def main(loop: VirtualLoop) -> None:
        loop.call_soon(dict[str, str]().__getitem__, "missing")
        await yield_once()

    with pytest.raises(SimulationError, match=r"defects(.|\n)*KeyError"):
        run(main)


def test_a_task_that_fails_unseen_fails_the_run() -> None:
    async def fail() -> None:
        raise ValueError("unseen")

    async def main(_: VirtualLoop) -> None:
        task = asyncio.create_task(fail())
        await asyncio.wait([task])

    with pytest.raises(SimulationError, match=r"never retrieved(.|\n)*unseen"):
        run(main)


def test_a_task_that_fails_when_it_is_cancelled_fails_the_run() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("not now") from None

    async def main(_: VirtualLoop) -> None:
        task = asyncio.create_task(stubborn(), name="stubborn")
        await yield_once()
        assert not task.done()

    with pytest.raises(SimulationError, match="stubborn failed when it was cancelled"):
        run(main)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("create_connection", (asyncio.Protocol, "localhost", 80)),
        ("create_server", (asyncio.Protocol, "localhost", 80)),
        ("getaddrinfo", ("localhost", 80)),
        ("add_signal_handler", (2, print)),
        ("add_reader", (0, print)),
        ("subprocess_exec", (asyncio.SubprocessProtocol, "true")),
    ],
)
def test_what_an_ordinary_loop_does_outside_is_refused(
    method: str, arguments: tuple[object, ...]
) -> None:
    async def main(loop: VirtualLoop) -> None:
        await getattr(loop, method)(*arguments)

    with pytest.raises(FenceError, match=rf"virtual time has no .*\({method}\)"):
        run(main)


def test_another_thread_cannot_call_in() -> None:
    loop, raised = VirtualLoop(), list[FenceError]()

    def call_in() -> None:
        try:
            loop.call_soon_threadsafe(print)
        except FenceError as error:
            raised.append(error)

    thread = threading.Thread(target=call_in)
    thread.start()
    thread.join()
    loop.close()
    assert "another thread" in str(raised[0])


@pytest.mark.parametrize("was_on", [True, False])
def test_collection_of_garbage_is_as_it_was(was_on: bool) -> None:  # noqa: FBT001 - a row
    async def main(_: VirtualLoop) -> bool:
        return gc.isenabled()

    before = gc.isenabled()
    try:
        (gc.enable if was_on else gc.disable)()
        assert not run(main)
        assert gc.isenabled() is was_on
    finally:
        (gc.enable if before else gc.disable)()


def test_runs_follow_one_another_and_start_afresh() -> None:
    async def main(loop: VirtualLoop) -> tuple[float, float, str]:
        task = asyncio.create_task(nothing())
        await task
        return loop.time(), VirtualClock(loop).now(), task.get_name()

    assert [run(main, start_at=5.0) for _ in range(3)] == [(0.0, 5.0, "task-2")] * 3


def test_garbage_is_collected_at_counted_steps() -> None:
    class Knot:
        def __init__(self) -> None:
            self.myself = self

    async def main(loop: VirtualLoop) -> bool:
        knot = weakref.ref(Knot())
        assert knot() is not None
        loop.steps += COLLECT_EVERY_STEPS
        await yield_once()
        await yield_once()
        return knot() is None

    assert run(main)


def test_who_asks_the_process_to_end_is_heard() -> None:
    async def main(loop: VirtualLoop) -> None:
        loop.call_soon(sys.exit, 3)
        await loop.create_future()

    with pytest.raises(SystemExit, match="3"):
        run(main)


def test_an_error_of_the_program_comes_out_as_it_is() -> None:
    async def main(_: VirtualLoop) -> None:
        raise LookupError("of the program")

    with pytest.raises(LookupError, match="of the program"):
        run(main)


def test_a_loop_may_be_prepared_before_it_is_run() -> None:
    async def main(loop: VirtualLoop) -> float:
        await VirtualClock(loop).sleep_until(2.0)
        return loop.time()

    loop, seen = VirtualLoop(), list[float]()
    loop.call_at(1.0, lambda: seen.append(loop.time()))
    assert (run_on(loop, main), seen) == (2.0, [1.0])
    assert loop.is_closed()


def test_what_a_loop_refuses_is_told_to_who_put_up_the_fence() -> None:
    async def main(loop: VirtualLoop) -> None:
        with pytest.raises(FenceError):
            await loop.getaddrinfo("host", 80)

    with fence() as refused:
        run(main)
    assert refused == ["DNS (getaddrinfo)"]
