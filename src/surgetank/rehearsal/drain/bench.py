"""Plays laws in worlds with seeds, spread over processes.

A run is a pure function of law, world and seed, so that it does not matter which process plays it.
What plays needs Numba, the extra `surgetank[bench]`: it is imported when a run is asked for, so
that the rest of the package and the command line work without.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from importlib import import_module
from itertools import islice
from math import ceil
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from surgetank.control.signal import Mode
from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drain.ablation import ABLATED, OURS
from surgetank.rehearsal.drain.document import RATIO_MAX, Document
from surgetank.rehearsal.drain.generator import SEED_MAX, random_world
from surgetank.rehearsal.drain.summary import Case, Run
from surgetank.rehearsal.drain.world import World, optimum_s
from surgetank.rehearsal.processes import check_jobs, processes, stopped_by_sigterm

if TYPE_CHECKING:
    from surgetank.rehearsal.drain.engine import Played

RANDOM_MAX = 1_000
"""Random worlds of one bench."""
SEEDS_MAX = 100
"""Seeds of one bench, in each world."""
REQUESTS_MAX = 1_000_000_000
"""Largest limit on the calls of a run: some 20 minutes."""
RANDOM_REQUESTS_MAX = 300_000
"""Calls after which a run in a random world counts as hopeless, unless another limit is given."""
SEED_STEP = 2
"""From one seed to the next, so that those of a bench are all odd, or all even."""
WRAPPED = "+breaker"
"""Ends the name of a law that is played with our breaker wrapped round it."""

T = TypeVar("T")


class Task(NamedTuple):
    """One run to be played."""

    law: str
    name: str
    """Of the world."""
    world: World
    seed: int
    requests_max: int


class Second(NamedTuple):
    """One second of a run."""

    sent: float
    """Calls that were made, those of others included."""
    ok: float
    """Calls that ended well, fresh and backlog."""
    backlog_ok: float
    wait_s: float
    """In the dependency's queue."""
    capacity_per_s: float
    """What it can serve now: less what is down, cold or lost to overload."""
    alive_ratio: float
    fresh_failed: float
    """Fresh operations that ended badly."""
    mode: float
    """Of the law, of the first worker; a whole number."""
    in_flight_max: float
    rate_per_s: float


class Timeline(NamedTuple):
    """One run, second by second."""

    task: Task
    run: Run
    seconds: list[Second]
    modes: Mapping[int, str]
    """What the law calls its modes; one without a name is a number."""


def require_extra(modules: Sequence[str] = ("numba", "numpy")) -> None:
    """Raise `InvalidInputError`, which says what to install, unless `modules` can be imported."""
    for name in modules:
        try:
            import_module(name)
        except ModuleNotFoundError:
            what = f"needs {name}, which is not installed: pip install 'surgetank[bench]'"
            raise InvalidInputError(f"bench drain {what}") from None


def law_names() -> list[str]:
    """Every law that can be played, bare and wrapped in our breaker."""
    from surgetank.rehearsal.drain.law import NAMES  # noqa: PLC0415 - needs the extra

    return [name + end for name in NAMES for end in ("", WRAPPED)]


def ablated_names() -> list[str]:
    """Every change of our law that can be played when asked for, bare and wrapped."""
    return [name + end for name in ABLATED for end in ("", WRAPPED)]


def given_cases(
    worlds: dict[str, World], *, seed: int, seeds: int, requests_max: int | None
) -> list[Case]:
    """Say how worlds of files are played.

    Args:
        worlds: By name; at least one.
        seed: The first.
        seeds: How many, each `SEED_STEP` after the one before; from 1 to `SEEDS_MAX`.
        requests_max: Calls after which a run counts as hopeless; None: four times what the optimum
            takes.
    """
    if not 1 <= seeds <= SEEDS_MAX:
        raise InvalidInputError(f"from 1 to {SEEDS_MAX} seeds")
    numbers = _numbers(seed, seeds)
    return [
        Case(name, world, numbers, requests_max or _requests_max(world))
        for name, world in worlds.items()
    ]


def random_cases(count: int, *, seed: int, requests_max: int | None) -> list[Case]:
    """Make random worlds, each played once with the seed that it was made of.

    Args:
        count: From 1 to `RANDOM_MAX`.
        seed: Of the first; the others follow by `SEED_STEP`.
        requests_max: Calls after which a run counts as hopeless; None: `RANDOM_REQUESTS_MAX`.
    """
    if not 1 <= count <= RANDOM_MAX:
        raise InvalidInputError(f"from 1 to {RANDOM_MAX} random worlds")
    limit = requests_max or RANDOM_REQUESTS_MAX
    return [Case(f"random-{one}", random_world(one), [one], limit) for one in _numbers(seed, count)]


