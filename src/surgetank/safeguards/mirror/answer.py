"""How a copy is told to a client: status, headers and span, without I/O.

A plain 200 with its length, unless the client asks for a condition or a range: the VM agent takes
neither redirects nor 206. What cannot be met is refused in the words of Azure's storage, which
its SDK reads and other clients pass over.
Source: RFC 9110, sections 13 and 14; RFC 9111, section 5.1 (`Age`).
"""

from typing import NamedTuple

from surgetank.core.byte_range import INVALID_RANGE, Span, asked_span
from surgetank.core.http import Request
from surgetank.safeguards.mirror.entry import Entry

SOURCE_HEADER = "x-surgetank-source"
"""`hit`: fresh or confirmed just now; `stale`: the origin failed us; `miss`: fetched just now."""
_NOT_MET = "ConditionNotMet"


class Head(NamedTuple):
    """A response but for its body, which is the bytes from `start` up to `stop` of the copy."""

    status: int
    headers: dict[str, str]
    start: int
    stop: int
    error: bytes = b""
    """The body where none of the copy is given."""


def answer(request: Request, entry: Entry, *, source: str, now: float) -> Head:
    """Answer `request` from the copy that `entry` describes.

    Args:
        request: A GET or HEAD.
        entry: The copy.
        source: `hit`, `stale` or `miss`.
        now: The instant, for the copy's age since the origin confirmed it.
    """
    asked = request.headers
    tag = f'"{entry.digest}"'
    headers = {
        "etag": tag,
        "age": str(max(0, int(now - entry.checked_at))),
        SOURCE_HEADER: source,
    }
    if not _names(asked.get("if-match", "*"), tag):
        headers |= {"x-ms-error-code": _NOT_MET, "content-length": "0"}
        return Head(412, headers, 0, 0)
    if _names(asked.get("if-none-match", ""), tag):
        return Head(304, headers, 0, 0)
    span = asked_span(request, size=entry.size, etag=tag)
    if span is not None and span.is_empty:
        return _invalid(span, headers)
    headers["content-type"] = entry.content_type or "application/octet-stream"
    headers["accept-ranges"] = "bytes"
    if entry.content_encoding:
        headers["content-encoding"] = entry.content_encoding
    if span is not None:
        headers["content-range"] = span.content_range
        headers["content-length"] = str(span.stop - span.start)
        return Head(206, headers, span.start, span.stop)
    headers["content-length"] = str(entry.size)
    return Head(200, headers, 0, entry.size if request.method == "GET" else 0)


def _invalid(span: Span, headers: dict[str, str]) -> Head:
    status, code, message = INVALID_RANGE
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    body = f'<?xml version="1.0" encoding="utf-8"?>{error}'.encode()
    told = {
        "content-type": "application/xml",
        "content-range": span.content_range,
        "content-length": str(len(body)),
        "x-ms-error-code": code,
    }
    return Head(status, headers | told, 0, 0, body)


def _names(condition: str, tag: str) -> bool:
    tags = [each.strip().removeprefix("W/") for each in condition.split(",")]
    return tag in tags or tags == ["*"]
