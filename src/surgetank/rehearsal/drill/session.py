"""A drill: many runs of one scenario, side by side, spread over processes."""

import multiprocessing
import signal
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drill.play import Run, play, scratch
from surgetank.rehearsal.scenario.schema import Scenario

SEEDS_MAX = 1_000
JOBS_MAX = 256


def drill(
    scenario: Scenario,
    *,
    variants: Sequence[str],
    seeds: Sequence[int],
    jobs: int,
    on_run: Callable[[Run], None],
    prepare: Callable[[], None],
) -> list[Run]:
    """Play every variant with every seed.

    Args:
        scenario: What happens.
        variants: Names, each in the scenario; at least one.
        seeds: At least one, at most `SEEDS_MAX`.
        jobs: Processes, from 1 to `JOBS_MAX`; 1 plays in this one.
        on_run: Told of each run as it ends, in the order they end.
        prepare: Called once in each process before its first run: sets up its logging.

    Returns:
        The runs, by variant and then by seed, as asked for.

    Raises:
        InvalidInputError: A variant is unknown, or a number is out of range.
        SimulationError: A service failed in a way that no caller saw: our own fault.
    """
    unknown = [name for name in variants if name not in scenario.variants]
    if unknown:
        known = ", ".join(scenario.variants)
        raise InvalidInputError(f"{scenario.name} has no variant {unknown[0]!r}; it has: {known}")
    if not 1 <= len(seeds) <= SEEDS_MAX or not 1 <= jobs <= JOBS_MAX or not variants:
        raise InvalidInputError(f"from 1 to {SEEDS_MAX} seeds and 1 to {JOBS_MAX} jobs")
    pairs = [(variant, seed) for variant in variants for seed in seeds]
    if jobs == 1:
        prepare()
        return [_reported(play(scenario, variant, seed=seed), on_run) for variant, seed in pairs]
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        min(jobs, len(pairs)), mp_context=context, initializer=_start_worker, initargs=(prepare,)
    )
    with _stopped_by_sigterm(), TemporaryDirectory("", "surgetank-", scratch()) as directory:
        try:
            futures: list[Future[Run]] = [
                pool.submit(play, scenario, variant, seed=seed, base=Path(directory))
                for variant, seed in pairs
            ]
            for future in as_completed(futures):
                on_run(future.result())
        except BaseException:
            # Nobody waits for these runs any more; what they have on disk goes with the directory.
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.terminate()
                worker.join()
            raise
        pool.shutdown()
        return [future.result() for future in futures]


@contextmanager
def _stopped_by_sigterm() -> Generator[None]:
    """Let SIGTERM unwind as the keyboard does, so that workers and files go as well."""

    def stop(*_: object) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _start_worker(prepare: Callable[[], None]) -> None:
    """Leave the keyboard to the parent, which ends its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    prepare()


def _reported(run: Run, on_run: Callable[[Run], None]) -> Run:
    on_run(run)
    return run
