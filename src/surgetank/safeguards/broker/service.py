"""The token broker: one per node, between its programs and the managed-identity endpoint.

It speaks the endpoint's own protocol, holds each token from early in its life, and answers at
once, so that a node outlives its issuer's bad hours:

| a usable token | a fetch is under way | may ask now | the client gets                            |
|----------------|----------------------|-------------|--------------------------------------------|
| yes            | -                    | -           | the token, at once                         |
| no             | yes                  | -           | what the fetch brings, within `answer_s`   |
| no             | no                   | yes         | a fetch is begun; then as above            |
| no             | no                   | no          | the last failure again, with Retry-After   |

A token is usable until `margin_s` before its end. It is replaced in the background at half to
six tenths of its life; while that fails, tries are spaced by capped backoff with full jitter, or
as the issuer asks. Without a token nothing is tried in the background: whoever needs one asks, and
an issuer in trouble is spared the others.

A cached token hides a change of permissions until it expires, up to 24 hours later. To forget one
sooner call `invalidate`, or `DELETE` the token's URL; if the issuer is down there is then no token,
and the issuer's side caches as well. The same holds for an identity that was removed: its token is
served until it ends.

Microsoft calls a proxy in front of the metadata endpoint unsupported. Serve this on the loopback
address only: whoever reaches it gets the node's identity. Tokens are never written, logged or
shown.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

import structlog

from surgetank.control import backoff, outcome
from surgetank.core.errors import DependencyError, DependencyTimeoutError, IntegrityError
from surgetank.core.http import Request, Response, Timeouts
from surgetank.core.ports import Chance, Clock, HttpClient, Permits
from surgetank.core.value import Lane, Outcome, OutcomeKind, Permit, Refusal
from surgetank.safeguards.broker.policy import BrokerPolicy, refresh_at
from surgetank.safeguards.broker.request import (
    read_key,
    read_query,
    refuse_untrusted,
    upstream_request,
)
from surgetank.safeguards.broker.token import (
    Failure,
    Key,
    Token,
    failure_response,
    read_failure,
    read_token,
    token_response,
)

_OK = 200
_UNAVAILABLE = 503
_KEYS_FULL_S = 60


@dataclass(slots=True)
class BrokerCounts:
    """What happened since the start."""

    served: int = 0
    """Requests answered with a token."""
    refused: int = 0
    """Requests answered with an error."""
    waited: int = 0
    """Requests that waited for a fetch."""
    late: int = 0
    """Requests whose fetch took longer than `answer_s`."""
    fetches: int = 0
    """Times the token service was called."""
    failures: int = 0
    """Calls that brought no token."""
    withheld: int = 0
    """Calls not made, for want of a permit."""
    keys_full: int = 0
    """Requests refused because `keys_max` identities were in use."""
    invalidated: int = 0
    """Tokens dropped on request."""


@dataclass(slots=True)
class _Slot:
    """How we stand with one key."""

    asked_at: float
    ask_at: float
    """The instant from which the token service may be asked (again)."""
    token: Token | None = None
    failure: Failure | None = None
    failures: int = 0
    """Fetches that failed since the last token."""
    is_hopeless: bool = False
    """Retrying cannot help, said the token service."""
    fetch: "asyncio.Task[None] | None" = field(default=None, repr=False)

    def has_token(self, now: float, *, margin_s: float) -> bool:
        """Whether the token can be handed out."""
        return self.token is not None and now < self.token.expires_at - margin_s


def _ignore() -> None:
    """Wake nobody."""


class TokenBroker:
    """One broker. `handle` answers clients; `step` does the background work; end with `close`."""

    def __init__(
        self,
        policy: BrokerPolicy,
        *,
        http: HttpClient,
        clock: Clock,
        chance: Chance,
        permits: Permits,
        wake: Callable[[], None] = _ignore,
    ) -> None:
        """Make a broker without tokens.

        Args:
            policy: Its limits and times.
            http: Reaches the token service.
            clock: The time.
            chance: Spreads refreshes and retries.
            permits: Asked before each call of the token service.
            wake: Called when `step` may have something to do sooner than it said.
        """
        self.policy = policy
        self.counts = BrokerCounts()
        self._http = http
        self._clock = clock
        self._chance = chance
        self._permits = permits
        self._wake = wake
        self._slots: dict[Key, _Slot] = {}
        self._orphans: set[asyncio.Task[None]] = set()
        self._waiters = 0
        self._timeouts = Timeouts(connect_s=policy.connect_s, read_s=policy.fetch_s)
        self._log = structlog.get_logger(__name__)

    def held(self) -> tuple[Key, ...]:
        """The keys held, oldest first; at most `keys_max`."""
        return tuple(self._slots)

    async def close(self) -> None:
        """End what is under way and forget all tokens."""
        fetches = [slot.fetch for slot in self._slots.values() if slot.fetch is not None]
        fetches += list(self._orphans)
        self._slots.clear()
        for fetch in fetches:
            fetch.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)

    def invalidate(self, *, identity: str | None = None, resource: str | None = None) -> int:
        """Forget tokens, so that the next client gets one with today's permissions.

        Args:
            identity: The identity's id as clients write it, empty for the system-assigned one;
                None for any.
            resource: Likewise.

        Returns:
            How many keys were forgotten.
        """
        keys = self._matching(identity, resource)
        for key in keys:
            self._forget(key)
        self.counts.invalidated += len(keys)
        return len(keys)

    async def handle(self, request: Request) -> Response:
        """Answer a client; the broker's `Handler`."""
        match request.method:
            case "GET":
                key = read_key(request, self.policy)
                if isinstance(key, Failure):
                    return self._refuse(key)
                return await self._answer(key)
            case "DELETE":
                return self._delete(request)
            case _:
                return self._refuse(Failure(405, "method_not_allowed", "GET or DELETE"))

    async def step(self, now: float) -> float | None:
        """Begin the refreshes that are due and drop what has expired.

        Returns:
            When to call again, or None when nothing is to come until `wake` is called.
        """
        instants = [self._attend(key, slot, now) for key, slot in list(self._slots.items())]
        return min((at for at in instants if at is not None), default=None)

    def _attend(self, key: Key, slot: _Slot, now: float) -> float | None:
        if slot.token is None or slot.fetch is not None:
            return None
        ends_at = slot.token.expires_at
        is_idle = now >= slot.asked_at + self.policy.idle_s
        if now >= ends_at:
            slot.token = None  # Its failures are kept, so that backoff goes on where it was.
            if is_idle:
                self._forget(key)
            return None
        if is_idle:
            return ends_at
        if now >= slot.ask_at:
            self._begin(key, slot, now)
            return None
        return min(slot.ask_at, ends_at)

    async def _answer(self, key: Key) -> Response:
        now = self._clock.now()
        slot = self._slots.get(key)
        if slot is None:
            slot = self._open_slot(key, now)
            if slot is None:
                self.counts.keys_full += 1
                full = Failure(_UNAVAILABLE, "too_many_identities", "The broker holds no more keys")
                return self._refuse(full, retry_after_s=_KEYS_FULL_S)
        slot.asked_at = now
        if slot.fetch is None and now >= slot.ask_at:
            self._begin(key, slot, now)
        if slot.has_token(now, margin_s=self.policy.margin_s):
            return self._hand_out(slot, now)
        if slot.fetch is not None and not await self._wait(slot.fetch):
            slow = Failure(_UNAVAILABLE, "temporarily_unavailable", "No token came in time")
            return self._refuse(slow, retry_after_s=1)
        now = self._clock.now()
        if slot.has_token(now, margin_s=self.policy.margin_s):
            return self._hand_out(slot, now)
        return self._repeat_failure(slot, now)

    async def _wait(self, fetch: "asyncio.Task[None]") -> bool:
        """Wait for a fetch, which goes on if we leave; say whether it ended in time."""
        if self._waiters >= self.policy.waiters_max:
            return False
        self._waiters += 1
        self.counts.waited += 1
        try:
            async with asyncio.timeout(self.policy.answer_s):
                await asyncio.shield(fetch)
        except TimeoutError:
            self.counts.late += 1
            return False
        finally:
            self._waiters -= 1
        return True

    def _hand_out(self, slot: _Slot, now: float) -> Response:
        assert slot.token is not None, "looked at by the caller"
        self.counts.served += 1
        return token_response(slot.token, now=now)

    def _repeat_failure(self, slot: _Slot, now: float) -> Response:
        failure = slot.failure or Failure(_UNAVAILABLE, "temporarily_unavailable", "No token yet")
        if slot.is_hopeless:
            return self._refuse(failure)
        return self._refuse(failure, retry_after_s=max(1, ceil(slot.ask_at - now)))

    def _refuse(self, failure: Failure, *, retry_after_s: int | None = None) -> Response:
        self.counts.refused += 1
        return failure_response(failure, retry_after_s=retry_after_s)

    def _delete(self, request: Request) -> Response:
        refusal = refuse_untrusted(request)
        if refusal is not None:
            return self._refuse(refusal)
        query = read_query(request, self.policy)
        if isinstance(query, Failure):
            return self._refuse(query)
        resource = query.get("resource")
        limit = self._clock.now() - self.policy.refresh_s_min
        tokens = [self._slots[key].token for key in self._matching(None, resource)]
        if any(token is not None and token.issued_at > limit for token in tokens):
            # Dropping a token again and again would be a way round the limits on fetching.
            young = Failure(429, "too_many_requests", "A token was fetched just now")
            return self._refuse(young, retry_after_s=ceil(self.policy.refresh_s_min))
        self.invalidate(resource=resource)
        return Response(204)

    def _matching(self, identity: str | None, resource: str | None) -> list[Key]:
        return [
            key
            for key in self._slots
            if identity in (None, key.identity) and resource in (None, key.resource)
        ]

    def _open_slot(self, key: Key, now: float) -> _Slot | None:
        if len(self._slots) >= self.policy.keys_max:
            empty = (
                (slot.asked_at, held)
                for held, slot in self._slots.items()
                if slot.token is None and slot.fetch is None
            )
            oldest = min(empty, default=None)
            if oldest is None:
                self._log.error("broker.keys_exhausted", keys=len(self._slots))
                return None
            del self._slots[oldest[1]]
        slot = self._slots[key] = _Slot(asked_at=now, ask_at=now)
        return slot

    def _forget(self, key: Key) -> None:
        slot = self._slots.pop(key)
        if slot.fetch is not None:  # Those who wait for it still get what it brings.
            self._orphans.add(slot.fetch)
            slot.fetch.add_done_callback(self._orphans.discard)

    # Asking the token service.

    def _begin(self, key: Key, slot: _Slot, now: float) -> None:
        left_s = slot.token.expires_at - now if slot.token is not None else 0.0
        lane = Lane.BACKLOG if left_s >= self.policy.urgent_s else Lane.FRESH
        asked = self._permits.ask([self.policy.dependency], lane=lane, retry=slot.failures > 0)
        if isinstance(asked, Refusal):
            self.counts.withheld += 1
            slot.failure = Failure(_UNAVAILABLE, "temporarily_unavailable", asked.reason)
            slot.ask_at = max(asked.retry_at, now) + self._pause_s(1)
            slot.is_hopeless = False
            self._wake()
            return
        slot.fetch = asyncio.create_task(self._fetch(key, slot, asked[0]), name="fetch token")

    async def _fetch(self, key: Key, slot: _Slot, permit: Permit) -> None:
        self.counts.fetches += 1
        report: Outcome | None = None
        try:
            brought, report = await self._call(key)
            self._settle(key, slot, brought, report)
        finally:
            if report is None:  # We broke it off ourselves: nothing is learnt.
                self._permits.give_back(permit)
            else:
                self._permits.report(permit, report)
            slot.fetch = None
            self._wake()

    async def _call(self, key: Key) -> tuple[Token | Failure, Outcome]:
        fetch_s = self.policy.fetch_s
        try:
            async with asyncio.timeout(fetch_s):
                response = await self._http.send(
                    upstream_request(key, self.policy),
                    timeouts=self._timeouts,
                    body_bytes_max=self.policy.answer_bytes_max,
                )
            return self._judge(response)
        except (TimeoutError, DependencyTimeoutError):
            silent = Failure(504, "upstream_timeout", "The token service did not answer in time")
            return silent, outcome.timed_out(waited_s=fetch_s)
        except DependencyError as error:
            broken = Failure(502, "upstream_unreachable", str(error))
            return broken, outcome.cut_off(reason=str(error))
        except IntegrityError as error:
            unfit = Failure(502, "upstream_invalid", str(error))
            return unfit, outcome.cut_off(reason=str(error))

    def _judge(self, response: Response) -> tuple[Token | Failure, Outcome]:
        now = self._clock.now()
        if response.status != _OK:
            failure = read_failure(response)
            wait_s = outcome.parse_retry_after(response.headers.get("retry-after"))
            return failure, outcome.classify(
                status=response.status, codes=(failure.error,), retry_after_s=wait_s, now=now
            )
        token = read_token(response, now=now, life_s_max=self.policy.life_s_max)
        if token.expires_at - self.policy.margin_s <= now:
            raise IntegrityError("the token ends at once")
        return token, Outcome(OutcomeKind.OK)

    def _settle(self, key: Key, slot: _Slot, brought: Token | Failure, report: Outcome) -> None:
        now = self._clock.now()
        log = self._log.bind(dependency=self.policy.dependency, resource=key.resource)
        if isinstance(brought, Token):
            if slot.failures:
                log.info("broker.refresh_recovered", failures=slot.failures)
            slot.token, slot.failure, slot.failures, slot.is_hopeless = brought, None, 0, False
            slot.ask_at = refresh_at(
                self.policy,
                issued_at=brought.issued_at,
                expires_at=brought.expires_at,
                chance=self._chance,
            )
            return
        self.counts.failures += 1
        slot.failure = brought
        slot.failures += 1
        slot.is_hopeless = report.kind in (OutcomeKind.PERMANENT, OutcomeKind.BLOCKED)
        is_cold = slot.token is None
        pause_s = self._pause_s(slot.failures)
        if slot.is_hopeless and is_cold:
            pause_s = self.policy.reject_s
        slot.ask_at = max(now + pause_s, report.retry_at or now)
        if slot.failures == 1:
            log.warning("broker.refresh_failed", outcome=report.kind, detail=report.detail)

    def _pause_s(self, attempt: int) -> float:
        chance = self._chance.random()
        return backoff.delay_s(self.policy.backoff, attempt=attempt, chance=chance)
