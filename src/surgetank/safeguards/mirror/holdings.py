"""The mirror's copies, in memory and on disk together: kept, noted, read, dropped.

Changes are made one at a time, so that a body which one copy gives up cannot be deleted while
another copy of the same bytes is being put in place. A disk that fails is counted and logged, and
costs the client nothing.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from surgetank.core.errors import IntegrityError
from surgetank.core.http import Response
from surgetank.core.ports import Blocking, Chance, Clock
from surgetank.safeguards.mirror.answer import Head
from surgetank.safeguards.mirror.counts import MirrorCounts
from surgetank.safeguards.mirror.decision import fresh_until
from surgetank.safeguards.mirror.entry import Entry
from surgetank.safeguards.mirror.index import Held, Index
from surgetank.safeguards.mirror.intake import MEMORY_BYTES_MAX, Intake
from surgetank.safeguards.mirror.policy import MirrorPolicy, Rule
from surgetank.safeguards.mirror.shelf import WHOLE_BYTES_MAX, Shelf
from surgetank.safeguards.mirror.store import Store

T = TypeVar("T")
CONFIRMATION_NOTED_EVERY_S = 3_600.0
"""A record on disk may lag behind its last confirmation by this much: after a restart the origin
is then asked sooner than need be, and confirming costs no write."""
USE_NOTED_EVERY_S = 86_400.0
"""A record on disk may lag behind its last use by this much, so that a hit costs no write."""


class Holdings:
    """All copies of one mirror. Call `open` first and `close` last."""

    def __init__(
        self,
        policy: MirrorPolicy,
        *,
        directory: Path,
        clock: Clock,
        chance: Chance,
        blocking: Blocking,
        counts: MirrorCounts,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._chance = chance
        self._blocking = blocking
        self._counts = counts
        self._index = Index(policy)
        self.store = Store(directory)
        self._shelf = Shelf(self.store, blocking, memory_bytes_max=policy.memory_bytes_max)
        self._changing = asyncio.Lock()
        self._log = structlog.get_logger(__name__)

    async def open(self) -> None:
        """Take the directory and load what it holds.

        A copy that the policy's rules no longer cover, or that is pinned to other bytes, stays on
        disk and is not served: a slip in the configuration must not cost the copies.

        Raises:
            ConflictError: Another mirror uses the directory.
        """
        loaded = await self._blocking.run(self.store.open)
        self._count_damaged(loaded.damaged, where="record")
        for entry in loaded.entries:
            rule = self._policy.rule_for_url(entry.url)
            if rule is None or self._policy.pins.get(entry.url, entry.digest) != entry.digest:
                self._log.warning("mirror.copy_ignored", url=entry.url.partition("?")[0])
                continue
            ask_at = fresh_until(rule, since=entry.checked_at, chance=self._chance.random())
            self._index.add(Held(entry, rule, ask_at, entry.used_at, noted_at=entry.checked_at))

    async def close(self) -> None:
        """Write down last uses and give the directory back."""
        for entry in self._index.entries():
            await self._write(partial(self.store.write_entry, entry))
        await self._blocking.run(self.store.close)

    def get(self, url: str) -> Held | None:
        """The copy for `url`, or None."""
        return self._index.get(url)

    def entries(self) -> tuple[Entry, ...]:
        """Every record, in order of URL."""
        return self._index.entries()

    @property
    def bytes_held(self) -> int:
        """Bytes of bodies, shared ones counted once."""
        return self._index.bytes_held

    def room_for(self, url: str) -> int:
        """The most bytes to take in for `url`: what can be kept, or at least served from memory."""
        room = self._index.room_for(url, now=self._clock.now())
        return max(room, min(MEMORY_BYTES_MAX, self._policy.body_bytes_max))

    async def keep(self, entry: Entry, rule: Rule, intake: Intake, *, ask_at: float) -> bool:
        """Hold a new copy in place of an older one; say whether that was possible."""
        whole = intake.whole
        source = intake.incoming if whole is None else whole
        assert source is not None, "a body is in memory or on disk"
        async with self._changing:
            if not await self._make_room(entry):
                return False
            signature = await self._write(partial(self.store.keep, source, entry))
            if signature is None:
                if not self._index.sharing(entry.digest):
                    await self._free(entry.digest)
                return False
            held = Held(entry, rule, ask_at, entry.used_at, noted_at=entry.checked_at)
            await self._free(self._index.add(held))
        self._shelf.trust(entry.digest, signature)
        if whole is not None:
            self._shelf.remember(entry.digest, whole)
        return True

    async def confirm(self, held: Held, entry: Entry, *, ask_at: float) -> None:
        """Note that the origin confirmed a copy."""
        held.entry, held.ask_at = entry, ask_at
        if entry.checked_at >= held.noted_at + CONFIRMATION_NOTED_EVERY_S:
            held.noted_at = entry.checked_at
            await self._note(held)

    def is_use_due(self, held: Held) -> bool:
        """Note a use in memory; say whether it is time to call `note_use`."""
        held.used_at = self._clock.now()
        return held.used_at >= held.entry.used_at + USE_NOTED_EVERY_S

    async def note_use(self, held: Held) -> None:
        """Note a use on disk."""
        held.entry = replace(held.entry, used_at=held.used_at)
        await self._note(held)

    async def remove(self, url: str) -> bool:
        """Forget a copy; say whether there was one."""
        async with self._changing:
            is_held = self._index.get(url) is not None
            await self._drop(url)
        return is_held

    async def fill(self, head: Head, entry: Entry) -> Response | None:
        """Give `head` its body from a checked copy, or None: it was damaged, and is gone now."""
        if head.start >= head.stop:
            return Response(head.status, head.headers, head.error)
        try:
            if entry.size > WHOLE_BYTES_MAX:
                await self._shelf.check(entry)
                chunks = self._shelf.pieces(entry.digest, head.start, head.stop)
                return Response(head.status, head.headers, chunks=chunks)
            body = await self._shelf.whole(entry.digest)
        except IntegrityError as error:
            await self._drop_damaged(entry.digest, error)
            return None
        return Response(head.status, head.headers, body[head.start : head.stop])

    async def _note(self, held: Held) -> None:
        async with self._changing:
            # By now it may have been replaced or removed; its record must not come back.
            if self._index.get(held.entry.url) is held:
                await self._write(partial(self.store.write_entry, held.entry))

    async def _make_room(self, entry: Entry) -> bool:
        victims = self._index.make_room(entry, now=self._clock.now())
        if victims is None:
            return False
        for victim in victims:
            self._counts.given_way += 1
            await self._drop(victim)
        return True

    async def _drop(self, url: str) -> None:
        freed = self._index.drop(url)
        await self._write(partial(self.store.remove_entry, url))
        await self._free(freed)

    async def _free(self, digest: str | None) -> None:
        if digest is not None:
            self._shelf.forget(digest)
            await self._write(partial(self.store.remove_object, digest))

    async def _drop_damaged(self, digest: str, error: IntegrityError) -> None:
        async with self._changing:
            urls = self._index.sharing(digest)
            for url in urls:
                await self._drop(url)
        self._count_damaged(len(urls), where=str(error))

    def _count_damaged(self, number: int, *, where: str) -> None:
        if number:
            self._counts.damaged += number
            self._log.error("mirror.copy_damaged", copies=number, where=where)

    async def _write(self, work: Callable[[], T]) -> T | None:
        try:
            return await self._blocking.run(work)
        except OSError as error:
            self._counts.store_failed += 1
            self._log.error("mirror.store_failed", reason=error.strerror)
            return None
