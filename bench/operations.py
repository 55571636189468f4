"""Durable operations beside their peers: drains and submissions, interleaved, with medians.

Run: python bench/operations.py [--quick] [--only SIDE ...] [--json PATH]
     python bench/operations.py --read PATH [--markdown]

At most ten minutes; a minute with `--quick`. The peers are installed, as locked in
operations_peers/requirements.lock, into an environment of their own, kept in `--cache`. What is
measured, and why so: docs/explanation/operations-bench.md.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from statistics import median
from time import monotonic
from typing import Any, NamedTuple

from rich.console import Console

from operations_peers import report, server
from operations_peers.measure import SIDES
from operations_peers.report import DRAIN, SUBMIT, Run
from operations_peers.server import Missing
from operations_peers.side import Settings

HERE = Path(__file__).parent
ROUNDS, ROUNDS_QUICK = 3, 1
BATCHES, BATCHES_QUICK = (64, 256), (256,)
CALLERS = 256
FLEET = 4
"""Worker processes beside one, with the largest batch."""
OPERATIONS = {
    "surgetank-sqlite": 20_000,
    "surgetank-postgres": 20_000,
    "pgqueuer": 20_000,
    "dbos": 1_500,
    "celery-always": 800,
    "celery-everysec": 1_000,
    "procrastinate": 400,
}
"""Of one measurement: some seconds' worth, and several batches in any case."""
QUICK_RATIO = 0.2
BOUND_S, BOUND_QUICK_S = 8.0, 4.0
"""Seconds of one measurement."""
BENCH_S_MAX = 540.0
"""Seconds after which no measurement begins."""
SETUP_S = 60.0
"""Seconds that a measurement may take to start, fill and end, beside what it measures."""
FSYNCS = 41
BLOCK = bytes(8192)


class Cell(NamedTuple):
    """What is measured once a round."""

    what: str
    side: str
    batch: int
    workers: int


def cells(sides: Sequence[str], *, is_quick: bool) -> list[Cell]:
    """List what is measured: one SQLite file is one machine's, so that no fleet drains it."""
    batches = BATCHES_QUICK if is_quick else BATCHES
    fleets = [] if is_quick else [side for side in sides if side != "surgetank-sqlite"]
    return [
        *(Cell(DRAIN, side, batch, 1) for side in sides for batch in batches),
        *(Cell(DRAIN, side, batches[-1], FLEET) for side in fleets),
        *(Cell(SUBMIT, side, batches[-1], 1) for side in sides),
    ]


def fsync_p50_ms(folder: Path) -> float:
    """Time writes of one block, each synced, in the folder where all sides write."""
    waits_s = list[float]()
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(FSYNCS):
            file.seek(0)
            began_at = monotonic()
            file.write(BLOCK)
            os.fdatasync(file.fileno())
            waits_s.append(monotonic() - began_at)
    return 1e3 * median(waits_s)


