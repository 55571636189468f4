"""A few operations and governors in words: what the page tells of single ones without a script."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from surgetank.control.view import MEANINGS
from surgetank.rehearsal.drill.comparison import median_run
from surgetank.rehearsal.drill.ledger import CALLED, WAITS, Fate, Moment, Wanted
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.report.choice import beside_variant, shown_variant
from surgetank.rehearsal.drill.report.markup import Markup, joined, tag
from surgetank.rehearsal.drill.report.table import table
from surgetank.rehearsal.drill.series import EVERY_S, GovernorSeries
from surgetank.rehearsal.drill.wording import NOTHING, count, span, time_of_day
from surgetank.rehearsal.scenario.schema import Scenario

OK = "ok"
_WORDS = {"open": "held", "half_open": "half-open"}
"""How the breaker's states are called on the page; the release's modes have their own names."""
MODES = {mode: (_WORDS.get(mode, mode), meaning) for mode, meaning in MEANINGS.items()}
"""How the modes of `GovernorSeries` are called on the page, and what each means."""
FREE = "ramp"
"""The mode of a governor that has nothing to hold."""
UNTRIED = ("trickle", FREE)
"""The modes of one that never had: each begins with a trickle."""
PERIODS_MAX = 8


class Telling(NamedTuple):
    """One operation, and why it is worth a look."""

    why: str
    variant: str
    wanted: Wanted


def operations(scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any]) -> Markup | None:
    """Tell of a few operations; None where no run kept what happened to any."""
    found = tellings(scenario, runs, result)
    if not found:
        return None
    rows = [_operation(scenario, result, one) for one in found]
    head = ["worth a look", "operation", "who acts", "asked for", "came to", "what happened"]
    return table("telling", "A few operations that tell the story", head, rows)


def tellings(scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any]) -> list[Telling]:
    """Choose an early failure, one caught in both outages, and the same one where it was saved."""
    name, beside = shown_variant(result), beside_variant(scenario, result)
    wanted = median_run(runs, name).wanted
    lost = [one for one in wanted if one.fate not in {Fate.SUCCEEDED, Fate.OPEN}]
    caught = [one for one in lost if len({moment.step for moment in _failures(one)}) > 1]
    if not lost:
        return [Telling("the first of all", name, one) for one in wanted[:1]]
    found = [Telling("the first that was given up", name, lost[0])]
    saved = {} if beside is None else _done(median_run(runs, beside))
    # One that was done elsewhere says most: it can be held against itself.
    told = next((one for one in (*caught, *lost) if _same(one) in saved), (*caught, *lost)[0])
    if told is not lost[0]:
        why = "caught in both outages" if told in caught else "given up here, done elsewhere"
        found.append(Telling(why, name, told))
    if beside is not None and _same(told) in saved:
        found.append(Telling("the same one, done", beside, saved[_same(told)]))
    return found


def _done(run: Run) -> dict[tuple[str, float], Wanted]:
    return {_same(one): one for one in run.wanted if one.fate is Fate.SUCCEEDED}


def _same(wanted: Wanted) -> tuple[str, float]:
    """What is equal of one operation in two variants; a pool may ask for another by that name."""
    return wanted.key, wanted.submitted_at


def _operation(scenario: Scenario, result: Mapping[str, Any], one: Telling) -> list[str]:
    wanted = one.wanted
    asked = time_of_day(wanted.submitted_at, scenario)
    took = (
        "" if wanted.ended_at is None else f" after {span(wanted.ended_at - wanted.submitted_at)}"
    )
    title = result["variants"][one.variant]["title"]
    # The script finds the operation by these, and puts a button here that opens it.
    key = tag("code", wanted.key, data_variant=one.variant, data_operation=wanted.key)
    return [one.why, key, title, asked, f"{wanted.fate.value}{took}", story(wanted)]


def story(wanted: Wanted) -> str:
    """Say in a line what happened to an operation, step by step."""
    steps = dict.fromkeys(moment.step for moment in wanted.moments if moment.step)
    parts = [_step_story(wanted, step) for step in steps]
    waited_s = sum(
        following.at - moment.at
        for moment, following in pairwise(wanted.moments)
        if moment.what == WAITS
    )
    if waited_s:
        parts.append(f"waited {span(waited_s)} in all")
    return "; ".join(parts)


def _step_story(wanted: Wanted, step: str) -> str:
    failures = Counter(
        moment.why or moment.what for moment in _failures(wanted) if moment.step == step
    )
    said = [f"failed {_times(times)} ({why})" for why, times in failures.items()]
    if any(moment.step == step and moment.what == OK for moment in wanted.moments):
        said.append("ok")
    return f"{step} {', then '.join(said) or 'was under way'}"


def _times(times: int) -> str:
    return "once" if times == 1 else f"{times} times"


def _failures(wanted: Wanted) -> list[Moment]:
    return [
        moment
        for moment in wanted.moments
        if moment.step and moment.what not in {CALLED, OK, WAITS}
    ]


def governors(scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any]) -> Markup | None:
    """Tell when governors held the backlog back, in the variant that helps most and has any."""
    name = _governed(scenario, runs, result)
    if name is None:
        return None
    series = median_run(runs, name).series
    rows = [
        [tag("code", dependency), *_periods(scenario, series.at, one)]
        for dependency, one in sorted(series.governors.items())
        if set(one.mode) - set(UNTRIED)
    ]
    quiet = len(series.governors) - len(rows)
    rest = f"; {count(quiet, 'other')} never held anything" if quiet else ""
    caption = f"When governors held the backlog back, {result['variants'][name]['title']}{rest}"
    head = ["dependency", "held", "what it did", "while held, it waited for"]
    return joined([table("governors", caption, head, rows), _legend(series.governors)])


def _legend(governors: Mapping[str, GovernorSeries]) -> Markup:
    """Say what every mode means, and how long and where governors were in it."""
    rows: list[list[str]] = []
    for mode, (word, meaning) in MODES.items():
        minutes = {name: one.mode.count(mode) for name, one in sorted(governors.items())}
        where = [name for name, times in minutes.items() if times]
        rows.append(
            [
                word,
                meaning,
                span(EVERY_S * sum(minutes.values())) if where else NOTHING,
                ", ".join(where) or NOTHING,
            ]
        )
    caption = "What governors do, why they hold back, and how long they did so here, in all"
    return table("modes", caption, ["mode", "what it means", "in all", "where"], rows)


def _governed(scenario: Scenario, runs: Sequence[Run], result: Mapping[str, Any]) -> str | None:
    beside = beside_variant(scenario, result)
    names = [*([] if beside is None else [beside]), *reversed(result["variants"])]

    def has_held(name: str) -> bool:
        governors = median_run(runs, name).series.governors.values()
        return any(set(one.mode) - set(UNTRIED) for one in governors)

    return next((name for name in names if has_held(name)), None)


def _periods(scenario: Scenario, at: Sequence[float], one: GovernorSeries) -> list[str]:
    found = list(_spans(at, one))
    said = [
        f"{time_of_day(start, scenario)}-{time_of_day(end, scenario)} {word}"
        for start, end, word in found[:PERIODS_MAX]
    ]
    if len(found) > PERIODS_MAX:
        said.append(f"and {count(len(found) - PERIODS_MAX, 'period')} more")
    held = [row for row, mode in enumerate(one.mode) if mode in {"open", "half_open"}]
    waits = dict.fromkeys(one.waits_for[row] for row in held)
    return [span(EVERY_S * len(held)), ", ".join(said), ", then ".join(waits)]


def _spans(at: Sequence[float], one: GovernorSeries) -> Iterator[tuple[float, float, str]]:
    """Give what it did from when to when, those stretches left out in which it held nothing."""
    rows = groupby(range(len(one.mode)), lambda row: MODES.get(one.mode[row], (one.mode[row],))[0])
    for word, group in rows:
        stretch = list(group)
        if word != MODES[FREE][0]:
            first, last = (one.first_row + stretch[index] for index in (0, -1))
            yield at[first] - EVERY_S, at[last], word
