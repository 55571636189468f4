"""A sweep: one setting of a variant, or one figure of the scenario, moved through some values.

Each value makes a variant of its own, named `VARIANT@NAME=VALUE`, that is played with all seeds.
Who is covered at a share is every n-th arrival, so the seat stays what it is: a governed share of
the load is everybody, each in part.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf, isfinite
from typing import Any, NamedTuple

from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drill.comparison import tokens_s
from surgetank.rehearsal.drill.digest import digest
from surgetank.rehearsal.drill.headline import strongest
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.result import build_result
from surgetank.rehearsal.drill.session import Study, Task, check_plan, conduct
from surgetank.rehearsal.drill.study.bisection import between
from surgetank.rehearsal.drill.study.sensitivity import is_whole
from surgetank.rehearsal.drill.study.turning import change, turning_point
from surgetank.rehearsal.drill.wording import listing, percent, plain
from surgetank.rehearsal.quantile import quantile
from surgetank.rehearsal.scenario.reader import Source
from surgetank.rehearsal.scenario.schema import Scenario, Seat, Variant

VALUES_MAX = 20
"""Values of one sweep: more are more than a table of them can show."""
REFINE_MAX = 4
"""Values that a sweep may add by itself for each variant: they halve the gap four times."""
SHARE = "share"
WARM_RATIO = "warm_ratio"
OWN_SHARE = "own_share"
_SETTINGS = {SHARE: "share", WARM_RATIO: "mirror_warm_ratio"}
"""What is set in the variant, by the name that a sweep has for it; other names are figures."""
_STATED_SHARE = re.compile(r"[0-9.]+%(?= of the load)")
_FORM = "NAME=VALUE,VALUE,... as share=0.01,0.1,1"


class Sweep(NamedTuple):
    """What moves through which values."""

    name: str
    values: tuple[float, ...]
    """From 1 to `VALUES_MAX`, each once, in ascending order."""


class Swept(NamedTuple):
    """What a sweep found."""

    scenario: Scenario
    """With the variants that were made."""
    runs: list[Run]
    result: dict[str, Any]


class _Point(NamedTuple):
    """One value, set in one variant."""

    value: float
    of: str
    """The variant that it was made from."""
    name: str
    """The variant that it makes."""
    title: str
    scenario: Scenario
    """Has the value in place in the variant `of`, and what the timeline says of that one holds."""

    def tasks(self, seeds: Sequence[int]) -> list[Task]:
        """What to play."""
        return [Task(self.scenario, self.of, seed) for seed in seeds]


class _Played(NamedTuple):
    """A point and its runs, by seed."""

    point: _Point
    runs: list[Run]


def read_sweep(text: str) -> Sweep:
    """Read `NAME=VALUE,VALUE,...`; values count to six digits, as they are written again.

    Raises:
        InvalidInputError: It is not of that form, or says too much.
    """
    name, equals, values = text.partition("=")
    try:
        numbers = [float(plain(float(one))) for one in values.split(",")]
    except ValueError:
        numbers = []
    if not (name and equals and numbers and all(map(isfinite, numbers))):
        raise InvalidInputError(f"sweep {text!r}: write {_FORM}")
    if len(numbers) > VALUES_MAX:
        raise InvalidInputError(f"sweep of {len(numbers)} values: write at most {VALUES_MAX}")
    twice = next((one for one in numbers if numbers.count(one) > 1), None)
    if twice is not None:
        raise InvalidInputError(f"sweep {text!r}: {plain(twice)} is there twice; once would do")
    return Sweep(name, tuple(sorted(numbers)))


def sweep(
    source: Source,
    wanted: Sweep,
    *,
    variants: Sequence[str],
    seeds: Sequence[int],
    refine: int,
    jobs: int,
    on_run: Callable[[Run], None],
    prepare: Callable[[], None],
    on_asked: Callable[[int], None] | None = None,
) -> Swept:
    """Play a sweep; where the second outage goes or comes between two values, look between them.

    Args:
        source: The scenario.
        wanted: What moves.
        variants: In which variants; none named: in the one with the most safeguards everywhere.
        seeds: Of every run; at least one.
        refine: Values to add for each variant, from 0 to `REFINE_MAX`.
        jobs: Processes, as for `drill`.
        on_run: Told of each run as it ends.
        prepare: Called once in each process before its first run.
        on_asked: Told how many runs are asked for, each time that some are.

    Raises:
        InvalidInputError: A name is unknown, or a value out of range; nothing was played.
        SimulationError: A service failed in a way that no caller saw: our own fault.
    """
    if not 0 <= refine <= REFINE_MAX:
        raise InvalidInputError(f"from 0 to {REFINE_MAX} values can be added")
    scenario = source.scenario()
    names = list(variants) or usual_variants(scenario)
    check_plan(scenario, variants=names, seeds=seeds)
    _check_name(scenario, wanted.name)
    makers = [_Maker(source, scenario, wanted.name, of) for of in names]
    points = [[maker.point(value) for value in wanted.values] for maker in makers]
    found = conduct(
        [_study(*pair, seeds=seeds, refine=refine) for pair in zip(makers, points, strict=True)],
        jobs=jobs,
        on_run=on_run,
        prepare=prepare,
        on_asked=on_asked,
    )
    return _build(scenario, wanted.name, names, [played for study in found for played in study])


def usual_variants(scenario: Scenario) -> list[str]:
    """Name the variant that is swept when none is named."""
    name = strongest(scenario.variants)
    if name is None:
        known = ", ".join(scenario.variants)
        raise InvalidInputError(
            f"no variant of {scenario.name} has seat everybody: name one of {known}"
        )
    return [name]


def restated_title(variant: Variant, name: str, *, share: str) -> str | None:
    """Put another share into a title that states the one which `name` moves; None: it does not."""
    is_moved = name == OWN_SHARE and variant.seat is Seat.YOU
    if not is_moved or _STATED_SHARE.search(variant.title) is None:
        return None
    return _STATED_SHARE.sub(lambda _: share, variant.title)


def _study(
    maker: "_Maker", points: Sequence[_Point], *, seeds: Sequence[int], refine: int
) -> Study[list[_Played]]:
    """Play the points of one variant, and some between those where the outage goes or comes."""
    runs = yield [task for point in points for task in point.tasks(seeds)]
    count = len(seeds)
    played = {
        point.value: _Played(point, runs[count * index : count * (index + 1)])
        for index, point in enumerate(points)
    }
    is_whole = refine > 0 and maker.is_whole()
    for _ in range(refine):
        turn = change({value: _is_out(one.runs) for value, one in played.items()})
        value = None if turn is None else between(*turn, is_whole=is_whole)
        if value is None:
            break
        point = maker.point(value)
        played[value] = _Played(point, (yield point.tasks(seeds)))
    return [played[value] for value in sorted(played)]


def _is_out(runs: Sequence[Run]) -> bool:
    return bool(quantile([tokens_s(run.metrics) for run in runs], 0.5))


def _build(
    scenario: Scenario, name: str, variants: Sequence[str], played: Sequence[_Played]
) -> Swept:
    points = [one.point for one in played]
    made = {
        point.name: point.scenario.variants[point.of].model_copy(update={"title": point.title})
        for point in points
    }
    whole = scenario.model_copy(update={"variants": {**scenario.variants, **made}})
    runs = [run._replace(variant=one.point.name) for one in played for run in one.runs]
    result = build_result(whole, runs)
    result["scenario_digest"] = digest(scenario)  # What is swept is not in the file.
    result["sweep"] = {
        "name": name,
        "variants": list(variants),
        "points": [
            {"value": point.value, "variant": point.name, "of": point.of} for point in points
        ],
    }
    turns = [turning_point(result, of) for of in variants]
    result["sweep"]["turning_points"] = [turn for turn in turns if turn is not None]
    return Swept(whole, runs, result)


@dataclass(frozen=True, slots=True)
class _Maker:
    """Sets values of one name in one variant."""

    source: Source
    scenario: Scenario
    """With the figures as they are written."""
    name: str
    of: str

    def point(self, value: float) -> _Point:
        """Set a value, or say why not."""
        scenario = self._set(value) if self.name in _SETTINGS else self._move(value)
        return _Point(
            value=value,
            of=self.of,
            name=f"{self.of}@{self.name}={plain(value)}",
            title=self._title(value),
            scenario=scenario,
        )

    def _title(self, value: float) -> str:
        variant = self.scenario.variants[self.of]
        stated = restated_title(variant, self.name, share=f"{plain(100 * value)}%")
        if stated is not None:
            return stated
        said = {SHARE: f"share {plain(value)}", WARM_RATIO: f"mirror {percent(value)} warm"}
        return f"{variant.title}, {said.get(self.name, f'{self.name} {plain(value)}')}"

    def is_whole(self) -> bool:
        """Whether only whole numbers can be set."""
        figure = self.scenario.figures.get(self.name)
        return (
            self.name not in _SETTINGS
            and figure is not None
            and is_whole(self.source, self.name, figure)
        )

    def _set(self, value: float) -> Scenario:
        before = self.scenario.variants[self.of]
        _check_setting(self.scenario, self.name, self.of)
        if not 0 <= value <= 1:
            raise InvalidInputError(f"{self.name} = {plain(value)}: from 0 to 1 would do")
        after = before.model_copy(update={_SETTINGS[self.name]: value})
        variants = {**self.scenario.variants, self.of: after}
        return self.scenario.model_copy(update={"variants": variants})

    def _move(self, value: float) -> Scenario:
        low, high = self.scenario.figures[self.name].range or (-inf, inf)
        if not low <= value <= high:
            raise InvalidInputError(
                f"{self.name} = {plain(value)}: it may lie from {plain(low)} to {plain(high)}; "
                "a copy of the scenario can say otherwise"
            )
        return self.source.scenario({self.name: value})


def _check_name(scenario: Scenario, name: str) -> None:
    known = [*_SETTINGS, *scenario.figures]
    if name not in known:
        near = get_close_matches(name, known, n=1)
        would_do = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
        raise InvalidInputError(f"sweep of {name!r}: {would_do}")


def _check_setting(scenario: Scenario, name: str, of: str) -> None:
    """Refuse to set what would change nothing, or what the scenario sets itself."""

    def fits(one: Variant) -> bool:
        return one.seat is Seat.EVERYBODY if name == SHARE else one.mirror_warm_ratio is not None

    variants = scenario.variants
    if not fits(variants[of]):
        why = "its seat is not everybody" if name == SHARE else "it has no mirror"
        fit = [key for key, one in variants.items() if fits(one)]
        raise InvalidInputError(f"{name} of {of}: {why}; of {listing(fit) or 'none'} it can be set")
