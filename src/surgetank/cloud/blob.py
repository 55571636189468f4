"""Blob service: storage accounts that hold extension manifests and packages.

Answers as the real service does, refusals above all (core.policy decides them).
Reads only: the stand-in's own operators put blobs in place. Who brings a signature or a token
counts as one who may read. Left out: whether that credential is genuine, and what would need a
clock (the `Time` line of an error).
Source: Azure Storage REST API, "Get Blob", "Specifying conditional headers for Blob service
operations" and "Status and error codes".
"""

from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import parse_qs

from surgetank.core.byte_range import INVALID_RANGE, asked_span
from surgetank.core.http import Headers, Request, Response
from surgetank.core.policy import (
    AccountAccess,
    ContainerAccess,
    Path,
    Reader,
    ReadRefusal,
    refuse_read,
)

_SERVER = "Windows-Azure-Blob/1.0,Microsoft-HTTPAPI/2.0"
_VERSION = "2024-11-04"
_METHODS = ("GET", "HEAD")
_NOT_FOUND = ReadRefusal(404, "BlobNotFound", "The specified blob does not exist.")
_NOT_MET = ReadRefusal(
    412,
    "ConditionNotMet",
    "The condition specified using HTTP conditional header(s) is not met.",
)
_ERROR = 400
_NO_METHOD = ReadRefusal(
    405, "UnsupportedHttpVerb", "The resource doesn't support the specified HTTP verb."
)


class Blob(NamedTuple):
    """One object at rest."""

    body: bytes
    content_type: str
    etag: str
    """With its quotation marks; follows from the body."""
    last_modified: str
    """As the header writes it."""


@dataclass(slots=True)
class Account:
    """One storage account, read at `NAME.blob.core.windows.net`."""

    name: str
    access: AccountAccess = field(default_factory=AccountAccess)
    containers: dict[str, ContainerAccess] = field(default_factory=dict[str, ContainerAccess])
    """By name; one that is missing shows nothing."""
    requests: int = 0
    """All that arrived."""
    refused: int = 0
    """Requests that were answered with an error."""
    _blobs: dict[str, Blob] = field(default_factory=dict[str, Blob])

    @property
    def host(self) -> str:
        """Where it is read."""
        return f"{self.name}.blob.core.windows.net"

    def put(
        self,
        path: str,
        body: bytes,
        *,
        content_type: str = "application/octet-stream",
        at: float = 0.0,
    ) -> str:
        """Store `body` at `path` (`/container/name`) and return its URL; safe to repeat.

        A container that is not there yet lets the public read its blobs.

        Args:
            path: Where; its first segment is the container.
            body: What.
            content_type: Its type.
            at: When, in seconds since 1970 UTC: readers are told as `Last-Modified`.
        """
        self.containers.setdefault(_container(path), ContainerAccess.BLOB)
        etag = f'"0x{sha256(body).hexdigest()[:16].upper()}"'
        self._blobs[path] = Blob(body, content_type, etag, formatdate(at, usegmt=True))
        return f"https://{self.host}{path}"

    async def handle(self, request: Request, path: Path = Path.PUBLIC) -> Response:
        """Answer one read that came by `path`."""
        self.requests += 1
        request_id = f"{self.requests:08x}-001e-0000-0000-000000000000"
        refusal = self._refuse(request, path)
        if refusal is None:
            response = _present(self._blobs[request.path], request, request_id)
        else:
            response = _error(refusal, request_id, has_body=request.method != "HEAD")
        self.refused += response.status >= _ERROR
        return response

    def _refuse(self, request: Request, path: Path) -> ReadRefusal | None:
        if request.method not in _METHODS:
            return _NO_METHOD
        container = self.containers.get(_container(request.path), ContainerAccess.NONE)
        refusal = refuse_read(self.access, container, Reader(path, _is_authorised(request)))
        if refusal is None and request.path not in self._blobs:
            return _NOT_FOUND
        return refusal


def _is_authorised(request: Request) -> bool:
    """Whether it brings a shared access signature, a token or the account's key."""
    scheme = request.headers.get("authorization", "").partition(" ")[0].lower()
    return "sig" in parse_qs(request.query) or scheme in ("bearer", "sharedkey")


def _container(path: str) -> str:
    return path.removeprefix("/").partition("/")[0]


def _present(blob: Blob, request: Request, request_id: str) -> Response:
    """Give a reader who may read it the blob, the part it asks for, or word that it is the same."""
    headers = {
        "content-type": blob.content_type,
        "etag": blob.etag,
        "last-modified": blob.last_modified,
        "accept-ranges": "bytes",
        "x-ms-blob-type": "BlockBlob",
        "x-ms-request-id": request_id,
        "x-ms-version": _VERSION,
        "server": _SERVER,
    }
    has_body = request.method != "HEAD"
    if not _names(request.headers.get("if-match", "*"), blob.etag):
        return _error(_NOT_MET, request_id, has_body=has_body)
    if _names(request.headers.get("if-none-match", ""), blob.etag):
        return Response(304, headers)
    status, body = 200, blob.body
    span = asked_span(request, size=len(body), etag=blob.etag)
    if span is not None and span.is_empty:
        error = _error(INVALID_RANGE, request_id, has_body=has_body)
        return error._replace(headers={**error.headers, "content-range": span.content_range})
    if span is not None:
        headers["content-range"] = span.content_range
        status, body = 206, body[span.start : span.stop]
    headers["content-length"] = str(len(body))
    return Response(status, headers, body if has_body else b"")


def _names(condition: str, etag: str) -> bool:
    """Whether a condition of the reader's names this very blob, or any."""
    tags = [tag.strip().removeprefix("W/") for tag in condition.split(",")]
    return etag in tags or tags == ["*"]


def _error(refusal: ReadRefusal, request_id: str, *, has_body: bool) -> Response:
    headers: Headers = {
        "content-type": "application/xml",
        "x-ms-error-code": refusal.code,
        "x-ms-request-id": request_id,
        "x-ms-version": _VERSION,
        "server": _SERVER,
    }
    if refusal is _NO_METHOD:
        headers = {**headers, "allow": ", ".join(_METHODS)}
    body = (
        f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{refusal.code}</Code>'
        f"<Message>{refusal.message}\nRequestId:{request_id}</Message></Error>"
    )
    return Response(refusal.status, headers, body.encode() if has_body else b"")
