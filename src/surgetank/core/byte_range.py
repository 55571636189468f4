"""Which bytes of a body a client asks for, by `Range` or by Azure's `x-ms-range`.

One range is honoured: `bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-LENGTH`. Whatever else a client
writes there is ignored and gets the whole body, as do several ranges at once and any method but
GET.
Source: RFC 9110, sections 13.1.5 and 14; Azure Storage REST API, "Specifying the range header for
Blob service operations", which lets `x-ms-range` win and documents the first two forms.
"""

import re
from typing import NamedTuple

from surgetank.core.http import Request
from surgetank.core.policy import ReadRefusal

INVALID_RANGE = ReadRefusal(
    416, "InvalidRange", "The range specified is invalid for the current size of the resource."
)
"""The answer to a span that is empty."""
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)


class Span(NamedTuple):
    """The bytes from `start` up to `stop` of a body of `size`."""

    start: int
    stop: int
    """The first byte that is not asked for any more; at most `size`."""
    size: int

    @property
    def is_empty(self) -> bool:
        """Whether no byte of the body is among those asked for."""
        return self.start >= self.stop

    @property
    def content_range(self) -> str:
        """What the header `Content-Range` says of it."""
        return f"bytes {'*' if self.is_empty else f'{self.start}-{self.stop - 1}'}/{self.size}"


def asked_span(request: Request, *, size: int, etag: str) -> Span | None:
    """Say which part of a body `request` asks for.

    Args:
        request: Of any method.
        size: Bytes of the whole body; 0 or more.
        etag: Of the body, with its quotation marks: a client that wants a part of another one
            (`If-Range`) gets the whole.

    Returns:
        The span, empty when it lies beyond the body; None for the whole body.
    """
    asked = request.headers
    wanted = asked.get("x-ms-range") or asked.get("range")
    if wanted is None or request.method != "GET" or asked.get("if-range", etag) != etag:
        return None
    match = _RANGE.fullmatch(wanted.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return Span(max(0, size - int(last)), size, size)
    if last and int(last) < int(first):
        return None
    return Span(int(first), min(size, int(last) + 1) if last else size, size)
