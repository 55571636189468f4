"""What the mirror does when an origin has answered: one table, without I/O.

`decide` turns *what we hold* and *what the origin said* into *what the client gets*:

| the origin                                   | a copy is held            | none is held          |
|----------------------------------------------|---------------------------|-----------------------|
| confirms it (304, or the same bytes)         | Revalidated               | Fail 502              |
| sends other sound bytes                      | StoreAndServe             | StoreAndServe         |
| ... though the URL is immutable              | ServeCached, as a lie     | -                     |
| ... though the URL is pinned to others       | ServeCached, as a lie     | Fail 502              |
| sends unsound bytes (short, wrong kind)      | ServeCached, as a lie     | Fail 502              |
| sends more than we can keep                  | ServeCached               | PassOn (pinned: 502)  |
| refuses (**409**, 401, 403, 404, 429, 5xx)   | **ServeCached**           | Relay                 |
| says 410 Gone: withdrawn on purpose          | Relay                     | Relay                 |
| is silent (time-out, cut, no connection)     | ServeCached               | Fail 504 or 502       |
| may not be asked now (no permit)             | ServeCached               | Fail 503, Retry-After |

So a 409 PublicAccessNotPermitted on a manifest is the `Refused` case: the last verified copy is
served, and the origin is left alone about it until `ask_at`. Without a copy the client sees the
true 409, because it must not take a policy for a passing fault. A 404 is a refusal, not news:
storage services answer it for containers that became private.

A copy unconfirmed for longer than `stale_s` counts as not held, except that immutable bytes still
may not change. How soon to ask again is spread by up to a tenth, so that mirrors which lost an
origin together do not all return to it together.
"""

from dataclasses import replace
from typing import NamedTuple

from surgetank.safeguards.mirror.entry import Entry
from surgetank.safeguards.mirror.policy import MirrorPolicy, Rule

_GONE = 410
_BAD_GATEWAY = 502
_UNAVAILABLE = 503
_GATEWAY_TIMEOUT = 504
_PATIENCE_S_MAX = 600.0
_SPREAD_RATIO = 0.1
NEVER = float("inf")


class Unchanged(NamedTuple):
    """304: what we hold is still right."""


class Sound(NamedTuple):
    """200 with a whole body that looks like what it should be."""

    digest: str
    size: int
    content_type: str = ""
    content_encoding: str = ""
    etag: str = ""


class Unsound(NamedTuple):
    """200 with something that cannot be right."""

    flaw: str


class Unstorable(NamedTuple):
    """200 with more than we can hold, or nowhere to put it."""

    reason: str
    is_disk_at_fault: bool = False


class Refused(NamedTuple):
    """Any other status."""

    status: int
    code: str = ""
    """The origin's own word, as `PublicAccessNotPermitted`; may be empty."""
    retry_at: float | None = None


class Silent(NamedTuple):
    """No answer, or only part of one."""

    reason: str
    is_timeout: bool


class Withheld(NamedTuple):
    """Our own side gave no permit, so nobody was asked."""

    reason: str
    retry_at: float


_Failure = Unsound | Unstorable | Refused | Silent | Withheld
Answer = Unchanged | Sound | _Failure


class ServeCached(NamedTuple):
    """Serve the copy as it is; leave the origin alone until `ask_at`."""

    reason: str
    ask_at: float
    is_lie: bool = False


class Revalidated(NamedTuple):
    """Serve the copy, confirmed."""

    entry: Entry
    ask_at: float


class StoreAndServe(NamedTuple):
    """Keep the new bytes and serve them."""

    entry: Entry
    ask_at: float


class Relay(NamedTuple):
    """Give the client the origin's own status and body."""

    status: int
    reason: str


class PassOn(NamedTuple):
    """Give the client the origin's body without keeping it."""

    reason: str


class Fail(NamedTuple):
    """Nothing true can be served."""

    status: int
    reason: str
    retry_at: float | None = None
    is_lie: bool = False


Decision = ServeCached | Revalidated | StoreAndServe | Relay | PassOn | Fail


class Case(NamedTuple):
    """What the decision depends on besides the origin's answer."""

    url: str
    rule: Rule
    policy: MirrorPolicy
    now: float
    chance: float
    """A number from 0 to 1, drawn for this decision."""


