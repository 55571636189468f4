"""What changed from one drill to the next: better, worse, the same, or unclear.

Two results of one scenario are held against each other, variant by variant and metric by metric.
The rule, for a metric that has a better way (`direction.py`):

- *Allowed* is the tolerance times the median before, or times 10 minutes, a tenth, or ten
  operations where that is more: seconds on an outage of none are no alarm. A ratio of successes
  counts by what is short of all, so that from 99.9% to 92% is not small.
- Worse: the median moved the wrong way by more than is allowed, and every seed after is worse
  than every seed before, from p5 to p95: the move exceeds the spread of both.
- Better: the same the other way round.
- Unclear: the median moved by more than is allowed but the seeds overlap, or only the bad end of
  the seeds moved. It is shown and fails nothing; more seeds can tell.
- Operations lost or done twice count in any seed, whatever is allowed.
- An expectation is worse when it is not met and was met before, or was not asked.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from math import inf, isfinite
from typing import Any, NamedTuple

from surgetank.core.errors import InvalidInputError
from surgetank.rehearsal.drill.comparison import Spread
from surgetank.rehearsal.drill.output.direction import DIRECTIONS, Better, Direction
from surgetank.rehearsal.drill.output.result_schema import Result, Summary, VariantResult

SCHEMA = "surgetank/drill-change/v1"
TOLERANCE = 0.1
"""A tenth: about what halving a replica's scale may move a metric by."""
TOLERANCE_MAX = 10.0
_LEAST = {"_s": 600.0, "_ratio": 0.1, "_amplification": 1.0}
"""What a tolerance is at least of, by the unit that the metric's name ends in."""
_LEAST_COUNT = 10.0
_NOTHING = Spread(None, None, None)


class Word(StrEnum):
    """How a metric or an expectation moved."""

    WORSE = "worse"
    BETTER = "better"
    UNCLEAR = "unclear"
    SAME = "same"
    NOT_JUDGED = "not_judged"


class Change(NamedTuple):
    """One metric of one variant."""

    variant: str
    metric: str
    key: str | None
    """Of a metric that is a mapping."""
    before: Spread
    after: Spread
    word: Word


class Turn(NamedTuple):
    """One expectation; None where it was not asked."""

    text: str
    before: bool | None
    after: bool | None
    word: Word


class Contrast(NamedTuple):
    """Two drills of one scenario."""

    before: Result
    after: Result
    tolerance: float
    variants: list[str]
    """Those that both have and that were asked for, in the order of the later drill."""
    changes: list[Change]
    turns: list[Turn]

    @property
    def is_edited(self) -> bool | None:
        """Whether the scenario says something else after than before; None: a drill does not tell."""
        before, after = self.before.scenario_digest, self.after.scenario_digest
        return None if before is None or after is None else before != after

    @property
    def words(self) -> list[Word]:
        """How each metric and each expectation moved."""
        return [*(one.word for one in self.changes), *(one.word for one in self.turns)]

    @property
    def is_worse(self) -> bool:
        """Whether anything is."""
        return Word.WORSE in self.words


def contrast(
    before: Result, after: Result, *, tolerance: float = TOLERANCE, only: Sequence[str] = ()
) -> Contrast:
    """Hold a drill against an earlier one.

    Args:
        before: The earlier one.
        after: The later one, of the same scenario at the same scale.
        tolerance: As a ratio, from 0 to `TOLERANCE_MAX`; 0 lets nothing pass.
        only: Variants to look at; none named: all that both have.

    Raises:
        InvalidInputError: They cannot be compared, and why.
    """
    if not 0 <= tolerance <= TOLERANCE_MAX:
        raise InvalidInputError(f"tolerance = {tolerance}: from 0 to {TOLERANCE_MAX:g}")
    for what, a, b in (
        ("scenario", before.scenario, after.scenario),
        ("scale", before.scale, after.scale),
    ):
        if a != b:
            raise InvalidInputError(f"the drills differ in {what}: {a!r} before, {b!r} after")
    variants = _common(before, after, only)
    changes = [
        change
        for name in variants
        for change in _changes(name, before.variants[name], after.variants[name], tolerance)
    ]
    turns = _turns(before, after, variants if only else None)
    return Contrast(before, after, tolerance, variants, changes, turns)


def document(found: Contrast) -> dict[str, Any]:
    """Put it as JSON, for programs."""
    variants: dict[str, Any] = {name: {} for name in found.variants}
    for one in found.changes:
        name = one.metric if one.key is None else f"{one.metric}@{one.key}"
        sides = {"before": one.before._asdict(), "after": one.after._asdict()}
        variants[one.variant][name] = {"word": one.word.value, **sides}
    return {
        "schema": SCHEMA,
        "scenario": found.after.scenario,
        "scenario_edited": found.is_edited,
        "scale": found.after.scale,
        "tolerance": found.tolerance,
        "before": _side(found.before),
        "after": _side(found.after),
        "variants": variants,
        "expectations": [{**one._asdict(), "word": one.word.value} for one in found.turns],
        "counts": {word.value: found.words.count(word) for word in Word},
        "verdict": "worse" if found.is_worse else "not_worse",
    }


