"""What operators do to a token service under load: scale it, take traffic off, repair by steps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from math import inf
from typing import Any

import pytest

from surgetank.cloud.client import TokenTry
from surgetank.cloud.station import Station, StationPolicy
from surgetank.rehearsal.drill.ledger import Ledger
from surgetank.rehearsal.drill.timeline import Timeline
from surgetank.rehearsal.drill.world import RegionWorld, World
from surgetank.rehearsal.scenario.event import Entry
from surgetank.rehearsal.scenario.reader import load
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.network import Network
from surgetank.runtime.simulation.trace import Trace

FULL = load("azure-2026-02")
HOURS = 4
HERE = "eastus"
NODES = 2
CAUSE = f"identity@{HERE}.success_ratio < 0.5 for 10m"
OFF: dict[str, Any] = {
    "kind": "traffic_off",
    "step_ratio": 0.25,
    "step_s": 300.0,
    "queue_s_max": 30.0,
}
AUTOSCALE: dict[str, Any] = {
    "kind": "autoscale",
    "queue_s": 30.0,
    "ratio": 0.5,
    "most_ratio": 1.5,
    "provision_s": 600.0,
}


class Always:
    """Chance that lets every call in, wherever any is."""

    def random(self) -> float:
        return 0.0


@dataclass
class Play:
    """One act, played on a station of two nodes that serves a call a second."""

    loop: VirtualLoop
    act: dict[str, Any]
    when: str | None = None
    only: tuple[str, ...] = ()
    ledger: Ledger = field(init=False)
    clock: VirtualClock = field(init=False)
    here: RegionWorld = field(init=False)
    timeline: Timeline = field(init=False)

    def __post_init__(self) -> None:
        self.clock = VirtualClock(self.loop)
        self.ledger = Ledger(self.clock, Trace())
        entry = Entry.model_validate(
            {
                "at": FULL.start,
                "title": "an act",
                "regions": [HERE],
                "assumed": "for a test",
                "act": self.act,
                "when": self.when,
                "only": self.only,
            }
        )
        end = FULL.start + timedelta(hours=HOURS)
        scenario = FULL.model_copy(update={"timeline": (entry,), "end": end})
        world = World(
            scenario=scenario,
            network=Network(self.loop),
            clock=self.clock,
            ledger=self.ledger,
            seed=1,
            variant=scenario.variants["nobody"],
            names_of=lambda _region, _machine: {},
        )
        self.here = world.regions[HERE]
        policy = StationPolicy(
            nodes=NODES,
            rate_per_s=1.0,
            spread_ratio=0.0,
            queue_s_max=inf,
            crash_after_s=inf,
            unhealthy_s=inf,
            warm_s=300.0,
        )
        self.here.station = Station(policy, self.clock, Always())
        self.timeline = Timeline(scenario, "nobody", world, self.ledger, self.clock)

    @property
    def station(self) -> Station:
        return self.here.station

    async def until(self, second: float) -> None:
        await self.clock.sleep_until(FULL.start.timestamp() + second)

    async def seen(self, seconds: Sequence[float], look: Callable[[], float]) -> list[float]:
        """What a look shows at these seconds."""
        shown: list[float] = []
        for second in seconds:
            await self.until(second)
            shown.append(look())
        return shown

    def crowd(self, calls: int) -> None:
        """Let calls arrive now."""
        for _ in range(calls):
            self.loop.create_task(self.station.serve())

    async def press(self, *, until_s: float) -> None:
        """Two calls a second, twice what the nodes serve at the start."""
        second = 0.0
        while second < until_s:
            self.crowd(1)
            second += 0.5
            await self.until(second)

    async def try_tokens(self, *, is_ok: bool, from_s: float, until_s: float) -> None:
        """A try every ten seconds."""
        watch = self.ledger.token_watch(HERE, is_own=False, consumer="any")
        second = from_s
        while second < until_s:
            await self.until(second)
            watch(TokenTry(is_first=True, is_ok=is_ok))
            second += 10.0


def played(
    act: dict[str, Any],
    look: Callable[[Play], float],
    seconds: Sequence[float],
    *,
    when: str | None = None,
    press_s: float = 0.0,
    before: Callable[[Play], object] = lambda _: None,
    failing_s: tuple[float, float] | None = None,
) -> list[float]:
    """What a look shows at these seconds of an act that begins at once."""

    async def main(loop: VirtualLoop) -> list[float]:
        play = Play(loop, act, when)
        before(play)
        loop.create_task(play.timeline.run())
        loop.create_task(play.press(until_s=press_s))
        if failing_s is not None:
            first_s, last_s = failing_s
            loop.create_task(play.try_tokens(is_ok=False, from_s=first_s, until_s=last_s))
        return await play.seen(seconds, lambda: look(play))

    return run(main, start_at=FULL.start.timestamp())


def nodes(play: Play) -> float:
    return play.station.nodes


def open_ratio(play: Play) -> float:
    return play.station.open_ratio


def times_acted(play: Play) -> float:
    return len(play.timeline.acted)


def test_autoscaling_leaves_a_station_without_a_queue_alone() -> None:
    assert played(AUTOSCALE, nodes, [3_600.0 * HOURS]) == [NODES]


def test_autoscaling_adds_a_step_while_the_queue_is_long_and_waits_for_its_nodes() -> None:
    # It looks every minute, and a step takes ten.
    seconds = [659.0, 661.0, 1_319.0, 1_321.0, 1_979.0, 1_981.0]
    assert played(AUTOSCALE, nodes, seconds, press_s=7_200.0) == [2, 3, 3, 4, 4, 5]


def test_autoscaling_stops_at_its_most() -> None:
    assert played(AUTOSCALE, nodes, [3_600.0 * HOURS], press_s=7_200.0) == [NODES + 3]


def test_the_last_step_of_autoscaling_is_what_is_left() -> None:
    act = {**AUTOSCALE, "ratio": 1.0}
    assert played(act, nodes, [661.0, 1_321.0, 9_000.0], press_s=7_200.0) == [4, 5, 5]


def test_autoscaling_adds_no_more_once_the_queue_is_short() -> None:
    assert played(AUTOSCALE, nodes, [661.0, 9_000.0], press_s=100.0) == [3, 3]


def test_new_nodes_come_cold() -> None:
    def speed(play: Play) -> float:
        return play.station.live_ratio()

    cold, warm = played(AUTOSCALE, speed, [661.0, 961.0], press_s=100.0)
    assert 1.0 < cold < 1.5
    assert warm == pytest.approx(1.5)


def test_traffic_stays_off_until_every_node_is_warm() -> None:
    def add_a_node(play: Play) -> None:
        play.station.scale_out(1)

    seconds = [1.0, 299.0, 301.0]
    assert played(OFF, open_ratio, seconds, before=add_a_node) == [0.0, 0.0, 0.25]


def test_traffic_stays_off_until_the_queue_is_worked_off() -> None:
    def fill(play: Play) -> None:
        play.crowd(200)

    # 200 seconds of work, looked at every minute.
    assert played(OFF, open_ratio, [1.0, 239.0, 241.0], before=fill) == [0.0, 0.0, 0.25]


def test_nothing_is_let_in_while_traffic_is_off() -> None:
    def let_in(play: Play) -> float:
        return play.station.counts.offered - play.station.counts.turned_away

    def add_a_node(play: Play) -> None:
        play.station.scale_out(1)

    shown = played(OFF, let_in, [1.0, 299.0, 310.0], before=add_a_node, press_s=1_000.0)
    assert shown[0] == shown[1] < shown[2]


def test_traffic_comes_back_by_steps_until_all_is_back() -> None:
    seconds = [1.0, 299.0, 301.0, 601.0, 901.0, 3_600.0]
    assert played(OFF, open_ratio, seconds) == [0.25, 0.25, 0.5, 0.75, 1.0, 1.0]


def test_a_step_that_makes_the_queue_long_is_taken_back_and_none_below_nothing() -> None:
    async def main(loop: VirtualLoop) -> list[float]:
        play = Play(loop, OFF)
        loop.create_task(play.timeline.run())
        await play.until(301.0)
        play.crowd(1_000)  # more than 1,200 seconds at the pace of one call a second
        seconds = [302.0, 601.0, 901.0, 1_201.0, 1_501.0]
        return await play.seen(seconds, lambda: play.station.open_ratio)

    shown = run(main, start_at=FULL.start.timestamp())
    assert shown == [0.5, 0.25, 0.0, 0.0, 0.25]


def test_traffic_is_taken_off_once_where_nobody_looks_for_a_cause() -> None:
    assert played(OFF, times_acted, [3_600.0 * HOURS]) == [1]
    assert played(OFF, open_ratio, [3_600.0 * HOURS]) == [1.0]


def test_traffic_is_taken_off_again_when_the_cause_returns_and_only_then() -> None:
    first = played(OFF, times_acted, [3_500.0, 14_000.0], when=CAUSE, failing_s=(0.0, 600.0))
    assert first == [1, 1]
    again = played(OFF, times_acted, [3_500.0, 14_000.0], when=CAUSE, failing_s=(0.0, 9_000.0))
    assert again[0] >= 2
    assert again[1] > again[0]


REPAIR: dict[str, Any] = {"kind": "repair", "gate": {"hold_s": 600.0, "success_ratio": 0.9}}


def shut(play: Play) -> None:
    for account in play.here.accounts:
        account.access = account.access._replace(allow_blob_public_access=False)


def opened(play: Play) -> float:
    return sum(one.access.allow_blob_public_access for one in play.here.accounts)


def test_a_staged_repair_holds_at_each_account_where_nobody_tries_for_tokens() -> None:
    seconds = [0.0, 1.0, 599.0, 601.0, 1_201.0]
    assert played(REPAIR, opened, seconds, before=shut) == [0, 1, 1, 2, 3]


def test_a_staged_repair_goes_on_when_its_gate_holds_again() -> None:
    seconds = [599.0, 1_199.0, 1_801.0, 2_401.0]
    shown = played(REPAIR, opened, seconds, before=shut, failing_s=(0.0, 1_190.0))
    assert shown == [1, 1, 2, 3], "the last failure is ten minutes old after half an hour"


def repaired_at(play: Play) -> float:
    """Seconds until the last repair was done, or less than 0."""
    at = play.timeline.repaired_at()
    return -1.0 if at is None else at - FULL.start.timestamp()


def test_a_repair_is_done_when_its_last_account_has_held() -> None:
    last_s = 600.0 * FULL.cloud.accounts
    shown = played(REPAIR, repaired_at, [1.0, last_s - 1.0, last_s + 1.0], before=shut)
    assert shown == [-1.0, -1.0, last_s]
    assert played({"kind": "repair"}, repaired_at, [1.0], before=shut) == [0.0]


def test_a_repair_that_waits_for_its_cause_is_still_to_come() -> None:
    seconds = [599.0, 3_600.0]
    assert played({"kind": "repair"}, repaired_at, seconds, when=CAUSE) == [-1.0, -1.0]
    shown = played({"kind": "repair"}, repaired_at, seconds, when=CAUSE, failing_s=(900.0, 1e4))
    assert shown == [-1.0, 900.0]


def test_without_a_repair_none_is_done() -> None:
    assert played(OFF, repaired_at, [3_600.0]) == [-1.0]


@pytest.mark.parametrize(("only", "done_s"), [((), 0.0), (("nobody",), 0.0), (("sdk",), -1.0)])
def test_repairs_of_other_variants_are_none_of_this_one(
    only: tuple[str, ...], done_s: float
) -> None:
    async def main(loop: VirtualLoop) -> float:
        play = Play(loop, {"kind": "repair"}, only=only)
        loop.create_task(play.timeline.run())
        await play.until(1.0)
        return repaired_at(play)

    assert run(main, start_at=FULL.start.timestamp()) == done_s


def test_a_repair_without_a_gate_opens_all_at_once() -> None:
    (before, after) = played({"kind": "repair"}, opened, [0.0, 1.0], before=shut)
    assert (before, after) == (0, FULL.cloud.accounts)


def test_scaling_out_adds_a_share_of_the_starting_nodes_and_at_least_one() -> None:
    assert played({"kind": "scale_out", "ratio": 1.5}, nodes, [1.0]) == [NODES + 3]
    assert played({"kind": "scale_out", "ratio": 0.01}, nodes, [1.0]) == [NODES + 1]
