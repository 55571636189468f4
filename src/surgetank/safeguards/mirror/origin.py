"""Asks an origin, under a permit, and says what came of it in the words of `decision`."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from surgetank.control import outcome
from surgetank.core.errors import DependencyError, DependencyTimeoutError
from surgetank.core.http import Headers, Request, Response, Timeouts
from surgetank.core.ports import Blocking, Clock, HttpClient, Permits
from surgetank.core.value import Lane, Outcome, OutcomeKind, Permit, Refusal
from surgetank.safeguards.mirror.decision import (
    Answer,
    Refused,
    Silent,
    Sound,
    Unchanged,
    Unsound,
    Unstorable,
    Withheld,
)
from surgetank.safeguards.mirror.intake import Intake
from surgetank.safeguards.mirror.policy import MirrorPolicy, Rule
from surgetank.safeguards.mirror.store import Store
from surgetank.safeguards.mirror.verification import find_flaw

ERROR_BYTES_MAX = 64 << 10
"""Bytes of an origin's error body that are relayed; the rest is cut."""
LOOP_HEADER = "x-surgetank-mirror"
"""Sent with every fetch: a mirror that gets it was led to itself, by the names it intercepts."""
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)  # Source: RFC 9110, section 7.6.1.


class Resource(NamedTuple):
    """What a client asks for."""

    url: str
    """Absolute, at the origin."""
    rule: Rule


class Fetched(NamedTuple):
    """What a fetch brought."""

    answer: Answer
    intake: Intake | None = None
    """The body of a `Sound` answer; keep it or abandon it."""
    response: Response | None = None
    """The origin's own response when it refused, fit to be relayed."""


class Origin:
    """Fetches for one mirror; each fetch ends within the policy's `fetch_s`."""

    def __init__(
        self,
        policy: MirrorPolicy,
        *,
        http: HttpClient,
        clock: Clock,
        blocking: Blocking,
        permits: Permits,
        store: Store,
    ) -> None:
        self._policy = policy
        self._http = http
        self._clock = clock
        self._blocking = blocking
        self._permits = permits
        self._store = store
        self._timeouts = Timeouts(connect_s=policy.connect_s, read_s=policy.read_s)

    async def fetch(self, resource: Resource, *, etag: str, lane: Lane, bytes_max: int) -> Fetched:
        """Read `resource` and check it.

        Args:
            resource: What to read.
            etag: The origin's tag of the copy we hold; empty for none.
            lane: Who waits.
            bytes_max: The most bytes there is room for.
        """
        permit = self.ask(resource.rule, lane=lane)
        if isinstance(permit, Refusal):
            return Fetched(Withheld(permit.reason, permit.retry_at))
        headers = {"accept": "*/*", "accept-encoding": "identity", LOOP_HEADER: "1"}
        if etag:
            headers["if-none-match"] = etag
        request = Request.to("GET", resource.url, headers=headers)
        intake = Intake(self._store, self._blocking)
        report: Outcome | None = None
        try:
            fetched, report = await self._read(request, resource, intake, bytes_max)
        finally:
            self.report(permit, report)
        if fetched.intake is None:
            await intake.abandon()
        return fetched

    def ask(self, rule: Rule, *, lane: Lane) -> Permit | Refusal:
        """Ask to call the origin of `rule` once."""
        granted = self._permits.ask([rule.dependency], lane=lane)
        return granted if isinstance(granted, Refusal) else granted[0]

    def report(self, permit: Permit, report: Outcome | None) -> None:
        """Say how the call of a permit ended, or None when we broke it off ourselves."""
        if report is None:
            self._permits.give_back(permit)
        else:
            self._permits.report(permit, report)

    def judge(self, response: Response) -> Outcome:
        """What a response says about its dependency."""
        return _classify(response, now=self._clock.now())

    async def _read(
        self, request: Request, resource: Resource, intake: Intake, bytes_max: int
    ) -> tuple[Fetched, Outcome]:
        fetch_s = self._policy.fetch_s
        try:
            async with (
                asyncio.timeout(fetch_s),
                self._http.stream(request, timeouts=self._timeouts) as response,
            ):
                report = _classify(response, now=self._clock.now())
                match response.status:
                    case 200:
                        answer = await _take(response, resource.rule, intake, bytes_max)
                    case 304:
                        answer = Unchanged()
                    case _:
                        return await _refuse(response, report), report
        except DependencyTimeoutError as error:
            return Fetched(Silent(str(error), is_timeout=True)), outcome.timed_out(
                waited_s=self._policy.read_s
            )
        except DependencyError as error:
            return _interrupted(str(error), intake)
        except TimeoutError:
            answer = Silent(f"fetch took longer than {fetch_s:g} s", is_timeout=True)
            return Fetched(answer), outcome.timed_out(waited_s=fetch_s)
        except OSError as error:
            answer = Unstorable(f"store failed: {error.strerror}", is_disk_at_fault=True)
            return Fetched(answer), Outcome(OutcomeKind.OK)
        if isinstance(answer, Unsound):
            report = outcome.cut_off(reason=answer.flaw)
        return Fetched(answer, intake if isinstance(answer, Sound) else None), report


