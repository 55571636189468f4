"""Routes as values: which request is answered by what, and what a description says of it.

`Routes` is a `Handler` made of them. It refuses what no route takes (path, method, query, media
type) and turns errors of ours into problem documents; a route only has to act.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import IntEnum
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

from surgetank.core.errors import InvalidInputError, SurgetankError
from surgetank.core.http import Request, Response
from surgetank.core.problem import problem, problem_of

CALLER = "x-surgetank-caller"
"""Header in which the gate before the routes says who calls; it lets none from outside through."""
QUERY_FIELDS_MAX = 40
"""Fields of a query, repeated ones counted."""

JSON = "application/json"

Schema = Mapping[str, object]
"""JSON Schema; what stands in its `$defs` is named by `#/components/schemas/`."""
NOTHING: Schema = MappingProxyType({})


class Role(IntEnum):
    """What a caller may do; each may do what the ones before may."""

    READ = 1
    WORK = 2
    """Submit operations."""
    ADMIN = 3
    """Change what others submitted, hold and release; audited."""


class Call(NamedTuple):
    """One request, as a route gets it."""

    request: Request
    names: Mapping[str, str]
    """What stands in the path for each `{name}` of the route; percent-decoded."""
    query: Mapping[str, Sequence[str]]
    """Values by name, in the order sent; only names that the route has."""

    @property
    def who(self) -> str:
        """Who calls; empty where nobody asked."""
        return self.request.headers.get(CALLER, "")


class Field(NamedTuple):
    """A query parameter or a header that a route reads."""

    name: str
    schema: Schema
    description: str


class Route(NamedTuple):
    """One method of one path."""

    method: str
    path: str
    """A part of it that is `{name}` stands for any one part that is not empty."""
    act: Callable[[Call], Awaitable[Response]]
    summary: str
    role: Role | None
    """What its caller must be; None: anybody, always."""
    query: tuple[Field, ...] = ()
    headers: tuple[Field, ...] = ()
    body: Schema = NOTHING
    """Of the JSON that it takes; empty when it takes none."""
    answers: Mapping[HTTPStatus, Schema] = MappingProxyType({HTTPStatus.OK: NOTHING})
    """Schema of the JSON that it answers, by status, empty where it answers no body; problems are
    not listed."""
    is_end: bool = False
    """Whether it ends what was begun here: a server that drains takes such requests, too."""


class Routes:
    """A `Handler` of some routes."""

    def __init__(self, routes: Sequence[Route], *, now: Callable[[], float]) -> None:
        """Stand ready.

        Args:
            routes: No two of one method and path.
            now: The time, for Retry-After.
        """
        self.all = tuple(routes)
        self._now = now
        by_path: dict[tuple[str, ...], dict[str, Route]] = {}
        for route in routes:
            methods = by_path.setdefault(_parts(route.path), {})
            assert route.method not in methods, f"two routes: {route.method} {route.path}"
            methods[route.method] = route
        self._by_path = sorted(by_path.items())  # A brace comes after every letter.

    def find(self, request: Request) -> Route | None:
        """Find the route of a request; None when there is none."""
        methods, _ = self._match(request.path)
        return methods.get(_method(request))

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        methods, names = self._match(request.path)
        if not methods:
            return problem("not_found", f"nothing is at {request.path[:200]}")
        route = methods.get(_method(request))
        if route is None:
            allowed = ", ".join(sorted(methods))
            detail = f"{request.path[:200]} takes {allowed}, not {request.method}"
            return problem("method_not_allowed", detail, headers={"allow": allowed})
        if request.body and _media_type(request) != JSON:
            detail = f"send {JSON}: curl does with --json, and with -H 'content-type: {JSON}'"
            return problem("unsupported_media_type", detail)
        try:
            return await route.act(_call(route, request, names))
        except SurgetankError as error:
            return problem_of(error, now=self._now())

    def _match(self, path: str) -> tuple[Mapping[str, Route], Mapping[str, str]]:
        """Methods of a path, and what stands for its names; a plain path before a template."""
        sent = _parts(path)
        for template, methods in self._by_path:
            names = _names(template, sent)
            if names is not None:
                return methods, names
        return {}, {}


def _method(request: Request) -> str:
    """HEAD is a GET whose body the wire leaves out."""
    return "GET" if request.method == "HEAD" else request.method


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.split("/"))


def _names(template: Sequence[str], sent: Sequence[str]) -> Mapping[str, str] | None:
    """What stands for each name of a template; None when the path is not of it."""
    if len(template) != len(sent):
        return None
    names = dict[str, str]()
    for wanted, part in zip(template, sent, strict=True):
        if wanted.startswith("{") and part:
            names[wanted[1:-1]] = unquote(part)
        elif wanted != part:
            return None
    return names


def _call(route: Route, request: Request, names: Mapping[str, str]) -> Call:
    try:
        query = parse_qs(request.query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError as error:
        raise InvalidInputError(f"query: {error}") from error
    known = [field.name for field in route.query]
    for name in query:
        if name not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise InvalidInputError(f"query: no parameter is named {name[:80]!r}; {takes}")
    return Call(request, names, query)
