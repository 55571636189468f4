"""A published experiment in retry storms, played by the same rules as the bench's world.

Source: L. Huang, M. Magnusson, A. B. Muralikrishna, S. Estyak, R. Isaacs, A. Aghayev, T. Zhu and
A. Charapko, "Metastable Failures in the Wild", OSDI 2022; its artifact, the repository
`lexiangh/Metastability`, folder `Retry_Metastability`. A client inserts into a replicated MongoDB,
gives up after 3 s (`-o 3`) and sends again at once, at most four times (`retry=4`, `mongoC3.go`);
after 60 s the primary's CPU is cut from 2.0 to 0.45 or 0.40 for 10 or 9 s (`experiments.sh`). The
artifact's README says what came of the four runs; `EXPERIMENTS` quotes it.

What is ours: capacity goes with CPU; the primary is one queue without a limit; calls arrive at
random. The load relative to the capacity is not published, and the README says that it has to be
tuned until the runs differ: so it is the one free number here.
"""

from typing import NamedTuple

import numpy as np

from surgetank.rehearsal.drain.reference.simulation import (
    NEVER,
    Patience,
    Rules,
    advance,
    begin,
    measure,
)

CPU = 2.0
"""The primary's CPUs, before the trigger and after."""
TIMEOUT_S = 3.0
RESENDS = 4
BEFORE_S = 60.0
AFTER_S = 120.0
"""Ten times the longest trigger, and as long as ten generations of four resends."""
JUDGED_S = 30.0
"""The last seconds, in which a run is up or down."""
GOOD_RATIO = 0.9
"""Share of operations served in time from which on a run counts as recovered; runs end below 0.05
or above 0.99."""
CAPACITY_PER_S = 10_000.0
"""Of the order of the real one. At 1,000 two seeds in three differ near the edges."""
ROOM = 1 << 22
"""Calls that the queue has room for: at most 5 tries of every arrival would wait."""


class Experiment(NamedTuple):
    """One published run."""

    name: str
    """As the artifact calls it."""
    published: str
    """What its README says of it, word for word."""
    cpu: float
    """CPUs while the trigger lasts."""
    trigger_s: float
    load_ratio: float
    """Load over that of the first run; the README's -30%. (Its script sends each 100 us instead of
    each 75, which is -25%.)"""
    recovers: bool
    """What was published."""


class Ending(NamedTuple):
    """How a run ended."""

    goodput_ratio: float
    """Operations served in time over those that arrived, in the last `JUDGED_S`."""
    amplification: float
    """Calls sent for each operation that arrived, in the same time."""

    @property
    def recovered(self) -> bool:
        """Whether it is up."""
        return self.goodput_ratio >= GOOD_RATIO


EXPERIMENTS = (
    Experiment(
        "baseline",
        "a) Baseline with no metastable failure trigger 10 sec, -78% CPU",
        cpu=0.45,
        trigger_s=10.0,
        load_ratio=1.0,
        recovers=True,
    ),
    Experiment(
        "metastable",
        "b) Increased trigger magnitude causes metastable failure 10 sec, -80% CPU",
        cpu=0.40,
        trigger_s=10.0,
        load_ratio=1.0,
        recovers=False,
    ),
    Experiment(
        "no_metastable1",
        "c) Decreased trigger aversts metastable failure, 9 sec, -80% CPU",
        cpu=0.40,
        trigger_s=9.0,
        load_ratio=1.0,
        recovers=True,
    ),
    Experiment(
        "no_metastable2",
        "d) Reduced load averts metastable failure, 10 sec, ~80% CPU, -30% RPS",
        cpu=0.40,
        trigger_s=10.0,
        load_ratio=0.7,
        recovers=True,
    ),
)


def replay(
    experiment: Experiment,
    *,
    utilisation: float,
    seed: int,
    timeout_s: float = TIMEOUT_S,
    resends: int = RESENDS,
) -> Ending:
    """Plays one run.

    Args:
        experiment: Which.
        utilisation: Load of the first run over the capacity, before the trigger; between 0 and 1.
        seed: Of the arrivals and services.
        timeout_s: Seconds after which a caller gives up; as published, or to see what it matters.
        resends: Calls after the first; likewise.
    """
    chance = np.random.default_rng(seed)
    none_lost = np.zeros(0)  # only a fate would look
    arrivals_per_s = utilisation * experiment.load_ratio * CAPACITY_PER_S
    whole = Rules(
        arrivals_per_s=arrivals_per_s,
        services_per_s=CAPACITY_PER_S,
        queue_max=ROOM,
        timeout_s=timeout_s,
        patience=Patience.CLOCK.value,
        tries_max=1 + resends,
    )
    cut = whole._replace(services_per_s=CAPACITY_PER_S * experiment.cpu / CPU)
    calls = begin(ROOM)
    restored_s = BEFORE_S + experiment.trigger_s
    end_s = restored_s + AFTER_S
    advance(whole, none_lost, calls, BEFORE_S, NEVER, chance)
    advance(cut, none_lost, calls, restored_s, NEVER, chance)
    advance(whole, none_lost, calls, end_s - JUDGED_S, NEVER, chance)
    seen = measure(whole, calls, end_s, none_lost, chance)
    return Ending(seen.goodput_per_s / arrivals_per_s, seen.offered_per_s / arrivals_per_s)


def agreeing(
    *, utilisation: float, seed: int, timeout_s: float = TIMEOUT_S, resends: int = RESENDS
) -> int:
    """How many of the four runs end as published; for the arguments see `replay`."""
    endings = [
        replay(experiment, utilisation=utilisation, seed=seed, timeout_s=timeout_s, resends=resends)
        for experiment in EXPERIMENTS
    ]
    return sum(
        ending.recovered == experiment.recovers
        for ending, experiment in zip(endings, EXPERIMENTS, strict=True)
    )
