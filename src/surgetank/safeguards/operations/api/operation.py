"""Routes of operations: submit, list, show, cancel, redrive."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from surgetank.core.errors import ConflictError, InvalidInputError
from surgetank.core.http import Response
from surgetank.core.operation import OperationId, OperationState
from surgetank.core.problem import problem
from surgetank.core.route import Call, Field, Role, Route
from surgetank.core.value import Lane
from surgetank.safeguards.operations.api import page
from surgetank.safeguards.operations.api.body import NewOperationBody, RedriveBody, read, schema
from surgetank.safeguards.operations.api.document import (
    OperationDocument,
    OperationPage,
    ReceiptDocument,
    answer,
    summary,
    whole,
)
from surgetank.safeguards.operations.api.path import OPERATION, OPERATIONS
from surgetank.safeguards.operations.record import (
    KEY_CHARACTERS_MAX,
    NAME_CHARACTERS_MAX,
    SUBJECT_CHARACTERS_MAX,
    Record,
)
from surgetank.safeguards.operations.service import Operations
from surgetank.safeguards.operations.store import Filter

KEY_HEADER = "idempotency-key"

_NO_KEY = (
    "an operation needs an idempotency key, so that it can be sent again when the answer is lost: "
    "make one, keep it, and send it as `key` or in the header Idempotency-Key"
)
_FILTERS = {
    "kind": NAME_CHARACTERS_MAX,
    "region": NAME_CHARACTERS_MAX,
    "subject": SUBJECT_CHARACTERS_MAX,
}
_FILTER_FIELDS = (
    Field(
        "state",
        {"type": "array", "items": {"enum": [state.value for state in OperationState]}},
        "One of these; given several times, any of them.",
    ),
    Field("lane", {"enum": [lane.value for lane in Lane]}, "Of this lane."),
    *(
        Field(name, {"type": "string", "maxLength": characters}, f"Of this {name}.")
        for name, characters in _FILTERS.items()
    ),
)


@dataclass(frozen=True, slots=True)
class OperationRoutes:
    """What may be done with operations."""

    operations: Operations

    def routes(self) -> tuple[Route, ...]:
        """Every route."""
        shown = {HTTPStatus.OK: schema(OperationDocument)}
        return (
            Route(
                "POST", OPERATIONS, self._submit, "Submit an operation", Role.WORK,
                headers=(
                    Field(
                        "Idempotency-Key",
                        {"type": "string", "minLength": 1, "maxLength": KEY_CHARACTERS_MAX},
                        "The key, unless the body has it.",
                    ),
                ),
                body=schema(NewOperationBody),
                answers={
                    HTTPStatus.CREATED: schema(ReceiptDocument),
                    HTTPStatus.OK: schema(ReceiptDocument),
                },
            ),
            Route(
                "GET", OPERATIONS, self._list, "List operations, oldest first", Role.READ,
                query=(*_FILTER_FIELDS, *page.PAGE_FIELDS),
                answers={HTTPStatus.OK: schema(OperationPage)},
            ),
            Route(
                "GET", OPERATION, self._show, "Show an operation and its steps", Role.READ,
                answers=shown,
            ),
            Route(
                "POST", f"{OPERATION}/cancel", self._cancel,
                "End an operation before its next call", Role.ADMIN,
                answers=shown,
            ),
            Route(
                "POST", f"{OPERATION}/redrive", self._redrive,
                "Go on with an operation that ended badly", Role.ADMIN,
                body=schema(RedriveBody), answers=shown,
            ),
        )  # fmt: skip

    async def _submit(self, call: Call) -> Response:
        body = read(NewOperationBody, call.request)
        key = _key(call, body.key)
        receipt = await self.operations.submit(body.operation(key))
        document = ReceiptDocument(id=receipt.id, key=key, is_new=receipt.is_new)
        status = HTTPStatus.CREATED if receipt.is_new else HTTPStatus.OK
        return answer(document, status=status, headers={"location": f"{OPERATIONS}/{receipt.id}"})

    async def _list(self, call: Call) -> Response:
        found = await self.operations.find(
            _filter(call), after=page.after(call, "number", 0), limit=page.limit(call)
        )
        after = found.next_after
        following = None if after is None else page.cursor({"number": after})
        operations = [summary(record) for record in found.records]
        return answer(OperationPage(operations=operations, next=following))

    async def _show(self, call: Call) -> Response:
        return await self._answer(call, self.operations.get)

    async def _cancel(self, call: Call) -> Response:
        return await self._answer(call, self.operations.cancel)

    async def _redrive(self, call: Call) -> Response:
        body = read(RedriveBody, call.request)

        async def redrive(operation_id: OperationId) -> Record | None:
            return await self.operations.redrive(operation_id, is_done=body.is_done)

        return await self._answer(call, redrive)

    async def _answer(
        self, call: Call, act: Callable[[OperationId], Awaitable[Record | None]]
    ) -> Response:
        """Answer with the operation of the path, after an act on it."""
        record = await act(OperationId(call.names["id"]))
        if record is None:
            return problem("not_found", f"no operation {call.names['id'][:80]!r} is stored")
        return answer(whole(record))


def _key(call: Call, key: str | None) -> str:
    """The idempotency key of a request: a draft of the IETF wants it in quotes, many send it bare.

    Source: draft-ietf-httpapi-idempotency-key-header-06, section 2.1.
    """
    sent = call.request.headers.get(KEY_HEADER)
    if sent is not None and len(sent) > 1 and sent[0] == sent[-1] == '"':
        sent = sent[1:-1]
    if key is not None and sent is not None and key != sent:
        raise ConflictError("one key in the body and another in the header Idempotency-Key")
    found = sent if key is None else key
    if found is None:
        raise InvalidInputError(_NO_KEY)
    return found


def _filter(call: Call) -> Filter:
    try:
        states = tuple(map(OperationState, call.query.get("state", ())))
        lane = None if (text := page.one(call, "lane")) is None else Lane(text)
    except ValueError as error:
        raise InvalidInputError(f"query: {error}") from error
    given = {name: page.one(call, name) for name in _FILTERS}
    for name, characters in _FILTERS.items():
        if len(given[name] or "") > characters:
            raise InvalidInputError(f"query: {name} has at most {characters} characters")
    return Filter(states=states, lane=lane, **given)
