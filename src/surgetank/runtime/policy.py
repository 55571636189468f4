"""How a server serves, and what it shares: every limit, with its unit and its reason."""

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path

from surgetank.core.errors import InvalidInputError
from surgetank.safeguards.operations.permits_api import PermitsApiPolicy

PORT_MAX = 65_535
AUDIT_BYTES_MIN = 1 << 16
"""Least `bytes_max` of an audit trail: eight files that each hold some acts."""


class Reads(StrEnum):
    """Who may read."""

    BY_HOST = "by_host"
    """Everybody on loopback; elsewhere who has a token."""
    OPEN = "open"
    TOKEN = "token"  # noqa: S105 - the word, not one


class Sharing(StrEnum):
    """With whom the governors are shared."""

    OWN = "own"
    """With nobody: they live in this process, and end with it."""
    SHARED = "shared"
    """With all servers that have the same store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPolicy:
    """Limits of the audit trail; raises `InvalidInputError` if out of range."""

    keep_s: float = 365 * 86400.0
    """Seconds for which an entry is kept, and while there are acts at most a quarter longer; above
    0. A year answers most auditors."""
    bytes_max: int = 64 << 20
    """Bytes of the whole trail on disk; at least 65,536. Past it the oldest eighth goes, however
    young. The default holds some 200,000 acts."""

    def __post_init__(self) -> None:
        if not self.keep_s > 0 or self.bytes_max < AUDIT_BYTES_MIN:
            raise InvalidInputError(f"out of range: {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServePolicy:
    """Where a server listens and whom it obeys; raises `InvalidInputError` if out of range."""

    host: str = "127.0.0.1"
    """Address to listen on, as `127.0.0.1` or `::`. It speaks plain HTTP: off loopback, put TLS in
    front of it."""
    port: int = 8470
    """Port to listen on, up to 65,535; 0 takes one that is free."""
    tokens: Path | None = None
    """File of bearer tokens, one `NAME ROLE TOKEN` a line; a relative one starts at the folder of
    the file. Left out, nothing can be written: whoever writes must have a name."""
    reads: Reads = Reads.BY_HOST
    """Who may read: `token` whoever has one, `open` everybody, `by_host` everybody on loopback and
    elsewhere whoever has a token."""
    store_s: float = 2.0
    """Seconds for the store to answer before the server says that it is not ready; above 0.
    Those who probe often wait no longer than a few."""
    body_bytes_max: int = 8 << 20
    """Bytes of a request's body; at least 1. An operation with all its steps and all their
    arguments at the limit is six million."""
    connections_max: int = 2_000
    """Connections at once; at least 1. More are answered 503."""
    audit: AuditPolicy = field(default_factory=AuditPolicy)
    """How long it is remembered who held, released, cancelled and redrove what."""
    permits: PermitsApiPolicy = field(default_factory=PermitsApiPolicy)
    """Permits for orchestrators and runners that are not in this process."""

    def __post_init__(self) -> None:
        counts = (self.body_bytes_max, self.connections_max)
        if min(counts) < 1 or not 0 <= self.port <= PORT_MAX or not self.store_s > 0:
            raise InvalidInputError(f"out of range: {self}")
        if self.tokens is None and not self.is_open:
            raise InvalidInputError(
                "nobody could read: name a file of tokens, or listen on loopback"
            )

    @property
    def is_open(self) -> bool:
        """Whether everybody may read."""
        if self.reads is Reads.BY_HOST:
            return _is_loopback(self.host)
        return self.reads is Reads.OPEN


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
