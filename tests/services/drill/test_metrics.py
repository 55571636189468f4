"""The metrics of a run, from what its ledger, pools and series say."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from surgetank.cloud.client import TokenTry
from surgetank.cloud.pool import Ask, NodePool, Work
from surgetank.rehearsal.drill.ledger import Fate, Ledger, Wanted
from surgetank.rehearsal.drill.load import Pool
from surgetank.rehearsal.drill.metrics import Metrics, find_outages, measure, works
from surgetank.rehearsal.drill.outage import Attempt
from surgetank.rehearsal.drill.series import RegionSeries, Series
from surgetank.rehearsal.drill.world import World
from surgetank.rehearsal.scenario.reader import load
from surgetank.rehearsal.scenario.schema import ANONYMOUS
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.network import Network
from surgetank.runtime.simulation.trace import Trace

FULL = load("azure-2026-02")
START = FULL.start.timestamp()
END = FULL.end.timestamp()
HERE = "eastus"
READERS = "synapse"
POOLS = "node-pools"


class Nobody:
    """Takes in asks and never serves one."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    async def ask(self, machines: int) -> Ask:
        assert machines >= 1
        return self

    async def done(self) -> bool:
        await self._clock.sleep_until(END)
        return False

    async def withdraw(self) -> bool:
        return False


def wanted(key: str, *, done_s: float | None = 60.0, **changes: Any) -> Wanted:
    """An operation asked for at the start, in time within half an hour; None: never done."""
    settings: dict[str, Any] = {
        "fleet": "machines",
        "region": HERE,
        "is_own": False,
        "is_covered": False,
        "way": ANONYMOUS,
        "submitted_at": START,
        "deadline_at": START + 1_800.0,
        "fate": Fate.OPEN if done_s is None else Fate.SUCCEEDED,
        "first_is_ok": done_s is not None,
        "ended_at": None if done_s is None else START + done_s,
    }
    return Wanted(key=key, **(settings | changes))


def series(*backlog: int, start_at: float = START) -> Series:
    """A row a minute, of one region."""
    at = [start_at + 60.0 * row for row in range(1, len(backlog) + 1)]
    return Series(at=at, regions={HERE: RegionSeries(backlog=list(backlog))})


def measured(
    *operations: Wanted,
    tries: Mapping[str, Sequence[bool]] | None = None,
    rows: Series | None = None,
    repaired_at: float | None = None,
) -> Metrics:
    """Measure a run in which nothing happened but what is said here."""

    async def main(loop: VirtualLoop) -> Metrics:
        clock = VirtualClock(loop)
        ledger = Ledger(clock, Trace())
        ledger.wanted.extend(operations)
        for consumer, oks in (tries or {}).items():
            watch = ledger.token_watch(HERE, is_own=False, consumer=consumer)
            for is_ok in oks:
                watch(TokenTry(is_first=True, is_ok=is_ok))
                watch(TokenTry(is_first=False, is_ok=True))
        world = World(
            scenario=FULL,
            network=Network(loop),
            clock=clock,
            ledger=ledger,
            seed=1,
            variant=FULL.variants["nobody"],
            names_of=lambda _region, _machine: {},
        )
        pools = {POOLS: await _pools(clock)}
        found = find_outages(FULL, ledger, pools)
        return measure(FULL, world, ledger, pools, found, rows or series(), repaired_at=repaired_at)

    return run(main, start_at=START)


async def _pools(clock: VirtualClock) -> list[Pool]:
    """Two pools: of three pods that give up after ten seconds, and of one that still waits."""
    pools: list[Pool] = []
    for pods, patience_s in ((3, 10.0), (1, 1e6)):
        pool = NodePool(clock=clock, asker=Nobody(clock), patience_s=patience_s, pods_per_node=4)
        for _ in range(pods):
            await pool.submit()
        pools.append(pool)
    await clock.sleep_until(clock.now() + 20.0)
    return pools


def pool(*pieces: Work) -> NodePool:
    loop = VirtualLoop()
    clock = VirtualClock(loop)
    loop.close()
    return NodePool(
        clock=clock, asker=Nobody(clock), patience_s=1.0, pods_per_node=1, works=list(pieces)
    )


@pytest.mark.parametrize(
    ("started_at", "attempts"),
    [
        (10.0, [Attempt(10.0, is_ok=True)]),
        (109.9, [Attempt(10.0, is_ok=True)]),
        (110.0, [Attempt(10.0, is_ok=True)]),
        (110.1, [Attempt(10.0, is_ok=False)]),
        (None, [Attempt(10.0, is_ok=False)]),
    ],
)
def test_work_is_good_when_it_has_its_machine_by_its_deadline(
    started_at: float | None, attempts: list[Attempt]
) -> None:
    piece = Work(10.0, 1e9, started_at)
    assert works([pool(piece)], 100.0, end_at=1_000.0) == attempts


