"""What a review asks and proposes, out of the figures of a drill and nothing else."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from surgetank.rehearsal.drill.comparison import Standing, judged, seated, standings
from surgetank.rehearsal.drill.output.markdown import code, table, text
from surgetank.rehearsal.drill.play import Run
from surgetank.rehearsal.drill.study.sensitivity import was_tried
from surgetank.rehearsal.drill.wording import listing, observed, percent, plain, seconds_of, span
from surgetank.rehearsal.scenario.schema import Scenario, Seat, Variant

_SAVED_S_MIN = 60.0
"""Less is not worth an action: an outage is counted in windows of this length."""
_SAVED_RATIO_MIN = 0.01
_OFF_S_MIN = 1800.0
"""An emerged time further than this from its published one is a question."""


def pairs(result: Mapping[str, Any]) -> list[tuple[Standing, Standing]]:
    """Each variant's row, with that of the same work when nobody acts."""
    rows = standings(result)
    nobody = next((row for row in rows if row.seat is Seat.NOBODY and not row.is_own), None)
    if nobody is None:
        return []
    found: list[tuple[Standing, Standing]] = []
    for row, following in zip_longest(rows, rows[1:]):
        if row.is_beneath or row is nobody:
            continue
        found.append((row, following if row.is_own else nobody))
    return found


def what(variant: Variant) -> str:
    """Name a variant's safeguards, and how much of the load is under them."""
    warm_ratio, release = variant.mirror_warm_ratio, variant.release
    named = [
        None if warm_ratio is None else f"mirror ({percent(warm_ratio)} warm)",
        "token broker" if variant.broker else None,
        None if release is None else f"governor with {release} release",
        "admission at the door" if variant.admission else None,
        "a limit of its rate" if variant.burst_limit else None,
    ]
    safeguards = listing([name for name in named if name is not None])
    if not safeguards:
        return variant.title  # What operators do otherwise stands in the timeline.
    return f"{safeguards}; {percent(variant.share)} of the load"


def flips(flip: Mapping[str, Any] | None) -> str:
    """Say where an assumed figure flips the verdict; None is one that was not moved."""
    if flip is None or not was_tried(flip):
        return "not tried"
    sides = [
        f"{side} {plain(flip[f'flips_{side}'])}"
        for side in ("below", "above")
        if flip[f"flips_{side}"] is not None
    ]
    return " or ".join(sides) or "nowhere in its range"


def questions(scenario: Scenario, run: Run, result: Mapping[str, Any]) -> list[str]:
    """List what the figures ask, and what no drill can answer."""
    asked = [
        *_unmet(scenario, result),
        *_off(result),
        *_unhelpful(scenario, run),
        *_doubtful(scenario, result),
        "Which of the clients that we run retry as this scenario's do?",
        "Who decides to take traffic off, by which sign, and how long does that take with us?",
    ]
    return [f"- {one}" for one in asked]


def _unmet(scenario: Scenario, result: Mapping[str, Any]) -> Iterator[str]:
    for one, found in judged(scenario, result):
        if not found["met"]:
            value = observed(one.metric, found["observed"])
            yield f"Why was {code(found['text'])} not met, with {value} observed?"


def _off(result: Mapping[str, Any]) -> Iterator[str]:
    """Emerged times that lie far from the published ones."""
    if seated(result, Seat.NOBODY) is None:
        return
    for one in result["milestones"]:
        here = seconds_of(one["median"])
        if one["kind"] != "emerged":
            continue
        if here is None:
            yield f"Why did {text(one['name'])} not come about here?"
            continue
        off_s = min((here - at for at in _published(one)), key=abs)
        if abs(off_s) >= _OFF_S_MIN:
            word = "later" if off_s > 0 else "earlier"
            yield (
                f"Why did {text(one['name'])} come {span(abs(off_s))} {word} here than "
                "published, and which assumed figure would account for it?"
            )


