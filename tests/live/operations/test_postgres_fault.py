"""PostgreSQL is killed, or stops for a while, under workers in the middle of their work."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import pytest

psycopg = pytest.importorskip("psycopg", reason="the package psycopg is not installed")

SUBMITTED = 1_500
"""By each of two workers: three seconds of it, where nothing fails."""


class Server(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def get_pid(self) -> int: ...


def states(database: str) -> dict[str, str]:
    with psycopg.connect(database) as connection:
        return dict(connection.execute("select id, state from surgetank.operation").fetchall())


def kill(server: Server, fleet: Any) -> int:
    """Kill the server's first process and then all others; how many there were."""
    first = server.get_pid()
    others = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    pids = (first, *map(int, others))
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    fleet.until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), needs_workers=False)
    return len(pids)


@pytest.mark.parametrize("rounds", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_nothing_is_lost_or_done_again_when_the_server_is_killed_again_and_again(
    postgres_server: Server, database: str, fleet: Any, count: Any, rounds: int
) -> None:
    ours = fleet(database)
    submitted = SUBMITTED * max(1, rounds // 10)
    for name in ("w1", "w2"):
        ours.start(name, submitted, lease_s=15.0)
    killed, in_the_middle = 0, 0
    for number in range(rounds):
        # A share of the work is done between two kills, so that they are in its middle; but for
        # some, where the machine takes longer to start a server than the workers to do the rest.
        wanted = (number + 1) * 2 * submitted * 3 // (rounds + 1)
        ours.until(lambda wanted=wanted: ours.calls() > wanted)
        in_the_middle += ours.is_running("w1") and ours.is_running("w2")
        killed += kill(postgres_server, ours)
        postgres_server.start()
    ours.finish()
    assert in_the_middle >= rounds // 2
    assert killed > 5 * rounds, "whole servers were killed"
    counts = count(ours, states(database))
    assert counts.acknowledged == 2 * submitted
    assert counts.lost == counts.unfinished == counts.failed == 0
    assert counts.finished_again == counts.once_again == 0


@pytest.mark.parametrize("away_s", [10.0, pytest.param(60.0, marks=pytest.mark.slow)])
def test_workers_go_on_by_themselves_when_the_server_is_back(
    postgres_server: Server, database: str, fleet: Any, count: Any, away_s: float
) -> None:
    ours = fleet(database)
    for name in ("w1", "w2"):
        ours.start(name, SUBMITTED, lease_s=2 * away_s)
    ours.until(lambda: ours.calls() > SUBMITTED)
    postgres_server.stop()
    try:
        made_meanwhile = ours.calls_while(away_s)
        ours.until(lambda: "store.failed" in ours.said())
    finally:
        postgres_server.start()
    ours.finish(wait_s=60 + 4 * away_s)
    assert made_meanwhile == 0, "nothing is begun that cannot be written down"
    counts = count(ours, states(database))
    assert counts.acknowledged == 2 * SUBMITTED
    assert counts.lost == counts.unfinished == counts.failed == 0
    assert counts.finished_again == counts.calls_again == 0