def _side(one: Result) -> dict[str, Any]:
    return {"seeds": list(one.seeds), "verdict": one.verdict}


def _common(before: Result, after: Result, only: Sequence[str]) -> list[str]:
    common = [name for name in after.variants if name in before.variants]
    missing = [name for name in only if name not in common]
    if missing:
        raise InvalidInputError(f"not a variant of both drills: {missing[0]!r}; {_has(common)}")
    if not common:
        has = f"{_has(list(before.variants))} before, {_has(list(after.variants))} after"
        raise InvalidInputError(f"the drills have no variant in common: {has}")
    return [name for name in common if not only or name in only]


def _has(names: Sequence[str]) -> str:
    return f"there is {', '.join(names) or 'none'}"


def _turns(before: Result, after: Result, only: Sequence[str] | None) -> list[Turn]:
    was = {one.text: one.met for one in before.expectations}
    now = {one.text: one.met for one in after.expectations}
    texts = [text for text in {**now, **was} if only is None or text.partition(":")[0] in only]
    return [_turn(text, was.get(text), now.get(text)) for text in texts]


def _turn(text: str, before: bool | None, after: bool | None) -> Turn:  # noqa: FBT001 - values of a table, not switches
    match before, after:
        case ((True | None), False):
            word = Word.WORSE
        case False, True:
            word = Word.BETTER
        case _:
            word = Word.SAME
    return Turn(text, before, after, word)


def _changes(
    variant: str, before: VariantResult, after: VariantResult, tolerance: float
) -> Iterator[Change]:
    was, now = dict(_spreads(before)), dict(_spreads(after))
    for metric, key in {**now, **was}:
        a, b = (one.get((metric, key)) for one in (was, now))
        # What one drill did not measure is not what never came about.
        is_in_both = a is not None and b is not None
        a, b = a or _NOTHING, b or _NOTHING
        word = word_for(metric, a, b, tolerance=tolerance) if is_in_both else Word.NOT_JUDGED
        yield Change(variant, metric, key, a, b, word)


def _spreads(variant: VariantResult) -> Iterator[tuple[tuple[str, str | None], Spread]]:
    """Each metric over seeds; of one that counts in any seed, the most of all seeds."""
    for name, summary in variant.summary.items():
        if isinstance(summary, dict):
            for key, one in summary.items():
                yield (name, key), _spread(one)
        elif name in DIRECTIONS and DIRECTIONS[name].is_exact:
            values = [run.metrics.get(name) for run in variant.seeds.values()]
            most = max((one for one in values if isinstance(one, (int, float))), default=None)
            yield (name, None), Spread(most, most, most)
        else:
            yield (name, None), _spread(summary)


def _spread(one: Summary) -> Spread:
    return Spread(one.median, one.p5, one.p95)


def word_for(metric: str, before: Spread, after: Spread, *, tolerance: float) -> Word:
    """Apply the rule to one metric; a metric without a better way is not judged."""
    direction = DIRECTIONS.get(metric)
    if direction is None or direction.better is Better.NEITHER:
        return Word.NOT_JUDGED
    was, now = _badness(metric, direction, before), _badness(metric, direction, after)
    if was is None or now is None:
        return Word.SAME if before == after else Word.NOT_JUDGED
    if direction.is_exact:
        tolerance = 0.0
    allowed = tolerance * max(_finite(before.median), _least(metric))
    if metric.endswith("_ratio") and direction.better is Better.MORE:
        allowed = tolerance * max(_finite(was.median), _least(metric))
    return _word(was, now, allowed)


def has_moved(one: Change, *, tolerance: float) -> bool:
    """Whether a metric's median moved by more than is allowed, either way; for what is not judged."""
    before, after = one.before.median, one.after.median
    if before is None or after is None:
        return before is not after
    return abs(after - before) > tolerance * max(abs(before), _least(one.metric))


class _Badness(NamedTuple):
    """A metric over seeds, turned so that less is better."""

    best: float
    median: float
    worst: float


def _word(was: _Badness, now: _Badness, allowed: float) -> Word:
    if now.median - was.median > allowed:
        return Word.WORSE if now.best > was.worst else Word.UNCLEAR
    if was.median - now.median > allowed:
        return Word.BETTER if now.worst < was.best else Word.UNCLEAR
    # Two that are never differ by nothing, though inf - inf is no number.
    return Word.UNCLEAR if now.worst - was.worst > allowed else Word.SAME


def _badness(metric: str, direction: Direction, spread: Spread) -> _Badness | None:
    """None where nothing was measured."""
    if None in spread and not direction.never_is_worst:
        return None
    values = [inf if one is None else one for one in spread]
    if direction.better is Better.MORE:
        whole = 1.0 if metric.endswith("_ratio") else 0.0
        values = [whole - one for one in values]
    best, median, worst = sorted(values)
    return _Badness(best, median, worst)


def _finite(value: float | None) -> float:
    return abs(value) if value is not None and isfinite(value) else 0.0


def _least(metric: str) -> float:
    return next((least for end, least in _LEAST.items() if metric.endswith(end)), _LEAST_COUNT)
