"""The mirror: a pull-through cache of extension artifacts that keeps serving what it once verified.

One request, from top to bottom: `Mirror.handle` finds the resource, `_obtain` asks the origin when
the copy is not fresh (one fetch per URL, shared by all who wait), `decision.decide` says what the
client gets, `_carry_out` does it, `_present` tells it.

Rules:
- Nothing unverified is kept or served from here, and nothing verified is replaced by less.
- A client that leaves cancels no fetch; a client that waits waits no longer than the policy says.
- The client outranks the disk: when a body cannot be kept, the client still gets it.
- No credential of a client is kept: what carries one is passed on.

It is reached by name (the origin's own name, led here by DNS or a hosts file) or by path, as
`/HOST/PATH`. Of an origin's headers only type, encoding and tag are kept. `Cache-Control` is not
obeyed: the operator's rules say what may be kept.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from math import ceil
from pathlib import Path
from typing import NamedTuple

import structlog

from surgetank.core.errors import DependencyError, IntegrityError, InvalidInputError
from surgetank.core.http import Request, Response
from surgetank.core.ports import Blocking, Chance, Clock, HttpClient, Permits
from surgetank.core.value import Dependency, Lane, Refusal
from surgetank.safeguards.mirror.answer import SOURCE_HEADER, answer
from surgetank.safeguards.mirror.counts import MirrorCounts
from surgetank.safeguards.mirror.decision import (
    Case,
    Decision,
    Fail,
    PassOn,
    Relay,
    Revalidated,
    ServeCached,
    StoreAndServe,
    Unchanged,
    Unstorable,
    decide,
)
from surgetank.safeguards.mirror.entry import Entry
from surgetank.safeguards.mirror.holdings import Holdings
from surgetank.safeguards.mirror.index import Held
from surgetank.safeguards.mirror.intake import Intake
from surgetank.safeguards.mirror.origin import LOOP_HEADER, Fetched, Origin, Resource, relayable
from surgetank.safeguards.mirror.passage import Passage
from surgetank.safeguards.mirror.policy import MirrorPolicy, Rule

_SOON = {"retry-after": "1"}


class Prefetched(NamedTuple):
    """What became of one URL that was to be held."""

    url: str
    is_held: bool
    reason: str
    """Why not; empty when it is held."""


class _Landing(NamedTuple):
    """What a fetch means for every client that waited for it: one of its last three is set."""

    source: str
    entry: Entry | None = None
    response: Response | None = None
    is_passed_on: bool = False
    unkept: bytes | None = None
    """The body that goes with `entry`, when it could not be kept."""


_PASS_ON = _Landing("miss", is_passed_on=True)


class Mirror:
    """One mirror on one directory. Call `open` first and `close` last."""

    def __init__(
        self,
        policy: MirrorPolicy,
        *,
        directory: Path,
        http: HttpClient,
        clock: Clock,
        chance: Chance,
        blocking: Blocking,
        permits: Permits,
    ) -> None:
        self.policy = policy
        self.counts = MirrorCounts()
        self._http = http
        self._clock = clock
        self._chance = chance
        self._holdings = Holdings(
            policy,
            directory=directory,
            clock=clock,
            chance=chance,
            blocking=blocking,
            counts=self.counts,
        )
        self._origin = Origin(
            policy,
            http=http,
            clock=clock,
            blocking=blocking,
            permits=permits,
            store=self._holdings.store,
        )
        self._flights: dict[str, asyncio.Task[_Landing]] = {}
        self._errands: dict[int, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(policy.fetches_max)
        self._waiters = 0
        self._in_trouble: set[Dependency] = set()
        self._log = structlog.get_logger(__name__)

    async def open(self) -> None:
        """Take the directory and load what it holds.

        Raises:
            ConflictError: Another mirror uses the directory.
        """
        await self._holdings.open()

    async def close(self) -> None:
        """End what is under way, write down last uses, give the directory back."""
        for task in [*self._flights.values(), *self._errands.values()]:
            task.cancel()
        await asyncio.gather(*self._flights.values(), return_exceptions=True)
        await asyncio.gather(*self._errands.values(), return_exceptions=True)
        await self._holdings.close()

    def entries(self) -> tuple[Entry, ...]:
        """Every copy's record, in order of URL; at most `entries_max`."""
        return self._holdings.entries()

    @property
    def bytes_held(self) -> int:
        """Bytes of bodies on disk, shared ones counted once."""
        return self._holdings.bytes_held

    async def remove(self, url: str) -> bool:
        """Forget a copy, as when its publisher withdrew it; say whether there was one."""
        return await self._holdings.remove(url)

    async def prefetch(self, urls: Iterable[str]) -> tuple[Prefetched, ...]:
        """Fetch what is not held or no longer fresh, `fetches_max` at a time, as backlog.

        Args:
            urls: Absolute origin URLs, as the rules name them; as many as there may be entries.

        Returns:
            What became of each, in order. What could not be fetched is no error; ask again.

        Raises:
            InvalidInputError: No rule covers one of them; nothing was fetched.
        """
        wanted = [self._resource(url) for url in urls]
        done: list[Prefetched] = []
        for start in range(0, len(wanted), self.policy.fetches_max):
            batch = wanted[start : start + self.policy.fetches_max]
            done += await asyncio.gather(*map(self._prefetch, batch))
        return tuple(done)

    async def handle(self, request: Request) -> Response:
        """Answer a client; the mirror's `Handler`."""
        found = self._find(request)
        if isinstance(found, Response):
            return found
        if "authorization" in request.headers or "sig=" in request.query:
            return await self._pass_on(request, found)
        landing = await self._look_up(found)
        response = await self._present(request, landing)
        if response is None and not landing.is_passed_on:  # The copy was damaged, and is gone now.
            landing = await self._obtain(found)
            response = await self._present(request, landing)
        if response is None and landing.is_passed_on:
            return await self._pass_on(request, found)
        return response or self._fail(503, "the copy is damaged again; look at the disk", _SOON)

    def _find(self, request: Request) -> Resource | Response:
        if request.method not in ("GET", "HEAD"):
            return self._fail(405, "a mirror is only read", {"allow": "GET, HEAD"})
        if LOOP_HEADER in request.headers:
            return self._fail(508, "this mirror's own fetch came back to it: check its DNS")
        policy, query = self.policy, request.query
        host, path = request.host.lower(), request.path
        if not any(rule.covers_host(host) for rule in policy.rules):
            host, _, path = path[1:].partition("/")
            host, path = host.lower(), f"/{path}"
        if len(host) + len(path) + len(query) > policy.url_bytes_max:
            return self._fail(414, f"URLs are taken up to {policy.url_bytes_max} bytes")
        rule = policy.rule_for(host, path) if is_plain(path) else None
        if rule is None:
            self.counts.forbidden += 1
            return self._fail(403, f"no rule of this mirror covers {host}{path}")
        url = f"{rule.origin_scheme}://{host}{path}"
        return Resource(f"{url}?{query}" if query else url, rule)

    async def _look_up(self, resource: Resource) -> _Landing:
        held = self._holdings.get(resource.url)
        if held is None or self._clock.now() >= held.ask_at:
            return await self._obtain(resource)
        return _Landing("stale" if held.is_failing else "hit", held.entry)

    async def _present(self, request: Request, landing: _Landing) -> Response | None:
        """The response to one client; None when there is nothing, or no longer, to present."""
        if landing.response is not None:
            if request.method == "HEAD":
                return landing.response._replace(body=b"")
            return landing.response
        entry = landing.entry
        if entry is None:
            return None
        head = answer(request, entry, source=landing.source, now=self._clock.now())
        if landing.unkept is not None:
            body = landing.unkept[head.start : head.stop] or head.error
            response = Response(head.status, head.headers, body)
        else:
            filled = await self._holdings.fill(head, entry)
            if filled is None:
                return None
            response = filled
        self._count_served(entry.url, landing.source)
        return response

    def _count_served(self, url: str, source: str) -> None:
        match source:
            case "hit":
                self.counts.hits += 1
            case "stale":
                self.counts.stale += 1
            case _:
                self.counts.misses += 1
        held = self._holdings.get(url)
        if held is not None and self._holdings.is_use_due(held):
            self._run_errand(self._holdings.note_use(held))

    def _fail(self, status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
        self.counts.failed += 1
        body = f"surgetank mirror: {reason}\n".encode()
        head = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body))}
        return Response(status, (headers or {}) | head, body)

    # Asking the origin.

    async def _obtain(self, resource: Resource, *, lane: Lane = Lane.FRESH) -> _Landing:
        """Wait for news of `resource`, sharing the fetch with whoever else wants it."""
        held = self._holdings.get(resource.url)
        if self._waiters >= self.policy.waiters_max:
            return self._give_up(held, 503, "too many clients wait")
        flight = self._flights.get(resource.url)
        if flight is None:
            flight = self._take_off(resource, lane)
        else:
            self.counts.coalesced += 1
        wait_s = self.policy.wait_s if held is None else self.policy.revalidate_s
        self._waiters += 1
        try:
            async with asyncio.timeout(wait_s):
                return await asyncio.shield(flight)
        except TimeoutError:
            return self._give_up(held, 504, f"not fetched in {wait_s:g} s")
        finally:
            self._waiters -= 1

    def _give_up(self, held: Held | None, status: int, reason: str) -> _Landing:
        if held is not None:
            return _Landing("stale", held.entry)
        return _Landing("miss", response=self._fail(status, reason, _SOON))

    def _take_off(self, resource: Resource, lane: Lane) -> "asyncio.Task[_Landing]":
        flight = asyncio.create_task(self._fly(resource, lane), name=f"fetch {resource.url}")
        self._flights[resource.url] = flight
        flight.add_done_callback(lambda _: self._flights.pop(resource.url, None))
        return flight

    async def _fly(self, resource: Resource, lane: Lane) -> _Landing:
        async with self._places:
            fetched = await self._fetch(resource, lane)
        held = self._holdings.get(resource.url)
        now = self._clock.now()
        case = Case(resource.url, resource.rule, self.policy, now, self._chance.random())
        decision = decide(None if held is None else held.entry, fetched.answer, case)
        try:
            landing = await self._carry_out(decision, resource, fetched, held)
        finally:
            if fetched.intake is not None:
                await fetched.intake.abandon()
        self._notice(decision, fetched, resource)
        return landing

    async def _fetch(self, resource: Resource, lane: Lane) -> Fetched:
        held = self._holdings.get(resource.url)
        etag = "" if held is None else held.entry.etag
        room = self._holdings.room_for(resource.url)
        self.counts.fetches += 1
        fetched = await self._origin.fetch(resource, etag=etag, lane=lane, bytes_max=room)
        if isinstance(fetched.answer, Unchanged) and self._holdings.get(resource.url) is None:
            # What the origin confirms was found damaged, or was removed, meanwhile.
            self.counts.fetches += 1
            fetched = await self._origin.fetch(resource, etag="", lane=lane, bytes_max=room)
        return fetched

    async def _carry_out(
        self, decision: Decision, resource: Resource, fetched: Fetched, held: Held | None
    ) -> _Landing:
        match decision:
            case StoreAndServe(entry, ask_at):
                assert fetched.intake is not None, "a sound answer comes with its body"
                return await self._keep(entry, resource.rule, fetched.intake, ask_at=ask_at)
            case Revalidated(entry, ask_at):
                assert held is not None, "only what is held is confirmed"
                await self._holdings.confirm(held, entry, ask_at=ask_at)
                return _Landing("hit", entry)
            case ServeCached(_, ask_at):
                assert held is not None, "only what is held is served"
                held.ask_at = ask_at
                return _Landing("stale", held.entry)
            case Relay():
                assert fetched.response is not None, "a refusal comes with its response"
                self.counts.relayed += 1
                headers = {**fetched.response.headers, SOURCE_HEADER: "miss"}
                return _Landing("miss", response=fetched.response._replace(headers=headers))
            case PassOn():
                return _PASS_ON
            case Fail(status, reason, retry_at):
                return _Landing("miss", response=self._fail(status, reason, self._later(retry_at)))

    async def _keep(self, entry: Entry, rule: Rule, intake: Intake, *, ask_at: float) -> _Landing:
        if await self._holdings.keep(entry, rule, intake, ask_at=ask_at):
            return _Landing("miss", entry)
        self.counts.not_kept += 1
        self._log.error("mirror.body_not_kept", url=_bare(entry.url), body_bytes=entry.size)
        whole = intake.whole
        return _PASS_ON if whole is None else _Landing("miss", entry, unkept=whole)

    def _notice(self, decision: Decision, fetched: Fetched, resource: Resource) -> None:
        """Count what a fetch showed; log a lie each time, trouble when it begins and ends."""
        held = self._holdings.get(resource.url)
        if held is not None:
            held.is_failing = isinstance(decision, ServeCached)
        dependency = resource.rule.dependency
        log = self._log.bind(url=_bare(resource.url), dependency=dependency)
        if isinstance(fetched.answer, Unstorable):
            self.counts.not_kept += 1
            self.counts.store_failed += fetched.answer.is_disk_at_fault
            log.error("mirror.body_not_kept", reason=fetched.answer.reason)
            return
        match decision:
            case ServeCached(reason, _, True) | Fail(_, reason, _, True):
                self.counts.origin_lied += 1
                log.error("mirror.origin_lied", flaw=reason, code=IntegrityError.code)
            case ServeCached(reason) | Fail(_, reason) | Relay(_, reason):
                self.counts.origin_failed += 1
                if dependency not in self._in_trouble:
                    self._in_trouble.add(dependency)
                    log.warning("mirror.origin_failed", reason=reason)
            case _ if dependency in self._in_trouble:
                self._in_trouble.discard(dependency)
                log.info("mirror.origin_recovered")
            case _:
                pass

    def _later(self, retry_at: float | None) -> dict[str, str]:
        if retry_at is None:
            return {}
        return {"retry-after": str(max(1, ceil(retry_at - self._clock.now())))}

    async def _pass_on(self, request: Request, resource: Resource) -> Response:
        """Give a client the origin's own answer, unkept."""
        if resource.url in self.policy.pins:
            return self._fail(502, "pinned, and cannot be checked when passed on")
        if self._waiters >= self.policy.waiters_max:
            return self._fail(503, "too many clients wait", _SOON)
        permit = self._origin.ask(resource.rule, lane=Lane.FRESH)
        if isinstance(permit, Refusal):
            return self._fail(503, permit.reason, self._later(permit.retry_at))
        headers = relayable(request.headers, without=("host",)) | {LOOP_HEADER: "1"}
        onward = Request.to(request.method, resource.url, headers=headers)
        passage = Passage(self.policy, http=self._http, origin=self._origin, places=self._places)
        pump = self._run_errand(passage.run(onward, permit))
        self._waiters += 1
        try:
            async with asyncio.timeout(self.policy.wait_s):
                response = await passage.response(pump)
        except (TimeoutError, DependencyError) as error:
            pump.cancel()
            return self._fail(504, f"the origin did not answer: {error}", _SOON)
        finally:
            self._waiters -= 1
        self.counts.passed_on += 1
        return response._replace(headers={**response.headers, SOURCE_HEADER: "miss"})

    def _resource(self, url: str) -> Resource:
        rule = self.policy.rule_for_url(url)
        if rule is None:
            raise InvalidInputError(f"no rule of this mirror covers {url!r}")
        return Resource(url, rule)

    async def _prefetch(self, resource: Resource) -> Prefetched:
        held = self._holdings.get(resource.url)
        if held is not None and self._clock.now() < held.ask_at:
            return Prefetched(resource.url, is_held=True, reason="")
        landing = await self._obtain(resource, lane=Lane.BACKLOG)
        if self._holdings.get(resource.url) is not None:
            return Prefetched(resource.url, is_held=True, reason="")
        reason = f"status {landing.response.status}" if landing.response else "could not be kept"
        return Prefetched(resource.url, is_held=False, reason=reason)

    def _run_errand(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._errands[id(task)] = task
        task.add_done_callback(lambda _: self._errands.pop(id(task), None))
        return task


def is_plain(path: str) -> bool:
    """Whether `path` means what it says: parent segments would slip past a rule's pattern."""
    return "/.." not in path and "%2e" not in path and "%2E" not in path


def _bare(url: str) -> str:
    """`url` without its query, which may hold a signature."""
    return url.partition("?")[0]
