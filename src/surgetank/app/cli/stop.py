"""Being told to stop, by a signal."""

import asyncio
import signal
from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

from surgetank.app.cli.status import ExitStatus


class Told(NamedTuple):
    """What becomes done, with the status to end with, at each time that we are told to stop."""

    once: "asyncio.Future[ExitStatus]"
    twice: "asyncio.Future[ExitStatus]"


@contextmanager
def told_to_stop() -> Generator[Told]:
    """Listen to SIGTERM and SIGINT; from the third on they change nothing."""
    loop = asyncio.get_running_loop()
    told = Told(loop.create_future(), loop.create_future())

    def stop(status: ExitStatus) -> None:
        for each in told:
            if not each.done():
                each.set_result(status)
                return

    loop.add_signal_handler(signal.SIGTERM, stop, ExitStatus.DONE)
    loop.add_signal_handler(signal.SIGINT, stop, ExitStatus.INTERRUPTED)
    try:
        yield told
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGINT)
