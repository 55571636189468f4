"""The built-in action `http`: one request, and the long-running operation that it may begin.

Arguments are JSON: `{"method": "PUT", "url": "https://...", "headers": {...}, "body": ...}`, where
only `url` is required; a body that is not text is sent as JSON. The request carries
`x-ms-client-request-id`, the same at every try, so that the other side can tell tries apart from
wishes.

Azure Resource Manager answers a PUT before it is done. The address to poll is saved before
anything is polled: after a crash the operation is followed, not begun again. Polls go to where
the answer says (`Azure-AsyncOperation`, else `Location` of a 202, else the resource itself while
its `provisioningState` is not final), at `Retry-After`, and ask with `Prefer: wait=N` to be
answered when something changes; who honours that is polled once, who does not as often as ever.
Sources: Azure REST API guidelines, "Long-running operations"; RFC 7240, section 4.3.
"""

import json
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote

from surgetank.control.outcome import classify, parse_retry_after
from surgetank.core.errors import DependencyError, InvalidInputError
from surgetank.core.http import Request, Response, Timeouts
from surgetank.core.ports import Clock, HttpClient
from surgetank.core.value import Outcome, OutcomeKind
from surgetank.safeguards.operations.action import ActionResult, StepCall, result_of
from surgetank.safeguards.operations.long_running import (
    Body,
    Poll,
    Progress,
    codes_of,
    poll_of,
    progress_of,
    read_body,
)
from surgetank.safeguards.operations.record import CHECKPOINT_CHARACTERS_MAX, clip

REQUEST_ID = "x-ms-client-request-id"
POLL_S_MIN = 1.0
"""Seconds between polls at the least, whatever Retry-After says: 0 would poll without end."""


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


class HttpAction:
    """Makes HTTP calls for steps."""

    def __init__(self, *, client: HttpClient, clock: Clock, policy: HttpActionPolicy) -> None:
        self._client = client
        self._clock = clock
        self._policy = policy

    async def __call__(self, call: StepCall, /) -> ActionResult:
        """Make the call, or go on following the one that an earlier try began."""
        try:
            request = read_request(call)
        except InvalidInputError as error:
            return ActionResult(Outcome(OutcomeKind.PERMANENT, clip(str(error))))
        if call.checkpoint:
            return await self._follow(call, request, Poll.read(call.checkpoint), pause_s=0.0)
        try:
            response = await self._client.send(
                request,
                timeouts=self._policy.timeouts,
                body_bytes_max=self._policy.body_bytes_max,
            )
        except DependencyError as error:
            return result_of(error)
        return await self._take(call, request, response)

    async def _take(self, call: StepCall, request: Request, response: Response) -> ActionResult:
        """Take in the answer, and follow the operation that it may have begun."""
        body = read_body(response)
        outcome = self._classify(response, body)
        if outcome.kind is not OutcomeKind.OK:
            # After a fault on the other side nobody knows how far it came; a refusal did nothing.
            return ActionResult(outcome, may_have_acted=outcome.kind is OutcomeKind.TRANSIENT)
        poll = poll_of(request, response, body)
        if poll is None:
            return ActionResult(outcome)
        checkpoint = poll.write()
        if len(checkpoint) > CHECKPOINT_CHARACTERS_MAX:
            detail = "the address to poll is too long"
            return ActionResult(Outcome(OutcomeKind.PERMANENT, detail), may_have_acted=True)
        await call.save(checkpoint)
        # Who holds polls is asked at once; who does not answers this one in vain, and only this.
        pause_s = 0.0 if self._policy.wait_s else self._pause_s(response)
        call = call._replace(checkpoint=checkpoint)
        return await self._follow(call, request, poll, pause_s=pause_s)

    async def _follow(
        self, call: StepCall, request: Request, poll: Poll, *, pause_s: float
    ) -> ActionResult:
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
            answer = await self._ask(request, poll)
            if isinstance(answer, Response):
                body = read_body(answer)
                progress = progress_of(poll, answer, body)
                if progress not in (Progress.UNDER_WAY, Progress.SILENT):
                    return self._end(call, answer, body, progress)
                pause_s = self._pause_s(answer)
                silence = self._classify(answer, body)
            else:
                progress, pause_s, silence = Progress.SILENT, policy.poll_s, answer
            failures = failures + 1 if progress is Progress.SILENT else 0
            if failures >= policy.poll_failures_max:
                # What was said of the poll is not said of the operation.
                kind = silence.kind
                if kind in (OutcomeKind.BLOCKED, OutcomeKind.PERMANENT):
                    kind = OutcomeKind.TRANSIENT
                return ActionResult(silence._replace(kind=kind), call.checkpoint)
        detail = f"still under way after {policy.poll_s_max:g} s"
        return ActionResult(Outcome(OutcomeKind.TIMEOUT, detail), call.checkpoint)

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

    def _end(
        self, call: StepCall, response: Response, body: Body, progress: Progress
    ) -> ActionResult:
        """What the end of a long-running operation means for its step."""
        if progress is Progress.SUCCEEDED:
            return ActionResult(Outcome(OutcomeKind.OK), call.checkpoint)
        if progress is Progress.FORGOTTEN:
            outcome = Outcome(OutcomeKind.TRANSIENT, "its long-running operation is not known")
            return ActionResult(outcome, may_have_acted=True)
        # Without a checkpoint: another try is another call.
        codes = codes_of(response, body) or ["Failed"]
        return ActionResult(
            classify(
                status=response.status,
                codes=codes,
                retry_after_s=parse_retry_after(response.headers.get("retry-after")),
                now=self._clock.now(),
            )
        )

    def _classify(self, response: Response, body: Body) -> Outcome:
        is_success = response.status in range(200, 300)
        return classify(
            status=response.status,
            codes=() if is_success else codes_of(response, body),
            retry_after_s=parse_retry_after(response.headers.get("retry-after")),
            now=self._clock.now(),
        )

    def _pause_s(self, response: Response) -> float:
        asked_s = parse_retry_after(response.headers.get("retry-after"))
        return self._policy.poll_s if asked_s is None else max(asked_s, POLL_S_MIN)


def read_request(call: StepCall) -> Request:
    """Build the request of a step from its arguments.

    Raises:
        InvalidInputError: the arguments are not what this action reads.
    """
    try:
        arguments: object = json.loads(call.arguments)
    except ValueError as error:
        raise InvalidInputError(f"{call.step_name}: arguments are no JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise InvalidInputError(f"{call.step_name}: arguments are no JSON object")
    fields = cast("dict[str, Any]", arguments)
    method, url = fields.get("method", "GET"), fields.get("url")
    given: object = fields.get("headers", {})
    if not (isinstance(method, str) and isinstance(url, str) and isinstance(given, dict)):
        raise InvalidInputError(f"{call.step_name}: wants a method, a url and headers")
    headers = {name.lower(): str(value) for name, value in cast("dict[str, object]", given).items()}
    headers[REQUEST_ID] = quote(f"{call.operation_id}-{call.step_name}", safe="-_.@/")
    body: object = fields.get("body")
    if body is None:
        return Request.to(method, url, headers=headers)
    if not isinstance(body, str):
        headers.setdefault("content-type", "application/json")
        body = json.dumps(body, ensure_ascii=False)
    return Request.to(method, url, headers=headers, body=body.encode())
