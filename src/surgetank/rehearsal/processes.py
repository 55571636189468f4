"""Processes that play runs, and that end when what asked for them ends, however it does."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import NoReturn

from surgetank.core.errors import InvalidInputError

JOBS_MAX = 256


def usual_jobs() -> int:
    """One a core, and `JOBS_MAX` at the most."""
    return min(os.cpu_count() or 1, JOBS_MAX)


def check_jobs(jobs: int) -> None:
    """Refuse a number of processes that nobody can have.

    Raises:
        InvalidInputError: it is not from 1 to `JOBS_MAX`.
    """
    if not 1 <= jobs <= JOBS_MAX:
        raise InvalidInputError(f"from 1 to {JOBS_MAX} jobs")


@contextmanager
def processes(
    jobs: int, *, prepare: Callable[[], None] | None = None
) -> Generator[ProcessPoolExecutor]:
    """Give processes that are waited for at the end, and ended at once by an exception.

    Submit no more tasks than there are processes: what lies in a pool's pipe when its processes are
    ended can keep the pool from ending.

    Args:
        jobs: How many; from 1 to `JOBS_MAX`.
        prepare: Called in each of them before its first task.
    """
    pool = ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(prepare,),
    )
    try:
        yield pool
    except BaseException:
        # Nobody waits for these runs any more.
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in multiprocessing.active_children():
            worker.terminate()
            worker.join()
        raise
    pool.shutdown()


@contextmanager
def stopped_by_sigterm() -> Generator[None]:
    """Let SIGTERM unwind as the keyboard does, so that processes and files go as well."""

    def stop(*_: object) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _start_worker(prepare: Callable[[], None] | None) -> None:
    """Leave the keyboard to the parent, which ends its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if prepare is not None:
        prepare()
