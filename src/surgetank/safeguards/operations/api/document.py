"""What is answered: operations, holds and dependencies as JSON. Instants are RFC 3339, in UTC."""

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from surgetank.control.breaker import Phase
from surgetank.control.signal import Mode
from surgetank.control.view import View
from surgetank.core.http import NO_HEADERS, Headers, Response
from surgetank.core.operation import OperationState, Step, StepState
from surgetank.core.route import JSON
from surgetank.core.value import Dependency, Lane
from surgetank.safeguards.operations.hold import Hold, HoldScope
from surgetank.safeguards.operations.record import Progress, Record

_SECONDS_MAX = (
    datetime.max.replace(tzinfo=UTC) - datetime.fromtimestamp(0, UTC)
).total_seconds() - 1


class Document(BaseModel):
    """An answer."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class StepDocument(Document):
    """One call of an operation, and how far it has come."""

    name: str
    dependency: str
    action: str
    arguments: JsonValue
    state: StepState
    tries: int
    """Calls begun since it was last put off."""
    sleeps: int
    """Times that it was blocked."""
    is_optional: bool
    is_security: bool
    is_repeatable: bool
    is_fallback: bool
    """It runs with its other arguments."""
    is_given_up: bool
    """Owed, and will not be tried again."""
    fallback: JsonValue
    fallback_dependency: str | None
    probe: JsonValue
    detail: str
    """What the dependency last said."""


class OperationSummary(Document):
    """Where an operation stands."""

    id: str
    key: str
    number: int
    """Order of submission."""
    kind: str
    region: str
    lane: Lane
    priority: int
    subject: str
    generation: int
    state: OperationState
    stop: str
    """What it is to become before its next call: `cancelled`, `superseded`, or empty."""
    created_at: str
    run_at: str
    """Due from then; while a worker runs it, its lease ends then."""
    deadline_at: str | None
    finished_at: str | None
    worker: str
    """Who runs it."""
    owed: int
    """Optional steps that were skipped and are still to be done."""
    detail: str
    """Why it ended."""


class OperationDocument(OperationSummary):
    """Where an operation stands, and each of its steps."""

    steps: list[StepDocument]


class ReceiptDocument(Document):
    """An operation is stored and will not be lost."""

    id: str
    key: str
    is_new: bool
    """False when the same key and body was submitted before."""


class OperationPage(Document):
    """Some operations, oldest first."""

    operations: list[OperationSummary]
    next: str | None
    """The `cursor` of the next page; null when this is the last."""


class HoldDocument(Document):
    """Work that is not to begin."""

    scope: HoldScope
    name: str
    """Of the dependency, region or kind; empty for all."""
    since: str
    by: str
    reason: str


class HoldList(Document):
    """Every hold."""

    holds: list[HoldDocument]


class ReleaseDocument(Document):
    """What was let go."""

    released: int
    """Operations let go one by one; 0 where the hold was lifted at once."""
    is_lifted: bool
    """Whether the hold is gone: it stops nothing any more."""


class CountsDocument(Document):
    """How many operations stand where."""

    states: dict[OperationState, int]
    owed: int
    """Optional steps that were skipped and are still to be done, in both lanes."""


class DependencyDocument(Document):
    """Where the governor of one dependency stands."""

    name: str
    phase: str
    """Of its breaker: `closed`, `open` or `half_open`."""
    mode: str
    """Of its release."""
    held: str
    """Why a backlog call would be refused now; empty when it would not."""
    waits_for: str
    takes: str
    """How far that is off."""
    retry_at: str | None
    rate_per_s: float | None
    """Pace of the backlog; null for no bound, here and below."""
    in_flight: int
    in_flight_max: float | None
    fresh_in_flight_max: float | None
    retries_left: float | None


class DependencyPage(Document):
    """Some dependencies, by name."""

    dependencies: list[DependencyDocument]
    next: str | None
    """The `cursor` of the next page; null when this is the last."""


def answer(document: Document, *, status: int = 200, headers: Headers = NO_HEADERS) -> Response:
    """Answer with a document."""
    body = document.model_dump_json().encode()
    return Response(status, {"content-type": JSON, **headers}, body)


def summary(record: Record) -> OperationSummary:
    """Say where an operation stands."""
    return OperationSummary(**_facts(record))


def whole(record: Record) -> OperationDocument:
    """Say where an operation stands, and each of its steps."""
    pairs = zip(record.steps, record.progress, strict=True)
    return OperationDocument(**_facts(record), steps=[_step(*pair) for pair in pairs])


def hold_document(hold: Hold) -> HoldDocument:
    """Say what is held, by whom and why."""
    return HoldDocument(
        scope=hold.scope,
        name=hold.name,
        since=instant(hold.since),
        by=hold.by,
        reason=hold.reason,
    )


def dependency_document(name: Dependency, view: View) -> DependencyDocument:
    """Say where a governor stands."""
    return DependencyDocument(
        name=name,
        phase=Phase(view.phase).name.lower(),
        mode=Mode(view.mode).name.lower(),
        held=view.held,
        waits_for=view.waits_for,
        takes=view.takes,
        retry_at=None if view.retry_at is None else instant(view.retry_at),
        rate_per_s=_finite(view.rate_per_s),
        in_flight=view.in_flight,
        in_flight_max=_finite(view.in_flight_max),
        fresh_in_flight_max=_finite(view.fresh_in_flight_max),
        retries_left=_finite(view.retries_left),
    )


def instant(at: float) -> str:
    """Write an instant; one past the year 9999 is written as that year's end."""
    seconds = min(max(at, 0.0), _SECONDS_MAX)
    moment = datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _facts(record: Record) -> dict[str, Any]:
    names = OperationSummary.model_fields.keys() & set(Record._fields)
    facts: dict[str, Any] = {name: getattr(record, name) for name in names}
    facts["owed"] = record.owed
    for name in ("created_at", "run_at", "deadline_at", "finished_at"):
        at: float | None = getattr(record, name)
        facts[name] = None if at is None else instant(at)
    return facts


def _step(step: Step, progress: Progress) -> StepDocument:
    names = StepDocument.model_fields.keys()
    facts = {**progress._asdict(), **step._asdict()}
    given = {name: fact for name, fact in facts.items() if name in names}
    for name in ("arguments", "fallback", "probe"):
        given[name] = _json(given[name])
    return StepDocument(**given)


def _json(text: str | None) -> JsonValue:
    """Read arguments; those that are not JSON, as a library may submit, are given as text."""
    if text is None:
        return None
    try:
        found: JsonValue = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text
    return found


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
