"""Reads what Azure Resource Manager says about a call and its long-running operation, pure.

Sources: Azure REST API guidelines, "Long-running operations"; Azure Resource Manager, "Track
asynchronous operations": a failed operation is HTTP 200 with a status in the body.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple, cast
from urllib.parse import urljoin

from surgetank.core.http import Request, Response

CODES_MAX = 32
"""Error codes read from one body."""
DEPTH_MAX = 8
"""Levels of nested errors that are read."""

_FAILED = ("failed", "canceled", "cancelled")
_ACCEPTED, _SUCCESS, _REDIRECT, _FAULT = 202, 200, 300, 500
_OF_THE_POLL_ITSELF = (401, 403, 404, 408, 429)

Body = Mapping[str, Any]


class PollKind(StrEnum):
    """What is polled."""

    OPERATION = "operation"
    """`Azure-AsyncOperation`: `status` in the body."""
    LOCATION = "location"
    """`Location` of a 202: 202 while under way, then what the call itself would have answered."""
    RESOURCE = "resource"
    """The resource: `provisioningState` in the body."""


class Poll(NamedTuple):
    """Where to ask what became of a long-running operation."""

    url: str
    kind: PollKind

    def write(self) -> str:
        """Write it as a checkpoint."""
        return json.dumps(self)

    @classmethod
    def read(cls, checkpoint: str) -> "Poll":
        """Read a checkpoint that `write` made."""
        url, kind = json.loads(checkpoint)
        return cls(url, PollKind(kind))


class Progress(StrEnum):
    """What a poll's answer says."""

    UNDER_WAY = "under_way"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    FORGOTTEN = "forgotten"
    """The other side does not know the operation (any more)."""
    SILENT = "silent"
    """The poll itself failed: nothing was said about the operation."""


def read_body(response: Response) -> Body:
    """Read a JSON object; empty when the body is none."""
    try:
        value: object = json.loads(response.body) if response.body else None
    except ValueError:
        return {}
    return cast("Body", value) if isinstance(value, dict) else {}


def poll_of(request: Request, response: Response, body: Body) -> Poll | None:
    """Where to poll after a call was accepted; None when it is done already."""
    for header in ("azure-asyncoperation", "operation-location"):
        if url := response.headers.get(header):
            return Poll(_absolute(request.url, url), PollKind.OPERATION)
    if response.status == _ACCEPTED and (url := response.headers.get("location")):
        return Poll(_absolute(request.url, url), PollKind.LOCATION)
    state = _state(body, PollKind.RESOURCE)
    return None if state in (None, "succeeded") else Poll(request.url, PollKind.RESOURCE)


def moved(poll: Poll, response: Response) -> Poll:
    """Where to poll next: an answer under way may name another `Location`."""
    url = response.headers.get("location")
    if poll.kind is not PollKind.LOCATION or response.status != _ACCEPTED or not url:
        return poll
    return poll._replace(url=_absolute(poll.url, url))


def progress_of(poll: Poll, response: Response, body: Body) -> Progress:
    """Tell how far the operation is from a poll's answer."""
    status = response.status
    if not _SUCCESS <= status < _REDIRECT:
        if status == 404:  # noqa: PLR2004 - "not found" reads best as itself
            return Progress.FORGOTTEN
        is_answer = poll.kind is PollKind.LOCATION and status < _FAULT
        if is_answer and status not in _OF_THE_POLL_ITSELF:
            return Progress.FAILED
        return Progress.SILENT
    state = _state(body, poll.kind)
    if state in _FAILED:
        return Progress.FAILED
    if poll.kind is PollKind.LOCATION:
        is_done = status != _ACCEPTED and state in (None, "succeeded")
    else:
        is_done = state == "succeeded"
    return Progress.SUCCEEDED if is_done else Progress.UNDER_WAY


def codes_of(response: Response, body: Body) -> list[str]:
    """Error codes of an answer, outermost first: `error.code`, its `details` and `innererror`.

    A blob's errors are XML and name their code in the header `x-ms-error-code`. Other services
    write `code` without an envelope, or `error` as a word (RFC 6749, section 5.2).
    """
    codes = list[str]()
    if header := response.headers.get("x-ms-error-code"):
        codes.append(header)
    if isinstance(code := body.get("code"), str) and code:
        codes.append(code)
    # A failed resource carries its error where other answers do, or below `properties`.
    properties = body.get("properties")
    for holder in (body, properties):
        if isinstance(holder, dict):
            _collect(cast("Body", holder).get("error"), codes, depth=0)
    return codes[:CODES_MAX]


def _collect(error: object, codes: list[str], *, depth: int) -> None:
    if isinstance(error, str) and error:
        codes.append(error)
    if not isinstance(error, dict) or depth >= DEPTH_MAX or len(codes) >= CODES_MAX:
        return
    fields = cast("Body", error)
    code = fields.get("code")
    if isinstance(code, str) and code:
        codes.append(code)
    details: object = fields.get("details")
    if isinstance(details, list):
        for detail in cast("list[object]", details)[:CODES_MAX]:
            _collect(detail, codes, depth=depth + 1)
    _collect(fields.get("innererror"), codes, depth=depth + 1)


def _absolute(base: str, url: str) -> str:
    """Resolve an address as RFC 9110, section 10.2.2, says; one that makes no sense stays."""
    try:
        return urljoin(base, url)
    except ValueError:
        return url


def _state(body: Body, kind: PollKind) -> str | None:
    """The state in lower case; None when the body names none."""
    properties = body.get("properties")
    state: object = body.get("status") if kind is not PollKind.RESOURCE else None
    if state is None and isinstance(properties, dict):
        state = cast("Body", properties).get("provisioningState")
    return state.lower() if isinstance(state, str) else None
