"""Routes that only look: how many operations stand where, and where each governor stands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from surgetank.control.view import View
from surgetank.core.errors import InvalidInputError
from surgetank.core.http import Response
from surgetank.core.route import Call, Field, Role, Route
from surgetank.core.value import Dependency, Lane
from surgetank.safeguards.operations.api import page
from surgetank.safeguards.operations.api.body import schema
from surgetank.safeguards.operations.api.document import (
    CountsDocument,
    DependencyPage,
    answer,
    dependency_document,
)
from surgetank.safeguards.operations.api.path import COUNTS, DEPENDENCIES
from surgetank.safeguards.operations.service import Operations


@dataclass(frozen=True, slots=True)
class SightRoutes:
    """What may be seen."""

    operations: Operations
    views: Callable[[], Mapping[Dependency, View]]
    """Where each governor stands, in the order of names."""

    def routes(self) -> tuple[Route, ...]:
        """Every route."""
        lanes = [lane.value for lane in Lane]
        return (
            Route(
                "GET", COUNTS, self._counts, "Count operations by state", Role.READ,
                query=(Field("lane", {"enum": lanes}, "Of this lane; left out, of both."),),
                answers={HTTPStatus.OK: schema(CountsDocument)},
            ),
            Route(
                "GET", DEPENDENCIES, self._dependencies,
                "Show where each dependency's governor stands", Role.READ,
                query=page.PAGE_FIELDS,
                answers={HTTPStatus.OK: schema(DependencyPage)},
            ),
        )  # fmt: skip

    async def _counts(self, call: Call) -> Response:
        text = page.one(call, "lane")
        if text is not None and text not in set(Lane):
            raise InvalidInputError(f"query: lane is one of {', '.join(Lane)}, not {text[:80]!r}")
        counts = await self.operations.counts(None if text is None else Lane(text))
        return answer(CountsDocument(states=dict(counts), owed=await self.operations.owed()))

    async def _dependencies(self, call: Call) -> Response:
        limit, after = page.limit(call), page.after(call, "name", "")
        shown = [
            dependency_document(name, view) for name, view in self.views().items() if name > after
        ][:limit]
        following = page.cursor({"name": shown[-1].name}) if len(shown) == limit else None
        return answer(DependencyPage(dependencies=shown, next=following))
