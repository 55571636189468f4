"""One measurement of one side, in the environment of that side; prints it as a line of JSON.

Run: python -m operations_peers.measure drain|submit|work SETTINGS [SLOT], SETTINGS as JSON.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

from operations_peers.side import Settings, Side, Ticks

LOOK_S = 0.005
"""Seconds between looks whether a drain has ended."""
READY_S = 60.0
"""Seconds that workers have to import and connect."""
SIDES = {
    "surgetank-sqlite": ("ours", "SQLite"),
    "surgetank-postgres": ("ours", "Postgres"),
    "pgqueuer": ("pgqueuer", "PgQueuer"),
    "dbos": ("dbos", "Dbos"),
    "celery-always": ("celery", "Celery"),
    "celery-everysec": ("celery", "Celery"),
    "procrastinate": ("procrastinate", "Procrastinate"),
}
"""Module and class that drive each side."""


class Drained(NamedTuple):
    """What a drain took: from the first operation run to the last one durably done."""

    operations: int
    rate_per_s: float
    runs: int
    """Operations run; more than were done where some ran twice or were not yet written down."""


def side_of(settings: Settings) -> Side:
    """Make the side that is named."""
    module, name = SIDES[settings.side]
    side: Side = getattr(import_module(f"operations_peers.{module}"), name)(settings)
    return side


def drain(settings: Settings) -> Drained:
    """Fill a queue, then let the workers drain it, all at one signal."""
    side = side_of(settings)
    side.prepare()
    side.fill(settings.operations)
    ticks = Ticks(_ticks_path(settings))
    with _workers(settings) as every:
        for worker in every:  # The gate: all are ready before one begins.
            worker.stdin.write("go\n")
            worker.stdin.flush()
        until = monotonic() + settings.bound_s
        while True:
            sleep(LOOK_S)
            if any(worker.poll() is not None for worker in every):
                raise _ended(settings)
            looked_at = monotonic()
            runs, first_at, last_at = ticks.read()
            if looked_at >= until:
                done = settings.operations - side.left()
                ended_at = monotonic()
                break
            if runs >= settings.operations and side.left() == 0:
                done, ended_at = settings.operations, max(last_at, looked_at)
                break
    took_s = ended_at - first_at if runs else settings.bound_s
    return Drained(done, done / took_s, runs)


@contextmanager
def _workers(settings: Settings) -> Generator[list[Any]]:
    """Start the workers, each ready to go; end them, each with what it has started."""
    command = [sys.executable, "-m", "operations_peers.measure", "work", json.dumps(settings)]
    log = _log_path(settings).open("w")
    every = [
        subprocess.Popen(  # noqa: S603 - this interpreter
            [*command, str(slot)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        for slot in range(settings.workers)
    ]
    try:
        for worker in every:
            assert worker.stdout is not None, "it is a pipe"
            if worker.stdout.readline() != "ready\n":
                raise _ended(settings)
        yield every
    finally:
        for worker in every:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.communicate()
        log.close()


def work(settings: Settings, slot: int) -> None:
    """Be one worker, until ended."""
    signal.alarm(int(READY_S + settings.bound_s + 30))  # Whoever started it may have been killed.
    ticks = Ticks(_ticks_path(settings), slot=slot)

    def ready() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        if not sys.stdin.readline():
            sys.exit("whoever started this worker has gone")

    side_of(settings).work(ready, ticks.tick)


def _ended(settings: Settings) -> RuntimeError:
    text = _log_path(settings).read_text()
    return RuntimeError(f"a worker of {settings.side} ended: {text[-2000:]}")


def _log_path(settings: Settings) -> Path:
    return Path(settings.folder) / "workers.log"


def _ticks_path(settings: Settings) -> Path:
    return Path(settings.folder) / "ticks"


def _end(number: int, frame: object) -> None:
    """End through every `finally`, so that workers end too."""
    del number, frame
    sys.exit("told to end")


def main(what: str, text: str, slot: str = "0") -> None:
    """Measure one thing."""
    settings = Settings(*json.loads(text))
    signal.signal(signal.SIGTERM, _end)
    if what == "work":
        work(settings, int(slot))
    elif what == "drain":
        print(json.dumps(drain(settings)._asdict()))
    else:
        side = side_of(settings)
        side.prepare()
        print(json.dumps(side.submit()._asdict()))


if __name__ == "__main__":
    main(*sys.argv[1:])
