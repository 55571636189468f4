"""How far each assumed figure can move before the verdict flips.

Every assumed figure is moved to both ends of its range, alone, and the drill is judged anew. Where
an expectation that held breaks, a bisection looks for the nearest value at which it does. A flip
that comes and goes between the assumed value and an end is not seen, and neither is one of two
figures together.
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, NamedTuple

from surgetank.core.errors import ConfigError, InvalidInputError
from surgetank.rehearsal.drill.headline import strongest
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.session import Study, Task, check_plan, conduct, once
from surgetank.rehearsal.drill.study.bisection import TOLERANCE_RATIO, Flip, nearest_flip
from surgetank.rehearsal.drill.verdict import judge
from surgetank.rehearsal.scenario.reader import Source
from surgetank.rehearsal.scenario.schema import Figure, Scenario, Seat


class Sensitivity(NamedTuple):
    """What moving the figures showed."""

    runs: list[Run]
    """Those with the figures as assumed."""
    rows: list[dict[str, Any]]
    """One for each assumed figure: those that flip the verdict first, the nearest flip first."""


class _Plan(NamedTuple):
    """What is played at each value, and what must go on holding."""

    source: Source
    scenario: Scenario
    """With all figures as assumed."""
    variants: Sequence[str]
    seeds: Sequence[int]
    held: frozenset[str]
    """Texts of the expectations that are met with all figures as assumed."""


class _Side(NamedTuple):
    """What moving a figure towards one end showed."""

    flip: Flip | None = None
    refused: str | None = None
    """Why the end cannot be played; nothing between was tried then."""


def sensitivity(
    source: Source,
    *,
    variants: Sequence[str],
    seeds: Sequence[int],
    jobs: int,
    on_run: Callable[[Run], None],
    prepare: Callable[[], None],
    on_asked: Callable[[int], None] | None = None,
) -> Sensitivity:
    """Play every assumed figure at both ends of its range, and look for the flips.

    Args:
        source: The scenario.
        variants: Whose expectations make the verdict, in the order to play them: what breaks one
            spares the next. `deciding` has the usual ones.
        seeds: Of every run; at least one.
        jobs: Processes, as for `drill`.
        on_run: Told of each run as it ends.
        prepare: Called once in each process before its first run.
        on_asked: Told how many runs are asked for, each time that some are.

    Raises:
        InvalidInputError: A variant is unknown, a number is out of range, or nothing can flip: no
            expectation of these variants is met with the figures as assumed.
        SimulationError: A service failed in a way that no caller saw: our own fault.
    """
    scenario = source.scenario()
    check_plan(scenario, variants=variants, seeds=seeds)
    tasks = [Task(scenario, variant, seed) for variant in variants for seed in seeds]
    (runs,) = conduct([once(tasks)], jobs=jobs, on_run=on_run, prepare=prepare, on_asked=on_asked)
    held = frozenset(one["text"] for one in judge(scenario, runs) if one["met"])
    if not held:
        names = ", ".join(variants)
        raise InvalidInputError(
            f"{scenario.name}: with the figures as assumed no expectation of {names} is met, so "
            "none can break; play the drill to see what they miss"
        )
    plan = _Plan(source, scenario, variants, seeds, held)
    assumed = assumed_figures(scenario)
    sides = conduct(
        [_side(plan, name, one, end) for name, one in assumed.items() for end in _range(one)],
        jobs=jobs,
        on_run=on_run,
        prepare=prepare,
        on_asked=on_asked,
    )
    pairs = zip(assumed.items(), sides[::2], sides[1::2], strict=True)
    rows = [
        {
            **_row(name, figure, below, above),
            "is_played": is_played(source, name, variants=variants),
        }
        for (name, figure), below, above in pairs
    ]
    return Sensitivity(runs, sorted(rows, key=_nearest))


def deciding(scenario: Scenario) -> list[str]:
    """Name the fewest variants that decide: nobody, and everybody with the most safeguards.

    Of these, the ones that expectations speak of; where they speak of neither, all that they do.

    Raises:
        InvalidInputError: The scenario expects nothing.
    """
    spoken_of = dict.fromkeys(one.variant for one in scenario.expect)
    if not spoken_of:
        raise InvalidInputError(f"{scenario.name} expects nothing, so no verdict can flip")
    seats = scenario.variants.items()
    nobody = next((name for name, one in seats if one.seat is Seat.NOBODY), None)
    chosen = (nobody, strongest(scenario.variants))
    return [name for name in spoken_of if name in chosen] or list(spoken_of)


def assumed_figures(scenario: Scenario) -> dict[str, Figure]:
    """The figures that a sensitivity run moves, by name, in the order of the scenario."""
    return {name: one for name, one in scenario.figures.items() if one.assumed is not None}


def is_played(source: Source, name: str, *, variants: Sequence[str]) -> bool:
    """Whether any of some variants meets an assumed figure: where none does, no run tries it.

    Told from what the scenario says, without playing it; an end that cannot be read counts as met.
    """
    scenario = source.scenario()
    for end in _range(scenario.figures[name]):
        try:
            moved = source.scenario({name: end})
        except InvalidInputError:
            return True
        if any(_played_in(one, moved) != _played_in(one, scenario) for one in variants):
            return True
    return False


def was_tried(row: Mapping[str, Any]) -> bool:
    """Whether a row comes of runs; those of earlier releases do not say, and most do."""
    return bool(row.get("is_played", True))


def distance(row: Mapping[str, Any], side: str) -> float:
    """How far the flip `below` or `above` is, as a share of the assumed value; infinite: none."""
    flip = row[f"flips_{side}"]
    if flip is None:
        return inf
    # Nothing is near to 0 by shares of it: the range measures then.
    scale: float = abs(row["assumed"]) or row["high"] - row["low"]
    return float(abs(flip - row["assumed"])) / scale


def _side(plan: _Plan, name: str, figure: Figure, end: float) -> Study[_Side]:
    """Move one figure to one end of its range, and back to where the verdict flips."""
    if end == figure.value:
        return _Side()
    low, high = _range(figure)
    try:
        because = yield from _judge(plan, name, end)
    except InvalidInputError as error:
        return _Side(refused=str(error))
    if because is None:
        return _Side()
    flip = yield from nearest_flip(
        figure.value,
        Flip(end, because),
        ask=lambda value: _judge(plan, name, value),
        tolerance=TOLERANCE_RATIO * (high - low),
        is_whole=is_whole(plan.source, name, figure),
    )
    return _Side(flip)


def _judge(plan: _Plan, name: str, value: float) -> Study[str | None]:
    """Play until an expectation that held breaks: its text; None when all go on holding."""
    scenario = plan.source.scenario({name: value})
    for variant in plan.variants:
        if _played_in(variant, scenario) == _played_in(variant, plan.scenario):
            continue  # the figure is of another variant alone
        runs = yield [Task(scenario, variant, seed) for seed in plan.seeds]
        for found in judge(scenario, runs):
            if found["text"] in plan.held and not found["met"]:
                return str(found["text"])
    return None


def _played_in(variant: str, scenario: Scenario) -> Scenario:
    """What of a scenario a run of `variant` meets; figures of doors that it lacks are all alike."""
    entries = tuple(entry for entry in scenario.timeline if entry.is_of(variant))
    chosen = scenario.variants[variant]
    unmet = [
        *(() if chosen.admission else ("admission_wait_s",)),
        *(() if chosen.burst_limit else ("burst_ratio", "burst_s")),
    ]
    identity = scenario.cloud.identity.model_copy(update=dict.fromkeys(unmet, 1.0))
    return scenario.model_copy(
        update={
            "figures": {},
            "timeline": entries,
            "variants": {variant: chosen},
            "cloud": scenario.cloud.model_copy(update={"identity": identity}),
        }
    )


def is_whole(source: Source, name: str, figure: Figure) -> bool:
    """Whether a figure can only be a whole number: the file cannot be read with a fraction of it."""
    if not all(one.is_integer() for one in (figure.value, *(figure.range or ()))):
        return False
    is_most = figure.range is not None and figure.value == figure.range[1]
    try:
        source.scenario({name: figure.value + (-0.5 if is_most else 0.5)})
    except ConfigError:
        return True
    return False


def _range(figure: Figure) -> tuple[float, float]:
    assert figure.range is not None, "the schema asks for the range of what is assumed"
    return figure.range


def _row(name: str, figure: Figure, below: _Side, above: _Side) -> dict[str, Any]:
    low, high = _range(figure)
    row: dict[str, Any] = {"figure": name, "assumed": figure.value, "low": low, "high": high}
    sides = {"below": below, "above": above}
    for side, found in sides.items():
        row[f"flips_{side}"] = None if found.flip is None else found.flip.value
    nearer = min(sides, key=lambda side: distance(row, side))
    flip = sides[nearer].flip
    row["because"] = None if flip is None else flip.because
    for side, found in sides.items():
        row[f"because_{side}"] = None if found.flip is None else found.flip.because
    for side, found in sides.items():
        row[f"refused_{side}"] = found.refused
    return row


def _nearest(row: Mapping[str, Any]) -> float:
    return min(distance(row, side) for side in ("below", "above"))
