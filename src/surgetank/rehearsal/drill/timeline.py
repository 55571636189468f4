"""The timeline of a drill: faults strike at their time, operators act when there is cause.

Nothing here touches the token service but an operator, and none does before it has failed.
"""

import asyncio
from dataclasses import dataclass, field

from surgetank.cloud.remediation import RemediationJob, restore
from surgetank.core.ports import Clock
from surgetank.rehearsal.drill.ledger import Ledger
from surgetank.rehearsal.drill.world import World
from surgetank.rehearsal.scenario.condition import Condition, parse_condition
from surgetank.rehearsal.scenario.schema import Entry, Repair, ScaleOut, Scenario, TrafficOff

_LOOK_EVERY_S = 60.0
_RAMP_STEP_S = 60.0


def holds(condition: Condition, ledger: Ledger, region: str, *, now: float) -> bool:
    """Whether tries over the whole span, of which there were some, stayed below the bound."""
    if condition.region not in ("*", region):
        return False
    ratio = ledger.success_ratio(region, since=now - condition.span_s)
    return ratio is not None and ratio < condition.bound


@dataclass(slots=True)
class Timeline:
    """Plays the entries of one scenario on one world."""

    scenario: Scenario
    world: World
    ledger: Ledger
    clock: Clock
    acted: list[tuple[float, str, str]] = field(default_factory=list[tuple[float, str, str]])
    """What was done: (instant, title, region)."""

    async def run(self) -> None:
        """Play all entries to their end."""
        async with asyncio.TaskGroup() as group:
            for entry in self.scenario.timeline:
                if entry.fault is not None:
                    group.create_task(self._strike(entry, pace_s=entry.fault.pace_s))
                    continue
                for region in entry.regions:
                    group.create_task(self._act(entry, region))

    async def _strike(self, entry: Entry, *, pace_s: float) -> None:
        await self.clock.sleep_until(entry.at.timestamp())
        accounts = {one.account.name: one.account for one in self.world.regions.values()}
        targets = [self.world.regions[region].account.name for region in entry.regions]
        self._note(entry, "")
        await RemediationJob(accounts, targets, pace_s, self.clock).run()

    async def _act(self, entry: Entry, region: str) -> None:
        await self.clock.sleep_until(entry.at.timestamp())
        if entry.when is not None and not await self._cause(parse_condition(entry.when), region):
            return
        self._note(entry, region)
        here = self.world.regions[region]
        match entry.act:
            case Repair():
                restore(here.account)
            case ScaleOut(ratio=ratio):
                here.station.scale_out(max(1, round(here.station.policy.nodes * ratio)))
            case TrafficOff(hold_s=hold_s, ramp_s=ramp_s):
                await self._ramp(region, hold_s=hold_s, ramp_s=ramp_s)
            case None:
                raise AssertionError("an entry without a fault has an act")

    async def _cause(self, condition: Condition, region: str) -> bool:
        """Look every minute, until the end, for a cause to act."""
        end_at = self.scenario.end.timestamp()
        while not holds(condition, self.ledger, region, now=self.clock.now()):
            if self.clock.now() + _LOOK_EVERY_S > end_at:
                return False
            await self.clock.sleep_until(self.clock.now() + _LOOK_EVERY_S)
        return True

    async def _ramp(self, region: str, *, hold_s: float, ramp_s: float) -> None:
        station = self.world.regions[region].station
        station.open_ratio = 0.0
        from_at = self.clock.now() + hold_s
        await self.clock.sleep_until(from_at)
        while station.open_ratio < 1.0:
            await self.clock.sleep_until(self.clock.now() + _RAMP_STEP_S)
            station.open_ratio = min(1.0, (self.clock.now() - from_at) / ramp_s)

    def _note(self, entry: Entry, region: str) -> None:
        now = self.clock.now()
        self.acted.append((now, entry.title, region))
        self.ledger.trace.note(now, "acted", entry.title, region)
