"""What the measurements come to: medians, ratios and aims; as tables and as Markdown."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

YARDSTICK = "pgqueuer"
"""Ratios are to its median of the same measurement."""
DRAIN, SUBMIT = "drain", "submit"


class Run(NamedTuple):
    """One measurement, as it was."""

    round: int
    what: str
    side: str
    batch: int
    workers: int
    operations: int
    rate_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    fsync_p50_ms: float
    """Just before."""


class Median(NamedTuple):
    """One measurement over all rounds."""

    what: str
    batch: int
    workers: int
    side: str
    rounds: int
    rate_per_s: float
    least_per_s: float
    most_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    ratio: float | None
    """To the yardstick; None where that was not measured."""


class Aim(NamedTuple):
    """What is wanted, and what was found."""

    text: str
    wanted: float
    found: float | None
    """None where it was not measured."""

    @property
    def says(self) -> str:
        """Say whether it is met; at most what is wanted for waits, at least for all else."""
        if self.found is None:
            return "not measured"
        is_met = self.found <= self.wanted if "p99" in self.text else self.found >= self.wanted
        return "met" if is_met else "missed"


_Key = tuple[str, int, int, str]


def medians(runs: Sequence[Run]) -> list[Median]:
    """Take the medians of what was measured alike, in order of first measurement."""
    alike: dict[_Key, list[Run]] = {}
    for run in runs:
        alike.setdefault((run.what, run.batch, run.workers, run.side), []).append(run)
    rates = {key: median(run.rate_per_s for run in some) for key, some in alike.items()}
    found = list[Median]()
    for key, some in sorted(alike.items(), key=lambda pair: pair[0][:3]):
        every = [run.rate_per_s for run in some]
        yardstick = rates.get((*key[:3], YARDSTICK))
        found.append(
            Median(
                *key,
                len(some),
                rates[key],
                min(every),
                max(every),
                _median(run.p50_ms for run in some),
                _median(run.p99_ms for run in some),
                rates[key] / yardstick if yardstick else None,
            )
        )
    return found


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def aims(found: Sequence[Median]) -> list[Aim]:
    """Hold the medians against what is wanted: every batch that was measured, one worker."""
    by_key = {(one.what, one.batch, one.workers, one.side): one for one in found}

    def rate(side: str, batch: int, workers: int = 1, what: str = DRAIN) -> float | None:
        one = by_key.get((what, batch, workers, side))
        return None if one is None else one.rate_per_s

    wanted = list[Aim]()
    for batch in sorted({one.batch for one in found if one.what == DRAIN}):
        for ours, peer, times in (
            ("surgetank-postgres", "pgqueuer", 3.0),
            ("surgetank-postgres", "dbos", 10.0),
            ("surgetank-postgres", "celery-always", 15.0),
            ("surgetank-postgres", "celery-everysec", 15.0),
            ("surgetank-postgres", "procrastinate", 100.0),
            ("surgetank-sqlite", "pgqueuer", 4.0),
        ):
            ratio = _ratio(rate(ours, batch), rate(peer, batch))
            wanted.append(Aim(f"drain by {batch}: {ours} / {peer}", times, ratio))
        if any(one.batch == batch and one.workers > 1 for one in found):
            ratio = _ratio(rate("surgetank-postgres", batch, 4), rate("surgetank-postgres", batch))
            wanted.append(Aim(f"drain by {batch}: surgetank-postgres, 4 workers / 1", 1.0, ratio))
    for side, per_s, p99_ms in (
        ("surgetank-sqlite", 30_000.0, 25.0),
        ("surgetank-postgres", 8_000.0, 60.0),
    ):
        some = [one for one in found if one.what == SUBMIT and one.side == side]
        wanted.append(Aim(f"submit: {side}, per s", per_s, some[0].rate_per_s if some else None))
        wanted.append(Aim(f"submit: {side}, p99 in ms", p99_ms, some[0].p99_ms if some else None))
    return wanted


def _ratio(ours: float | None, peer: float | None) -> float | None:
    return ours / peer if ours is not None and peer else None


MEDIANS_HEAD = ("what", "batch", "workers", "side", "per s", "least to most", "p50 ms", "p99 ms",
                f"to {YARDSTICK}", "rounds")  # fmt: skip
AIMS_HEAD = ("aim", "wanted", "found", "")


def median_rows(found: Sequence[Median]) -> list[tuple[str, ...]]:
    """Write medians as words, under `MEDIANS_HEAD`."""
    return [
        (
            one.what,
            f"{one.batch}" if one.what == DRAIN else "",
            f"{one.workers}" if one.what == DRAIN else "",
            one.side,
            f"{one.rate_per_s:,.0f}",
            f"{one.least_per_s:,.0f} to {one.most_per_s:,.0f}",
            _number(one.p50_ms, ".1f"),
            _number(one.p99_ms, ".1f"),
            _number(one.ratio, ".2f"),
            f"{one.rounds}",
        )
        for one in found
    ]


def aim_rows(wanted: Sequence[Aim]) -> list[tuple[str, ...]]:
    """Write aims as words, under `AIMS_HEAD`."""
    return [
        (
            one.text,
            f"{'<=' if 'p99' in one.text else '>='} {one.wanted:,g}",
            _number(one.found, ",.2f" if one.wanted <= 100 else ",.0f"),  # noqa: PLR2004 - ratios and waits
            one.says,
        )
        for one in wanted
    ]


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def show(document: dict[str, Any], console: Console) -> None:
    """Print what was found as tables."""
    found, wanted = read(document)
    for head, rows in (
        (MEDIANS_HEAD, median_rows(found)),
        (AIMS_HEAD, aim_rows(wanted)),
    ):
        table = Table(*head)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print(about(document))


def markdown(document: dict[str, Any]) -> str:
    """Write what was found as Markdown, for the documentation."""
    found, wanted = read(document)
    lines = [about(document), ""]
    for head, rows in (
        (MEDIANS_HEAD, median_rows(found)),
        (AIMS_HEAD, aim_rows(wanted)),
    ):
        lines += [_line(head), _line(["---"] * len(head)), *map(_line, rows), ""]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def read(document: dict[str, Any]) -> tuple[list[Median], list[Aim]]:
    """Sum up the runs of a document."""
    found = medians([Run(**run) for run in document["runs"]])
    return found, aims(found)


def about(document: dict[str, Any]) -> str:
    """Say where and how it was measured, in one line."""
    return (
        f"fsync p50 {document['fsync_p50_ms']:.2f} ms; {document['cores']} cores; "
        f"{', '.join(document['versions'])}; "
        f"`{document['command']}`"
    )
