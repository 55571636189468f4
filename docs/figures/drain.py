# ruff: noqa: INP001 - run from the root of the repository; part of no package
"""What the page on the drain bench says: every law, and ours without one part, in equal worlds.

To measure anew in worlds that nobody has seen, change `SEED` and run `python -m docs.figures drain`.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from docs.figures.page import Made, lines

from surgetank.rehearsal.drain import bench, plot
from surgetank.rehearsal.drain.ablation import ABLATED, OURS
from surgetank.rehearsal.drain.bench import WRAPPED, Task
from surgetank.rehearsal.drain.document import Document, Summary, WorldResult
from surgetank.rehearsal.drain.summary import Case, build, summarise
from surgetank.rehearsal.drain.terminal import percent
from surgetank.rehearsal.drain.world import World
from surgetank.rehearsal.drill.output.markdown import block, code, table

SEED = 70_001
"""Of the first world: odd, as laws are tuned on even seeds, and never looked at before."""
WORLDS = 100
SLOWEST = 10
"""Worlds of ours that are listed; more where more were lost."""
SCORE = 1.96
"""Standard deviations within which 19 of 20 values of a normal distribution lie."""
_SLOW_PER_S, _FAST_PER_S = 20.0, 100.0
_LAW_HEAD = (
    "law", "done", "median", "p90", "worst", "fresh", "least", "back", "over", "waste",
)  # fmt: skip


def drain(jobs: int) -> Made:
    """Play every law, bare and wrapped, and ours without one part, in the worlds of the page."""
    return study(bench.law_names(), bench.random_cases(WORLDS, seed=SEED, requests_max=None), jobs)


def study(laws: Sequence[str], cases: Sequence[Case], jobs: int) -> Made:
    """Play laws, and what is left of ours without one part, in cases.

    Args:
        laws: Ours first, bare and wrapped, and at least one peer.
        cases: At least one.
        jobs: Processes.
    """
    changed = [f"{name}{WRAPPED}" for name in ABLATED]
    work = bench.tasks([*laws, *changed], cases)
    runs = bench.conduct(work, bench.play_task, jobs=jobs, on_end=_ignore)
    found = build(cases, [run for run in runs if run.law not in changed])
    ablated = build(cases, [run for run in runs if run.law in changed])
    drawn = plot.render(found, bench.play_timeline(bench.slowest(found, cases)))
    return Made(facts(found, ablated), {"drain.svg": drawn})


def facts(found: Document, ablated: Document) -> dict[str, str]:
    """Say what came of it.

    Args:
        found: Ours, bare and wrapped, and at least one peer.
        ablated: Every ablation, wrapped, in the same worlds.
    """
    summaries = {name: result.summary for name, result in found.laws.items()}
    peers = {name: one for name, one in summaries.items() if name.removesuffix(WRAPPED) != OURS}
    best = max(peers, key=lambda name: (peers[name].drained_share, -peers[name].ratio.median))
    kindest = max(peers, key=lambda name: (peers[name].fresh.share or 0.0, best == name))
    made = {
        "command": lines(block([_command()])),
        "worlds": str(len(found.worlds)),
        "runs": f"{len(found.worlds) * len(found.laws):,}",
        "chance": _chance(summaries[OURS]),
        "table": lines(
            table(_LAW_HEAD, ([code(name), *_cells(one)] for name, one in summaries.items()))
        ),
        "lost": _count_lost(found),
        "slowest": lines(_slowest(found)),
        "kinds": lines(_kinds(found)),
        "ablations": lines(_ablations(found, ablated)),
        "best.law": code(best),
        "best.done": percent(peers[best].drained_share),
        "kindest.law": code(kindest),
        "kindest.fresh": percent(peers[kindest].fresh.share),
        "kindest.done": percent(peers[kindest].drained_share),
    }
    for name, one in summaries.items():
        law, form = name.removesuffix(WRAPPED), "wrapped" if name.endswith(WRAPPED) else "bare"
        made[f"{law}.{form}.done"] = percent(one.drained_share)
        made[f"{law}.{form}.median"] = f"{one.ratio.median:.3f}"
        made[f"{law}.{form}.p90"] = f"{one.ratio.p90:.3f}"
        made[f"{law}.{form}.fresh"] = percent(one.fresh.share)
    return made


def interval(share: float, count: int) -> tuple[float, float]:
    """Bounds between which the share of all worlds lies, 19 times of 20, by a share of `count`.

    Source: Wilson (1927), the score interval; it holds near 0 and 1 too.
    """
    weight = SCORE**2 / count
    middle = (share + weight / 2) / (1 + weight)
    half = SCORE / (1 + weight) * math.sqrt(share * (1 - share) / count + weight / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def what(world: World) -> str:
    """Say in some words what is hard about a world."""
    parts = [f"{world.capacity_per_s:.3g} calls a second"]
    if world.workers > 1:
        bond = "that share nothing" if _is_alone(world) else "that share what they learn"
        parts.append(f"{world.workers} workers {bond}")
    if world.is_crashing:
        parts.append("nodes crash")
    if _has_others(world):
        parts.append("others call")
    least = min((change.capacity_ratio for change in world.schedule), default=1.0)
    if least < 1.0:
        parts.append(f"capacity falls to {least:.0%}")
    if any(change.latency_factor > 1.0 for change in world.schedule):
        parts.append("answers slow down")
    return ", ".join(parts)


def _is_alone(world: World) -> bool:
    return world.workers > 1 and not world.is_shared


def _has_others(world: World) -> bool:
    return world.unseen_ratio > 0 or any(change.unseen_ratio for change in world.schedule)


def _command() -> str:
    outputs = "--json drain.json --plot drain.svg"
    return f"surgetank bench drain --random {WORLDS} --seed {SEED} {outputs}"


def _chance(found: Summary) -> str:
    low, high = interval(found.drained_share, found.worlds)
    return f"{percent(low)} to {percent(high)}"


def _cells(found: Summary) -> list[str]:
    """What the terminal says of a law, in the same columns."""
    return [
        *_times(found),
        percent(found.fresh.share),
        percent(found.fresh.minimum),
        percent(found.recovery.share),
        f"{found.overload_s.median:.0f} s",
        percent(found.wasted_ratio.median),
    ]


def _times(found: Summary) -> list[str]:
    ratio = found.ratio
    ratios = (ratio.median, ratio.p90, ratio.worst)
    return [percent(found.drained_share), *(f"{one:.3f}" for one in ratios)]


def _both(found: Document, name: str) -> tuple[WorldResult, WorldResult]:
    """Ours in one world, bare and wrapped."""
    return found.laws[OURS].worlds[name], found.laws[OURS + WRAPPED].worlds[name]


def _count_lost(found: Document) -> str:
    bare, wrapped = (
        sum(not _both(found, name)[form].drained for name in found.worlds) for form in (0, 1)
    )
    return f"{bare} bare, {wrapped} with the breaker"


def _slowest(found: Document) -> list[str]:
    """List what ours lost, bare or wrapped, and then where it is slowest."""

    def rank(name: str) -> tuple[bool, float, str]:
        both = _both(found, name)
        return all(one.drained for one in both), -max(one.ratio for one in both), name

    def cells(name: str) -> Iterator[str]:
        yield code(name)
        yield what(found.worlds[name].keys)
        for one in _both(found, name):
            yield f"{one.ratio:.3f}" if one.drained else "lost"
        yield percent(_both(found, name)[1].fresh_success)

    ranked = sorted(found.worlds, key=rank)
    losses = sum(not rank(name)[0] for name in ranked)
    head = ("world", "what it is", "bare", "with the breaker", "fresh")
    return table(head, ([*cells(name)] for name in ranked[: max(SLOWEST, losses)]))


def _kinds(found: Document) -> list[str]:
    """Look at some kinds of world apart; a kind that none is of is left out."""
    worlds = found.laws[OURS + WRAPPED].worlds
    short = {name for name, one in found.worlds.items() if one.judged_by == "recovery"}

    def rows() -> Iterator[list[str]]:
        for kind, is_of in KINDS.items():
            some = {name: one for name, one in worlds.items() if is_of(found.worlds[name].keys)}
            if some:
                summary = summarise(some, short & some.keys())
                yield [kind, str(len(some)), *_times(summary), percent(summary.fresh.share)]

    return table(("worlds where", "worlds", "done", "median", "p90", "worst", "fresh"), rows())


def _ablations(found: Document, ablated: Document) -> list[str]:
    def row(title: str, name: str, one: Summary) -> list[str]:
        return [title, code(name), *_times(one), percent(one.fresh.share)]

    def rows() -> Iterable[list[str]]:
        whole = OURS + WRAPPED
        yield row("the law as it is", whole, found.laws[whole].summary)
        for name, one in ABLATED.items():
            yield row(one.title, name + WRAPPED, ablated.laws[name + WRAPPED].summary)
        yield row("no breaker", OURS, found.laws[OURS].summary)

    return table(("changed", "law", "done", "median", "p90", "worst", "fresh"), rows())


def _ignore(_: Task) -> None:
    """Nobody watches."""


KINDS: Mapping[str, Callable[[World], bool]] = MappingProxyType(
    {
        "below 20 calls a second": lambda world: world.capacity_per_s < _SLOW_PER_S,
        "20 to 100": lambda world: _SLOW_PER_S <= world.capacity_per_s < _FAST_PER_S,
        "100 and more": lambda world: world.capacity_per_s >= _FAST_PER_S,
        "one caller, or workers that share what they learn": lambda world: not _is_alone(world),
        "workers that share nothing": _is_alone,
        "nodes crash": lambda world: world.is_crashing,
        "nodes crash, and others call": lambda world: world.is_crashing and _has_others(world),
    }
)
"""Worlds that are looked at apart; one may be of several kinds."""
