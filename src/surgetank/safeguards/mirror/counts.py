"""What a mirror counts."""

from dataclasses import dataclass


@dataclass(slots=True)
class MirrorCounts:
    """What happened since the start."""

    hits: int = 0
    """Requests answered from a copy, fresh or just confirmed."""
    stale: int = 0
    """Requests answered from a copy that the origin did not confirm when it should have."""
    misses: int = 0
    """Requests answered with what was fetched for them."""
    failed: int = 0
    """Requests answered with an error of the mirror's own."""
    relayed: int = 0
    """Requests answered with the origin's own refusal."""
    passed_on: int = 0
    """Requests answered by a body that was not kept."""
    forbidden: int = 0
    """Requests for what no rule covers."""
    fetches: int = 0
    """Times an origin was to be asked."""
    coalesced: int = 0
    """Requests that shared another's fetch."""
    origin_failed: int = 0
    """Fetches that were refused, silent or without permit."""
    origin_lied: int = 0
    """Fetches whose bytes could not be right."""
    damaged: int = 0
    """Copies dropped because record or body was damaged on disk."""
    store_failed: int = 0
    """Times that the disk did not take a body or a record."""
    not_kept: int = 0
    """Fetched bodies not kept: the disk failed, or a limit was reached."""
    given_way: int = 0
    """Unused copies dropped in favour of new ones."""
