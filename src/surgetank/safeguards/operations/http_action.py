"""The built-in action `http`: one request, and the long-running operation that it may begin.

Arguments are JSON; `HttpArguments` says which. The request carries `x-ms-client-request-id`, the
same at every try, so that the other side can tell tries apart from wishes.

An answer means what the arguments say of its error codes or its status, else what
`control.outcome` says. What may have acted: a request whose answer never came, or that the other
side failed at (5xx); who refused it as wrong (4xx; RFC 9110, section 15.5) is taken not to have.

Azure Resource Manager answers a PUT before it is done. The address to poll is saved before
anything is polled: after a crash the operation is followed, not begun again. Polls go to where
the answer says (`Azure-AsyncOperation` or `Operation-Location`, else `Location` of a 202, which
later answers may change, else the resource itself while its `provisioningState` is not final), at `Retry-After`, and ask with `Prefer: wait=N` to be
answered when something changes; who honours that is polled once, who does not as often as ever.
Sources: Azure REST API guidelines, "Long-running operations"; RFC 7240, section 4.3.
"""

import json
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Annotated, NamedTuple
from urllib.parse import quote

from pydantic import Field, JsonValue

from surgetank.control.outcome import (
    NO_TABLE,
    OutcomeTable,
    bounded_s,
    classify,
    parse_retry_after,
)
from surgetank.core.errors import DependencyError, InvalidInputError
from surgetank.core.http import Request, Response, Timeouts
from surgetank.core.ports import Clock, HttpClient
from surgetank.core.value import Outcome, OutcomeKind
from surgetank.safeguards.operations.action import ActionResult, StepCall, result_of
from surgetank.safeguards.operations.argument import Arguments, read_arguments
from surgetank.safeguards.operations.long_running import (
    Body,
    Poll,
    Progress,
    codes_of,
    moved,
    poll_of,
    progress_of,
    read_body,
)
from surgetank.safeguards.operations.record import CHECKPOINT_CHARACTERS_MAX, clip

REQUEST_ID = "x-ms-client-request-id"
POLL_S_MIN = 1.0
"""Seconds between polls at the least, whatever Retry-After says: 0 would poll without end."""
HEADERS_MAX = 64
CODES_MAX = 64
"""Error codes that the arguments of one call may say something of."""
_ABSENT = frozenset({404, 410})
"""Statuses that tell a probe that nothing is there."""
_REFUSED = range(400, 500)
_TOO_LONG = Outcome(OutcomeKind.PERMANENT, "the address to poll is too long")

_HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
_HeaderValue = Annotated[str, Field(pattern=r"^[^\x00\r\n]*$")]


class HttpOutcomes(Arguments):
    """What the answer to a call means, before the defaults. A code decides before a status."""

    code: Annotated[dict[str, OutcomeKind], Field(max_length=CODES_MAX)] = Field(
        default_factory=dict[str, OutcomeKind]
    )
    """Outcomes by error code of the body; of several nested ones, the innermost that stands here
    decides."""
    status: dict[Annotated[int, Field(ge=100, le=599)], OutcomeKind] = Field(
        default_factory=dict[int, OutcomeKind]
    )
    """Outcomes by status, as 404 that means `ok` to who deletes."""