def decide(entry: Entry | None, answer: Answer, case: Case) -> Decision:
    """Say what the client gets; the module's table, row by row.

    Args:
        entry: The copy we hold, or None.
        answer: What became of asking the origin.
        case: The URL, its rule, the policy and the instant.
    """
    held = entry if entry is not None and _is_usable(entry, case) else None
    match answer:
        case Unchanged():
            return _confirm(entry, etag="", case=case)
        case Sound():
            return _judge(entry, answer, held=held, case=case)
        case Refused(status, code) if status == _GONE:
            return Relay(status, f"withdrawn {status} {code}".rstrip())
        case _ if held is not None:
            return _decide_with_copy(answer, case)
        case _:
            return _decide_without_copy(answer, case)


def _decide_with_copy(answer: _Failure, case: Case) -> ServeCached:
    match answer:
        case Refused(status, code, retry_at):
            return ServeCached(f"refused {status} {code}".rstrip(), _later(case, retry_at))
        case Unsound(flaw):
            return ServeCached(flaw, _later(case, None), is_lie=True)
        case Silent(reason) | Unstorable(reason):
            return ServeCached(reason, _later(case, None))
        case Withheld(reason, retry_at):
            return ServeCached(reason, retry_at)


def _decide_without_copy(answer: _Failure, case: Case) -> Decision:
    match answer:
        case Refused(status, code):
            return Relay(status, f"refused {status} {code}".rstrip())
        case Unsound(flaw):
            return Fail(_BAD_GATEWAY, flaw, is_lie=True)
        case Unstorable(reason):
            if case.url in case.policy.pins:
                return Fail(_BAD_GATEWAY, f"pinned, and cannot be checked: {reason}")
            return PassOn(reason)
        case Silent(reason, is_timeout):
            return Fail(_GATEWAY_TIMEOUT if is_timeout else _BAD_GATEWAY, reason)
        case Withheld(reason, retry_at):
            return Fail(_UNAVAILABLE, reason, retry_at)


def fresh_until(rule: Rule, *, since: float, chance: float) -> float:
    """The instant from which the origin is asked again about a copy confirmed at `since`."""
    if rule.freshness_s is None:
        return NEVER
    return since + rule.freshness_s * (1.0 - _SPREAD_RATIO * chance)


def _judge(entry: Entry | None, sound: Sound, *, held: Entry | None, case: Case) -> Decision:
    pin = case.policy.pins.get(case.url)
    if pin is not None and pin != sound.digest:
        return _distrust(held, f"pinned to {pin}, got {sound.digest}", case)
    if entry is not None and entry.digest == sound.digest:
        return _confirm(entry, etag=sound.etag, case=case)
    if entry is not None and case.rule.is_immutable:
        return _distrust(entry, f"immutable {entry.digest} became {sound.digest}", case)
    fresh = Entry(
        url=case.url,
        digest=sound.digest,
        size=sound.size,
        content_type=sound.content_type,
        content_encoding=sound.content_encoding,
        etag=sound.etag,
        fetched_at=case.now,
        checked_at=case.now,
        used_at=case.now,
    )
    return StoreAndServe(fresh, fresh_until(case.rule, since=case.now, chance=case.chance))


def _confirm(entry: Entry | None, *, etag: str, case: Case) -> Decision:
    if entry is None:
        return Fail(_BAD_GATEWAY, "304 to a request without a condition", is_lie=True)
    confirmed = replace(entry, checked_at=case.now, etag=etag or entry.etag)
    return Revalidated(confirmed, fresh_until(case.rule, since=case.now, chance=case.chance))


def _distrust(held: Entry | None, flaw: str, case: Case) -> Decision:
    if held is None:
        return _decide_without_copy(Unsound(flaw), case)
    return _decide_with_copy(Unsound(flaw), case)


def _is_usable(entry: Entry, case: Case) -> bool:
    stale_s = case.policy.stale_s
    return stale_s is None or case.now <= entry.checked_at + stale_s


def _later(case: Case, retry_at: float | None) -> float:
    """Our own patience, or the origin's wish when it is longer, within ten minutes."""
    ours = case.now + case.policy.retry_s * (1.0 - _SPREAD_RATIO * case.chance)
    wish = min(retry_at or 0.0, case.now + _PATIENCE_S_MAX)
    return max(ours, wish)
