"""The route that reads the audit trail."""

from dataclasses import dataclass
from http import HTTPStatus

from surgetank.core.http import Response
from surgetank.core.route import Call, Role, Route
from surgetank.runtime.server.audit import AuditTrail
from surgetank.safeguards.operations.api import page
from surgetank.safeguards.operations.api.body import schema
from surgetank.safeguards.operations.api.document import Document, answer, instant

AUDIT = "/v1/audit"


class AuditEntry(Document):
    """That an act begins, or how it ended."""

    number: int
    at: str
    who: str
    """Name of the token."""
    method: str
    path: str
    body: str | None = None
    """What it was asked with, at most 1,000 characters; null where an act ends."""
    ends: int | None = None
    """Number of the entry of the act that this ends; null where one begins."""
    status: int | None = None
    """How it was answered; null where it begins."""


class AuditPage(Document):
    """Some entries, oldest first."""

    entries: list[AuditEntry]
    next: str | None
    """The `cursor` of the next page; null when this is the last."""


@dataclass(frozen=True, slots=True)
class AuditRoutes:
    """What may be read of the trail."""

    trail: AuditTrail

    def routes(self) -> tuple[Route, ...]:
        """Give the route: not for everybody who may read operations."""
        return (
            Route(
                "GET", AUDIT, self._list, "Read the audit trail, oldest first", Role.ADMIN,
                query=page.PAGE_FIELDS,
                answers={HTTPStatus.OK: schema(AuditPage)},
            ),
        )  # fmt: skip

    async def _list(self, call: Call) -> Response:
        limit = page.limit(call)
        found = await self.trail.read(after=page.after(call, "number", 0), limit=limit)
        entries = [
            AuditEntry.model_validate({**entry, "at": instant(entry["at"])}) for entry in found
        ]
        following = page.cursor({"number": entries[-1].number}) if len(found) == limit else None
        return answer(AuditPage(entries=entries, next=following))
