"""Another process keeps the file of SQLite locked under workers in the middle of their work."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

SUBMITTED = 600
BUSY_S = 5.0
"""What a store waits for another process, by default."""


@pytest.mark.parametrize("locked_s", [2 * BUSY_S, pytest.param(60.0, marks=pytest.mark.slow)])
def test_workers_go_on_by_themselves_when_the_file_is_let_go(
    tmp_path: Path, fleet: Any, count: Any, locked_s: float
) -> None:
    path = str(tmp_path / "operations.db")
    ours = fleet(path)
    for name in ("w1", "w2"):
        ours.start(name, SUBMITTED, lease_s=2 * locked_s)
    ours.until(lambda: ours.calls() > SUBMITTED)
    other = sqlite3.connect(path, timeout=60.0, isolation_level=None)
    other.execute("begin immediate")
    made_meanwhile, logged = ours.calls_while(locked_s), ours.said()
    other.execute("rollback")
    ours.finish()
    states = dict(other.execute("select lower(hex(id)), state from operation").fetchall())
    other.close()
    assert "the store is locked by another process" in logged
    assert made_meanwhile == 0, "nothing is begun that cannot be written down"
    counts = count(ours, states)
    assert counts.acknowledged == 2 * SUBMITTED
    assert counts.lost == counts.unfinished == counts.failed == counts.unknown == 0
    assert counts.finished_again == counts.calls_again == 0
