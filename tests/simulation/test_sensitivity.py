"""What ships of the sensitivity of azure-2026-02 is what the code at hand finds.

Half an hour on two cores: run by `make test-long`.
"""

import faulthandler
import json
import os
from importlib import resources

import pytest

from surgetank.app.wiring import quiet_logs
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.study.sensitivity import sensitivity
from surgetank.rehearsal.drill.study.sensitivity_file import document
from surgetank.rehearsal.scenario.reader import read

pytestmark = pytest.mark.slow

NAME = "azure-2026-02"
RUN_S_MAX = 600.0
"""Longest wait for the next run; the whole takes longer than one test may."""


def tell(run: Run) -> None:
    """Show that it goes on, and put off the end of a test that hangs."""
    faulthandler.dump_traceback_later(RUN_S_MAX, exit=True)
    print(run.variant, run.seed, run.trace_hash, flush=True)  # noqa: T201 - see above


def test_playing_it_again_finds_what_ships() -> None:
    file = resources.files("surgetank.rehearsal.library") / f"{NAME}.sensitivity.json"
    shipped = json.loads(file.read_text())
    source = read(NAME)
    found = sensitivity(
        source,
        variants=shipped["variants"],
        seeds=shipped["seeds"],
        jobs=os.cpu_count() or 1,
        on_run=tell,
        prepare=quiet_logs,
    )
    written = document(
        source.scenario(), found.rows, variants=shipped["variants"], seeds=shipped["seeds"]
    )
    assert json.loads(json.dumps(written)) == shipped, (
        f"measure it anew: python -m surgetank.app.cli.sensitivity_file {NAME} > FILE"
    )
