import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import pytest
from structlog.testing import capture_logs

from surgetank.core.errors import QueueFullError, RefusedError
from surgetank.runtime.live.blocking import WorkerThread

T = TypeVar("T")


def play(story: Callable[[WorkerThread], Awaitable[T]]) -> T:
    async def main() -> T:
        worker = WorkerThread(queue_limit=3)
        try:
            return await story(worker)
        finally:
            await worker.close()

    return asyncio.run(main())


def test_work_runs_in_order_on_one_other_thread() -> None:
    async def story(worker: WorkerThread) -> list[tuple[int, int]]:
        done: list[tuple[int, int]] = []

        def note(number: int) -> None:
            done.append((number, threading.get_ident()))

        for start in range(0, 9, 3):
            await asyncio.gather(*(worker.run(partial(note, n)) for n in range(start, start + 3)))
        return done

    done = play(story)
    assert [number for number, _ in done] == list(range(9))
    assert len({thread for _, thread in done}) == 1
    assert done[0][1] != threading.get_ident()


def test_work_returns_and_raises() -> None:
    async def story(worker: WorkerThread) -> int:
        with pytest.raises(ZeroDivisionError):
            await worker.run(lambda: 1 // 0)
        return await worker.run(lambda: 42)

    assert play(story) == 42


def test_a_full_queue_refuses_and_has_room_again() -> None:
    async def story(worker: WorkerThread) -> str:
        go = threading.Event()
        waiting = [asyncio.ensure_future(worker.run(go.wait)) for _ in range(3)]
        await asyncio.wait(waiting, timeout=0)
        with pytest.raises(QueueFullError):
            await worker.run(lambda: None)
        go.set()
        await asyncio.gather(*waiting)
        return await worker.run(lambda: "room again")

    assert play(story) == "room again"


def test_work_whose_caller_left_is_done_and_its_failure_told() -> None:
    async def story(worker: WorkerThread) -> list[str]:
        begun, go = threading.Event(), threading.Event()
        done: list[str] = []

        def fail() -> None:
            begun.set()
            go.wait(5)
            done.append("failing")
            raise ValueError("unseen")

        callers = [
            asyncio.ensure_future(worker.run(work)) for work in (fail, lambda: done.append("next"))
        ]
        await asyncio.to_thread(begun.wait, 5)
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
        go.set()
        await worker.run(lambda: None)
        return done

    with capture_logs() as logs:
        assert play(story) == ["failing", "next"]
    assert [(log["event"], log["error"]) for log in logs] == [
        ("blocking.failed_unseen", "ValueError('unseen')")
    ]


def test_closing_finishes_what_was_taken_in_and_refuses_more() -> None:
    async def story(worker: WorkerThread) -> list[int]:
        done: list[int] = []
        waiting = [asyncio.ensure_future(worker.run(partial(done.append, n))) for n in range(3)]
        await asyncio.wait(waiting, timeout=0)
        await worker.close()
        with pytest.raises(RefusedError, match="closed"):
            await worker.run(lambda: None)
        return done

    assert play(story) == [0, 1, 2]
