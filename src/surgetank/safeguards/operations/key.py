"""Idempotency keys for those who have none of their own."""

from uuid import UUID

from surgetank.core.ports import Chance

_RANDOM_BITS = 74
_PIECE_BITS = 37


def time_ordered_key(*, now: float, chance: Chance) -> str:
    """Make a key that nobody else makes, and that sorts by when it was made.

    A UUID of version 7: 48 bits of milliseconds, then 74 of chance. Source: RFC 9562, section 5.7.
    """
    milliseconds = int(now * 1000) & (1 << 48) - 1
    bits = 0
    for _ in range(_RANDOM_BITS // _PIECE_BITS):
        bits = bits << _PIECE_BITS | int(chance.random() * (1 << _PIECE_BITS))
    high, low = bits >> 62, bits & (1 << 62) - 1
    return str(UUID(int=milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low))
