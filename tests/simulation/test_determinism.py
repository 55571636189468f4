import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import surgetank

SCENARIO = Path(__file__).with_name("determinism_scenario.py")


def play(python: str, seed: int, scheduling: str) -> str:
    """The hash of one run in a process of its own, with a hash seed of its own."""
    environment = {**os.environ, "PYTHONHASHSEED": "random", "PYTHONWARNINGS": "ignore"}
    environment["PYTHONPATH"] = str(Path(surgetank.__file__).parents[1])
    command = [python, str(SCENARIO), str(seed), scheduling]
    ended = subprocess.run(  # noqa: S603 - our own script
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, f"{command}: {ended.stderr}"
    return ended.stdout


def is_usable(python: str) -> bool:
    """Whether it runs: a name on the path may be a stand-in for one that is not there."""
    try:
        command = [python, "-c", "import asyncio"]
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0  # noqa: S603 - found on the path
    except OSError:
        return False


@pytest.mark.parametrize("scheduling", ["fifo", "shuffled"])
def test_a_seed_gives_one_trace_in_every_process(scheduling: str) -> None:
    traces = {play(sys.executable, 1, scheduling) for _ in range(3)}
    assert len(traces) == 1
    assert traces != {play(sys.executable, 2, scheduling)}


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_a_seed_gives_one_trace_in_this_python_and(version: str) -> None:
    # First come, first served: a shuffle also counts asyncio's own steps, which versions change.
    python = shutil.which(f"python{version}")
    if python is None or not is_usable(python):
        pytest.skip(f"there is no python{version}")
    assert play(python, 1, "fifo") == play(sys.executable, 1, "fifo")
