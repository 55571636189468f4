"""Several nodes on one PostgreSQL database take, supersede and hold at once."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from surgetank.core.errors import DependencyError
from surgetank.core.operation import OperationState
from surgetank.safeguards.operations.hold import Hold, HoldScope
from surgetank.safeguards.operations.progress import begin, expire
from surgetank.safeguards.operations.record import Change, Record
from surgetank.safeguards.operations.store import Filter, Taken

psycopg = pytest.importorskip("psycopg", reason="the package psycopg is not installed")

from surgetank.safeguards.operations.postgres import PostgresStore  # noqa: E402 - after the check

New = Callable[..., Record]
QUEUE = "0 vm@eastus"
CUT = """select pg_terminate_backend(pid, 5000) from pg_stat_activity
 where application_name = 'surgetank' and datname = current_database()"""
LOCK_TWO = """select id from surgetank.operation order by run_at, number limit 2 for update"""


@asynccontextmanager
async def two_nodes(database: str) -> AsyncGenerator[tuple[PostgresStore, PostgresStore]]:
    nodes = await PostgresStore.open(database), await PostgresStore.open(database)
    yield nodes
    for node in nodes:
        await node.close()


def begin_all(records: Sequence[Record]) -> list[Change]:
    return [Change(each, begin(each, 0, lease_until=1e6, worker="w")) for each in records]


def taking(node: PostgresStore, limit: int = 3) -> Any:
    return node.take(QUEUE, now=500.0, limit=limit, decide=begin_all)


async def dawdle(node: PostgresStore, chance: Random) -> None:
    """Ask for what nobody needs, so that the others get on."""
    for _ in range(chance.randrange(4)):
        await node.tally()


async def submit_all(node: PostgresStore, records: Sequence[Record], chance: Random) -> None:
    for each in records:
        await node.submit(each)
        await dawdle(node, chance)


def keys(*taken: Taken) -> list[str]:
    return sorted(record.key for each in taken for record in each.due.records)


def test_nodes_that_take_at_once_are_given_different_operations(database: str, record: New) -> None:
    async def main() -> None:
        async with two_nodes(database) as (one, other):
            names = [f"k{number:02}" for number in range(60)]
            await asyncio.gather(*(one.submit(record(name)) for name in names))
            rounds = [each for _ in range(15) for each in (taking(one), taking(other))]
            taken = await asyncio.gather(*rounds)
            while any((more := await taking(one)).due.records):
                taken.append(more)
            assert keys(*taken) == names
            assert all(saved for each in taken for saved in each.saved)

    asyncio.run(main())


def test_what_another_looks_at_is_passed_over_and_soon_asked_for_again(
    database: str, record: New
) -> None:
    async def main() -> None:
        async with two_nodes(database) as (one, _):
            for place, name in enumerate("abc"):
                await one.submit(record(name, now=100.0 + place))
            async with await psycopg.AsyncConnection.connect(database) as looking:
                await looking.execute(LOCK_TWO)
                assert keys(await taking(one)) == ["c"]
                nothing = await taking(one)
                assert keys(nothing) == []
                assert nothing.due.next_at is not None
                assert 500.0 < nothing.due.next_at < 501.0
            assert keys(await taking(one)) == ["a", "b"]

    asyncio.run(main())


def test_what_comes_while_a_queue_is_taken_from_is_taken_next(database: str, record: New) -> None:
    def decide(records: Sequence[Record]) -> list[Change]:
        with psycopg.connect(database, autocommit=True) as beside:
            beside.execute(
                "insert into surgetank.operation (id, lane, state, queue, run_at, created_at)"
                " values ('late', 'fresh', 'ready', %s, 1, 1)",
                (QUEUE,),
            )
            beside.execute(
                "insert into surgetank.body select number, '', 'x', 'x', '', '[\"late\",0,[]]'"
                " from surgetank.operation where id = 'late'"
            )
        return begin_all(records)

    async def main() -> None:
        async with two_nodes(database) as (one, _):
            await one.submit(record("early"))
            first = await one.take(QUEUE, now=500.0, limit=9, decide=decide)
            assert keys(first) == ["early"]
            left = await one.due(QUEUE, now=500.0, limit=9)
            assert [each.key for each in left.records] == ["late"]

    asyncio.run(main())


def test_a_node_that_is_cut_off_while_it_takes_leaves_nothing_taken(
    database: str, record: New
) -> None:
    def decide(records: Sequence[Record]) -> list[Change]:
        with psycopg.connect(database, autocommit=True) as beside:
            beside.execute(CUT)
        return begin_all(records)

    async def main() -> None:
        async with two_nodes(database) as (one, other):
            await one.submit(record("k"))
            with pytest.raises(DependencyError):
                await one.take(QUEUE, now=500.0, limit=9, decide=decide)
            assert keys(await taking(other)) == ["k"]
            assert keys(await taking(one)) == []

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(3))
def test_of_a_subject_the_newest_is_left_whichever_node_it_came_by(
    database: str, record: New, seed: int
) -> None:
    async def main() -> None:
        async with two_nodes(database) as nodes:
            records = [record(f"g{each}", subject="blue", generation=each) for each in range(40)]
            Random(seed).shuffle(records)
            submits = [nodes[place % 2].submit(each) for place, each in enumerate(records)]
            assert all(await asyncio.gather(*submits))
            page = await nodes[0].find(Filter(subject="blue"), after=0, limit=99)
            left = [each for each in page.records if each.queue is not None]
            assert [each.generation for each in left] == [39]
            assert len(page.records) == 40
            assert await nodes[1].generation("blue") == 39
            counted = {tally.state: tally.operations for tally in await nodes[1].tally()}
            assert counted == {OperationState.READY: 1, OperationState.SUPERSEDED: 39}

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(3))
def test_of_a_subject_one_runs_at_a_time_whichever_node_takes_it(
    database: str, record: New, seed: int
) -> None:
    """Both nodes take, end and submit at once; never are two of the subject leased."""

    async def main() -> None:
        chance = Random(seed)
        running, begun = set[str](), list[int]()

        async def end(node: PostgresStore, each: Record) -> None:
            assert not running, "one at a time"
            running.add(each.key)
            begun.append(each.generation)
            await dawdle(node, chance)
            stored = await node.read(each.id)
            assert stored is not None, "what was acknowledged is there"
            running.remove(each.key)
            await node.save([Change(stored, expire(stored, now=600.0))])

        async def work(node: PostgresStore) -> None:
            for _ in range(25):
                taken = await node.take(QUEUE, now=500.0, limit=1, decide=begin_all)
                for each, saved in zip(taken.due.records, taken.saved, strict=True):
                    if saved:
                        await end(node, each)

        async with two_nodes(database) as (one, other):
            news = [record(f"g{each}", subject="blue", generation=each) for each in range(40)]
            await asyncio.gather(
                work(one),
                work(other),
                submit_all(one, news[::2], chance),
                submit_all(other, news[1::2], chance),
            )
            await work(one)
            assert begun == sorted(begun)
            assert begun[-1] == 39
            assert (await one.survey()).queues == {}

    asyncio.run(main())


def test_nodes_that_hold_the_same_at_once_leave_one_hold(database: str, record: New) -> None:
    async def main() -> None:
        async with two_nodes(database) as nodes:
            hold = Hold(HoldScope.ALL, "", 100.0)
            for turn in range(20):
                held = await asyncio.gather(
                    *(node.hold(hold) for node in nodes),
                    *(node.submit(record(f"{turn} {place}")) for place, node in enumerate(nodes)),
                )
                (left,) = (await nodes[0].survey()).holds
                numbers = [each.number for each in held if isinstance(each, Hold)]
                assert left.number == max(numbers)

    asyncio.run(main())
