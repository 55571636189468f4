"""A drill: many runs of one scenario, side by side, spread over processes.

`conduct` is how anything plays many runs. A study asks for runs, learns what came of them, and may
ask for more: a drill asks once, a bisection asks again and again. Studies that are conducted
together share the processes, and what each finds does not depend on the others.
"""

from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drill.play import Run, play, scratch
from surgetank.rehearsal.processes import check_jobs, processes, stopped_by_sigterm
from surgetank.rehearsal.scenario.schema import Scenario

SEEDS_MAX = 1_000

T = TypeVar("T")


class Task(NamedTuple):
    """One run to be played."""

    scenario: Scenario
    variant: str
    """One of the scenario's."""
    seed: int


Study: TypeAlias = Generator[Sequence[Task], list[Run], T]
"""Yields tasks, at least one; is sent their runs in the same order; returns what it found.

A task that cannot be played at all raises `InvalidInputError` where it was yielded.
"""


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
    check_plan(scenario, variants=variants, seeds=seeds)
    tasks = [Task(scenario, variant, seed) for variant in variants for seed in seeds]
    (runs,) = conduct([once(tasks)], jobs=jobs, on_run=on_run, prepare=prepare)
    return runs


def check_plan(scenario: Scenario, *, variants: Sequence[str], seeds: Sequence[int]) -> None:
    """Raise `InvalidInputError` unless there is something to play, and not too much."""
    unknown = [name for name in variants if name not in scenario.variants]
    if unknown:
        known = ", ".join(scenario.variants)
        raise InvalidInputError(f"{scenario.name} has no variant {unknown[0]!r}; it has: {known}")
    if not variants or not 1 <= len(seeds) <= SEEDS_MAX:
        raise InvalidInputError(f"at least one variant and from 1 to {SEEDS_MAX} seeds")


def once(tasks: Sequence[Task]) -> Study[list[Run]]:
    """Ask for some runs and find just them."""
    return (yield tasks)


def conduct(
    studies: Sequence[Study[T]],
    *,
    jobs: int,
    on_run: Callable[[Run], None],
    prepare: Callable[[], None],
    on_asked: Callable[[int], None] | None = None,
) -> list[T]:
    """Play what studies ask for until each has found what it looks for.

    Args:
        studies: Not begun yet.
        jobs: Processes, from 1 to `JOBS_MAX`; 1 plays in this one, study by study.
        on_run: Told of each run as it ends, in the order they end.
        prepare: Called once in each process before its first run: sets up its logging.
        on_asked: Told how many runs a study asks for, each time that one does.

    Returns:
        What each found, in the order of `studies`.

    Raises:
        InvalidInputError: `jobs` is out of range, or a study asked for what cannot be played.
        SimulationError: A service failed in a way that no caller saw: our own fault.
    """
    check_jobs(jobs)
    stand = _Stand(studies, on_asked or _ignore)
    if jobs == 1:
        prepare()
        for index in range(len(studies)):
            stand.play_here(index, on_run)
    else:
        _conduct_in_processes(stand, jobs=jobs, on_run=on_run, prepare=prepare)
    return [stand.found[index] for index in range(len(studies))]


@dataclass(slots=True)
class _Stand(Generic[T]):
    """How far each study is."""

    studies: Sequence[Study[T]]
    on_asked: Callable[[int], None]
    found: dict[int, T] = field(default_factory=dict[int, T])
    """What those that ended found, by index."""

    def begin(self, index: int) -> Sequence[Task]:
        """Ask a study what it wants first; nothing when it has ended."""
        return self._go_on(index, lambda: next(self.studies[index]))

    def tell(self, index: int, runs: list[Run]) -> Sequence[Task]:
        """Give a study what it asked for, and ask what else it wants; nothing when it has ended."""
        return self._go_on(index, lambda: self.studies[index].send(runs))

    def refuse(self, index: int, error: InvalidInputError) -> Sequence[Task]:
        """Tell a study that what it asked for cannot be played, and ask what else it wants."""
        return self._go_on(index, lambda: self.studies[index].throw(error))

    def _go_on(self, index: int, step: Callable[[], Sequence[Task]]) -> Sequence[Task]:
        try:
            tasks = step()
        except StopIteration as end:
            self.found[index] = end.value
            return ()
        assert tasks, "a study asks for something, or ends"
        self.on_asked(len(tasks))
        return tasks

    def play_here(self, index: int, on_run: Callable[[Run], None]) -> None:
        """Play one study to its end in this process."""
        tasks = self.begin(index)
        while tasks:
            try:
                runs = [_reported(_play(task, None), on_run) for task in tasks]
            except InvalidInputError as error:
                tasks = self.refuse(index, error)
            else:
                tasks = self.tell(index, runs)


