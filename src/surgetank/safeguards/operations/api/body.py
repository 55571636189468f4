"""What may be asked: bodies of requests, read in strict mode."""

import math
from datetime import UTC, datetime
from json import dumps
from typing import Annotated, TypeVar

from pydantic import AwareDatetime, BaseModel, JsonValue, ValidationError
from pydantic import Field as Limited

from surgetank.core.errors import InvalidInputError
from surgetank.core.http import Request
from surgetank.core.operation import NewOperation, Step
from surgetank.core.route import Schema
from surgetank.core.value import Dependency, Lane
from surgetank.safeguards.operations.api.path import RELEASED_MAX
from surgetank.safeguards.operations.record import (
    GENERATION_MAX,
    KEY_CHARACTERS_MAX,
    NAME_CHARACTERS_MAX,
    PRIORITY_MAX,
    STEPS_MAX,
    SUBJECT_CHARACTERS_MAX,
)
from surgetank.safeguards.operations.strict import Strict

REASON_CHARACTERS_MAX = 200

Key = Annotated[str, Limited(min_length=1, max_length=KEY_CHARACTERS_MAX)]
Name = Annotated[str, Limited(min_length=1, max_length=NAME_CHARACTERS_MAX)]


class Body(Strict):
    """A body of a request, or a part of one."""


class NewStepBody(Body):
    """One call of an operation."""

    name: Name
    """Unique within the operation."""
    dependency: Name
    """What it calls, as `compute@eastus`."""
    action: Name = "http"
    """What makes the call."""
    arguments: JsonValue
    """What the action reads; at most 64 KiB."""
    is_optional: bool = False
    """It may be skipped while its dependency refuses, and is done later."""
    is_security: bool = False
    """It is never skipped, even where optional says otherwise."""
    is_repeatable: bool = False
    """Making the call twice is harmless; a lost answer may then be tried again."""
    fallback: JsonValue = None
    """Other arguments, tried when the dependency is blocked or the call permanent; null for none."""
    fallback_dependency: Name | None = None
    """Where the fallback calls; null when it needs no leave."""
    probe: JsonValue = None
    """Arguments for a call that changes nothing and tells what became of one whose answer never
    came; null for none."""

    def step(self) -> Step:
        """Give the step that it describes."""
        where = self.fallback_dependency
        return Step(
            name=self.name,
            dependency=Dependency(self.dependency),
            action=self.action,
            arguments=_text(self.arguments),
            is_optional=self.is_optional,
            is_security=self.is_security,
            is_repeatable=self.is_repeatable,
            fallback=None if self.fallback is None else _text(self.fallback),
            fallback_dependency=None if where is None else Dependency(where),
            probe=None if self.probe is None else _text(self.probe),
        )


class NewOperationBody(Body):
    """An operation to be done."""

    key: Key | None = None
    """Idempotency key, made before anything is sent; here or in the header Idempotency-Key. A UUID
    of version 7 is stored fastest."""
    kind: Annotated[str, Limited(max_length=NAME_CHARACTERS_MAX)]
    """What it does, as `create_vm`: operations are listed and held by it."""
    region: Annotated[str, Limited(max_length=NAME_CHARACTERS_MAX)]
    """Where, as `eastus`."""
    steps: Annotated[list[NewStepBody], Limited(min_length=1, max_length=STEPS_MAX)]
    """Its calls, in order."""
    lane: Lane = Lane.FRESH
    """Who waits for it: `fresh` goes first."""
    priority: Annotated[int, Limited(ge=-PRIORITY_MAX, le=PRIORITY_MAX)] = 0
    """Higher goes first within its lane."""
    run_at: AwareDatetime | None = None
    """Not begun before; null for at once."""
    deadline_at: AwareDatetime | None = None
    """Not begun or gone on with after; null for never."""
    subject: Annotated[str, Limited(max_length=SUBJECT_CHARACTERS_MAX)] = ""
    """The resource whose wanted state it brings about: of one subject only the newest runs."""
    generation: Annotated[int, Limited(ge=0, le=GENERATION_MAX)] = 0
    """Of the subject's wanted state: higher is newer."""

    def operation(self, key: str) -> NewOperation:
        """Give the operation that it describes."""
        return NewOperation(
            key=key,
            kind=self.kind,
            region=self.region,
            steps=tuple(step.step() for step in self.steps),
            lane=self.lane,
            deadline_at=_seconds(self.deadline_at),
            priority=self.priority,
            run_at=_seconds(self.run_at),
            subject=self.subject,
            generation=self.generation,
        )


class RedriveBody(Body):
    """How to go on with an operation that ended badly."""

    is_done: bool | None = None
    """Of an operation that ended `unknown`: whether the call in doubt was made."""


class HoldBody(Body):
    """Why operations are held."""

    reason: Annotated[str, Limited(max_length=REASON_CHARACTERS_MAX)] = ""
    """For whoever finds them held."""


class ReleaseBody(Body):
    """How many held operations to let go."""

    limit: Annotated[int, Limited(ge=1, le=RELEASED_MAX)]
    """At most so many; the others stay held."""


B = TypeVar("B", bound=Body)


def read(model: type[B], request: Request, *, bytes_max: float = math.inf) -> B:
    """Read the body of a request; none at all is an empty object.

    Raises:
        InvalidInputError: It is too long, not JSON, or not what is wanted; the message names the
            key.
    """
    if len(request.body) > bytes_max:
        raise InvalidInputError(f"the body exceeds {bytes_max} bytes")
    try:
        return model.model_validate_json(request.body or b"{}")
    except ValidationError as error:
        first, *others = error.errors(include_url=False, include_input=False)
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        more = f" (and {len(others)} more)" if others else ""
        raise InvalidInputError(f"{where}: {first['msg']}{more}"[:1000]) from None


def schema(model: type[BaseModel]) -> Schema:
    """Give the JSON Schema of a model, as routes carry it."""
    return model.model_json_schema(ref_template="#/components/schemas/{model}")


def _text(value: JsonValue) -> str:
    """Write JSON back, short."""
    try:
        return dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise InvalidInputError(f"arguments: {error}") from error


def _seconds(at: datetime | None) -> float | None:
    return (
        None
        if at is None
        else (at.astimezone(UTC) - datetime.fromtimestamp(0, UTC)).total_seconds()
    )
