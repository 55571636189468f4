"""The timeline of a drill: faults strike at their time, operators act when there is cause.

Nothing here touches the token service but an operator, and none does before it has failed.
"""

import asyncio
from dataclasses import dataclass, field

from surgetank.cloud.remediation import RemediationJob, restore
from surgetank.cloud.station import Station
from surgetank.core.ports import Clock
from surgetank.rehearsal.drill.ledger import Ledger
from surgetank.rehearsal.drill.world import RegionWorld, World
from surgetank.rehearsal.scenario.condition import Condition, parse_condition
from surgetank.rehearsal.scenario.event import (
    Autoscale,
    Entry,
    Gate,
    Repair,
    ScaleOut,
    TrafficOff,
)
from surgetank.rehearsal.scenario.schema import Scenario

_LOOK_EVERY_S = 60.0


def holds(condition: Condition, ledger: Ledger, region: str, *, now: float) -> bool:
    """Whether tries over the whole span, of which there were some, stayed below the bound."""
    if condition.region not in ("*", region):
        return False
    ratio = ledger.success_ratio(region, since=now - condition.span_s)
    return ratio is not None and ratio < condition.bound


@dataclass(slots=True)
class Timeline:
    """Plays those entries of a scenario that are of one variant, on its world."""

    scenario: Scenario
    variant_name: str
    world: World
    ledger: Ledger
    clock: Clock
    acted: list[tuple[float, str, str]] = field(default_factory=list[tuple[float, str, str]])
    """What was done: (instant, title, region)."""
    _repairs: list[float] = field(default_factory=list[float])

    def repaired_at(self) -> float | None:
        """When the last repair was done; None while one is still to come, or when there is none."""
        planned = sum(
            len(entry.regions)
            for entry in self.scenario.timeline
            if isinstance(entry.act, Repair) and entry.is_of(self.variant_name)
        )
        return max(self._repairs) if planned and len(self._repairs) == planned else None

    async def run(self) -> None:
        """Play all entries to their end."""
        async with asyncio.TaskGroup() as group:
            for entry in self.scenario.timeline:
                if not entry.is_of(self.variant_name):
                    continue
                if entry.fault is not None:
                    group.create_task(self._strike(entry, pace_s=entry.fault.pace_s))
                    continue
                for region in entry.regions:
                    group.create_task(self._act(entry, region))

    async def _strike(self, entry: Entry, *, pace_s: float) -> None:
        await self.clock.sleep_until(entry.at.timestamp())
        listed = [one for region in entry.regions for one in self.world.regions[region].accounts]
        inventory = {one.name: one for one in listed}
        self._note(entry, "")
        await RemediationJob(inventory, list(inventory), pace_s, self.clock).run()

    async def _act(self, entry: Entry, region: str) -> None:
        await self.clock.sleep_until(entry.at.timestamp())
        while entry.when is None or await self._cause(parse_condition(entry.when), region):
            self._note(entry, region)
            await self._do(entry, region)
            if entry.when is None or not isinstance(entry.act, TrafficOff):
                return  # Only traffic is taken off again, when the cause comes back.

    async def _do(self, entry: Entry, region: str) -> None:
        here = self.world.regions[region]
        match entry.act:
            case Repair(gate=gate):
                await self._repair(here, gate)
            case ScaleOut(ratio=ratio):
                here.station.scale_out(max(1, round(here.station.policy.nodes * ratio)))
            case Autoscale() as autoscale:
                await self._autoscale(here.station, autoscale)
            case TrafficOff() as traffic_off:
                await self._take_traffic_off(here.station, traffic_off)
            case None:
                raise AssertionError("an entry without a fault has an act")

    async def _cause(self, condition: Condition, region: str) -> bool:
        """Look every minute, until the end, for a cause to act."""
        end_at = self.scenario.end.timestamp()
        while not holds(condition, self.ledger, region, now=self.clock.now()):
            if self.clock.now() + _LOOK_EVERY_S > end_at:
                return False
            await self._look()
        return True

    async def _repair(self, here: RegionWorld, gate: Gate | None) -> None:
        """Let the public read again: all accounts at once, or one after another through a gate."""
        for account in here.accounts:
            restore(account)
            if gate is None:
                continue
            await self.clock.sleep_until(self.clock.now() + gate.hold_s)
            while not self._passes(gate, here.name):
                await self._look()
        self._repairs.append(self.clock.now())

    def _passes(self, gate: Gate, region: str) -> bool:
        ratio = self.ledger.success_ratio(region, since=self.clock.now() - gate.hold_s)
        return ratio is None or ratio >= gate.success_ratio

    async def _autoscale(self, station: Station, policy: Autoscale) -> None:
        """Add nodes while the queue is long, for ever: a step, then the wait for its nodes."""
        step = max(1, round(station.policy.nodes * policy.ratio))
        left = round(station.policy.nodes * policy.most_ratio)
        while left > 0:
            await self._look()
            if station.queue_s() > policy.queue_s:
                await self.clock.sleep_until(self.clock.now() + policy.provision_s)
                station.scale_out(min(step, left))
                left -= step

    async def _take_traffic_off(self, station: Station, policy: TrafficOff) -> None:
        """Let no call through until all nodes are warm, then let traffic back step by step.

        A step that makes the queue long is taken back.
        """
        station.open_ratio = 0.0
        while not station.is_warm():
            await self._look()
        while station.open_ratio < 1.0:
            is_well = station.queue_s() <= policy.queue_s_max
            step = policy.step_ratio if is_well else -policy.step_ratio
            station.open_ratio = min(1.0, max(0.0, round(station.open_ratio + step, 9)))
            await self.clock.sleep_until(self.clock.now() + policy.step_s)

    async def _look(self) -> None:
        """Let a minute pass."""
        await self.clock.sleep_until(self.clock.now() + _LOOK_EVERY_S)

    def _note(self, entry: Entry, region: str) -> None:
        now = self.clock.now()
        self.acted.append((now, entry.title, region))
        self.ledger.trace.note(now, "acted", entry.title, region)
