"""A pytest of its own for tests of the plugin, and the sizes of a small service."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import dedent

import pytest

from surgetank.testing import StationPolicy

Pytest = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_pytest(tmp_path: Path) -> Pytest:
    """Run pytest in a folder that holds this test file and nothing of ours."""

    def run(
        source: str,
        *words: str,
        conftest: str = "",
        configuration: str = "",
        without: Sequence[str] = ("hypothesispytest",),  # takes longer than what is tested
    ) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_it.py").write_text(dedent(source))
        (tmp_path / "conftest.py").write_text(dedent(conftest))
        (tmp_path / "pytest.ini").write_text(f"[pytest]\nfilterwarnings = error\n{configuration}")
        left_out = [word for plugin in without for word in ("-p", f"no:{plugin}")]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
        }
        return subprocess.run(  # noqa: S603 - this interpreter
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *left_out, *words],
            capture_output=True,
            check=False,
            cwd=tmp_path,
            env=environment,
            text=True,
            timeout=60,
        )

    return run


@pytest.fixture
def small() -> StationPolicy:
    """One node, one call a second, 0.2 s to an answer, no spread."""
    return StationPolicy(nodes=1, rate_per_s=1.0, service_s=0.2, spread_ratio=0.0)
