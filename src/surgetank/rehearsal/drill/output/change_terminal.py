"""What changed between two drills, on the terminal: what is worse first, in 80 columns or fewer."""

import textwrap
from collections import defaultdict
from collections.abc import Iterator, Sequence

from rich.text import Text

from surgetank.rehearsal.drill.comparison import Spread
from surgetank.rehearsal.drill.output.change import Change, Contrast, Turn, Word, has_moved
from surgetank.rehearsal.drill.output.result_schema import Result
from surgetank.rehearsal.drill.wording import count, listing, metric, printable

ROWS_MAX = 40
"""Lines of one kind that are shown; `--json -` has all."""
WIDTH_MIN = 60
WIDTH_MAX = 200
_STYLES = {Word.WORSE: "bold red", Word.BETTER: "green", Word.UNCLEAR: "yellow"}
_HEADS = {
    Word.WORSE: "WORSE",
    Word.BETTER: "BETTER",
    Word.UNCLEAR: "UNCLEAR: moved, but the seeds overlap; play more of them",
}
_MET = {True: "met", False: "NOT MET", None: "not asked"}


def render(found: Contrast, *, before: str, after: str, width: int = 80) -> Text:
    """Say what changed.

    Args:
        found: As `contrast` gives it.
        before: Name of the earlier drill's file.
        after: Name of the later drill's file.
        width: Columns to keep to, from `WIDTH_MIN` to `WIDTH_MAX`; others are brought within.

    Returns:
        Lines with styles, ending without a line break.
    """
    columns = max(WIDTH_MIN, min(width, WIDTH_MAX))
    lines = [
        Text(f"{printable(found.after.scenario)} · tolerance {found.tolerance:.6g}", "bold"),
        Text(f"before: {_drill(found.before, before)}"),
        Text(f"after:  {_drill(found.after, after)}"),
        *_edited(found, columns),
    ]
    for word, head in _HEADS.items():
        body = [*_turns(found.turns, word), *_changes(found.changes, word)]
        if body:
            lines += [Text(""), Text(head, _STYLES[word]), *_shown(body, columns)]
    unjudged = list(_unjudged(found))
    if unjudged:
        lines += [Text(""), Text("moved, not judged", "dim"), *_shown(unjudged, columns)]
    lines += [Text(""), *_closing(found, columns)]
    return Text("\n").join(lines)


def _edited(found: Contrast, width: int) -> Iterator[Text]:
    if found.is_edited:
        note = "the scenario was edited between them: what moved may be the edit's doing"
        yield from (Text(line, "yellow") for line in textwrap.wrap(note, width))


def _drill(one: Result, name: str) -> str:
    verdict = one.verdict.replace("_", " ")
    return f"{printable(name)} · {count(len(one.seeds), 'seed')} · verdict {verdict}"


def _turns(turns: Sequence[Turn], word: Word) -> Iterator[str]:
    for one in turns:
        if one.word is word:
            yield f"{printable(one.text)}: {_MET[one.before]} -> {_MET[one.after]}"


def _changes(changes: Sequence[Change], word: Word) -> Iterator[str]:
    for one in changes:
        if one.word is word:
            yield f"{_name(one)}: {_side(one, one.before)} -> {_side(one, one.after)}"


def _unjudged(found: Contrast) -> Iterator[str]:
    """One line a metric that moved, whatever its keys."""
    groups: dict[tuple[str, str], list[Change]] = defaultdict(list)
    for one in found.changes:
        if one.word is Word.NOT_JUDGED:
            groups[one.variant, one.metric].append(one)
    for group in groups.values():
        moved = [one for one in group if has_moved(one, tolerance=found.tolerance)]
        if not moved:
            continue
        first = moved[0]
        if first.key is None:
            yield f"{_name(first)}: {_side(first, first.before)} -> {_side(first, first.after)}"
        else:
            name = f"{printable(first.variant)} {first.metric}"
            yield f"{name}: {len(moved)} of {len(group)} keys moved"


def _name(one: Change) -> str:
    key = "" if one.key is None else f"@{one.key}"
    return printable(f"{one.variant} {one.metric}{key}")


def _side(one: Change, spread: Spread) -> str:
    median, low, high = (metric(one.metric, value) for value in spread)
    return median if low == high else f"{median} ({low} to {high})"


def _shown(body: Sequence[str], width: int) -> Iterator[Text]:
    for line in body[:ROWS_MAX]:
        wrapped = textwrap.wrap(line, width, initial_indent="  ", subsequent_indent="    ")
        yield from map(Text, wrapped)
    if len(body) > ROWS_MAX:
        yield Text(f"  and {len(body) - ROWS_MAX} more; --json - has all", "dim")


def _closing(found: Contrast, width: int) -> Iterator[Text]:
    notes = [
        *_alone("before", found.before, found.after),
        *_alone("after", found.after, found.before),
    ]
    if min(len(found.before.seeds), len(found.after.seeds)) == 1:
        notes.append("one seed is one possible course: play several, to tell what is chance")
    words = found.words
    notes.append(", ".join(f"{words.count(one)} {one.value.replace('_', ' ')}" for one in Word))
    for note in notes:
        yield from map(Text, textwrap.wrap(note, width, subsequent_indent="  "))
    yield (
        Text("WORSE", _STYLES[Word.WORSE]) if found.is_worse else Text("nothing is worse", "green")
    )


def _alone(side: str, one: Result, other: Result) -> Iterator[str]:
    names = [name for name in one.variants if name not in other.variants]
    if names:
        yield f"only {side}, not compared: {printable(listing(names))}"