def _published(milestone: Mapping[str, Any]) -> Iterator[float]:
    """When it happened, by each review that says so."""
    for said in (milestone, *milestone.get("also", ())):
        at = seconds_of(said["published"])
        assert at is not None, "a milestone has a published time"
        yield at


def _unhelpful(scenario: Scenario, run: Run) -> Iterator[str]:
    """Acts for cause after which tokens stayed away for long."""
    for_cause = {entry.title for entry in scenario.timeline if entry.when is not None}
    longest_s: dict[str, float] = {}
    for at, title, region in run.acted:
        for outage in run.outages.identity.get(region, []):
            if title in for_cause and outage.start_at <= at < outage.end_at:
                longest_s[title] = max(longest_s.get(title, 0.0), outage.end_at - at)
    for title, after_s in longest_s.items():
        if after_s >= _OFF_S_MIN:
            yield (
                f"After {text(title)}, tokens stayed away for {span(after_s)}: what would have "
                "ended it sooner?"
            )


def _doubtful(scenario: Scenario, result: Mapping[str, Any]) -> Iterator[str]:
    assumed, _ = scenario.figure_counts()
    if not result["sensitivity"]:
        yield (
            f"How far can each of the {assumed} assumed figures move before the verdict flips, "
            "which this drill did not try?"
        )
    for one in result["sensitivity"]:
        if one["flips_below"] is not None or one["flips_above"] is not None:
            yield (
                f"What is {code(one['figure'])} with us: {plain(one['assumed'])} is assumed, and "
                f"the verdict flips {flips(one)}?"
            )


def actions(scenario: Scenario, result: Mapping[str, Any]) -> list[str]:
    """Make a table of what the figures speak for, what saves most first; owners are to be filled in."""
    saving = sorted(pairs(result), key=_saved_s, reverse=True)
    items = [
        (_action(scenario.variants[row.name]), saved)
        for row, without in saving
        if (saved := _saved(row, without))
    ]
    items += [
        (f"Explain or mend: {code(found['text'])}", "the verdict")
        for _, found in judged(scenario, result)
        if not found["met"]
    ]
    items.append(
        ("Play this drill again next quarter, and compare the results", "tells what changed")
    )
    rows = [[str(number), *item, "", ""] for number, item in enumerate(items, start=1)]
    return table(("", "action", "saves, by this drill", "owner", "due"), rows)


def _action(variant: Variant) -> str:
    safeguards = what(variant)
    match variant.seat:
        case Seat.YOU:
            return f"Put in place for our own work: {safeguards}"
        case Seat.ISSUER:
            return f"Ask the issuer for: {safeguards}"
        case _:
            return f"Agree with everybody on: {safeguards}"


def _saved_s(pair: tuple[Standing, Standing]) -> float:
    return sum(_outages_saved_s(*pair))


def _outages_saved_s(row: Standing, without: Standing) -> tuple[float, float]:
    """Seconds of blocked creates, and of tokens; a customer saves none of the cloud's tokens."""
    blocked_s = (without.blocked_s.median or 0.0) - (row.blocked_s.median or 0.0)
    if row.is_own:
        return blocked_s, 0.0
    return blocked_s, (without.tokens_s.median or 0.0) - (row.tokens_s.median or 0.0)


def _saved(row: Standing, without: Standing) -> str:
    """Say what a variant saves; empty when nothing worth an action."""
    blocked_s, tokens_s = _outages_saved_s(row, without)
    fresh_ratio = (row.fresh_ratio.median or 0.0) - (without.fresh_ratio.median or 0.0)
    parts = [
        f"{span(blocked_s)} of blocked creates" if blocked_s >= _SAVED_S_MIN else None,
        f"{span(tokens_s)} without tokens" if tokens_s >= _SAVED_S_MIN else None,
        f"{percent(fresh_ratio)} of creates from coming late"
        if fresh_ratio >= _SAVED_RATIO_MIN
        else None,
    ]
    return listing([part for part in parts if part is not None])
