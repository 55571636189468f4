"""Puts runs together: seeds to worlds, worlds to one line for each law.

Quantiles are of nearest rank, so that each is a value that was seen; what never came about is
worse than any number. Fresh operations are judged by their success where they can all be served,
and by how soon they are served again where they alone are too much for a while.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from surgetank.rehearsal import quantile as quantiles
from surgetank.rehearsal.drain.document import (
    RATIO_MAX,
    Document,
    FreshSummary,
    LawResult,
    PlayedWorld,
    Quantiles,
    RecoverySummary,
    RunResult,
    Summary,
    WorldResult,
)
from surgetank.rehearsal.drain.world import World, is_short, optimum_s

FRESH_SUCCESS_MIN = 0.999
"""Share of fresh operations that end well in a world where a law does no harm."""
RESTORED_S_MAX = 60.0
"""Seconds in which fresh operations are served again where a law does no harm."""
MEDIAN = 0.5
P90 = 0.9
WORST = 1.0


class Run(NamedTuple):
    """What came of one law in one world with one seed."""

    law: str
    world: str
    seed: int
    drained_s: float | None
    """Seconds until the backlog was drained; None: it was not."""
    fresh_success: float
    """Share of fresh operations that ended well."""
    fresh_restored_s: float | None
    """Seconds from capacity to fresh operations that end well for good; None: never."""
    overload_s: float
    wasted_ratio: float
    shed_ratio: float
    requests: int


class Case(NamedTuple):
    """One world of a bench, and how it is played."""

    name: str
    world: World
    seeds: Sequence[int]
    """At least one."""
    requests_max: int
    """Calls after which a run counts as hopeless."""


def build(cases: Sequence[Case], runs: Sequence[Run]) -> Document:
    """Put runs together.

    Args:
        cases: The worlds, each with a name of its own; at least one.
        runs: Of each law, every case with every seed; in any order. Laws come in the order of
            their first run.
    """
    by_law: dict[str, dict[str, list[Run]]] = {}
    for run in runs:
        by_law.setdefault(run.law, {case.name: [] for case in cases})[run.world].append(run)
    laws = {law: _law_result(cases, of_case) for law, of_case in by_law.items()}
    worlds = {
        case.name: PlayedWorld(
            optimum_s=optimum_s(case.world),
            judged_by="recovery" if is_short(case.world) else "success",
            requests_max=case.requests_max,
            keys=case.world,
        )
        for case in cases
    }
    return Document(schema="surgetank/drain-bench/v1", worlds=worlds, laws=laws)


def quantile(values: Iterable[float], share: float) -> float:
    """The nearest-rank quantile of at least one value."""
    found = quantiles.quantile(values, share)
    assert found is not None, "a quantile of nothing"
    return found


def summarise(worlds: Mapping[str, WorldResult], short: Iterable[str]) -> Summary:
    """Put the worlds of one law together.

    Args:
        worlds: By name; at least one.
        short: Names of those where fresh and unseen load alone are too much for a while.
    """
    apart = frozenset(short)
    every = list(worlds.values())
    served = [one for name, one in worlds.items() if name not in apart]
    starved = [one for name, one in worlds.items() if name in apart]
    return Summary(
        worlds=len(every),
        drained_share=_share(one.drained for one in every) or 0.0,
        ratio=_quantiles(one.ratio for one in every),
        fresh=FreshSummary(
            worlds=len(served),
            share=_share(one.fresh_success >= FRESH_SUCCESS_MIN for one in served),
            minimum=min((one.fresh_success for one in served), default=None),
        ),
        recovery=_recovery([one.fresh_restored_s for one in starved]),
        overload_s=_quantiles(one.overload_s for one in every),
        wasted_ratio=_quantiles(one.wasted_ratio for one in every),
    )


def _law_result(cases: Sequence[Case], of_case: Mapping[str, Sequence[Run]]) -> LawResult:
    found = {case.name: _world_result(case.world, of_case[case.name]) for case in cases}
    short = [case.name for case in cases if is_short(case.world)]
    return LawResult(worlds=found, summary=summarise(found, short))


def _world_result(world: World, runs: Sequence[Run]) -> WorldResult:
    least_s = optimum_s(world)
    seeds = {str(run.seed): _run_result(run, least_s) for run in runs}
    every = list(seeds.values())
    return WorldResult(
        drained=all(one.drained for one in every),
        ratio=quantile((one.ratio for one in every), MEDIAN),
        fresh_success=min(one.fresh_success for one in every),
        fresh_restored_s=_most(one.fresh_restored_s for one in every),
        overload_s=quantile((one.overload_s for one in every), MEDIAN),
        wasted_ratio=quantile((one.wasted_ratio for one in every), MEDIAN),
        shed_ratio=quantile((one.shed_ratio for one in every), MEDIAN),
        requests=round(quantile((one.requests for one in every), MEDIAN)),
        seeds=seeds,
    )


def _run_result(run: Run, least_s: float) -> RunResult:
    is_drained = run.drained_s is not None and run.drained_s <= RATIO_MAX * least_s
    return RunResult(
        drained=is_drained,
        ratio=run.drained_s / least_s if is_drained and run.drained_s else RATIO_MAX,
        fresh_success=run.fresh_success,
        fresh_restored_s=run.fresh_restored_s,
        overload_s=run.overload_s,
        wasted_ratio=run.wasted_ratio,
        shed_ratio=run.shed_ratio,
        requests=run.requests,
    )


def _recovery(seconds: Sequence[float | None]) -> RecoverySummary:
    if not seconds:
        return RecoverySummary(worlds=0, share=None, median_s=None, p90_s=None, worst_s=None)
    return RecoverySummary(
        worlds=len(seconds),
        share=_share(one is not None and one <= RESTORED_S_MAX for one in seconds),
        median_s=quantiles.quantile(seconds, MEDIAN),
        p90_s=quantiles.quantile(seconds, P90),
        worst_s=quantiles.quantile(seconds, WORST),
    )


def _quantiles(values: Iterable[float]) -> Quantiles:
    every = list(values)
    return Quantiles(
        median=quantile(every, MEDIAN), p90=quantile(every, P90), worst=quantile(every, WORST)
    )


def _share(facts: Iterable[bool]) -> float | None:
    every = list(facts)
    return sum(every) / len(every) if every else None


def _most(values: Iterable[float | None]) -> float | None:
    every = list(values)
    known = [one for one in every if one is not None]
    return max(known) if len(known) == len(every) else None
