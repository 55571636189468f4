"""What lies between two hosts, laid by rules that a drill's faults change as it runs."""

from math import inf
from typing import NamedTuple

from surgetank.core.errors import InvalidInputError

RULES_LIMIT = 10_000
"""Each look-up of a new pair of hosts may read them all."""


class Link(NamedTuple):
    """What lies between two hosts, both ways."""

    latency_s: float = 0.0
    """One way."""
    jitter_s: float = 0.0
    """Added each way, evenly from 0 to this."""
    loss_ratio: float = 0.0
    """Share of requests, and again of replies, that vanish: the client waits for nothing."""
    is_cut: bool = False
    """Nothing passes: connecting times out, replies and bodies under way vanish."""
    bytes_per_s: float = inf
    """For bodies, each way, for each request."""
    truncate_after_bytes: int | None = None
    """The connection breaks after so much of a reply's body; None for never."""


class Links:
    """Rules for links; of those that match a pair of hosts, the last laid holds."""

    def __init__(self) -> None:
        self._rules: dict[tuple[str, str], Link] = {}

    def lay(self, source: str, target: str, link: Link) -> None:
        """Add a rule, or lay the one for the same two patterns anew.

        Args:
            source: A host, or the beginning of its name and `*`; `*` alone for all.
            target: Likewise.
            link: What lies between.

        Raises:
            InvalidInputError: Figures out of range, or too many rules.
        """
        if min(link.latency_s, link.jitter_s, link.truncate_after_bytes or 0) < 0:
            raise InvalidInputError(f"below 0: {link}")
        if not (0 <= link.loss_ratio <= 1 and link.bytes_per_s > 0):
            raise InvalidInputError(f"out of range: {link}")
        self._rules.pop((source, target), None)
        if len(self._rules) >= RULES_LIMIT:
            raise InvalidInputError(f"more than {RULES_LIMIT} rules for links")
        self._rules[source, target] = link

    def take_back(self, source: str, target: str) -> None:
        """Drop the rule for the same two patterns, if there is one; older ones show again."""
        self._rules.pop((source, target), None)

    def between(self, source: str, target: str) -> Link:
        """The link from clients at `source` to `target`; `Link()` where no rule matches."""
        for (sources, targets), link in reversed(self._rules.items()):
            if _matches(sources, source) and _matches(targets, target):
                return link
        return Link()


def _matches(pattern: str, host: str) -> bool:
    if pattern.endswith("*"):
        return host.startswith(pattern[:-1])
    return host == pattern
