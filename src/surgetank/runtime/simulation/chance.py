"""Seeded chance by name, so that one more consumer does not shift the draws of the others."""

from hashlib import blake2b
from random import Random


def stream(seed: int, name: str) -> Random:
    """Give the stream called `name` of `seed`: equal arguments give equal draws, in any process.

    Args:
        seed: Any integer.
        name: What the draws are for, as `station identity.eastus`; each consumer has its own.
    """
    digest = blake2b(f"{seed}\x00{name}".encode(), digest_size=16).digest()
    # Seeded with an int, which no version of Python hashes on the way in.
    return Random(int.from_bytes(digest, "big"))  # noqa: S311 - drills must repeat, not surprise