def _conduct_in_processes(
    stand: _Stand[T], *, jobs: int, on_run: Callable[[Run], None], prepare: Callable[[], None]
) -> None:
    with (
        stopped_by_sigterm(),
        TemporaryDirectory("", "surgetank-", scratch()) as directory,
        processes(jobs, prepare=prepare) as pool,
    ):
        _Desk(stand, lambda task: pool.submit(_play, task, Path(directory)), on_run, jobs).serve()


class _Place(NamedTuple):
    """Where a run belongs: the study, which of its questions, and which run of that."""

    study: int
    question: int
    number: int


@dataclass(slots=True)
class _Desk(Generic[T]):
    """Hands tasks to processes, one each at the most, and their runs back to who asked for them."""

    stand: _Stand[T]
    submit: Callable[[Task], Future[Run]]
    on_run: Callable[[Run], None]
    jobs: int
    waiting: deque[tuple[_Place, Task]] = field(default_factory=deque[tuple[_Place, Task]])
    out: dict[Future[Run], _Place] = field(default_factory=dict[Future[Run], _Place])
    questions: Counter[int] = field(default_factory=Counter[int])
    """How often each study has asked; runs of earlier questions are nobody's."""
    runs: dict[int, dict[int, Run]] = field(default_factory=dict[int, dict[int, Run]])
    """What has ended of each study's question."""
    wanted: dict[int, int] = field(default_factory=dict[int, int])
    """How many runs each study's question is of."""

    def serve(self) -> None:
        """Go on until every study has ended."""
        for study in range(len(self.stand.studies)):
            self._ask(study, self.stand.begin(study))
        while self.waiting or self.out:
            while self.waiting and len(self.out) < self.jobs:
                place, task = self.waiting.popleft()
                if place.question == self.questions[place.study]:
                    self.out[self.submit(task)] = place
            for future in wait(self.out, return_when=FIRST_COMPLETED).done:
                self._take_in(future, self.out.pop(future))

    def _ask(self, study: int, tasks: Sequence[Task]) -> None:
        self.questions[study] += 1
        self.runs[study], self.wanted[study] = {}, len(tasks)
        for index, task in enumerate(tasks):
            self.waiting.append((_Place(study, self.questions[study], index), task))

    def _take_in(self, future: Future[Run], place: _Place) -> None:
        study = place.study
        if place.question != self.questions[study]:
            return  # Another run of that question could not be played.
        try:
            run = future.result()
        except InvalidInputError as error:
            self._ask(study, self.stand.refuse(study, error))
            return
        self.on_run(run)
        self.runs[study][place.number] = run
        if len(self.runs[study]) == self.wanted[study]:
            runs = [self.runs[study][index] for index in range(self.wanted[study])]
            self._ask(study, self.stand.tell(study, runs))


def _play(task: Task, base: Path | None) -> Run:
    try:
        return play(task.scenario, task.variant, seed=task.seed, base=base)
    except ExceptionGroup as group:  # of the tasks of a run: what made one of them refuse?
        refused = group.subgroup(InvalidInputError)
        if refused is None:
            raise
        raise InvalidInputError(f"cannot be played: {_first(refused)}") from group


def _first(group: BaseExceptionGroup[InvalidInputError]) -> BaseException:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


def _reported(run: Run, on_run: Callable[[Run], None]) -> Run:
    on_run(run)
    return run


def _ignore(_: int) -> None:
    """Nobody wants to know."""