def relayable(headers: Headers, *, without: Sequence[str] = ()) -> dict[str, str]:
    """`headers` without those that concern one connection only, nor those named."""
    dropped = _HOP_BY_HOP.union(without)
    return {name: value for name, value in headers.items() if name not in dropped}


async def body_of(response: Response) -> AsyncIterator[bytes]:
    """The pieces of a body, however it came."""
    if response.chunks is None:
        if response.body:
            yield response.body
        return
    async for piece in response.chunks:
        yield piece


def _interrupted(reason: str, intake: Intake) -> tuple[Fetched, Outcome]:
    """A body cut short is a lie about its length; a connection cut before is silence."""
    if intake.size:
        answer: Answer = Unsound(f"body cut at {intake.size} bytes: {reason}")
    else:
        answer = Silent(reason, is_timeout=False)
    return Fetched(answer), outcome.cut_off(reason=reason)


async def _take(response: Response, rule: Rule, intake: Intake, bytes_max: int) -> Answer:
    length = _length(response.headers)
    if length is not None and length > bytes_max:
        return Unstorable(f"{length} bytes; there is room for {bytes_max}")
    async for piece in body_of(response):
        await intake.add(piece)
        if intake.size > bytes_max:
            return Unstorable(f"more than {bytes_max} bytes")
    if length is not None and length != intake.size:
        return Unsound(f"{intake.size} bytes instead of {length}")
    encoding = response.headers.get("content-encoding", "")
    encoding = "" if encoding.lower() == "identity" else encoding
    flaw = find_flaw(rule.kind, head=intake.head, whole=intake.whole)
    if flaw is not None:
        return Unsound(flaw)
    return Sound(
        digest=await intake.finish(),
        size=intake.size,
        content_type=response.headers.get("content-type", ""),
        content_encoding=encoding,
        etag=response.headers.get("etag", ""),
    )


async def _refuse(response: Response, report: Outcome) -> Fetched:
    body = bytearray()
    async for piece in body_of(response):
        body += piece
        if len(body) >= ERROR_BYTES_MAX:
            break
    whole = bytes(body[:ERROR_BYTES_MAX])
    headers = relayable(response.headers) | {"content-length": str(len(whole))}
    code = response.headers.get("x-ms-error-code", "")
    refused = Refused(response.status, code, report.retry_at)
    return Fetched(refused, response=Response(response.status, headers, whole))


def _classify(response: Response, *, now: float) -> Outcome:
    code = response.headers.get("x-ms-error-code")
    wait_s = outcome.parse_retry_after(response.headers.get("retry-after"))
    codes = (code,) if code else ()
    return outcome.classify(status=response.status, codes=codes, retry_after_s=wait_s, now=now)


def _length(headers: Headers) -> int | None:
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None  # noqa: PLR2004 - 64 bits
