"""Takes what is due from a queue, so that workers who take at once are given different operations.

One transaction reads and locks, asks what is to become of it, and writes that down: nobody else
saw these rows meanwhile, and none of them is left taken when we die half-way.
"""

from surgetank.safeguards.operations.postgres_session import Connection
from surgetank.safeguards.operations.postgres_write import Saving
from surgetank.safeguards.operations.record import Due
from surgetank.safeguards.operations.store import Decide, Taken
from surgetank.safeguards.operations.text import COLUMNS, read_record

SKIPPED_S = 0.05
"""Seconds until what another worker was looking at is asked for again."""

_TAKE = f"""select {COLUMNS} from (
 select * from surgetank.operation where queue = %s and run_at <= %s
 order by run_at, number limit %s for no key update skip locked
) o join surgetank.body b using (number) order by o.run_at, o.number"""  # noqa: S608 - constants
_NEXT = """select min(run_at) from surgetank.operation where queue = %s and run_at > %s"""
_IS_LEFT = """select exists(select from surgetank.operation where queue = %s and run_at <= %s)"""


async def take(
    connection: Connection, *, queue: str, now: float, limit: int, decide: Decide
) -> Taken:
    """Read, decide and save in one transaction; see `Store.take`."""
    place = (queue, float(now))
    async with connection.pipeline():
        await connection.execute("begin isolation level read committed")
        await connection.execute("select surgetank.tally_slot()")
        taken = await connection.execute(_TAKE, (*place, limit))
        coming = await connection.execute(_NEXT, place)
        left = await connection.execute(_IS_LEFT, place)
        records = tuple([read_record(row) for row in await taken.fetchall()])
        ((next_at,),), ((is_left,),) = await coming.fetchall(), await left.fetchall()
        if len(records) == limit:
            next_at = now  # There may be more.
        elif is_left and not records:
            next_at = now + SKIPPED_S
        saving = Saving(decide(records))
        await saving.send(connection)
        await connection.execute("commit")
    return Taken(Due(records, next_at), tuple(await saving.results()))
