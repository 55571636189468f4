# ruff: noqa: INP001 - run from the root of the repository; part of no package
"""What a group of figures gives, and how its facts come into pages: by marks, filled in by name.

`<!--=night.down-->5h17<!--/-->` shows `5h17` wherever Markdown is shown, and says whose it is.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_MARK = re.compile(r"<!--=([a-z]+)\.([A-Za-z0-9_.-]+)-->(.*?)<!--/-->", re.DOTALL)


class Made(NamedTuple):
    """What a group gives."""

    facts: Mapping[str, str]
    """Text by name: a number, or lines of Markdown."""
    drawings: Mapping[str, str]
    """SVG by the name of its file."""


def lines(rows: Iterable[str]) -> str:
    """Make a fact of whole lines, as a table is: blank lines part them from their marks."""
    return "\n\n" + "\n".join(rows) + "\n\n"


def fill(page: str, facts: Mapping[str, Mapping[str, str]]) -> str:
    """Put facts in place of what the marks of a page show.

    Args:
        page: Its Markdown.
        facts: By group and name; marks of a group that is not there stay as they are.

    Raises:
        KeyError: A mark names a fact that its group does not give.
    """

    def show(mark: re.Match[str]) -> str:
        group, name, shown = mark.groups()
        said = facts[group][name] if group in facts else shown
        return f"<!--={group}.{name}-->{said}<!--/-->"

    return _MARK.sub(show, page)
