"""The PostgreSQL store beyond the contract: several nodes, and a server that fails."""

import asyncio
import os
import random
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol

import pytest

from surgetank.core.errors import (
    ConflictError,
    DependencyError,
    DependencyRejectedError,
    DependencyTimeoutError,
    IntegrityError,
    InvalidInputError,
    QueueFullError,
)
from surgetank.safeguards.operations.migrations import migrations
from surgetank.safeguards.operations.progress import begin, expire
from surgetank.safeguards.operations.record import Change, Record, Saved, identify

psycopg = pytest.importorskip("psycopg", reason="the package psycopg is not installed")

from surgetank.safeguards.operations import postgres_session  # noqa: E402 - after the check
from surgetank.safeguards.operations.postgres import (  # noqa: E402 - after the check
    TRIES_MAX,
    PostgresStore,
)
from surgetank.safeguards.operations.postgres_session import (  # noqa: E402 - after the check
    Limits,
    Session,
)

New = Callable[..., Record]
QUEUE = "0 vm@eastus"
ROUNDS = 200
PIDS = """select pid from pg_stat_activity
 where application_name = 'surgetank' and datname = current_database()"""
WAITING = """select count(*)::integer from pg_stat_activity where wait_event_type = 'Lock'
 and application_name = 'surgetank' and datname = current_database()"""
CUT = """select pg_terminate_backend(pid, 5000) from pg_stat_activity
 where application_name = 'surgetank' and datname = current_database()"""


