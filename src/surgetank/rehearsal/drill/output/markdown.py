"""Markdown that cannot be broken by what it quotes: words of a scenario stay words.

For GitHub's dialect, where reviews are read: tables, no HTML. Source: CommonMark 0.31, section
2.4, backslash escapes; GitHub Flavored Markdown, section 4.10, tables.
"""

import re
from collections.abc import Iterable, Sequence

from surgetank.rehearsal.drill.wording import printable

_ACTIVE = re.compile(r"[\\`*_\[\]<>|~&#$]")
"""What could begin markup within a line; `$` is mathematics on GitHub."""
_LEADING = re.compile(r"^( *)([-+=]|[0-9]+(?=[.)]))")
"""What could make a line a list, a heading or a rule."""


def text(content: str) -> str:
    """Escape plain text, on one line."""
    escaped = _ACTIVE.sub(r"\\\g<0>", printable(content).strip())
    found = _LEADING.match(escaped)
    if found is None:
        return escaped
    # A digit has no escape, the point behind it has.
    at = found.end() if found[2].isdigit() else found.start(2)
    return f"{escaped[:at]}\\{escaped[at:]}"


def code(content: str) -> str:
    """Quote a name or a command within a line; fit for a table."""
    plain = printable(content)
    fence = _fence(plain, least=1)
    room = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{room}{plain}{room}{fence}".replace("|", r"\|")


def block(lines: Iterable[str]) -> list[str]:
    """Quote whole lines, as commands to copy."""
    plain = [printable(line) for line in lines]
    fence = _fence("\n".join(plain), least=3)
    return [f"{fence}sh", *plain, fence]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Make a table of cells that are Markdown already."""
    ruler = ["---"] * len(head)
    return [f"| {' | '.join(row)} |" for row in (head, ruler, *rows)]


def _fence(content: str, *, least: int) -> str:
    runs = (len(run) for run in re.findall(r"`+", content))
    return "`" * max(least, 1 + max(runs, default=0))
