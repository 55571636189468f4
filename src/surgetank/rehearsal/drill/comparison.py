"""Who stands how after a drill: one row a variant, for the terminal, the bars and the headline.

The figures of a seat are those that it can answer for: the row of `you` holds your own creates,
and beneath it the same work of yours without safeguards, out of the variant where nobody acts.
Tokens are always the cloud's: a customer does not save an issuer.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.result import QUANTILES
from surgetank.rehearsal.quantile import quantile
from surgetank.rehearsal.scenario.schema import Expectation, Scenario, Seat

WITHOUT = "your work without it"


class Spread(NamedTuple):
    """A figure over seeds; None where it never came about, or nothing was there to measure."""

    median: float | None
    p5: float | None
    p95: float | None


class Standing(NamedTuple):
    """One row of the comparison."""

    name: str
    """The variant that the figures come from."""
    title: str
    seat: Seat
    blocked_s: Spread
    """Seconds in which creates were in outage."""
    tokens_s: Spread
    """Seconds in which tokens were in outage, in the region where that took longest."""
    fresh_ratio: Spread
    done_ratio: Spread | None
    """Operations done in the end, over submitted; None where the row is not the cloud's."""
    wasted_ratio: Spread | None
    """None where the row is not the cloud's."""
    is_own: bool
    """Whether creates are yours alone; tokens never are."""

    @property
    def is_beneath(self) -> bool:
        """Whether it says what yours would have been, under the row that says what they were."""
        return self.is_own and self.seat is not Seat.YOU


def standings(result: Mapping[str, Any]) -> list[Standing]:
    """Give the rows in the order of the scenario's variants."""
    nobody = seated(result, Seat.NOBODY)
    rows: list[Standing] = []
    for name, variant in result["variants"].items():
        is_own = variant["seat"] == Seat.YOU
        rows.append(_standing(name, variant, variant["title"], is_own=is_own))
        if is_own and nobody is not None:
            without = result["variants"][nobody]
            rows.append(_standing(nobody, without, WITHOUT, is_own=True))
    return rows


def seated(result: Mapping[str, Any], seat: Seat) -> str | None:
    """Name the first variant of a seat; None when none was played."""
    variants = result["variants"].items()
    return next((name for name, variant in variants if variant["seat"] == seat), None)


def judged(
    scenario: Scenario, result: Mapping[str, Any]
) -> list[tuple[Expectation, Mapping[str, Any]]]:
    """Pair each expectation that was judged with what was found."""
    played = [one for one in scenario.expect if one.variant in result["variants"]]
    return list(zip(played, result["expectations"], strict=True))


def worst(scenario: Scenario, result: Mapping[str, Any]) -> tuple[str, int]:
    """Name the run that is most worth a second look, as (variant, seed).

    That is the one furthest from the first expectation not met; when all are met, the one in which
    tokens, and then creates, were in outage longest, with nobody acting where that was played.
    """
    failed = next((one for one, found in judged(scenario, result) if not found["met"]), None)
    wanted = seated(result, Seat.NOBODY) if failed is None else failed.variant
    runs = [
        (name, int(seed), one["metrics"])
        for name, variant in result["variants"].items()
        if wanted in (None, name)
        for seed, one in variant["seeds"].items()
    ]

    def badness(run: tuple[str, int, Any]) -> tuple[float, float]:
        metrics = run[2]
        if failed is None:
            return tokens_s(metrics), metrics["provisioning_outage_s"]
        value = metrics[failed.metric]
        if failed.key is not None:
            value = value.get(failed.key)
        if value is None:
            return 1.0, 0.0
        return 0.0, value if failed.at_least is None else -value

    name, seed, _ = max(runs, key=badness)
    return name, seed


def median_run(runs: Sequence[Run], variant: str) -> Run:
    """Give the run in the middle of a variant's seeds, by outage of tokens and then of creates."""
    mine = [run for run in runs if run.variant == variant]
    assert mine, f"{variant} was not played"

    def rank(run: Run) -> tuple[float, Any, int]:
        return tokens_s(run.metrics), run.metrics["provisioning_outage_s"], run.seed

    return sorted(mine, key=rank)[ceil(len(mine) / 2) - 1]


def tokens_s(metrics: Mapping[str, Any]) -> float:
    """Seconds of outage of tokens in the region where it took longest."""
    by_region: Mapping[str, float] = metrics["identity_outage_s"]
    return max(by_region.values(), default=0.0)


def spread(variant: Mapping[str, Any], measure: Callable[[Mapping[str, Any]], Any]) -> Spread:
    """Summarise a measure of each seed's metrics."""
    values = [measure(seed["metrics"]) for seed in variant["seeds"].values()]
    found = {name: quantile(values, share) for name, share in QUANTILES.items()}
    return Spread(**found)


def _standing(name: str, variant: Mapping[str, Any], title: str, *, is_own: bool) -> Standing:
    prefix = "own_" if is_own else ""
    return Standing(
        name=name,
        title=title,
        seat=Seat(variant["seat"]),
        blocked_s=spread(variant, lambda metrics: metrics[f"{prefix}provisioning_outage_s"]),
        tokens_s=spread(variant, tokens_s),
        fresh_ratio=spread(variant, lambda metrics: metrics[f"{prefix}fresh_success_ratio"]),
        done_ratio=None if is_own else spread(variant, done_ratio),
        wasted_ratio=None if is_own else spread(variant, lambda metrics: metrics["wasted_ratio"]),
        is_own=is_own,
    )


def replay_command(scenario: Scenario, result: Mapping[str, Any], *, source: str) -> str:
    """What to type to see the worst run again; `source` is the file or name it was read from."""
    variant, seed = worst(scenario, result)
    words = [source or scenario.name]
    swept = result.get("sweep", {"points": []})
    for point in swept["points"]:
        if point["variant"] == variant:  # one that the sweep made: no file knows it
            words += ["--sweep", f"{swept['name']}={point['value']:.6g}"]
            variant = point["of"]
            break
    words += ["--variant", variant, "--seed", str(seed)]
    return shlex.join(["surgetank", "drill", *words])


def done_ratio(metrics: Mapping[str, Any]) -> float | None:
    """Operations done in the end, over submitted; None where none was."""
    submitted: float = metrics["operations_submitted"]
    done: float = metrics["operations_succeeded"]
    return done / submitted if submitted else None
