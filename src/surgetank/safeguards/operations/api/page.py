"""Pages: how many of a list are answered at once, and where the next page begins."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from surgetank.core.errors import InvalidInputError
from surgetank.core.route import Call, Field
from surgetank.safeguards.operations.store import PAGE_MAX

LIMIT = 50
"""Entries of a page when nobody says."""
_CURSOR_CHARACTERS_MAX = 1_000
_NUMBER_MAX = 2**53

T = TypeVar("T", int, str)

PAGE_FIELDS = (
    Field(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": LIMIT},
        "Entries of the page.",
    ),
    Field("cursor", {"type": "string"}, "`next` of the page before; left out for the first."),
)


def one(call: Call, name: str) -> str | None:
    """Give a parameter that may stand once; None when it does not.

    Raises:
        InvalidInputError: It stands more than once.
    """
    values = call.query.get(name, ())
    if len(values) > 1:
        raise InvalidInputError(f"query: {name} stands once, not {len(values)} times")
    return values[0] if values else None


def limit(call: Call) -> int:
    """How many entries the page may have.

    Raises:
        InvalidInputError: It is not from 1 to `PAGE_MAX`.
    """
    text = one(call, "limit")
    if text is None:
        return LIMIT
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0  # noqa: PLR2004 - more digits are out of range
    if not 1 <= number <= PAGE_MAX:
        raise InvalidInputError(f"query: limit is from 1 to {PAGE_MAX}, not {text[:80]!r}")
    return number


def cursor(after: Mapping[str, object]) -> str:
    """Name where the next page begins; what is in it is nobody else's business."""
    return urlsafe_b64encode(json.dumps(after).encode()).decode().rstrip("=")


def after(call: Call, name: str, default: T) -> T:
    """Where the page begins: a value of the type of `default`, which the first page has.

    Raises:
        InvalidInputError: The cursor is none of ours.
    """
    text = one(call, "cursor")
    if text is None:
        return default
    try:
        found: Any = json.loads(urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
        value = found[name]
    except (ValueError, RecursionError, TypeError, KeyError, IndexError):
        value = None
    is_ours = type(value) is type(default) and len(text) <= _CURSOR_CHARACTERS_MAX
    if not is_ours or (isinstance(value, int) and not 0 <= value <= _NUMBER_MAX):
        raise InvalidInputError("query: cursor is the `next` of the page before, as it was given")
    return cast("T", value)
