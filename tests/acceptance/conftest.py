import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("surgetank")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command() -> Path:
    """The installed command."""
    return COMMAND


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the installed command in an empty folder and give what it said."""

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own command
            [COMMAND, *words],
            capture_output=True,
            check=False,
            cwd=tmp_path,
            env=os.environ | environment,
            text=True,
            timeout=60,
        )

    return run
