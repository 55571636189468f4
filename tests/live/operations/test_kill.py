"""Workers are killed with SIGKILL in the middle of everything; what they acknowledged survives."""

import random
import sqlite3
import subprocess
import sys
import threading
from collections import defaultdict
from pathlib import Path

import pytest

WORKER = Path(__file__).parent / "worker.py"
ROUNDS = 6
LAST_S = 60.0


def start(
    folder: Path, name: str, count: int, *, lease_s: float = 0.3
) -> "subprocess.Popen[bytes]":
    command = [sys.executable, str(WORKER), str(folder / "operations.db"), str(folder / "effects")]
    return subprocess.Popen([*command, name, str(count), str(lease_s)], stdout=subprocess.PIPE)  # noqa: S603 - our own file


def read_until_killed(worker: "subprocess.Popen[bytes]", lines_max: int) -> list[str]:
    """Read acknowledgements, kill in the middle of them, and read what was still said."""
    assert worker.stdout is not None, "it was asked for"
    watchdog = threading.Timer(LAST_S, worker.kill)
    watchdog.start()
    lines = list[bytes]()
    for line in worker.stdout:
        if not line.startswith(b"stored "):
            continue  # Its log.
        lines.append(line)
        if len(lines) == lines_max:
            worker.kill()
    worker.wait()
    watchdog.cancel()
    worker.stdout.close()
    return [line.split()[1].decode() for line in lines if line.endswith(b"\n")]


def states(folder: Path) -> dict[str, str]:
    connection = sqlite3.connect(folder / "operations.db")
    found = dict(connection.execute("select lower(hex(id)), state from operation").fetchall())
    connection.close()
    return found


def effects(folder: Path) -> dict[str, list[str]]:
    """The calls made for each operation and its end, in order."""
    found = defaultdict[str, list[str]](list)
    for line in (folder / "effects").read_text().splitlines():
        operation_id, step, _ = line.split()
        found[operation_id].append(step)
    return found


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder after six kills and a quiet end, and what was acknowledged."""
    folder = tmp_path_factory.mktemp("killed")
    chance = random.Random(2)
    acknowledged = list[str]()
    for number in range(ROUNDS):
        worker = start(folder, f"w{number}", 400)
        acknowledged += read_until_killed(worker, chance.randrange(20, 120))
    acknowledged += read_until_killed(start(folder, "last", 10), lines_max=10**9)
    return folder, acknowledged


def test_every_acknowledged_operation_ends(killed: tuple[Path, list[str]]) -> None:
    folder, acknowledged = killed
    found = states(folder)
    assert len(acknowledged) > 200
    assert {found.get(each, "lost") for each in acknowledged} <= {"succeeded", "unknown"}


def test_a_finished_step_never_runs_again(killed: tuple[Path, list[str]]) -> None:
    # The next step begins in the write that ends the one before: once it is seen, that is over. So
    # is the last one when the end is stored.
    for steps in effects(killed[0]).values():
        assert steps == sorted(steps)


def test_a_call_that_may_not_be_repeated_is_made_at_most_once(
    killed: tuple[Path, list[str]],
) -> None:
    folder, _ = killed
    connection = sqlite3.connect(folder / "operations.db")
    once = connection.execute(
        "select lower(hex(id)) from (select id, content ->> 0 as key from operation join body using (number)) "
        "where key like '%-%' and cast(substr(key, instr(key, '-') + 1) as integer) % 4 = 0"
    ).fetchall()
    connection.close()
    made = effects(folder)
    assert len(once) > 50
    for (operation_id,) in once:
        assert len(made[operation_id]) == len(set(made[operation_id]))


def test_some_calls_were_cut_off_and_those_that_may_be_were_repeated(
    killed: tuple[Path, list[str]],
) -> None:
    folder, _ = killed
    assert "unknown" in states(folder).values()
    assert any(len(steps) > len(set(steps)) for steps in effects(folder).values())


def test_two_workers_on_one_file_run_each_step_once(tmp_path: Path) -> None:
    # Nobody is killed: a lease that ran out would only say that the machine is busy.
    workers = [start(tmp_path, name, 150, lease_s=60.0) for name in ("w1", "w2")]
    acknowledged = [each for worker in workers for each in read_until_killed(worker, 10**9)]
    assert [worker.returncode for worker in workers] == [0, 0]
    found, made = states(tmp_path), effects(tmp_path)
    assert len(acknowledged) == 300
    assert {found[each] for each in acknowledged} == {"succeeded"}
    assert {tuple(made[each]) for each in acknowledged} == {
        ("s0", "s1", "s2", "stored"),
        ("once0", "once1", "once2", "stored"),
    }
