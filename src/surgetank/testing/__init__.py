"""Test your own retries against a service that collapses, on a virtual clock.

A pytest plugin: it is there once Surgetank is installed beside pytest. This is a whole test file::

    from contextlib import suppress

    from surgetank.testing import DependencyError, Stage, StationPolicy


    async def test_five_tries_keep_the_service_down(stage: Stage) -> None:
        service = stage.collapsing_service(StationPolicy(nodes=2, rate_per_s=10.0))
        stage.at(60.0, service.slow_down, 5.0)  # five times the work for each call,
        stage.at(90.0, service.slow_down, 1.0)  # for half a minute

        async def fetch() -> object:  # your code
            for _ in range(5):
                with suppress(DependencyError):
                    return await service.call(timeout_s=3.0)
            raise TimeoutError

        load = await stage.load(fetch, rate_per_s=4.0, lasts_s=600.0)
        assert load.amplification > 2.0
        assert load.recovered_at() > 600.0

An `async def` test that uses the fixture `stage` runs on its virtual clock: ten minutes of that
test take less than a second. What your code waits by `asyncio.sleep`, `asyncio.timeout` or
anything on them is virtual; so are `time.monotonic()` and its like, and the jitter that it draws
from `random` is seeded. What reaches for the real world (`time.sleep`, sockets, threads) is
refused. Code that does not know Surgetank takes `service.call`, or a function around it, in place
of its own call.

`play` does the same without pytest. The names in `__all__` are promised; all else may change.
Times are seconds, instants are seconds since the test began.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from surgetank.cloud.station import Station, StationCounts, StationPolicy
    from surgetank.control.admission import Admission
    from surgetank.core.errors import (
        DeadlockError,
        DependencyError,
        DependencyRejectedError,
        DependencyThrottledError,
        DependencyTimeoutError,
        FenceError,
        InvalidInputError,
        SimulationError,
    )
    from surgetank.core.http import Handler, Request, Response, Timeouts
    from surgetank.core.ports import Chance, Clock, HttpClient
    from surgetank.runtime.simulation.link import Link
    from surgetank.safeguards.operations.permits import OpenPermits
    from surgetank.testing.clock import ManualClock
    from surgetank.testing.load import CallWanted, Load
    from surgetank.testing.service import (
        Answer,
        CollapsingService,
        Fault,
        Sample,
        ScriptedService,
        Service,
    )
    from surgetank.testing.stage import Stage, play

__all__ = [
    "Admission",
    "Answer",
    "CallWanted",
    "Chance",
    "Clock",
    "CollapsingService",
    "DeadlockError",
    "DependencyError",
    "DependencyRejectedError",
    "DependencyThrottledError",
    "DependencyTimeoutError",
    "Fault",
    "FenceError",
    "Handler",
    "HttpClient",
    "InvalidInputError",
    "Link",
    "Load",
    "ManualClock",
    "OpenPermits",
    "Request",
    "Response",
    "Sample",
    "ScriptedService",
    "Service",
    "SimulationError",
    "Stage",
    "Station",
    "StationCounts",
    "StationPolicy",
    "Timeouts",
    "play",
]

pytest_plugins = ("surgetank.testing.plugin",)  # pytest reads it, and loads what it names

_HOMES = {
    "cloud.station": ("Station", "StationCounts", "StationPolicy"),
    "control.admission": ("Admission",),
    "core.errors": (
        "DeadlockError", "DependencyError", "DependencyRejectedError", "DependencyThrottledError",
        "DependencyTimeoutError", "FenceError", "InvalidInputError", "SimulationError",
    ),
    "core.http": ("Handler", "Request", "Response", "Timeouts"),
    "core.ports": ("Chance", "Clock", "HttpClient"),
    "runtime.simulation.link": ("Link",),
    "safeguards.operations.permits": ("OpenPermits",),
    "testing.clock": ("ManualClock",),
    "testing.load": ("CallWanted", "Load"),
    "testing.service": (
        "Answer", "CollapsingService", "Fault", "Sample", "ScriptedService", "Service",
    ),
    "testing.stage": ("Stage", "play"),
}  # fmt: skip


if not TYPE_CHECKING:  # which would take any name for one of ours

    def __getattr__(name: str) -> object:
        """Import a name when it is first asked for: every pytest session loads this module."""
        for home, names in _HOMES.items():
            if name in names:
                return getattr(import_module(f"surgetank.{home}"), name)
        raise AttributeError(f"surgetank.testing has no {name}")
