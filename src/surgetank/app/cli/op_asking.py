"""How `surgetank op` reaches operations: over the HTTP API, or in a store's file when none serves.

Both speak the same requests: without a server the same routes answer within this process.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from getpass import getuser
from json import dumps, loads
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import quote, urlencode

from surgetank.app.wiring import live
from surgetank.core import errors
from surgetank.core.errors import (
    DependencyError,
    InvalidInputError,
    RefusedError,
    SurgetankError,
)
from surgetank.core.http import Request, Response, Timeouts
from surgetank.core.ports import Clock
from surgetank.core.route import CALLER, JSON

ANSWER_BYTES_MAX = 64 << 20
"""Of one answer: a page of operations is some hundred kilobytes, one operation at most six MB."""
_WAITS = Timeouts(connect_s=5.0, read_s=60.0)
_CLASSES: Mapping[str, type[SurgetankError]] = {
    "unauthenticated": RefusedError,
    "forbidden": RefusedError,
    "not_found": InvalidInputError,
    "method_not_allowed": InvalidInputError,
    "unsupported_media_type": InvalidInputError,
}

Query = Mapping[str, str | int | list[str] | None]


class Where(NamedTuple):
    """Where operations are."""

    server: str
    """Address of the HTTP API, unless `store` is given."""
    token: str
    """Empty for none."""
    store: Path | None
    """A store's file."""


class Asking(NamedTuple):
    """A way to ask."""

    send: Callable[[Request], Awaitable[Response]]
    base: str
    headers: Mapping[str, str]
    clock: Clock
    chance: Any
    """The `Chance` port."""

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Ask for something, and give what was answered.

        Raises:
            SurgetankError: As whoever answered said.
            DependencyError: Nobody answered, or what came is no answer of ours.
        """
        given = {name: value for name, value in (query or {}).items() if value is not None}
        text = f"?{urlencode(given, doseq=True)}" if given else ""
        headers = dict(self.headers)
        content = b""
        if body is not None:
            headers["content-type"] = JSON
            content = dumps(body).encode()
        request = Request.to(method, f"{self.base}{path}{text}", headers=headers, body=content)
        return _read(await self.send(request))


@asynccontextmanager
async def asking(where: Where, *, may_create: bool = False) -> AsyncGenerator[Asking]:
    """Give a way to ask while the context lasts.

    Args:
        where: Where operations are.
        may_create: Whether the store's file may be made.

    Raises:
        InvalidInputError: There is no such file.
        DependencyError: The file cannot be opened.
        IntegrityError: It is no store of ours.
    """
    async with live() as adapters:
        if where.store is None:
            headers = {"authorization": f"Bearer {where.token}"} if where.token else {}

            async def send(request: Request) -> Response:
                return await adapters.http.send(
                    request, timeouts=_WAITS, body_bytes_max=ANSWER_BYTES_MAX
                )

            base = where.server.rstrip("/")
            yield Asking(send, base, headers, adapters.ports.clock, adapters.ports.chance)
            return
        if not (may_create or where.store.is_file()):
            raise InvalidInputError(f"{where.store}: there is no such file")
        # Imported by who needs it: asking a server takes none of what runs operations.
        from surgetank.app.cli.op_file import answering  # noqa: PLC0415 - see above

        async with answering(adapters, where.store) as handle:
            ports = adapters.ports
            yield Asking(handle, "http://store", {CALLER: getuser()}, ports.clock, ports.chance)


def part(text: str) -> str:
    """Write a name as one part of a path."""
    return quote(text, safe="")


def _read(response: Response) -> dict[str, Any]:
    try:
        found = loads(response.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        reason = f"HTTP {response.status}, and no JSON of ours: is this a server of surgetank?"
        raise DependencyError(reason, may_have_acted=True)
    document = cast("dict[str, Any]", found)
    if response.status >= 400:  # noqa: PLR2004 - from here on HTTP has errors
        raise _error(document, response.status)
    return document


def _error(document: Mapping[str, Any], status: int) -> SurgetankError:
    """Give the error that a problem document tells of."""
    code, detail = str(document.get("code", "")), str(document.get("detail", f"HTTP {status}"))
    cls = _CLASSES.get(code) or _by_code().get(code, SurgetankError)
    if issubclass(cls, DependencyError):
        return cls(detail, may_have_acted=bool(document.get("may_have_acted", True)))
    if cls is errors.ConfigError:
        return SurgetankError(detail)
    return cls(detail)


def _by_code() -> dict[str, type[SurgetankError]]:
    classes = [one for one in vars(errors).values() if isinstance(one, type)]
    return {one.code: one for one in classes if issubclass(one, SurgetankError)}
