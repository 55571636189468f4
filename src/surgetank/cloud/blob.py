"""Blob service: storage accounts that hold extension manifests and packages.

Answers as the real service does, refusals above all (core.policy decides them).
Reads only: the stand-in's own operators put blobs in place. Left out: ranges, credentials, and
what would need a clock (`Last-Modified`, the `Time` line of an error).
Source: Azure Storage REST API, "Get Blob" and "Status and error codes".
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from surgetank.core.http import Headers, Request, Response
from surgetank.core.policy import (
    AccountAccess,
    ContainerAccess,
    ReadRefusal,
    refuse_anonymous_read,
)

_SERVER = "Windows-Azure-Blob/1.0,Microsoft-HTTPAPI/2.0"
_VERSION = "2024-11-04"
_METHODS = ("GET", "HEAD")
_NOT_FOUND = ReadRefusal(404, "BlobNotFound", "The specified blob does not exist.")
_NO_METHOD = ReadRefusal(
    405, "UnsupportedHttpVerb", "The resource doesn't support the specified HTTP verb."
)


class Blob(NamedTuple):
    """One object at rest."""

    body: bytes
    content_type: str
    etag: str
    """With its quotation marks; follows from the body."""


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

    def put(self, path: str, body: bytes, *, content_type: str = "application/octet-stream") -> str:
        """Store `body` at `path` (`/container/name`) and return its URL; safe to repeat.

        A container that is not there yet lets the public read its blobs.
        """
        self.containers.setdefault(_container(path), ContainerAccess.BLOB)
        self._blobs[path] = Blob(body, content_type, f'"0x{sha256(body).hexdigest()[:16].upper()}"')
        return f"https://{self.host}{path}"

    async def handle(self, request: Request) -> Response:
        """Answer one read."""
        self.requests += 1
        request_id = f"{self.requests:08x}-001e-0000-0000-000000000000"
        refusal = self._refuse(request)
        if refusal is not None:
            self.refused += 1
            return _error(refusal, request_id, has_body=request.method != "HEAD")
        blob = self._blobs[request.path]
        headers = {
            "content-type": blob.content_type,
            "etag": blob.etag,
            "x-ms-blob-type": "BlockBlob",
            "x-ms-request-id": request_id,
            "x-ms-version": _VERSION,
            "server": _SERVER,
        }
        if _is_held(blob, request.headers.get("if-none-match")):
            return Response(304, headers)
        if request.method == "HEAD":
            return Response(200, headers | {"content-length": str(len(blob.body))})
        return Response(200, headers, blob.body)

    def _refuse(self, request: Request) -> ReadRefusal | None:
        if request.method not in _METHODS:
            return _NO_METHOD
        container = self.containers.get(_container(request.path), ContainerAccess.NONE)
        refusal = refuse_anonymous_read(self.access, container)
        if refusal is None and request.path not in self._blobs:
            return _NOT_FOUND
        return refusal


def _container(path: str) -> str:
    return path.removeprefix("/").partition("/")[0]


def _is_held(blob: Blob, if_none_match: str | None) -> bool:
    """Whether the reader says that it has this very blob."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return blob.etag in tags or tags == ["*"]


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
