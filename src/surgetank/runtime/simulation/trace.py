"""A rolling hash of what a drill did: equal hashes mean equal runs."""

from collections.abc import Callable
from hashlib import blake2b

Fact = str | int | float | bytes | None
"""What prints the same in every process and in every Python."""


class Trace:
    """Facts in the order they happened, folded into one hash; keeps none of them."""

    def __init__(self, watch: Callable[[float, tuple[Fact, ...]], None] | None = None) -> None:
        """Start with no notes; `watch` is shown each one, in order, by whoever wants to keep them."""
        self._watch = watch
        self._hash = blake2b(digest_size=16)
        self.notes = 0

    def note(self, now: float, *facts: Fact) -> None:
        """Fold in what happened at `now`."""
        self.notes += 1
        self._hash.update(f"{now!r} {facts!r}\n".encode())
        if self._watch is not None:
            self._watch(now, facts)

    def digest(self) -> str:
        """The hash of all notes so far, 32 hexadecimal digits; more may follow."""
        return self._hash.hexdigest()
