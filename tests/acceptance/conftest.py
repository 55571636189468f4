"""The command line: within this process, and as the installed command in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from surgetank.app.cli import main

COMMAND = Path(sys.executable).with_name("surgetank")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command() -> Path:
    """The installed command."""
    return COMMAND


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command of this process in an empty folder, and give what it said.

    It does all that the installed one does, but for starting an interpreter that loads it, which
    takes longer than most commands do.
    """

    def run(*words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.delenv("COLUMNS", raising=False)  # whoever runs tests in parallel may set it
            patch.setattr(sys, "stdin", TextIOWrapper(BytesIO(stdin.encode())))
            for name, text in environment.items():
                patch.setenv(name, text)
            status = main(words)
        said = capfd.readouterr()
        return subprocess.CompletedProcess(words, status, said.out, said.err)

    return run


@pytest.fixture
def run_installed(tmp_path: Path) -> Run:
    """Run the installed command in an empty folder, and give what it said."""

    def run_installed(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own command
            [COMMAND, *words],
            capture_output=True,
            check=False,
            cwd=tmp_path,
            env=os.environ | environment,
            text=True,
            timeout=60,
        )

    return run_installed
