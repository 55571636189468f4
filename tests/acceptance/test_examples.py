import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "examples").glob("test_*.py"))
# One leaves files, one takes a second to load.
LEFT_OUT = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_of_the_documentation_passes(example: Path, tmp_path: Path) -> None:
    (tmp_path / example.name).write_bytes(example.read_bytes())  # away from our configuration
    answer = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-m", "pytest", "-W", "error", *LEFT_OUT, example.name],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        text=True,
        timeout=120,
    )
    assert "2 passed" in answer.stdout, answer.stdout


def test_there_are_examples() -> None:
    assert {example.stem for example in EXAMPLES} == {"test_stamina", "test_tenacity"}
