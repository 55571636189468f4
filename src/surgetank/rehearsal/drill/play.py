"""Play one variant of a scenario with one seed, on the virtual clock, and measure it.

The services are the ones that production runs; only ports differ. Start reading at `play`.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from surgetank.core.errors import SimulationError
from surgetank.rehearsal.drill.ledger import Ledger, Wanted
from surgetank.rehearsal.drill.load import Load
from surgetank.rehearsal.drill.metrics import Metrics, Outages, find_outages, measure
from surgetank.rehearsal.drill.protection import Protection
from surgetank.rehearsal.drill.series import Series, sample
from surgetank.rehearsal.drill.timeline import Timeline
from surgetank.rehearsal.drill.world import World
from surgetank.rehearsal.scenario.schema import Scenario
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import Scheduling, VirtualLoop, run
from surgetank.runtime.simulation.network import Link, Network
from surgetank.runtime.simulation.trace import Trace

_TMPFS = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it


class Run(NamedTuple):
    """What came of one run."""

    variant: str
    seed: int
    trace_hash: str
    """Equal for equal scenario, variant, seed and code."""
    metrics: Metrics
    outages: Outages
    acted: list[tuple[float, str, str]]
    """What happened: (instant, title, region)."""
    series: Series
    wanted: Sequence[Wanted] = ()
    """Every operation that was wanted, in the order asked for, with what happened to it."""


def scratch() -> Path | None:
    """Where stores and copies of a run live: on tmpfs, or None for the system's own choice.

    Who sets TMPDIR has chosen: `tempfile` obeys it.
    """
    return _TMPFS if _TMPFS.is_dir() and "TMPDIR" not in os.environ else None


def play(
    scenario: Scenario,
    variant_name: str,
    *,
    seed: int,
    scheduling: Scheduling = "fifo",
    base: Path | None = None,
    trace: Trace | None = None,
) -> Run:
    """Play `variant_name` once; equal arguments give equal runs.

    Args:
        scenario: What happens.
        variant_name: One of its variants.
        seed: Of all that is left to chance.
        scheduling: Of what is ready at the same instant.
        base: Folder for stores and copies, removed after the run; None for `scratch()`.
        trace: What notes the run; None for one that keeps the hash alone.

    Raises:
        SimulationError: A service failed in a way that no caller saw: our own fault.
    """
    directory = Path(tempfile.mkdtemp(prefix="surgetank-", dir=base or scratch()))
    try:
        return run(
            lambda loop: _play(loop, scenario, variant_name, seed, directory, trace or Trace()),
            seed=seed,
            scheduling=scheduling,
            start_at=scenario.start.timestamp(),
        )
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _play(
    loop: VirtualLoop,
    scenario: Scenario,
    variant_name: str,
    seed: int,
    directory: Path,
    trace: Trace,
) -> Run:
    variant = scenario.variants[variant_name]
    clock = VirtualClock(loop)
    network = Network(loop, seed=seed)
    network.link("*", "*", Link(latency_s=scenario.cloud.latency_s))
    ledger = Ledger(clock, trace)
    protection = Protection(scenario, variant, network, clock, ledger, seed, directory)
    world = World(
        scenario=scenario,
        network=network,
        clock=clock,
        ledger=ledger,
        seed=seed,
        variant=variant,
        names_of=protection.names_of,
    )
    await protection.open(world)
    load = Load(scenario, variant, world, protection, ledger, clock, seed)
    timeline = Timeline(scenario, variant_name, world, ledger, clock)
    series = Series()
    works = (timeline.run(), load.run(), sample(series, world, ledger, protection, clock))
    tasks = [loop.create_task(work) for work in works]
    await clock.sleep_until(scenario.end.timestamp())
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended
    await load.settle()
    if network.defects:
        raise SimulationError("a service failed: " + "; ".join(network.defects))
    found = find_outages(scenario, ledger, load.pools)
    metrics = measure(
        scenario, world, ledger, load.pools, found, series, repaired_at=timeline.repaired_at()
    )
    # Closing lets calls under way end, after the drill has.
    wanted = [replace(one, moments=[*one.moments]) for one in ledger.wanted]
    await protection.running.close()
    return Run(variant_name, seed, trace.digest(), metrics, found, timeline.acted, series, wanted)
