"""Worker processes that share one store while something happens to it."""

import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

WORKER = Path(__file__).parent / "worker.py"
WAIT_S = 100.0
POLL_S = 0.02
SHOWN_CHARACTERS = 3_000


def pass_s(seconds: float) -> None:
    """Let time pass: processes of the operating system know no other clock."""
    time.sleep(seconds)  # noqa: TID251 - see above


class Fleet:
    """Worker processes on one store, and what they did."""

    def __init__(self, folder: Path, store: str) -> None:
        self.store = store
        self._folder = folder
        self._effects = folder / "effects"
        self._effects.touch()
        self._workers = dict[str, "subprocess.Popen[bytes]"]()

    def start(
        self,
        name: str,
        count: int,
        *,
        lease_s: float = 30.0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start a worker that submits so many operations and ends when all have ended."""
        command = [sys.executable, str(WORKER), self.store, str(self._effects), name]
        with (self._folder / f"{name}.log").open("wb") as log:
            self._workers[name] = subprocess.Popen(  # noqa: S603 - our own file
                [*command, str(count), str(lease_s)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )

    def until(self, is_so: Callable[[], bool], *, needs_workers: bool = True) -> None:
        """Wait until it is so; in vain when no worker runs any more, if it needs one."""
        for _ in range(round(WAIT_S / POLL_S)):
            if is_so():
                return
            if needs_workers and not any(map(self.is_running, self._workers)):
                break
            pass_s(POLL_S)
        raise AssertionError(f"never so: {self.said()[-SHOWN_CHARACTERS:]}")

    def finish(self, *names: str, wait_s: float = WAIT_S) -> None:
        """Wait until these workers end well; all of them if none is named."""
        wanted = names or tuple(self._workers)
        ended = {name: self._workers[name].wait(wait_s) for name in wanted}
        assert set(ended.values()) == {0}, self.said()[-SHOWN_CHARACTERS:]

    def fail(self, name: str) -> str:
        """Wait until a worker fails; the last line that it said."""
        assert self._workers[name].wait(WAIT_S) == 1
        return (self._folder / f"{name}.log").read_text().splitlines()[-1]

    def is_running(self, name: str) -> bool:
        """Whether a worker has not ended."""
        return self._workers[name].poll() is None

    def kill_all(self) -> None:
        """End what still runs."""
        for worker in self._workers.values():
            worker.kill()
            worker.wait()

    def said(self) -> str:
        """What the workers logged and acknowledged."""
        return "".join(path.read_text() for path in sorted(self._folder.glob("*.log")))

    def acknowledged(self) -> list[str]:
        """The operations that the workers said are stored."""
        lines = [line.split() for line in self.said().splitlines()]
        return [line[1] for line in lines if line and line[0] == "stored"]

    def calls(self) -> int:
        """Calls made so far, and ends stored."""
        return self._effects.read_bytes().count(b"\n")

    def calls_while(self, seconds: float) -> int:
        """Let time pass; the calls that are made in the second half of it."""
        pass_s(seconds / 2)
        before = self.calls()
        pass_s(seconds / 2)
        return self.calls() - before

    def effects(self) -> dict[str, list[str]]:
        """The calls made for each operation and its end, in order."""
        found = defaultdict[str, list[str]](list)
        for line in self._effects.read_text().splitlines():
            operation_id, step, _ = line.split()
            found[operation_id].append(step)
        return found


class Counts:
    """What became of the operations of a fleet; printed with the test's output."""

    def __init__(self, fleet: Fleet, states: Mapping[str, str]) -> None:
        acknowledged, made = fleet.acknowledged(), fleet.effects()
        self.acknowledged = len(acknowledged)
        self.lost = sum(each not in states for each in acknowledged)
        self.unfinished = sum(each in ("ready", "waiting", "running") for each in states.values())
        self.unknown = sum(each == "unknown" for each in states.values())
        self.failed = len(states) - self.unfinished - self.unknown
        self.failed -= sum(each == "succeeded" for each in states.values())
        # The next step begins in the write that ends the one before, and an end that is told of is
        # stored: whatever comes again after either was finished already.
        self.finished_again = sum(steps != sorted(steps) for steps in made.values())
        again = Counter[str]()
        for steps in made.values():
            again.update(steps)
            again.subtract(set(steps))
        self.calls_again = again.total()
        """Where a lease ran out."""
        self.once_again = sum(count for step, count in again.items() if step.startswith("once"))
        print(*(f"{name}={value}" for name, value in vars(self).items()))  # noqa: T201 - for who runs it


@pytest.fixture
def fleet(tmp_path: Path) -> Generator[Callable[[str], Fleet]]:
    """Make a fleet on a store; what still runs afterwards is killed."""
    made = list[Fleet]()

    def make(store: str) -> Fleet:
        made.append(Fleet(tmp_path, store))
        return made[-1]

    yield make
    for each in made:
        each.kill_all()


@pytest.fixture
def count() -> Callable[[Fleet, Mapping[str, str]], Any]:
    """Count what became of a fleet's operations, given the state of each that is stored."""
    return Counts
