"""How figures and instants are written: alike on the terminal and on the page.

A ratio below 1 is never written as 100%, nor one above 0 as 0%: a reader may build on either.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import floor

from surgetank.rehearsal.scenario.schema import Scenario

NEVER = "never"
NOTHING = "-"
"""Written where there was nothing to measure."""
_ALMOST_ALL = 0.99
"""From here on ratios are written with a decimal, rounded down."""
_ALMOST_NONE = 0.01
_UNIT_WORDS = {"_s": "seconds", "_ratio": "ratio"}


def printable(text: str) -> str:
    """Give `text` on one line, with what could steer a terminal or hide on a page made visible."""
    return "".join(
        one if one.isprintable() else " " if one.isspace() else "\N{REPLACEMENT CHARACTER}"
        for one in text
    )


def span(seconds: float | None) -> str:
    """Write a duration as hours and minutes: `4h02`; None is never, and below 0 is earlier."""
    if seconds is None:
        return NEVER
    if seconds < 0:
        return f"-{span(-seconds)}"
    minutes = round(seconds / 60)
    if seconds > 0 and minutes == 0:
        return "<0h01"
    return f"{minutes // 60}h{minutes % 60:02d}"


def percent(ratio: float | None) -> str:
    """Write a ratio from 0 to 1 as a percentage; None is nothing to measure."""
    if ratio is None:
        return NOTHING
    if 0 < ratio < _ALMOST_NONE:
        return "<1%"
    if _ALMOST_ALL <= ratio < 1:
        return f"{floor(ratio * 1000) / 10:g}%"
    return f"{100 * ratio:.0f}%"


def number(value: float | None) -> str:
    """Write a count or a factor: thousands apart, at most two decimals."""
    if value is None:
        return NEVER
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def metric(name: str, value: float | None) -> str:
    """Write the value of the metric `name`, by the unit that its name ends in."""
    if name.endswith("_s"):
        return span(value)
    if name.endswith("_ratio"):
        return percent(value)
    return NOTHING if value is None else number(value)


def plain(value: float | None) -> str:
    """Write a figure as its file has it: no unit, no rounding that shows."""
    return NEVER if value is None else f"{value:.6g}"


def observed(name: str, value: float | None) -> str:
    """Write what was observed of a metric in the unit of its bound, and as people say it."""
    text = plain(value)
    said = metric(name, value)
    return text if value is None or said == text or not _unit(name) else f"{text} ({said})"


def time_of_day(at: float | None, scenario: Scenario) -> str:
    """Write an instant as UTC time, with its day where the scenario is longer than one."""
    if at is None:
        return NEVER
    with_day = scenario.end - scenario.start > timedelta(days=1)
    return datetime.fromtimestamp(at, UTC).strftime("%d %H:%M" if with_day else "%H:%M")


def seconds_of(text: str | None) -> float | None:
    """Read an instant of a result; None stays None."""
    return None if text is None else datetime.fromisoformat(text).timestamp()


def day(at: float) -> str:
    """Write the day of an instant: `3 Feb`."""
    return datetime.fromtimestamp(at, UTC).strftime("%-d %b")


def count(quantity: int, noun: str) -> str:
    """Write a count with its noun: `1 seed`, `5 seeds`."""
    return f"{quantity:,} {noun}" if quantity == 1 else f"{quantity:,} {noun}s"


def listing(words: Sequence[str]) -> str:
    """Join words as prose: `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _unit(name: str) -> str:
    return next((unit for end, unit in _UNIT_WORDS.items() if name.endswith(end)), "")
