"""One command run in our place: its stdio is ours, and what is sent to us is sent on to it."""

import os
import signal
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

NOT_FOUND = 127
"""Exit status when there is no such command, as shells have it (POSIX.1-2024, `env`)."""
NOT_RUNNABLE = 126
"""Exit status when it cannot be run, as shells have it."""
_SENT_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Ending(NamedTuple):
    """How a command ended."""

    status: int
    """Its exit status; 128 and the signal's number when a signal ended it."""
    is_run: bool = True
    """False when it could not be started."""
    is_stopped: bool = False
    """Whether a signal ended it, or was sent on to it: its status says nothing of its work."""


class _Child:
    """The command, and the signals that came for it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.signals = list[int]()

    def take(self, number: int, _: FrameType | None) -> None:
        """Send a signal on, or keep it for a command that is not started yet."""
        self.signals.append(number)
        if self.process is not None:
            self.send(self.process, number)

    @staticmethod
    def send(process: "subprocess.Popen[bytes]", number: int) -> None:
        # A keyboard's interrupt goes to every process of its terminal: the command has it already.
        if number != signal.SIGINT or not os.isatty(0):
            process.send_signal(number)


def run(words: Sequence[str]) -> Ending:
    """Run a command, found on the PATH, to its end; nothing of its input or output is touched."""
    child = _Child()
    with _taking_signals(child):
        try:
            process = subprocess.Popen(list(words))  # noqa: S603 - what the caller asked for
        except FileNotFoundError:
            return Ending(NOT_FOUND, is_run=False)
        except OSError:
            return Ending(NOT_RUNNABLE, is_run=False)
        child.process = process
        for number in child.signals:
            child.send(process, number)
        status = process.wait()
    is_stopped = status < 0 or bool(child.signals)
    return Ending(status if status >= 0 else 128 - status, is_stopped=is_stopped)


@contextmanager
def _taking_signals(child: _Child) -> Generator[None]:
    before = {number: signal.signal(number, child.take) for number in _SENT_ON}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
