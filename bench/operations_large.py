"""A great many queued operations: how fast they go in, how fast one is claimed, what one weighs.

Run: python bench/operations_large.py [--operations 1000000] [--only sqlite|postgres] [--json PATH]

On each store, with keys in order of time (UUIDs of version 7) and with random ones (version 4).
Minutes for a million; ten million are for once, by hand. A claim is one step of the service while
all others wait: it finds a batch, asks the governor, and writes down as begun.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import quantiles
from time import monotonic
from typing import NamedTuple
from uuid import UUID

from rich.console import Console
from rich.table import Table

from operations_peers import ours, server
from operations_peers.ours import new_operation, ordered_key
from operations_peers.postgres import count
from operations_peers.server import Missing
from operations_peers.side import Settings
from surgetank.runtime.live.clock import SystemClock

SUBMIT_AIM_PER_S = 10_000_000 / 180.0
"""Ten million in three minutes."""
CLAIM_AIM_MS, BYTES_AIM = 50.0, 450.0
"""99th percentile of a claim, and bytes an operation on disk, at the most."""
BATCH = 64
CLAIMS = 200
"""Batches claimed: 12,800 operations of those that wait."""
OPERATIONS_MIN = 2 * BATCH * CLAIMS
CALLERS = 1_000
LANDED_LOOK_S = 0.001
STORES = ("sqlite", "postgres")
KEYS = ("ordered", "random")


class Found(NamedTuple):
    """What one store did with one kind of keys."""

    store: str
    keys: str
    operations: int
    submit_s: float
    submit_per_s: float
    claim_p50_ms: float
    claim_p99_ms: float
    bytes_each: float


def keys_of(kind: str) -> Callable[[int], str]:
    """Make keys by number."""
    chance = Random(1)
    if kind == "ordered":
        return ordered_key
    return lambda _: str(UUID(int=chance.getrandbits(128), version=4))


async def submit(side: ours.SQLite, operations: int, key: Callable[[int], str]) -> float:
    """Submit all; gives the seconds until the last was acknowledged."""
    numbers = iter(range(operations))
    async with side.opened() as service:

        async def caller() -> None:
            for number in numbers:
                await service.submit(new_operation(key(number)))

        began_at = monotonic()
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return monotonic() - began_at


async def claim(side: ours.SQLite) -> list[float]:
    """Claim batches one by one, each when the last has landed; gives their seconds."""
    clock, claims_s = SystemClock(), list[float]()
    async with side.opened(batch=BATCH) as service:
        for _ in range(2 * CLAIMS):
            if len(claims_s) == CLAIMS:
                break
            began_at = monotonic()
            await service.step(clock.now())
            took_s = monotonic() - began_at
            has_claimed = service.in_flight > 0  # Else it only learnt what there is.
            while service.in_flight:  # noqa: ASYNC110 - it says nothing when it is idle
                await asyncio.sleep(LANDED_LOOK_S)
            if has_claimed:
                claims_s.append(took_s)
    return claims_s


def measure(store: str, keys: str, operations: int, address: str) -> Found:
    """Measure one store with one kind of keys."""
    settings = Settings(store, address, "", BATCH, 1, operations, CALLERS, 3600.0)
    side = ours.SQLite(settings) if store == "sqlite" else ours.Postgres(settings)
    submit_s = asyncio.run(submit(side, operations, keys_of(keys)))
    size_bytes = stored_bytes(store, address)  # Before any was done: as they wait.
    claims_s = asyncio.run(claim(side))
    percentiles_s = quantiles(claims_s, n=100, method="inclusive")
    return Found(
        store,
        keys,
        operations,
        submit_s,
        operations / submit_s,
        1e3 * percentiles_s[49],
        1e3 * percentiles_s[98],
        size_bytes / operations,
    )


def stored_bytes(store: str, address: str) -> int:
    """Count what the tables and their indexes take, without the log of writes."""
    if store == "sqlite":
        return Path(address).stat().st_size
    return count(
        address,
        "select sum(pg_total_relation_size(c.oid))::bigint from pg_class c"
        " join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = 'surgetank' and c.relkind = 'r'",
    )


@contextmanager
def addresses(store: str, folder: Path) -> Generator[Callable[[str], str]]:
    """Start what a store needs; gives an address for each kind of keys."""
    if store == "sqlite":
        yield lambda keys: str(folder / f"{keys}.db")
        return
    with server.postgres(folder) as running:

        def address(keys: str) -> str:
            running.server.psql(f"create database {keys}")
            return str(running.server.get_uri(keys))

        yield address


def show(every: list[Found], console: Console) -> None:
    """Print what was found, beside what is wanted."""
    table = Table(
        "store", "keys", "operations", "submitted in s",
        f"per s (>= {SUBMIT_AIM_PER_S:,.0f})", "claim p50 ms", f"p99 ms (<= {CLAIM_AIM_MS:g})",
        f"bytes each (<= {BYTES_AIM:g})",
    )  # fmt: skip
    for one in every:
        table.add_row(
            one.store,
            one.keys,
            f"{one.operations:,}",
            f"{one.submit_s:.1f}",
            f"{one.submit_per_s:,.0f} {_says(one.submit_per_s >= SUBMIT_AIM_PER_S)}",
            f"{one.claim_p50_ms:.1f}",
            f"{one.claim_p99_ms:.1f} {_says(one.claim_p99_ms <= CLAIM_AIM_MS)}",
            f"{one.bytes_each:.0f} {_says(one.bytes_each <= BYTES_AIM)}",
        )
    console.print(table)


def _says(is_met: bool) -> str:  # noqa: FBT001 - what it says
    return "met" if is_met else "missed"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--only", choices=STORES)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write what was measured")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; a temporary one")
    options = parser.parse_args()
    if options.operations < OPERATIONS_MIN:
        parser.error(f"at least {OPERATIONS_MIN:,} operations: so many wait while claims are timed")
    every = list[Found]()
    for store in [options.only] if options.only else STORES:
        with tempfile.TemporaryDirectory(prefix="surgetank-", dir=options.folder) as folder:
            try:
                with addresses(store, Path(folder)) as address:
                    for keys in KEYS:
                        every.append(measure(store, keys, options.operations, address(keys)))
            except Missing as error:
                Console(stderr=True).print(f"without {store}: {error}")
    if options.json:
        command = f"python bench/operations_large.py {' '.join(sys.argv[1:])}".strip()
        document = {"command": command, "found": [one._asdict() for one in every]}
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    show(every, Console(width=None if sys.stdout.isatty() else 120))


if __name__ == "__main__":
    main()
