# ruff: noqa: INP001 - run from the root of the repository; part of no package
"""Pages whose commands are run: what a page says a command prints is what it printed.

Blocks of `console` hold commands behind `$ `, further lines of a command behind `> `, and what they
print; blocks of `diff` are changes to `mine.yaml`, made where the removed lines stand. All of a
page happens in order, in one folder that looks like a fresh clone; what a command exports later
ones have, and what it leaves running is ended with the page. Instants are shown as one and the
same. Blocks of any other kind are for the reader alone.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

FILE = "mine.yaml"
COMMAND_S_MAX = 300.0
"""Longest run of one command, in seconds: a whole drill on a busy machine."""
_COMMAND = re.compile(r"^\$ (.*(?:\n>(?: .*)?$)*)", re.MULTILINE)
_INSTANT = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_SHOWN_INSTANT = "2026-11-23T20:10:00.000Z"
_EXPORTED = ".exported"
"""File of what earlier commands exported."""
_BLOCK = re.compile(r"(?<=\n)```(console|diff)\n(.*?)```\n", re.DOTALL)


def play(page: str, *, root: Path, folder: Path) -> str:
    """Run all that a page shows, and give the page with what was printed.

    Args:
        page: Its Markdown.
        root: The repository.
        folder: Where commands run; empty.

    Raises:
        ValueError: A change does not fit `mine.yaml`, or a block has no command.
        subprocess.TimeoutExpired: A command took longer than `COMMAND_S_MAX`.
    """
    (folder / "src").symlink_to(root / "src")
    started = list[int]()

    def do(block: re.Match[str]) -> str:
        if block[1] == "diff":
            _change(folder / FILE, block[2])
            return block[0]
        return f"```console\n{''.join(_printed(block[2], folder, started))}```\n"

    try:
        return _BLOCK.sub(do, page)
    finally:
        for group in started:
            with suppress(ProcessLookupError):  # Nothing was left running.
                os.killpg(group, signal.SIGKILL)


def _printed(block: str, folder: Path, started: list[int]) -> Iterator[str]:
    """Run the commands of a block, and give each with what it prints, both streams together."""
    commands = _COMMAND.findall(block)
    if not commands or not block.startswith("$ "):
        raise ValueError(f"a block without a command first: {block!r}")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # Where COLUMNS is set, tables are made to fit it, and tell ages: a page shows what a pipe gets.
    kept = {name: text for name, text in os.environ.items() if name != "COLUMNS"}
    environment = {**kept, "PATH": path, "PYTHONUTF8": "1"}
    for shown in commands:
        words = re.sub(r"\n> ?", "\n", shown)
        script = f"[ -e {_EXPORTED} ] && . ./{_EXPORTED}\n{words}\nexport -p > {_EXPORTED}"
        with subprocess.Popen(  # noqa: S603 - a command of our own page
            ["/bin/bash", "-c", script],
            cwd=folder,
            env=environment,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            started.append(process.pid)
            try:
                printed, _ = process.communicate(timeout=COMMAND_S_MAX)
            except BaseException:
                process.kill()
                raise
        lines = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
        yield f"$ {shown}\n{_INSTANT.sub(_SHOWN_INSTANT, lines)}"


def _change(file: Path, block: str) -> None:
    lines = block.splitlines()
    before, after = (
        "".join(f"{line[1:]}\n" for line in lines if line[:1] in ("", " ", sign)) for sign in "-+"
    )
    text = file.read_text(encoding="utf-8")
    if text.count(before) != 1:
        raise ValueError(f"{file.name} has this {text.count(before)} times, not once:\n{before}")
    file.write_text(text.replace(before, after), encoding="utf-8")
