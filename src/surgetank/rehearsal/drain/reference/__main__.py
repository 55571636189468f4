"""Prints what was published beside what we get, and what is exact beside what is simulated.

`python -m surgetank.rehearsal.drain.reference [--seed N]`, some minutes; exit status 1 when a run
ends otherwise than published, or a figure that should be exact is off by more than `TOLERANCE`.
"""

import argparse
import sys

from surgetank.rehearsal.drain.reference import bench_world, comparison, metastable
from surgetank.rehearsal.drain.reference.comparison import Row, chain_of
from surgetank.rehearsal.drain.reference.simulation import Patience

UTILISATION = 0.38
"""Where the published runs are replayed; inside the range that agrees."""
UTILISATIONS = tuple(load / 1000 for load in range(350, 405, 5))
OTHERS = (
    (3.0, 1, 0.38),
    (3.0, 2, 0.38),
    (3.0, 8, 0.38),
    (2.0, 4, 0.29),
    (5.0, 4, 0.38),
    (5.0, 4, 0.59),
)
"""Other time-outs and resends than published, each with a load: do the four outcomes tell?"""
SEEDS = 3
SPAN_S = 10_000_000.0
SHORT_SPAN_S = 400_000.0
"""For what forgets its past within seconds."""
RUNS = 100_000
WORLD_RUNS = 3


def main() -> int:
    """Prints all; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m surgetank.rehearsal.drain.reference")
    parser.add_argument("--seed", type=int, default=1)
    seed = int(parser.parse_args().seed)
    _print(f"seed {seed}\n")
    as_published = _print_experiments(seed)
    _print_range(seed)
    _print_others(seed)
    rows = _print_exact(seed)
    _print_liberties(seed)
    return 0 if as_published and all(row.agrees for row in rows) else 1


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _print_experiments(seed: int) -> bool:
    _print(f"The published retry experiment, at {UTILISATION:.1%} of the capacity")
    as_published = True
    for experiment in metastable.EXPERIMENTS:
        ending = metastable.replay(experiment, utilisation=UTILISATION, seed=seed)
        as_published &= ending.recovered == experiment.recovers
        _print(
            f"  {experiment.name:15} published {_word(recovered=experiment.recovers):9} "
            f"ours {_word(recovered=ending.recovered):9} goodput {ending.goodput_ratio:6.1%}, "
            f"{ending.amplification:.2f} calls for each operation"
        )
    return as_published


def _word(*, recovered: bool) -> str:
    return "recovers" if recovered else "stays down"


def _print_range(seed: int) -> None:
    _print(f"\nRuns of four that end as published, of {SEEDS} seeds each")
    for utilisation in UTILISATIONS:
        agreeing = [
            metastable.agreeing(utilisation=utilisation, seed=seed + more) for more in range(SEEDS)
        ]
        _print(f"  {utilisation:.1%}  {' '.join(map(str, agreeing))}")


def _print_others(seed: int) -> None:
    _print("\nThe same where time-out and resends are not the published ones")
    for timeout_s, resends, utilisation in OTHERS:
        agreeing = [
            metastable.agreeing(
                utilisation=utilisation, seed=seed + more, timeout_s=timeout_s, resends=resends
            )
            for more in range(SEEDS)
        ]
        _print(
            f"  {timeout_s:.0f} s, {resends} resends, {utilisation:.1%}  "
            + " ".join(map(str, agreeing))
        )


def _print_exact(seed: int) -> list[Row]:
    storm = chain_of(queue_max=100, patience=Patience.RANDOM)
    squalls = chain_of(queue_max=30, patience=Patience.CLOCK)
    cliff = chain_of(queue_max=100, patience=Patience.CLOCK)
    once = chain_of(queue_max=100, patience=Patience.CLOCK, tries=1)
    clock = Patience.CLOCK
    return [
        *_table(
            "The bench's own world: others' calls, a queue of 10, time-out 0.3 s",
            bench_world.crowd_rows(runs=WORLD_RUNS, seed=seed),
        ),
        *_table(
            "The bench's own world: fresh calls, of which 5% fail and are tried again",
            bench_world.fault_rows(runs=WORLD_RUNS, seed=seed),
        ),
        *_table(
            "Queue of 100 and orbit, patience random: a storm that stays",
            comparison.fate_rows(storm, span_s=SHORT_SPAN_S, seed=seed),
        ),
        *_table(
            "Queue of 30 and orbit, by the clock: storms come and go",
            comparison.fate_rows(squalls, span_s=SPAN_S, seed=seed),
        ),
        *_table(
            "Queue of 100 and orbit, by the clock: until the first storm",
            [comparison.filling_row(cliff, runs=RUNS, seed=seed)],
        ),
        *_table(
            "Queue of 100, by the clock, nobody tries again",
            comparison.waiting_rows(once, patience=clock, span_s=SPAN_S, seed=seed),
        ),
        *_table(
            "Queue of 4, all calls, patience random, up to 4 tries",
            comparison.call_rows(comparison.SMALL, span_s=SHORT_SPAN_S, seed=seed),
        ),
    ]


def _print_liberties(seed: int) -> None:
    _print("\nNo test: what the chain of queue and orbit is wrong by")
    for patience, queue_max in (
        (Patience.RANDOM, 100),
        (Patience.RANDOM, 30),
        (Patience.CLOCK, 30),
    ):
        chain = chain_of(queue_max=queue_max, patience=patience)
        rows = comparison.waiting_rows(chain, patience=patience, span_s=SHORT_SPAN_S, seed=seed)
        _table(f"Queue of {queue_max}, {patience.name.lower()}, tries counted", rows, "chain")


def _table(title: str, rows: list[Row], solved: str = "exact") -> list[Row]:
    _print(f"\n{title}\n  {'':22} {solved:>10} {'simulated':>10}")
    for row in rows:
        _print(f"  {row.name:22} {row.exact:10.4g} {row.simulated:10.4g} {row.difference:+8.2%}")
    return rows


if __name__ == "__main__":
    sys.exit(main())
