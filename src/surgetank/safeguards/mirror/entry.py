"""One copy's record: what a URL gave, when, and the text in which it is kept on disk."""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from surgetank.core.errors import IntegrityError

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the mirror knows of one URL. Instants are seconds since 1970 UTC."""

    url: str
    digest: str
    """SHA-256 of the body, lower-case hex; also the name of its file."""
    size: int
    """Bytes of the body."""
    content_type: str
    content_encoding: str
    """Empty when the origin named none."""
    etag: str
    """The origin's, to ask again with; empty when it gave none."""
    fetched_at: float
    """When these bytes came."""
    checked_at: float
    """When the origin last confirmed them."""
    used_at: float
    """When a client last asked, give or take a day."""


def encode(entry: Entry) -> bytes:
    """Write `entry` as JSON that carries its own SHA-256, so that damage shows."""
    fields = asdict(entry) | {"version": _VERSION}
    return json.dumps(fields | {"sum": _sum(fields)}, sort_keys=True, indent=1).encode()


def decode(text: bytes) -> Entry:
    """Read what `encode` wrote.

    Raises:
        IntegrityError: The text is damaged, or of another version.
    """
    try:
        fields: Any = json.loads(text)
        claimed = fields.pop("sum")
        if claimed != _sum(fields) or fields.pop("version") != _VERSION:
            raise IntegrityError("the record's sum or version is wrong")
        return Entry(**fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError("the record does not read") from error


def _sum(fields: dict[str, Any]) -> str:
    return sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
