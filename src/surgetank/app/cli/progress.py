"""How far a drill's runs are, on standard error and only to people."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import NamedTuple

from surgetank.app.cli.bar import bar
from surgetank.rehearsal.drill.play import Run

__all__ = ["Watch", "progress"]


class Watch(NamedTuple):
    """Who is told, for the screen."""

    on_run: Callable[[Run], None]
    """Of each run that ends."""
    on_asked: Callable[[int], None]
    """Of runs that are asked for; once there are more than expected, the end moves away."""


@contextmanager
def progress(expected: int) -> Generator[Watch]:
    """Show how many runs have ended, of how many, and when the rest may be done.

    Args:
        expected: Runs that are likely; at least as many as are certain.
    """
    with bar(expected) as shown:
        asked = 0

        def on_run(run: Run) -> None:
            shown.ended(f"{run.variant}, seed {run.seed}")

        def on_asked(runs: int) -> None:
            nonlocal asked
            asked += runs
            shown.expect(max(expected, asked))

        yield Watch(on_run, on_asked)
