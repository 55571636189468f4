"""How a copy is told to a client: status, headers and span, without I/O.

A plain 200 with its length, unless the client asks for a condition or a range: the VM agent takes
neither redirects nor 206. Source: RFC 9110, sections 13 and 14; RFC 9111, section 5.1 (`Age`).
Of several ranges none is honoured, which section 14.2 allows.
"""

import re
from typing import NamedTuple

from surgetank.core.http import Request
from surgetank.safeguards.mirror.entry import Entry

SOURCE_HEADER = "x-surgetank-source"
"""`hit`: fresh or confirmed just now; `stale`: the origin failed us; `miss`: fetched just now."""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Head(NamedTuple):
    """A response but for its body, which is the bytes from `start` up to `stop` of the copy."""

    status: int
    headers: dict[str, str]
    start: int
    stop: int


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
    condition = asked.get("if-none-match")
    if condition is not None and _names(condition, tag):
        return Head(304, headers, 0, 0)
    headers["content-type"] = entry.content_type or "application/octet-stream"
    headers["accept-ranges"] = "bytes"
    if entry.content_encoding:
        headers["content-encoding"] = entry.content_encoding
    wanted = asked.get("x-ms-range") or asked.get("range")
    if wanted is not None and request.method == "GET" and asked.get("if-range", tag) == tag:
        return _ranged(wanted, entry.size, headers)
    headers["content-length"] = str(entry.size)
    return Head(200, headers, 0, entry.size if request.method == "GET" else 0)


def _ranged(wanted: str, size: int, headers: dict[str, str]) -> Head:
    span = _read_range(wanted, size)
    if span is None:
        headers["content-length"] = str(size)
        return Head(200, headers, 0, size)
    start, stop = span
    if start >= stop:
        headers |= {"content-range": f"bytes */{size}", "content-length": "0"}
        return Head(416, headers, 0, 0)
    headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
    headers["content-length"] = str(stop - start)
    return Head(206, headers, start, stop)


def _read_range(wanted: str, size: int) -> tuple[int, int] | None:
    """Start and stop of one range, empty when it lies outside; None when it is to be ignored."""
    match = _RANGE.fullmatch(wanted.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size


def _names(condition: str, tag: str) -> bool:
    tags = [each.strip().removeprefix("W/") for each in condition.split(",")]
    return tag in tags or tags == ["*"]