def tasks(laws: Sequence[str], cases: Sequence[Case]) -> list[Task]:
    """Ask for every law in every case with every seed, law by law."""
    return [
        Task(law, case.name, case.world, seed, case.requests_max)
        for law in laws
        for case in cases
        for seed in case.seeds
    ]


def slowest(found: Document, cases: Sequence[Case]) -> Task:
    """Say which run of the law that was asked for first took the longest, over its optimum."""
    law, result = next(iter(found.laws.items()))
    return max(
        tasks([law], cases), key=lambda run: result.worlds[run.name].seeds[str(run.seed)].ratio
    )


def play_task(task: Task) -> Run:
    """Play one run; needs the extra."""
    return _run(task, _play(task))


def play_timeline(task: Task) -> Timeline:
    """Play one run, and keep what happened second by second; needs the extra."""
    played = _play(task)
    seconds = [Second(*row) for row in played.seconds.tolist()]
    is_ours = task.law.removesuffix(WRAPPED) in (OURS, *ABLATED)
    modes = {mode.value: mode.name.lower() for mode in Mode} if is_ours else {}
    return Timeline(task, _run(task, played), seconds, modes)


def _play(task: Task) -> "Played":
    from surgetank.rehearsal.drain.engine import play  # noqa: PLC0415 - needs the extra
    from surgetank.rehearsal.drain.law import player  # noqa: PLC0415 - needs the extra

    return play(
        task.world,
        player(task.law.removesuffix(WRAPPED), task.world),
        seed=task.seed,
        requests_max=task.requests_max,
        is_wrapped=task.law.endswith(WRAPPED),
    )


def _run(task: Task, played: "Played") -> Run:
    return Run(
        law=task.law,
        world=task.name,
        seed=task.seed,
        drained_s=played.drained_s,
        fresh_success=played.fresh_success,
        fresh_restored_s=played.fresh_restored_s,
        overload_s=played.overload_s,
        wasted_ratio=played.wasted_ratio,
        shed_ratio=played.shed_ratio,
        requests=played.requests,
    )


def conduct(
    work: Sequence[Task],
    play: Callable[[Task], T],
    *,
    jobs: int,
    on_end: Callable[[Task], None],
) -> list[T]:
    """Play tasks, several at once.

    Args:
        work: At least one task.
        play: A function of a module, so that another process can import it.
        jobs: Processes, from 1 to `JOBS_MAX`; 1 plays in this one.
        on_end: Told of each task that ends, in the order they end.

    Returns:
        What came of each, in the order of `work`.

    Raises:
        InvalidInputError: `jobs` is out of range.
    """
    check_jobs(jobs)
    found: dict[int, T] = {}
    with closing(_here(work, play) if jobs == 1 else _in_processes(work, play, jobs)) as ended:
        for index, result in ended:
            found[index] = result
            on_end(work[index])
    return [found[index] for index in range(len(work))]


def _here(work: Sequence[Task], play: Callable[[Task], T]) -> Generator[tuple[int, T]]:
    for index, task in enumerate(work):
        yield index, play(task)


def _in_processes(
    work: Sequence[Task], play: Callable[[Task], T], jobs: int
) -> Generator[tuple[int, T]]:
    """Give results as they come, with no more tasks out than there are processes."""
    waiting = iter(enumerate(work))
    out: dict[Future[T], int] = {}
    with stopped_by_sigterm(), processes(jobs) as pool:

        def hand_out() -> None:
            for index, task in islice(waiting, jobs - len(out)):
                out[pool.submit(play, task)] = index

        hand_out()
        while out:
            for future in wait(out, return_when=FIRST_COMPLETED).done:
                yield out.pop(future), future.result()
            hand_out()


def _numbers(seed: int, count: int) -> list[int]:
    last = seed + SEED_STEP * (count - 1)
    if seed < 0 or last > SEED_MAX:
        raise InvalidInputError(f"seeds {seed} to {last}: from 0 to {SEED_MAX}")
    return list(range(seed, last + 1, SEED_STEP))


def _requests_max(world: World) -> int:
    fresh = world.capacity_per_s * world.fresh_ratio * optimum_s(world)
    return ceil(RATIO_MAX * (world.backlog + fresh))