class HttpArguments(Arguments):
    """Arguments of `http`."""

    url: str
    """Absolute, of http or https."""
    method: Annotated[str, Field(pattern=r"^[A-Z]{1,20}$")] = "GET"
    """As the wire has it."""
    headers: Annotated[dict[_HeaderName, _HeaderValue], Field(max_length=HEADERS_MAX)] = Field(
        default_factory=dict[str, str]
    )
    """By name; `x-ms-client-request-id` is ours to set."""
    body: JsonValue = None
    """Text is sent as it is, all else as JSON; null or left out: no body."""
    outcomes: HttpOutcomes = HttpOutcomes()
    """What its answer means."""

    @property
    def table(self) -> OutcomeTable:
        """What whoever makes the call knows of its answers."""
        return OutcomeTable(self.outcomes.code, self.outcomes.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpActionPolicy:
    """Waits of the http action; raises `InvalidInputError` if out of range."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    """Of the request; polls may wait `wait_s` longer for their answer."""
    poll_s: float = 30.0
    """Seconds between polls without Retry-After; above 0. As azure-core polls."""
    wait_s: int = 300
    """Seconds for which a poll asks to be held until something changes; 0 does not ask."""
    poll_s_max: float = 3600.0
    """Seconds to follow a long-running operation in one call; above 0."""
    poll_failures_max: int = 5
    """Polls in a row that may go unanswered; at least 1."""
    body_bytes_max: int = 1 << 20
    """Longest answer that is read."""

    def __post_init__(self) -> None:
        if not min(self.poll_s, self.poll_s_max) > 0 or self.wait_s < 0:
            raise InvalidInputError(f"out of range: {self}")
        if self.poll_failures_max < 1 or self.body_bytes_max < 1:
            raise InvalidInputError(f"out of range: {self}")


class Wish(NamedTuple):
    """What a step wants done."""

    call: StepCall
    request: Request
    table: OutcomeTable
    """What the answers to the request mean, but not to polls."""


class HttpAction:
    """Makes HTTP calls for steps."""

    def __init__(self, *, client: HttpClient, clock: Clock, policy: HttpActionPolicy) -> None:
        self._client = client
        self._clock = clock
        self._policy = policy

    async def __call__(self, call: StepCall, /) -> ActionResult:
        """Make the call, or go on following the one that an earlier try began."""
        try:
            arguments = read_arguments(HttpArguments, call.arguments)
            wish = Wish(call, _request(arguments, call), arguments.table)
        except InvalidInputError as error:
            return ActionResult(Outcome(OutcomeKind.PERMANENT, clip(str(error))))
        if call.checkpoint:
            return await self._follow(wish, Poll.read(call.checkpoint), pause_s=0.0)
        try:
            response = await self._client.send(
                wish.request,
                timeouts=self._policy.timeouts,
                body_bytes_max=self._policy.body_bytes_max,
            )
        except DependencyError as error:
            return result_of(error)
        return await self._take(wish, response)

    async def _take(self, wish: Wish, response: Response) -> ActionResult:
        """Take in the answer, and follow the operation that it may have begun."""
        body = read_body(response)
        outcome = self._classify(response, body, wish.table)
        kind = outcome.kind
        if kind is not OutcomeKind.OK:
            # After a fault on the other side nobody knows how far it came; a refusal did nothing.
            is_fault = kind is OutcomeKind.TRANSIENT and response.status not in _REFUSED
            return ActionResult(
                outcome,
                may_have_acted=is_fault or kind is OutcomeKind.TIMEOUT,
                is_absent=response.status in _ABSENT,
            )
        poll = poll_of(wish.request, response, body)
        if poll is None:
            return ActionResult(outcome)
        kept = await _keep(wish, poll)
        if kept is None:
            return ActionResult(_TOO_LONG, may_have_acted=True)
        # Who holds polls is asked at once; who does not answers this one in vain, and only this.
        pause_s = 0.0 if self._policy.wait_s else self._pause_s(response)
        return await self._follow(kept, poll, pause_s=pause_s)

    async def _follow(self, wish: Wish, poll: Poll, *, pause_s: float) -> ActionResult:
        """Poll until the operation ends; polling is harmless, so a lost answer is asked for again.

        Polls begin `pause_s` apart, so one that was held longer than that is followed at once.
        """
        policy = self._policy
        until = self._clock.now() + policy.poll_s_max
        asked_at, failures = self._clock.now(), 0
        while asked_at + pause_s <= until:
            if pause_s > 0:
                await self._clock.sleep_until(asked_at + pause_s)
            asked_at = self._clock.now()
            answer = await self._ask(wish.request, poll)
            if isinstance(answer, Response):
                body = read_body(answer)
                progress = progress_of(poll, answer, body)
                if progress not in (Progress.UNDER_WAY, Progress.SILENT):
                    return self._end(wish, answer, body, progress)
                pause_s = self._pause_s(answer)
                poll, before = moved(poll, answer), poll
                kept = wish if poll == before else await _keep(wish, poll)
                if kept is None:
                    return ActionResult(_TOO_LONG, wish.call.checkpoint)
                wish = kept
                silence = self._classify(answer, body, NO_TABLE)
            else:
                progress, pause_s, silence = Progress.SILENT, policy.poll_s, answer
            failures = failures + 1 if progress is Progress.SILENT else 0
            if failures >= policy.poll_failures_max:
                return ActionResult(_said_of_a_poll(silence), wish.call.checkpoint)
        detail = f"still under way after {policy.poll_s_max:g} s"
        return ActionResult(Outcome(OutcomeKind.TIMEOUT, detail), wish.call.checkpoint)

    async def _ask(self, request: Request, poll: Poll) -> Response | Outcome:
        """Make one poll; an outcome when no answer came."""
        policy = self._policy
        headers = {name: value for name, value in request.headers.items() if name != REQUEST_ID}
        if policy.wait_s:
            headers["prefer"] = f"wait={policy.wait_s}"
        timeouts = policy.timeouts._replace(read_s=policy.timeouts.read_s + policy.wait_s)
        try:
            return await self._client.send(
                Request.to("GET", poll.url, headers=headers),
                timeouts=timeouts,
                body_bytes_max=policy.body_bytes_max,
            )
        except InvalidInputError as error:
            return Outcome(OutcomeKind.TRANSIENT, clip(f"no address to poll: {error}"))
        except DependencyError as error:
            return result_of(error).outcome

    def _end(self, wish: Wish, response: Response, body: Body, progress: Progress) -> ActionResult:
        """What the end of a long-running operation means for its step."""
        if progress is Progress.SUCCEEDED:
            return ActionResult(Outcome(OutcomeKind.OK), wish.call.checkpoint)
        if progress is Progress.FORGOTTEN:
            outcome = Outcome(OutcomeKind.TRANSIENT, "its long-running operation is not known")
            return ActionResult(outcome, may_have_acted=True)
        # Without a checkpoint: another try is another call.
        codes = codes_of(response, body) or ["Failed"]
        return ActionResult(
            classify(
                status=response.status,
                codes=codes,
                retry_after_s=_retry_after_s(response),
                now=self._clock.now(),
                table=wish.table,
            )
        )

    def _classify(self, response: Response, body: Body, table: OutcomeTable) -> Outcome:
        is_success = response.status in range(200, 300)
        return classify(
            status=response.status,
            codes=() if is_success else codes_of(response, body),
            retry_after_s=_retry_after_s(response),
            now=self._clock.now(),
            table=table,
        )

    def _pause_s(self, response: Response) -> float:
        asked_s = _retry_after_s(response)
        return self._policy.poll_s if asked_s is None else max(asked_s, POLL_S_MIN)


def _request(arguments: HttpArguments, call: StepCall) -> Request:
    """Build the request of a step.

    Raises:
        InvalidInputError: The URL is not absolute, or of another scheme.
    """
    headers = {name.lower(): value for name, value in arguments.headers.items()}
    headers[REQUEST_ID] = quote(f"{call.operation_id}-{call.step_name}", safe="-_.@/")
    body = arguments.body
    if body is None:
        return Request.to(arguments.method, arguments.url, headers=headers)
    if not isinstance(body, str):
        headers.setdefault("content-type", "application/json")
        body = json.dumps(body, ensure_ascii=False)
    return Request.to(arguments.method, arguments.url, headers=headers, body=body.encode())


async def _keep(wish: Wish, poll: Poll) -> Wish | None:
    """Save where to poll, and go on from there; None when that is too long to be kept."""
    checkpoint = poll.write()
    if len(checkpoint) > CHECKPOINT_CHARACTERS_MAX:
        return None
    await wish.call.save(checkpoint)
    return wish._replace(call=wish.call._replace(checkpoint=checkpoint))


def _said_of_a_poll(outcome: Outcome) -> Outcome:
    """What is said of a poll is not said of the operation: another poll may hear better."""
    if outcome.kind in (OutcomeKind.BLOCKED, OutcomeKind.PERMANENT):
        return outcome._replace(kind=OutcomeKind.TRANSIENT)
    return outcome


def _retry_after_s(response: Response) -> float | None:
    """Seconds that an answer asks us to wait, bounded; None when it does not say.

    A date is held against the answer's own `Date`: two readings of one clock, so that it need not
    be right.
    """
    text = response.headers.get("retry-after")
    wait_s = parse_retry_after(text)
    if wait_s is not None or text is None:
        return wait_s
    try:
        instants = [parsedate_to_datetime(each) for each in (text, response.headers["date"])]
    except (KeyError, ValueError):
        return None
    at, now = (instant.replace(tzinfo=UTC) for instant in instants)  # as all dates of HTTP are
    return bounded_s((at - now).total_seconds())
