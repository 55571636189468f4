"""How far many runs are, on standard error and only to people."""

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["Bar", "bar"]


class Bar:
    """What is told, for the screen."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def ended(self, words: str) -> None:
        """Count one run that ended, and say which."""
        self._progress.update(self._task, advance=1, description=words)

    def expect(self, runs: int) -> None:
        """Move the end: there are to be so many runs."""
        self._progress.update(self._task, total=runs)


@contextmanager
def bar(expected: int) -> Generator[Bar]:
    """Show how many runs have ended, of how many, and when the rest may be done.

    Args:
        expected: Runs that are likely; at least as many as are certain.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    screen = Console(stderr=True)
    with Progress(
        *columns,
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    ) as progress:
        yield Bar(progress, progress.add_task("playing", total=expected))
