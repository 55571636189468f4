"""The fleet at work: readers that ask again, whom a share covers, and what the store says at the end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from surgetank.core.http import Request, Response
from surgetank.rehearsal.drill.ledger import Fate, Ledger, Wanted
from surgetank.rehearsal.drill.load import Load
from surgetank.rehearsal.drill.protection import Protection
from surgetank.rehearsal.drill.world import World
from surgetank.rehearsal.scenario.reader import load
from surgetank.rehearsal.scenario.schema import ANONYMOUS, Fleet, Readers, Scenario, Seat, Variant
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.runtime.simulation.network import Network
from surgetank.runtime.simulation.trace import Trace

FULL = load("azure-2026-02")
START = FULL.start.timestamp()
HERE = "eastus"
READER = Readers(
    name="reader",
    kind="token_readers",
    peak_per_s=1 / 3_600,
    nodes=4,
    retry_s=120.0,
    patience_s=300.0,
)
"""One process an hour, which tries six times within 24 s when nobody answers."""


def scenario(*fleet: Fleet, share: float = 0.0, seat: Seat = Seat.NOBODY) -> Scenario:
    """One hour of one region, with one variant."""
    variant = Variant(title="it", seat=seat, share=share, broker=share > 0, release="adaptive")
    here = FULL.cloud.regions[HERE].model_copy(update={"size": 1.0})
    return FULL.model_copy(
        update={
            "end": FULL.start + timedelta(hours=1),
            "cloud": FULL.cloud.model_copy(update={"regions": {HERE: here}}),
            "fleet": fleet,
            "timeline": (),
            "own_share": 0.5,
            "variants": {"it": variant},
        }
    )


@dataclass
class Stage:
    """A world, and the load that is to be put on it."""

    clock: VirtualClock
    network: Network
    ledger: Ledger
    protection: Protection
    load: Load

    def tried_at(self) -> list[float]:
        """Seconds from the first try for a token to each."""
        tries = [one.at for one in self.ledger.token_tries[HERE]]
        return [at - tries[0] for at in tries]


def played(scenario: Scenario, body: Callable[[Stage], Awaitable[None]], directory: Path) -> None:
    async def main(loop: VirtualLoop) -> None:
        clock, network = VirtualClock(loop), Network(loop)
        ledger = Ledger(clock, Trace())
        variant = scenario.variants["it"]
        protection = Protection(scenario, variant, network, clock, ledger, 1, directory)
        world = World(
            scenario=scenario,
            network=network,
            clock=clock,
            ledger=ledger,
            seed=1,
            variant=variant,
            names_of=protection.names_of,
        )
        await protection.open(world)
        load = Load(scenario, variant, world, protection, ledger, clock, 1)
        await body(Stage(clock, network, ledger, protection, load))
        await protection.running.close()

    run(main, start_at=START)


def test_a_process_without_its_token_starts_again_until_somebody_looks(tmp_path: Path) -> None:
    async def body(stage: Stage) -> None:
        stage.network.stop(f"identity.{HERE}")
        await stage.load.run()
        await stage.clock.sleep_until(START + 7_200.0)
        starts = [at for number, at in enumerate(stage.tried_at()) if number % 6 == 0]
        assert starts == pytest.approx([0.0, 144.0, 288.0], abs=30.0)
        assert len(stage.tried_at()) == 18
        firsts = stage.ledger.consumed["reader"]
        assert [one.is_ok for one in firsts] == [False], "to start again is no first try"

    played(scenario(READER), body, tmp_path)


def test_a_process_that_has_its_token_asks_no_more(tmp_path: Path) -> None:
    async def body(stage: Stage) -> None:
        async def answer(_: Request) -> Response:
            return Response(200)

        host = f"identity.{HERE}"
        stage.network.stop(host)
        await stage.load.run()
        await stage.clock.sleep_until(stage.clock.now() + 60.0)
        stage.network.serve(host, answer)
        await stage.clock.sleep_until(START + 7_200.0)
        oks = [one.is_ok for one in stage.ledger.token_tries[HERE]]
        assert oks == [False] * 6 + [True]
        assert [one.is_ok for one in stage.ledger.consumed["reader"]] == [False]

    played(scenario(READER), body, tmp_path)


@pytest.mark.parametrize(
    ("seat", "share", "nodes"),
    [
        (Seat.NOBODY, 0.0, []),
        (Seat.EVERYBODY, 1.0, ["0", "1", "2", "3", "own"]),
        (Seat.EVERYBODY, 0.5, ["1", "3", "own"]),
        (Seat.YOU, 0.5, ["own"]),
    ],
)
def test_a_share_covers_its_part_of_the_nodes_and_yours_where_there_is_any(
    tmp_path: Path, seat: Seat, share: float, nodes: list[str]
) -> None:
    async def body(stage: Stage) -> None:
        await stage.load.run()
        assert sorted(stage.protection.covered) == [f"reader-{HERE}-{node}" for node in nodes]

    played(scenario(READER, share=share, seat=seat), body, tmp_path)


def test_your_share_of_the_processes_is_watched_as_yours(tmp_path: Path) -> None:
    async def body(stage: Stage) -> None:
        await stage.load.run()
        await stage.clock.sleep_until(START + 7_200.0)
        firsts = stage.ledger.tokens[HERE]
        assert len(firsts) == pytest.approx(40, abs=1)
        assert len(stage.ledger.own_tokens) == pytest.approx(20, abs=1)

    busier = READER.model_copy(update={"peak_per_s": 40 / 3_600})
    played(scenario(busier), body, tmp_path)


def wanted(key: str, *, is_covered: bool) -> Wanted:
    return Wanted(
        key=key,
        fleet="machines",
        region=HERE,
        is_own=False,
        is_covered=is_covered,
        way=ANONYMOUS,
        submitted_at=START,
        deadline_at=START + 60.0,
    )


def test_what_was_acknowledged_and_is_in_no_store_is_lost(tmp_path: Path) -> None:
    async def body(stage: Stage) -> None:
        stage.ledger.submit(wanted("gone", is_covered=True))
        stage.ledger.submit(wanted("elsewhere", is_covered=False))
        await stage.load.settle()
        fates = {one.key: one.fate for one in stage.ledger.wanted}
        assert fates == {"gone": Fate.LOST, "elsewhere": Fate.OPEN}

    played(scenario(READER, share=1.0, seat=Seat.EVERYBODY), body, tmp_path)