class Bench:
    """The servers that run, and how each side is reached."""

    def __init__(self, folder: Path, servers: ExitStack, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.versions = [f"Python {platform.python_version()}"]
        self._servers = servers
        self._say = say
        self._postgres: server.Postgres | None = None
        self._redis: dict[str, str] = {}
        self._python: dict[str, str] = {}

    def start(self, sides: Sequence[str], cache: Path) -> list[str]:
        """Start what the sides need; give those that can be measured, in order."""
        missing = set[str]()
        peers = [side for side in sides if not side.startswith("surgetank")]
        python = Path(sys.executable)
        try:
            if peers:
                python = server.peers_python(cache)
        except Missing as error:
            self._leave_out(peers, error, missing)
        self._python = {side: str(python) if side in peers else sys.executable for side in sides}
        on_postgres = [
            side for side in sides if side != "surgetank-sqlite" and side not in server.FSYNC
        ]
        try:
            if on_postgres:
                self._postgres = self._servers.enter_context(server.postgres(self.folder))
                self.versions.append(self._postgres.version)
        except Missing as error:
            self._leave_out(on_postgres, error, missing)
        for side in [side for side in peers if side in server.FSYNC and side not in missing]:
            try:
                running = server.redis(self.folder / side, server.FSYNC[side], python)
                self._redis[side] = self._servers.enter_context(running)
            except Missing as error:
                self._leave_out([side], error, missing)
        return [side for side in sides if side not in missing]

    def _leave_out(self, sides: Sequence[str], error: Missing, missing: set[str]) -> None:
        self._say(f"without {', '.join(sides)}: {error}")
        missing.update(sides)

    def measure(self, cell: Cell, operations: int, bound_s: float) -> dict[str, Any] | None:
        """Measure one cell in a process of its side; None when it failed, which is said."""
        with (
            tempfile.TemporaryDirectory(dir=self.folder) as folder,
            self._address(cell.side, Path(folder)) as address,
        ):
            settings = Settings(
                side=cell.side,
                address=address,
                folder=folder,
                batch=cell.batch,
                workers=cell.workers,
                operations=operations,
                callers=CALLERS,
                bound_s=bound_s,
            )
            printed, wrong = self._run(cell, settings)
        if wrong or not printed:
            self._say(f"{cell.what} of {cell.side} failed: {wrong.strip()[-500:]}")
            return None
        found: dict[str, Any] = json.loads(printed.splitlines()[-1])
        return found

    @contextmanager
    def _address(self, side: str, folder: Path) -> Generator[str]:
        if side in self._redis:
            yield self._redis[side]
        elif side == "surgetank-sqlite":
            yield str(folder / "operations.db")
        else:
            assert self._postgres is not None, "it was started"
            with self._postgres.database() as address:
                yield address

    def _path(self, side: str) -> str:
        """Where a side's process finds modules: ours where this one does, a peer its driver."""
        places = sys.path if self._python[side] == sys.executable else [HERE]
        return os.pathsep.join(str(Path(place).absolute()) for place in places)

    def _run(self, cell: Cell, settings: Settings) -> tuple[str, str]:
        """Run the measurement; gives what it printed, and why it failed if it did."""
        command = ["-m", "operations_peers.measure", cell.what, json.dumps(settings)]
        with subprocess.Popen(  # noqa: S603 - written here
            [self._python[cell.side], *command],
            env={**os.environ, "PYTHONPATH": self._path(cell.side)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                printed, wrong = process.communicate(timeout=SETUP_S + 2 * settings.bound_s)
            except subprocess.TimeoutExpired:
                return "", "took too long"
            finally:
                process.terminate()  # Where it has not ended: its workers end with it.
            return printed, wrong if process.returncode else ""


def run(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything, round by round, each in an order of its own."""
    rounds = ROUNDS_QUICK if options.quick else options.rounds
    bound_s = BOUND_QUICK_S if options.quick else BOUND_S
    wanted = [side for side in SIDES if side.startswith(tuple(options.only or [""]))]
    runs, fsyncs_ms = list[Run](), list[float]()
    began_at = monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="surgetank-", dir=options.folder) as name,
        ExitStack() as servers,
    ):
        bench = Bench(Path(name), servers, say)
        every = cells(bench.start(wanted, options.cache), is_quick=options.quick)
        plan = [
            (number, cell)
            for number in range(rounds)
            for cell in Random(number).sample(every, len(every))
        ]
        for number, cell in plan:
            if monotonic() - began_at > BENCH_S_MAX:
                say(f"{BENCH_S_MAX:g} s are over: round {number + 1} of {rounds} is not whole")
                break
            fsyncs_ms.append(fsync_p50_ms(bench.folder))
            operations = round(OPERATIONS[cell.side] * (QUICK_RATIO if options.quick else 1.0))
            found = bench.measure(cell, operations, bound_s)
            if found is None:
                continue
            runs.append(_run_of(number, cell, found, fsyncs_ms[-1]))
            say(f"{number + 1}: {cell.what} {cell.side} {runs[-1].rate_per_s:,.0f}/s")
    return {
        "command": f"python bench/operations.py {' '.join(sys.argv[1:])}".strip(),
        "cores": len(os.sched_getaffinity(0)),
        "versions": bench.versions,
        "rounds": rounds,
        "fsync_p50_ms": median(fsyncs_ms),
        "runs": [one._asdict() for one in runs],
    }


def _run_of(number: int, cell: Cell, found: dict[str, Any], fsync_ms: float) -> Run:
    return Run(
        number,
        cell.what,
        cell.side,
        cell.batch,
        cell.workers,
        found["operations"],
        found["rate_per_s"],
        found.get("p50_ms"),
        found.get("p99_ms"),
        fsync_ms,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="at least 1")
    parser.add_argument("--only", action="append", metavar="SIDE", help="how a side's name begins")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write what was measured")
    parser.add_argument("--read", type=Path, metavar="PATH", help="measure nothing, show that")
    parser.add_argument("--markdown", action="store_true", help="tables for the documentation")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; a temporary one")
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache" / "surgetank-bench-peers"
    )
    options = parser.parse_args()
    if options.rounds < 1 or not any(
        side.startswith(tuple(options.only or [""])) for side in SIDES
    ):
        parser.error(f"at least 1 round, and a side of {', '.join(SIDES)}")
    errors = Console(stderr=True)
    if options.read:
        document = json.loads(options.read.read_text())
    else:
        document = run(options, lambda text: errors.print(text, highlight=False, markup=False))
    if options.json:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    if options.markdown:
        print(report.markdown(document))
    else:
        report.show(document, Console(width=None if sys.stdout.isatty() else 120))


if __name__ == "__main__":
    main()
