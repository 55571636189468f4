"""Markup that cannot be broken by what it quotes: plain text is escaped, always.

`tag` makes an element of HTML or SVG. A child or an attribute that is not `Markup` already is
text of somebody's file, or ours, and is escaped. There is no other way to make markup here.
"""

from collections.abc import Iterable
from html import escape

from surgetank.rehearsal.drill.wording import printable

_VOID = frozenset({"br", "link", "meta", "wbr"})
"""Elements of HTML that have no end."""

Attribute = str | float | None


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def text(content: str) -> Markup:
    """Escape plain text."""
    return content if isinstance(content, Markup) else Markup(escape(printable(content)))


def joined(parts: Iterable[str | None]) -> Markup:
    """Put parts after one another; None is left out."""
    return Markup("".join(text(part) for part in parts if part is not None))


def tag(name: str, /, *children: str | None, **attributes: Attribute) -> Markup:
    """Make an element.

    Args:
        name: Of the element.
        children: Text or markup; None is left out.
        attributes: By name: a trailing underscore is dropped and the others become hyphens, so
            that `class_` and `aria_label` can be written. None is left out; numbers are rounded
            to a hundredth.
    """
    opened = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{opened}>")
    return Markup(f"<{name}{opened}>{joined(children)}</{name}>")


def coordinate(value: float) -> str:
    """Write a number for a drawing: to a hundredth, without idle zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _value(value: str | float) -> str:
    return escape(printable(value)) if isinstance(value, str) else coordinate(value)
