"""What a mirror may fetch, how long it believes a copy, and how much it holds."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from surgetank.core.errors import InvalidInputError
from surgetank.core.value import Dependency

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Kind(StrEnum):
    """What an artifact must look like to be believed."""

    MANIFEST = "manifest"
    """Well-formed XML without a document type, with the root `PluginVersionManifest`."""
    PACKAGE = "package"
    """A zip archive."""
    ANY = "any"
    """Anything whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One class of artifacts; the rules of a mirror are also its list of allowed origins."""

    host: str
    """Authority of the origin, lower case, with `:port` unless it is the scheme's own; or
    `*.suffix` for all names below a suffix. A bare `*` is refused: a mirror is no open proxy."""
    dependency: Dependency
    """Whose permits a fetch asks for, as `artifacts@eastus`."""
    path: str = "*"
    """Pattern that the path must match: `*` is any run of characters, `/` included."""
    kind: Kind = Kind.ANY
    """What a copy is checked for before it replaces another."""
    origin_scheme: str = "https"
    """How the origin is read: `https` or `http`."""
    freshness_s: float | None = 300.0
    """Seconds for which a copy is served without asking the origin; at least 0, or None for ever.
    Five minutes: a published version reaches nodes within a deployment's own time-outs."""
    is_immutable: bool = False
    """The bytes at a URL never change: other bytes are a lie of the origin, and are not served.
    Give it `freshness_s=None` unless you want the origin watched."""

    def __post_init__(self) -> None:
        suffix = self.host.removeprefix("*.")
        if not suffix or "*" in suffix or "/" in suffix or suffix != suffix.lower():
            raise InvalidInputError(f"host must be a name, or *.suffix: {self.host!r}")
        if self.origin_scheme not in ("http", "https"):
            raise InvalidInputError(f"origin_scheme must be http or https: {self.origin_scheme!r}")
        if self.freshness_s is not None and not self.freshness_s >= 0:
            raise InvalidInputError(f"freshness_s must be at least 0 or None: {self.freshness_s}")

    def covers_host(self, host: str) -> bool:
        """Whether this rule speaks of the origin `host` (lower case)."""
        if self.host.startswith("*."):
            return host.endswith(self.host[1:])
        return host == self.host

    def covers(self, host: str, path: str) -> bool:
        """Whether this rule speaks of `path` at the origin `host` (lower case)."""
        return self.covers_host(host) and (self.path == "*" or fnmatchcase(path, self.path))


def extension_rules(hosts: Iterable[str], artifacts: Dependency) -> tuple[Rule, ...]:
    """What to keep of accounts that publish extensions: manifests while fresh, packages for good.

    Args:
        hosts: Authorities of the accounts.
        artifacts: Whose permits a fetch asks for.
    """
    rules: list[Rule] = []
    for host in hosts:
        manifests = Rule(host=host, dependency=artifacts, path="*.xml", kind=Kind.MANIFEST)
        packages = Rule(
            host=host,
            dependency=artifacts,
            path="*.zip",
            kind=Kind.PACKAGE,
            is_immutable=True,
            freshness_s=None,
        )
        rules += [manifests, packages]
    return tuple(rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorPolicy:
    """Everything an operator may set; raises `InvalidInputError` when out of range."""

    rules: tuple[Rule, ...]
    """The first that covers a URL holds; from 1 to 256. What none covers is refused with 403."""
    pins: Mapping[str, str] = field(default_factory=dict[str, str])
    """SHA-256 in lower-case hex by absolute origin URL: no other bytes are served for it."""
    connect_s: float = 5.0
    """Seconds to wait for a connection to an origin; above 0."""
    read_s: float = 10.0
    """Seconds to wait for an origin's head and for each piece of its body; above 0."""
    fetch_s: float = 300.0
    """Seconds for one whole fetch, so that an origin that drips cannot hold a place; above 0."""
    wait_s: float = 60.0
    """Seconds that a client without a copy waits for a fetch, its own or a shared one; above 0."""
    revalidate_s: float = 2.0
    """Seconds that a client waits for news of a copy we hold; then it gets the copy, while the
    fetch goes on. Above 0. Short, because an origin in trouble is often slow rather than silent."""
    retry_s: float = 30.0
    """Seconds to leave an origin alone about a URL after it failed us; above 0. The agent asks for
    a URL up to 25 times in 24 s, so one failing bout costs the origin one request."""
    stale_s: float | None = None
    """Seconds past its last confirmation for which a copy is served while the origin fails; at
    least 0, or None for ever. For ever: an old package boots a machine, none does not."""
    url_bytes_max: int = 2_048
    """Longest URL taken; at least 64."""
    body_bytes_max: int = 1 << 30
    """Largest body kept; a larger one is passed on without being kept. At least 1."""
    bytes_max: int = 64 << 30
    """Bytes of bodies on disk; at least `body_bytes_max`."""
    entries_max: int = 10_000
    """URLs remembered; at least 1."""
    unused_s: float = 90 * 86_400.0
    """Seconds unasked after which a copy may give way to a new one when a limit is reached; at
    least 2 days, because the last use is noted on disk only about once a day. Younger copies never
    give way: one careless job must not push out what a fleet boots from."""
    memory_bytes_max: int = 64 << 20
    """Bytes of small bodies also held in memory; at least 0."""
    fetches_max: int = 8
    """Fetches under way at once, passed-on bodies included; at least 1."""
    waiters_max: int = 1_000
    """Clients waiting for fetches at once; more get 503. At least 1."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.rules) <= 256:  # noqa: PLR2004 - the documented bound of the field
            raise InvalidInputError(f"from 1 to 256 rules, not {len(self.rules)}")
        wrong = [url for url, pin in self.pins.items() if not _DIGEST.fullmatch(pin)]
        if wrong:
            raise InvalidInputError(f"not a SHA-256 in lower-case hex: pins of {wrong}")
        _check_limits(self)
        if self.bytes_max < self.body_bytes_max:
            raise InvalidInputError("bytes_max must be at least body_bytes_max")
        if self.stale_s is not None and not self.stale_s >= 0:
            raise InvalidInputError(f"stale_s must be at least 0 or None: {self.stale_s}")

    def rule_for(self, host: str, path: str) -> Rule | None:
        """The first rule that covers `path` at the origin `host` (lower case), or None."""
        return next((rule for rule in self.rules if rule.covers(host, path)), None)

    def rule_for_url(self, url: str) -> Rule | None:
        """The rule that covers an absolute origin URL, or None."""
        parts = urlsplit(url)
        rule = self.rule_for(parts.netloc, parts.path or "/")
        return rule if rule is not None and rule.origin_scheme == parts.scheme else None


def _check_limits(policy: MirrorPolicy) -> None:
    for name, least in _LEAST.items():
        if not getattr(policy, name) >= least:
            raise InvalidInputError(f"{name} must be at least {least}: {getattr(policy, name)}")
    for name in _ABOVE_ZERO:
        if not getattr(policy, name) > 0:
            raise InvalidInputError(f"{name} must be above 0: {getattr(policy, name)}")


_ABOVE_ZERO = ("connect_s", "read_s", "fetch_s", "wait_s", "revalidate_s", "retry_s")
_LEAST = {
    "url_bytes_max": 64,
    "body_bytes_max": 1,
    "entries_max": 1,
    "unused_s": 2 * 86_400.0,
    "memory_bytes_max": 0,
    "fetches_max": 1,
    "waiters_max": 1,
}