class Server(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...


def play(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(body())


async def ask(database: str, *queries: str) -> list[Any]:
    """Run SQL beside the store; the last query's rows."""
    connection = await psycopg.AsyncConnection.connect(database, autocommit=True)
    async with connection:
        *before, last = queries
        for query in before:
            await connection.execute(query)
        found = await connection.execute(last)
        return await found.fetchall() if found.description else []


async def filled(database: str, records: Sequence[Record], **limits: Any) -> PostgresStore:
    store = await PostgresStore.open(database, **limits)
    await asyncio.gather(*(store.submit(each) for each in records))
    return store


async def stored(store: PostgresStore, key: str) -> Record:
    found = await store.read(identify(key))
    assert found is not None, "it was submitted"
    return found


async def claim(store: PostgresStore, worker: str, limit: int) -> list[str]:
    """Claim as a worker does: read what is due, and write that it is begun."""
    due = await store.due(QUEUE, now=500.0, limit=limit)
    changes = [Change(each, begin(each, 0, lease_until=900.0, worker=worker)) for each in due[0]]
    saved = await store.save(changes)
    return [change.before.key for change, won in zip(changes, saved, strict=True) if won]


def test_two_nodes_claim_each_operation_once(database: str, record: New) -> None:
    async def body() -> None:
        chance = random.Random(5)
        keys = [f"k{number}" for number in range(2 * ROUNDS)]
        first = await filled(database, [record(key) for key in keys])
        second = await PostgresStore.open(database)
        claimed = list[str]()
        for _ in range(ROUNDS):
            sizes = (chance.randint(1, 4), chance.randint(1, 4))
            both = await asyncio.gather(claim(first, "a", sizes[0]), claim(second, "b", sizes[1]))
            claimed += [key for one in both for key in one]
        while more := await claim(first, "a", 100):
            claimed += more
        assert sorted(claimed) == sorted(keys)
        assert [(each.state, each.operations) for each in await first.tally()] == [
            ("running", len(keys))
        ]
        await first.close()
        await second.close()

    play(body)


async def race(database: str, hold: str, writes: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Begin two writes while another connection holds a row in their middle, then let them go."""
    async with await psycopg.AsyncConnection.connect(database) as other:
        await other.execute(hold)
        results = asyncio.gather(*writes)
        while (await ask(database, WAITING)) != [(2,)]:
            assert not results.done(), "both wait"
        await other.rollback()
    return list(await results)


def test_nodes_that_change_the_same_rows_do_not_wait_in_a_circle(
    database: str, record: New
) -> None:
    async def body() -> None:
        names = [f"k{number}" for number in range(20)]
        first = await filled(database, [record(key) for key in names])
        second = await PostgresStore.open(database)
        for number in range(8):
            records = [await stored(first, key) for key in names]
            changes = [Change(each, each._replace(worker="w")) for each in records]
            leases = [(each.id, number) for each in reversed(records)]
            hold = f"select from surgetank.operation where id = '{min(leases[5:15])[0]}' for update"
            writes = (first.save(changes), second.renew(leases, until=900.0))
            saved, renewed = await race(database, hold, writes)
            assert all(saved)
            assert len(set(renewed)) == 1, "before all changes or after"
        assert [first.repeats, second.repeats] == [0, 0]
        await first.close()
        await second.close()

    play(body)


def test_nodes_that_add_the_same_rows_do_not_wait_in_a_circle(database: str, record: New) -> None:
    async def submit(store: PostgresStore, records: Sequence[Record]) -> int:
        return sum(await asyncio.gather(*(store.submit(each) for each in records)))

    async def body() -> None:
        nodes = [await PostgresStore.open(database) for _ in range(2)]
        records = sorted((record(f"k{number}") for number in range(20)), key=lambda each: each.id)
        hold = f"""insert into surgetank.operation (id, lane, state, run_at, created_at)
         values ('{records[10].id}', 'fresh', 'ready', 0, 0)"""  # noqa: S608 - ours
        orders = (records, records[::-1])
        writes = [submit(node, each) for node, each in zip(nodes, orders, strict=True)]
        assert sum(await race(database, hold, writes)) == 20
        assert [node.repeats for node in nodes] == [0, 0]
        for node in nodes:
            await node.close()

    play(body)


def test_two_nodes_that_submit_one_key_store_it_once(database: str, record: New) -> None:
    async def body() -> None:
        nodes = [await PostgresStore.open(database) for _ in range(2)]
        for number in range(50):
            new = record(f"k{number}")
            assert sorted(await asyncio.gather(*(each.submit(new) for each in nodes))) == [0, 1]
        for number in range(50):
            new = record(f"c{number}")
            others = [new, new._replace(kind="x")]
            writes = [node.submit(each) for node, each in zip(nodes, others, strict=True)]
            results = await asyncio.gather(*writes, return_exceptions=True)
            (refusal,) = (each for each in results if each is not True)
            assert isinstance(refusal, ConflictError)
        for node in nodes:
            await node.close()

    play(body)


def test_nothing_acknowledged_is_lost_when_the_server_cuts_connections(
    database: str, record: New
) -> None:
    async def body() -> None:
        store = await PostgresStore.open(database, writes_per_commit=4)
        acknowledged, refused = set[str](), set[str]()

        async def submit(key: str) -> None:
            try:
                await store.submit(record(key))
                acknowledged.add(key)
            except DependencyError as error:
                if not error.may_have_acted:
                    refused.add(key)

        for number in range(40):
            await asyncio.gather(
                *(submit(f"k{number}.{each}") for each in range(20)),
                ask(database, CUT),
            )
        found = {each.key for each in (await store.due(QUEUE, now=500.0, limit=9999)).records}
        assert len(found) >= len(acknowledged) > 400, "most writes are between the cuts"
        assert acknowledged <= found
        assert not refused & found
        assert sum(each.operations for each in await store.tally()) == len(found)
        await store.close()

    play(body)


def test_nothing_acknowledged_is_lost_when_a_server_process_is_killed(
    database: str, record: New
) -> None:
    async def ask_again(query: str) -> list[Any]:
        for _ in range(20_000):  # It recovers from its log first.
            with suppress(psycopg.OperationalError):
                return await ask(database, query)
        raise AssertionError("the server does not come back")

    async def body() -> None:
        store = await PostgresStore.open(database, writes_per_commit=4)
        acknowledged = set[str]()

        async def submit(key: str) -> None:
            with suppress(DependencyError):
                await store.submit(record(key))
                acknowledged.add(key)

        for number in range(5):
            pids = await ask_again(PIDS)
            writes = asyncio.gather(*(submit(f"k{number}.{each}") for each in range(200)))
            before = len(acknowledged)
            while len(acknowledged) < before + 20 and not writes.done():
                await asyncio.wait([writes], timeout=0.001)
            for (pid,) in pids:
                with suppress(ProcessLookupError):  # The server ends them all when one dies.
                    os.kill(pid, signal.SIGKILL)
            await writes
        await ask_again("select 1")
        found = {each.key for each in (await store.due(QUEUE, now=500.0, limit=9999)).records}
        assert len(found) < 5 * 200, "they were killed in the middle"
        assert acknowledged <= found
        await store.close()

    play(body)


def test_a_cut_between_two_writes_is_not_noticed(database: str, record: New) -> None:
    async def body() -> None:
        store = await filled(database, [record("a")])
        await store.read(identify("a"))
        await ask(database, CUT)
        assert await store.submit(record("b"))
        assert await store.read(identify("a")) is not None
        await store.close()

    play(body)


def test_goes_on_when_a_server_that_stopped_is_back(
    postgres_server: Server, database: str, record: New
) -> None:
    async def body() -> None:
        store = await filled(database, [record("a")])
        postgres_server.stop()
        try:
            for work in (store.submit(record("b")), store.tally()):
                with pytest.raises(DependencyError) as caught:
                    await work
                assert not caught.value.may_have_acted
        finally:
            postgres_server.start()
        assert await store.submit(record("b"))
        assert (await stored(store, "a")).key == "a"
        await store.close()

    play(body)


def test_nodes_that_start_at_once_migrate_once(database: str) -> None:
    async def body() -> None:
        nodes = await asyncio.gather(*(PostgresStore.open(database) for _ in range(4)))
        versions = await ask(database, "select version from surgetank.migration order by 1")
        assert versions == [(each,) for each in range(1, len(migrations("postgres")) + 1)]
        for node in nodes:
            await node.close()

    play(body)


def test_a_migration_may_take_longer_than_any_other_answer(database: str) -> None:
    async def body() -> None:
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as other:
            await other.execute("select pg_advisory_lock(1400204883, -1)")  # Somebody migrates.
            opening = asyncio.ensure_future(
                PostgresStore.open(database, limits=Limits(answer_s=0.2))
            )
            while (await ask(database, WAITING)) != [(1,)]:
                assert not opening.done(), "it waits for its turn"
            await ask(database, "select pg_sleep(0.5)")
            assert not opening.done(), "it waits longer than for any other answer"
        store = await opening
        assert await store.tally() == ()
        await store.close()

    play(body)


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        ("insert into surgetank.migration values (999)", "schema version 999"),
        ("drop table surgetank.migration", "other tables"),
    ],
)
def test_refuses_a_schema_that_it_does_not_understand(
    database: str, prepare: str, says: str
) -> None:
    async def body() -> None:
        await (await PostgresStore.open(database)).close()
        await ask(database, prepare)
        with pytest.raises(IntegrityError, match=says):
            await PostgresStore.open(database)

    play(body)


def test_a_table_that_is_gone_is_damage(database: str) -> None:
    async def body() -> None:
        store = await PostgresStore.open(database)
        await ask(database, "drop table surgetank.tally")
        with pytest.raises(IntegrityError, match="not ours"):
            await store.tally()
        await store.close()

    play(body)


def test_a_table_that_may_not_be_used_is_a_refusal(database: str) -> None:
    async def body() -> None:
        store = await PostgresStore.open(database)
        await ask(database, "drop role if exists nobody", "create role nobody login")
        other = psycopg.conninfo.make_conninfo(database, user="nobody")
        with pytest.raises(DependencyRejectedError, match="permission denied"):
            await PostgresStore.open(other)
        await store.close()
        await ask(database, "drop role nobody")

    play(body)


def test_refuses_an_address_that_is_none_and_does_not_repeat_it() -> None:
    async def body() -> None:
        with pytest.raises(InvalidInputError, match="address") as caught:
            await PostgresStore.open("postgres password=secret")
        assert "secret" not in str(caught.value)

    play(body)


def test_a_database_that_is_not_there_is_said_so(database: str) -> None:
    async def body() -> None:
        with pytest.raises(DependencyError, match="does not exist"):
            await PostgresStore.open(psycopg.conninfo.make_conninfo(database, dbname="nobodys"))

    play(body)


@pytest.mark.parametrize(
    ("limits", "may"), [(Limits(statement_s=0.1), False), (Limits(answer_s=0.1), True)]
)
def test_a_row_that_another_holds_is_waited_for_so_long(
    database: str, record: New, limits: Limits, *, may: bool
) -> None:
    async def body() -> None:
        store = await filled(database, [record("a"), record("b")], limits=Limits())
        await store.close()
        store = await PostgresStore.open(database, limits=limits)
        before = await stored(store, "a")
        change = Change(before, begin(before, 0, lease_until=900.0, worker="w"))
        async with await psycopg.AsyncConnection.connect(database) as other:
            await other.execute("select from surgetank.operation for update")
            with pytest.raises(DependencyTimeoutError) as caught:
                await store.save([change])
            assert caught.value.may_have_acted is may
            await other.rollback()
        assert await store.save([change]) == (Saved.DONE,)
        await store.close()

    play(body)


def test_a_transaction_undone_for_anothers_sake_is_made_again(database: str, record: New) -> None:
    async def body() -> None:
        store = await filled(database, [record("a")])
        await ask(
            database,
            "create sequence tries",
            """create function fail_twice() returns trigger language plpgsql as $$ begin
             if nextval('tries') < 3 then raise exception 'no' using errcode = '40001'; end if;
             return new; end $$""",
            """create trigger fail before insert on surgetank.body
             for each row execute function fail_twice()""",
        )
        assert await store.submit(record("b"))
        await ask(database, "alter sequence tries minvalue -9 restart -9")
        with pytest.raises(DependencyError, match="no") as caught:
            await store.submit(record("c"))
        assert not caught.value.may_have_acted
        assert store.repeats == 2 + TRIES_MAX - 1
        await store.close()

    play(body)


def test_keeps_characters_that_postgresql_has_none_for(database: str, record: New) -> None:
    async def body() -> None:
        new = record("null \0")
        halved = new.steps[0]._replace(arguments="half \ud800")
        new = new._replace(steps=(halved, *new.steps[1:]))
        store = await filled(database, [new])
        before = await stored(store, "null \0")
        assert (before.key, before.steps[0]) == ("null \0", halved)
        after = expire(before, now=200.0)._replace(detail="\0 said \udfff")
        await store.save([Change(before, after)])
        assert await store.read(before.id) == after._replace(fence=1)
        await store.close()

    play(body)


def test_commits_are_durable_whatever_the_database_is_set_to(database: str) -> None:
    async def body() -> None:
        name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
        await ask(database, f"alter database {name} set synchronous_commit = off")
        session = Session(database, Limits())

        async def read(connection: Any) -> Any:
            found = await connection.execute("show synchronous_commit")
            return await found.fetchone()

        assert await session.run(read, is_repeatable=True) == ("on",)
        await session.close()

    play(body)


def test_more_reads_than_may_wait_are_refused(database: str, record: New) -> None:
    async def body() -> None:
        store = await filled(database, [record("a")])
        reads = (store.tally() for _ in range(postgres_session.WAITING_MAX + 5))
        results = await asyncio.gather(*reads, return_exceptions=True)
        assert sum(isinstance(each, QueueFullError) for each in results) == 5
        await store.close()

    play(body)


def test_reads_and_writes_touch_few_rows_however_many_there_are(database: str, record: New) -> None:
    async def body() -> None:
        store = await filled(database, [record("a")])
        await ask(
            database,
            """insert into surgetank.operation (id, lane, state, queue, run_at, created_at)
             select 'x' || n, 'backlog', 'waiting', '0 vm@eastus', 1000 + n, 0
             from generate_series(1, 20000) n""",
            "select pg_stat_force_next_flush(), pg_stat_reset()",
        )
        for number in range(10):
            assert await store.submit(record(f"k{number}", now=900.0))
            before = await stored(store, "a")
            assert await store.save([Change(before, before._replace(worker="w"))]) == (Saved.DONE,)
            due = await store.due(QUEUE, now=500.0, limit=50)
            assert ([each.key for each in due.records], due.next_at) == (["a"], 900.0)
        await store.close()
        (touched,) = await ask(
            database,
            """select seq_tup_read + idx_tup_fetch < 400 from pg_stat_user_tables
             where relname = 'operation'""",
        )
        assert touched == (True,)

    play(body)
