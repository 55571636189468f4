"""What the mirror holds, in memory: records by URL, bodies by how many URLs share them, limits.

Only an entry that nobody asked for during `unused_s` gives way to a new one; when there are not
enough of those, the new one is not kept. An evicting cache favours what is asked for now; a mirror
must favour what will be asked for when the origin is gone.
"""

from collections import Counter
from dataclasses import dataclass, replace

from surgetank.safeguards.mirror.entry import Entry
from surgetank.safeguards.mirror.policy import MirrorPolicy, Rule


@dataclass(slots=True)
class Held:
    """One copy and how we stand with its origin."""

    entry: Entry
    rule: Rule
    ask_at: float
    """The instant from which the origin is asked again."""
    used_at: float
    noted_at: float
    """When its record on disk was last written."""
    is_failing: bool = False
    """The origin's last answer about it was no use."""


class Index:
    """All copies of one mirror."""

    def __init__(self, policy: MirrorPolicy) -> None:
        self._policy = policy
        self._held: dict[str, Held] = {}
        self._shares: Counter[str] = Counter()
        self.bytes_held = 0

    def get(self, url: str) -> Held | None:
        """The copy for `url`, or None."""
        return self._held.get(url)

    def entries(self) -> tuple[Entry, ...]:
        """Every record, in order of URL, with its last use as known now."""
        held = (self._held[url] for url in sorted(self._held))
        return tuple(replace(each.entry, used_at=each.used_at) for each in held)

    def sharing(self, digest: str) -> list[str]:
        """The URLs whose body is `digest`; may be empty."""
        return [url for url, held in self._held.items() if held.entry.digest == digest]

    def add(self, held: Held) -> str | None:
        """Hold a copy, in place of an older one; return the digest that nobody needs any more."""
        freed = self.drop(held.entry.url)
        digest = held.entry.digest
        if not self._shares[digest]:
            self.bytes_held += held.entry.size
        self._shares[digest] += 1
        self._held[held.entry.url] = held
        return freed if freed != digest else None

    def drop(self, url: str) -> str | None:
        """Forget a copy; return the digest that nobody needs any more."""
        held = self._held.pop(url, None)
        if held is None:
            return None
        digest = held.entry.digest
        self._shares[digest] -= 1
        if self._shares[digest]:
            return None
        del self._shares[digest]
        self.bytes_held -= held.entry.size
        return digest

    def make_room(self, entry: Entry, *, now: float) -> list[str] | None:
        """Say which copies must give way to `entry`, or None: there is no room.

        Args:
            entry: The copy to hold, maybe in place of an older one for its URL.
            now: The instant, for what counts as unused.
        """
        url = entry.url
        entries = len(self._held) + (url not in self._held) - self._policy.entries_max
        size = 0 if entry.digest in self._shares else entry.size
        over = self.bytes_held + size - self._freed_by(url) - self._policy.bytes_max
        victims: list[str] = []
        unused = iter(self._unused(now, but=url) if entries > 0 or over > 0 else ())
        while entries > 0 or over > 0:
            victim = next(unused, None)
            if victim is None:
                return None
            victims.append(victim)
            entries -= 1
            over -= self._freed_by(victim)
        return victims

    def room_for(self, url: str, *, now: float) -> int:
        """The most bytes that a new body for `url` may have; 0 when there is no room at all."""
        most = self._policy.body_bytes_max
        entries = len(self._held) + (url not in self._held) - self._policy.entries_max
        free = self._policy.bytes_max - self.bytes_held + self._freed_by(url)
        if entries <= 0 and free >= most:
            return most
        unused = self._unused(now, but=url)
        if entries > len(unused):
            return 0
        return min(free + sum(map(self._freed_by, unused)), most)

    def _freed_by(self, url: str) -> int:
        held = self._held.get(url)
        return held.entry.size if held and self._shares[held.entry.digest] == 1 else 0

    def _unused(self, now: float, *, but: str) -> list[str]:
        """URLs that may give way, the longest unused first."""
        limit = now - self._policy.unused_s
        old = [
            (held.used_at, url)
            for url, held in self._held.items()
            if held.used_at < limit and url != but
        ]
        return [url for _, url in sorted(old)]
