"""`python -m surgetank.rehearsal.drain.reference`."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_all_that_should_agree_agrees() -> None:
    command = [sys.executable, "-m", "surgetank.rehearsal.drain.reference", "--seed", "1"]
    ran = subprocess.run(command, capture_output=True, check=False, text=True)  # noqa: S603 - ours
    assert ran.returncode == 0, ran.stdout
