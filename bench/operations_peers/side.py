"""What is measured of each side, and how: the same clock, gate and count for all.

Runs in the environment of Surgetank and in that of the peers: the standard library alone.
"""

import asyncio
import mmap
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import quantiles
from threading import Thread
from time import monotonic
from typing import NamedTuple, Protocol

PAYLOAD = (
    '{"op":"vm.create","dep":"compute@eu-west-1","args":{"name":"vm-000001",'
    '"size":"Standard_D4s_v5","image":"ubuntu-24.04","subnet":"snet-a"},'
    '"trace":"0af7651916cd43dd8448eb211c80319c"}'
)
"""What an operation carries, on every side."""
FILL_BATCH = 500
"""Operations of one transaction in which a peer's queue is filled; not timed."""


class Settings(NamedTuple):
    """One measurement."""

    side: str
    address: str
    """Of the database, the file or the Redis server; empty before the measurement."""
    folder: str
    """For what is measured by; on the same disk."""
    batch: int
    """Operations claimed and written at once."""
    workers: int
    """Processes that drain."""
    operations: int
    callers: int
    """Who submit at once."""
    bound_s: float
    """Seconds after which a measurement ends with what is done."""


class Side(Protocol):
    """One system, driven at its own best settings."""

    def __init__(self, settings: Settings) -> None:
        """Remember the settings; connect to nothing."""
        ...

    def prepare(self) -> None:
        """Make its tables."""
        ...

    def fill(self, operations: int) -> None:
        """Queue operations, as fast as may be; not timed."""
        ...

    def work(self, ready: Callable[[], None], tick: Callable[[], None]) -> None:
        """Drain until this process is ended.

        Args:
            ready: Call when all is imported and connected; returns when the drain begins.
            tick: Call once for each operation, when it runs or later.
        """
        ...

    def left(self) -> int:
        """Count operations that are not yet durably done."""
        ...

    def submit(self) -> "Submitted":
        """Submit operations one by one by `callers` at once, each acknowledged when durable."""
        ...


class Submitted(NamedTuple):
    """What single submissions took."""

    operations: int
    rate_per_s: float
    p50_ms: float
    p99_ms: float


class Ticks:
    """Operations run, counted by several processes in one shared file."""

    _SLOT = struct.Struct("qdd")
    SLOTS = 64
    """Processes that may count."""

    def __init__(self, path: Path, *, slot: int | None = None) -> None:
        """Open the file, made anew by who reads: `slot` None."""
        if slot is None:
            path.write_bytes(bytes(self._SLOT.size * self.SLOTS))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 0)
        self._offset = self._SLOT.size * (slot or 0)
        self._count = 0
        self._first_at = 0.0

    def tick(self) -> None:
        """Count one; CLOCK_MONOTONIC is the same in every process."""
        now = monotonic()
        if not self._count:
            self._first_at = now
        self._count += 1
        self._SLOT.pack_into(self._shared, self._offset, self._count, self._first_at, now)

    def read(self) -> tuple[int, float, float]:
        """Give how many, when the first and when the last; all 0 before the first."""
        slots = [slot for slot in self._SLOT.iter_unpack(self._shared[:]) if slot[0]]
        if not slots:
            return 0, 0.0, 0.0
        counts, first_at, last_at = zip(*slots, strict=True)
        return sum(counts), min(first_at), max(last_at)


async def submit_all(one: Callable[[int], Awaitable[object]], settings: Settings) -> Submitted:
    """Let callers of one event loop each submit one operation after the other."""
    numbers = iter(range(settings.operations))
    waits_s = list[float]()
    began_at = monotonic()

    async def caller() -> None:
        for number in numbers:
            asked_at = monotonic()
            if asked_at >= began_at + settings.bound_s:
                return
            await one(number)
            waits_s.append(monotonic() - asked_at)

    await asyncio.gather(*(caller() for _ in range(settings.callers)))
    return summary(waits_s, took_s=monotonic() - began_at)


def submit_threaded(one: Callable[[int], object], settings: Settings) -> Submitted:
    """Let callers in threads each submit one operation after the other."""
    numbers = iter(range(settings.operations))
    waits_s = list[float]()
    began_at = monotonic()

    def caller() -> None:
        for number in numbers:
            asked_at = monotonic()
            if asked_at >= began_at + settings.bound_s:
                return
            one(number)
            waits_s.append(monotonic() - asked_at)

    threads = [Thread(target=caller) for _ in range(settings.callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return summary(waits_s, took_s=monotonic() - began_at)


def summary(waits_s: list[float], *, took_s: float) -> Submitted:
    """Sum up waits, at least two."""
    percentiles_s = quantiles(waits_s, n=100, method="inclusive")
    return Submitted(
        len(waits_s), len(waits_s) / took_s, 1e3 * percentiles_s[49], 1e3 * percentiles_s[98]
    )
