"""The unit for systemd is one, and is hardened."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "deploy" / "surgetank.service"
EXPOSURE_MAX = 20
"""Tenths of the score of `systemd-analyze security`: 2.0, where 10 is a service that may do all."""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with the command where it is installed here."""
    path = tmp_path / UNIT.name
    command = str(Path(sys.executable).with_name("surgetank"))
    path.write_text(UNIT.read_text().replace("/opt/surgetank/bin/surgetank", command))
    return path


def _analyze(*words: str) -> "subprocess.CompletedProcess[str]":
    command = shutil.which("systemd-analyze")
    if command is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(  # noqa: S603 - systemd's own command
        [command, *words], capture_output=True, check=False, text=True, timeout=60
    )


def test_the_unit_is_one(unit: Path) -> None:
    answer = _analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert (answer.returncode, answer.stderr) == (0, "")


def test_the_unit_is_hardened(unit: Path) -> None:
    answer = _analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", str(unit))
    assert answer.returncode == 0, answer.stdout


def test_a_stop_waits_longer_than_calls_may_take() -> None:
    assert "\nTimeoutStopSec=30\n" in UNIT.read_text()
