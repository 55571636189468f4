"""JSON over HTTP for threads: connections that are kept, and time-outs on every wait.

Safe to share among threads: each takes a connection of its own. After a fork the child opens new
ones. Proxies of the environment are not asked.
"""

import json
import os
import threading
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from surgetank.client.blocking_clock import BlockingClock
from surgetank.core.errors import DependencyError, DependencyTimeoutError, InvalidInputError

IDLE_MAX = 8
"""Connections kept while nobody uses them; more are closed."""
IDLE_S = 15.0
"""For which an idle connection is kept: less than servers commonly do, ours too."""
BODY_BYTES_MAX = 1 << 20
"""Of an answer: the longest operation is a fraction of it."""
_JSON: Mapping[str, str] = MappingProxyType({"content-type": "application/json"})


class Answer(NamedTuple):
    """What a server said."""

    status: int
    document: dict[str, Any]
    """Its JSON object; empty when it sent none."""


class _Idle(NamedTuple):
    connection: HTTPConnection
    since_at: float


class Wire:
    """The way to one server."""

    def __init__(
        self, url: str, token: str | None, *, timeout_s: float, clock: BlockingClock
    ) -> None:
        """Open nothing yet.

        Raises:
            InvalidInputError: `url` is not an absolute http or https URL without a query,
                `timeout_s` is not above 0, or `token` cannot be sent.
        """
        try:
            parts = urlsplit(url)
            self._port = parts.port
        except ValueError as error:
            raise InvalidInputError(f"not the URL of a server: {url!r}: {error}") from error
        is_whole = parts.scheme in ("http", "https") and parts.hostname and not parts.query
        if not (is_whole and _is_plain(url)):
            raise InvalidInputError(f"not the URL of a server: {url!r}")
        if token is not None and not _is_plain(token):
            raise InvalidInputError("the token has characters that no header may carry")
        if not timeout_s > 0:
            raise InvalidInputError(f"timeout_s = {timeout_s}: seconds, above 0")
        self.url = url
        self._kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._host = parts.hostname or ""
        self._prefix = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._clock = clock
        self._headers = {"accept": "application/json"}
        if token is not None:
            self._headers["authorization"] = f"Bearer {token}"
        self._lock = threading.Lock()
        self._idle: list[_Idle] = []
        self._process = os.getpid()

    def ask(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, held_s: float = 0
    ) -> Answer:
        """Make one request.

        Args:
            method: In capitals.
            path: Below the server's URL.
            body: Sent as JSON.
            held_s: Seconds that the server may keep us waiting besides.

        Raises:
            DependencyTimeoutError: A wait on the socket took longer than `timeout_s` (and
                `held_s`).
            DependencyError: The server cannot be reached, or what came is no answer.
        """
        raw = None if body is None else json.dumps(body).encode()
        connection, is_kept = self._take()
        try:
            try:
                response = self._send(connection, method, path, raw, held_s)
            except (ConnectionError, HTTPException):
                if not is_kept:
                    raise
                # The server closed the kept connection while we wrote. Asking again is safe: what
                # was not answered is undone, or is the same when said twice.
                connection.close()
                connection = self._open()
                response = self._send(connection, method, path, raw, held_s)
            answer = _read(response)
        except TimeoutError as error:
            connection.close()
            raise DependencyTimeoutError(
                f"{self.url}: no answer in {self._timeout_s + held_s:g} s", may_have_acted=True
            ) from error
        except (OSError, HTTPException, ValueError) as error:
            connection.close()
            raise DependencyError(f"{self.url}: {error}", may_have_acted=True) from error
        except BaseException:
            connection.close()
            raise
        self._keep(connection, response)
        return answer

    def close(self) -> None:
        """Close what is idle; safe to repeat, and the wire may be used again."""
        with self._lock:
            idle, self._idle = self._idle, []
        for each in idle:
            each.connection.close()

    def _open(self) -> HTTPConnection:
        return self._kind(self._host, self._port, timeout=self._timeout_s)

    def _take(self) -> tuple[HTTPConnection, bool]:
        """Give a connection, and whether it was used before."""
        with self._lock:
            if self._process != os.getpid():  # the parent's connections are not ours
                self._process, self._idle = os.getpid(), []
            while self._idle:
                connection, since_at = self._idle.pop()
                if self._clock.now() < since_at + IDLE_S:
                    return connection, True
                connection.close()
        return self._open(), False

    def _send(
        self, connection: HTTPConnection, method: str, path: str, raw: bytes | None, held_s: float
    ) -> HTTPResponse:
        if connection.sock is None:
            connection.connect()
        assert connection.sock is not None, "it connects or raises"
        connection.sock.settimeout(self._timeout_s + held_s)
        headers = self._headers if raw is None else {**self._headers, **_JSON}
        connection.request(method, self._prefix + path, raw, headers)
        return connection.getresponse()

    def _keep(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        with self._lock:
            if not response.will_close and len(self._idle) < IDLE_MAX:
                self._idle.append(_Idle(connection, self._clock.now()))
                return
        connection.close()


def _is_plain(text: str) -> bool:
    """Whether it may stand in a header or an address: printable ASCII without spaces."""
    return text.isascii() and text.isprintable() and " " not in text


def _read(response: HTTPResponse) -> Answer:
    """Read an answer.

    Raises:
        ValueError: It is too long, or says that it is JSON and is not.
    """
    raw = response.read(BODY_BYTES_MAX + 1)
    if len(raw) > BODY_BYTES_MAX:
        raise ValueError(f"the answer exceeds {BODY_BYTES_MAX} bytes")
    if "json" not in response.getheader("content-type", ""):
        return Answer(response.status, {})
    document: Any = json.loads(raw)
    return Answer(response.status, document if isinstance(document, dict) else {})