@pytest.mark.parametrize(("wanted_at", "said"), [(899.9, 1), (900.0, 1), (900.1, 0)])
def test_work_that_could_still_be_in_time_says_nothing(wanted_at: float, said: int) -> None:
    assert len(works([pool(Work(wanted_at, 1e9))], 100.0, end_at=1_000.0)) == said


def test_work_that_was_started_counts_whenever_its_deadline_is() -> None:
    piece = Work(990.0, 1e9, 995.0)
    assert works([pool(piece)], 100.0, end_at=1_000.0) == [Attempt(990.0, is_ok=True)]


def test_the_work_of_all_pools_is_put_in_order_of_time() -> None:
    one, two = pool(Work(1.0, 9.0), Work(5.0, 9.0)), pool(Work(2.0, 9.0, 3.0))
    assert [attempt.at for attempt in works([one, two], 1.0, end_at=1_000.0)] == [1.0, 2.0, 5.0]


def test_what_became_of_operations_is_counted_by_fate() -> None:
    fates = [*Fate, Fate.COALESCED, Fate.LOST]
    found = measured(*(wanted(str(number), fate=fate) for number, fate in enumerate(fates)))
    counted = {fate: found[f"operations_{fate.value}"] for fate in Fate}
    assert counted == {**dict.fromkeys(Fate, 1), Fate.COALESCED: 2, Fate.LOST: 2}
    assert found["operations_submitted"] == len(fates)


def test_fresh_success_is_done_in_time_over_all_whose_time_is_up() -> None:
    found = measured(
        wanted("in time", done_s=1_800.0),
        wanted("late", done_s=1_800.1),
        wanted("never", done_s=None),
        wanted("withdrawn", fate=Fate.COALESCED),
        wanted("too early to say", deadline_at=END + 1.0),
    )
    assert found["fresh_success_ratio"] == 1 / 4


def test_covered_and_other_operations_are_measured_apart() -> None:
    covered = [wanted(f"covered {number}", is_covered=True) for number in range(3)]
    others = [wanted("good"), wanted("never", done_s=None)]
    found = measured(*covered, *others)
    assert found["covered_fresh_success_ratio"] == 1.0
    assert found["others_fresh_success_ratio"] == 0.5
    alone = measured(*others)
    assert alone["covered_fresh_success_ratio"] is None
    assert alone["others_fresh_success_ratio"] == alone["fresh_success_ratio"] == 0.5


def test_ways_of_reading_are_measured_by_those_that_were_used_and_are_due() -> None:
    found = measured(
        wanted("a", way="sas"),
        wanted("b", way="identity", done_s=None),
        wanted("c", way="identity"),
        wanted("d", way="private_endpoint", deadline_at=END + 1.0),
    )
    assert found["way_success_ratio"] == {"identity": 0.5, "sas": 1.0}


def test_readers_are_measured_by_their_first_tries_and_by_fleet() -> None:
    found = measured(tries={READERS: [True, False, True, True], "new machines": [False]})
    assert found["reader_success_ratio"] == {READERS: 0.75}


def test_the_work_of_pools_is_summed_by_fleet() -> None:
    found = measured()
    assert found["pool_work_submitted"] == {POOLS: 4}
    assert found["pool_work_given_up"] == {POOLS: 3}
    assert found["pool_waiting_peak"] == {POOLS: 4}
    assert found["pool_zombies"] == {POOLS: 0}


@pytest.mark.parametrize("late_s", [0.0, 30.0, 300.0])
def test_the_backlog_is_told_every_ten_minutes_whenever_the_drill_starts(late_s: float) -> None:
    start_at = START + late_s
    found = measured(rows=series(*range(25), start_at=start_at))["backlog_at"]
    assert found == {_text(start_at + 600.0): 9, _text(start_at + 1_200.0): 19}


def _text(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("backlog", "drain_s"),
    [
        ((0, 0, 0, 0), 0.0),
        ((100, 100, 100, 1), 120.0),
        ((100, 1, 1, 1), 0.0),
        ((100, 1, 100, 1), 120.0),
        ((100, 100, 100, 2), None),
        ((300, 200, 3, 0), 60.0),
    ],
)
def test_a_backlog_drains_from_the_repair_until_a_hundredth_is_left(
    backlog: tuple[int, ...], drain_s: float | None
) -> None:
    found = measured(rows=series(*backlog), repaired_at=START + 120.0)
    assert found["drain_s"] == drain_s


def test_without_a_repair_nothing_drains() -> None:
    assert measured(rows=series(9, 0))["drain_s"] is None
