"""Programs as values: what to run, within which limits, and how it ended."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Command(NamedTuple):
    """One program to run. No shell reads it."""

    argv: tuple[str, ...]
    """The program, looked for in the `PATH` that it is given, and its arguments; at least one."""
    environment: Mapping[str, str] = MappingProxyType({})
    """Variables to set."""
    inherited: tuple[str, ...] = ()
    """Names of our own variables to hand on where we have them and `environment` does not.

    It sees no other variable of ours.
    """
    cwd: str | None = None
    """Where it starts; None for where we are."""
    stdin: bytes = b""
    """What it may read; then its input ends."""
    note_variable: str | None = None
    """Variable to set to the path of what it may write notes to, one a line; None for no notes."""


class ProcessLimits(NamedTuple):
    """What a program may take."""

    timeout_s: float
    """Seconds until it is told to end (SIGTERM); above 0."""
    grace_s: float = 10.0
    """Seconds from then, or from its own end, until all that is left is killed; at least 0."""
    output_bytes_max: int = 16 * 1024
    """Bytes kept of each output, the last ones; the rest is read and dropped. At least 1."""
    note_bytes_max: int = 16 * 1024
    """Bytes kept of a note, the first ones; at least 1."""
    note_s: float = 1.0
    """Seconds from one note that is told to the next, at the least: who tells may write to a disk
    that others share. At least 0."""


class Ended(NamedTuple):
    """How a program ended."""

    exit_code: int
    """From 0 to 255; a signal that ended it, negative."""
    stdout: bytes = b""
    stderr: bytes = b""
    note: bytes | None = None
    """The last note, without the end of its line; None when it wrote none."""
    is_timed_out: bool = False
    """It was told to end, whatever its exit code then says."""
