"""The README shows what the command really prints."""

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]
README = Path(__file__).parents[2] / "README.md"


def transcript() -> tuple[list[str], int, str]:
    """The README's first console block: the command, how many last lines, and what they say."""
    block = re.search(
        r"```console\n\$ surgetank (.*?) \| tail -n (\d+)\n(.*?)```", README.read_text(), re.DOTALL
    )
    assert block is not None
    return shlex.split(block[1]), int(block[2]), block[3]


def test_the_transcript_of_the_readme_is_what_the_command_prints(run: Run) -> None:
    words, lines, shown = transcript()
    ended = run(*words, COVERAGE_PROCESS_CONFIG="")  # whole runs: the tracer triples their time
    assert ended.returncode == 0, ended.stderr
    assert "".join(ended.stdout.splitlines(keepends=True)[-lines:]) == shown
