"""How long one caller waits between tries: our own rule, and what SDKs do today.

Ours is capped exponential backoff with full jitter. The fixed schedules are those of the clients
that make the load of an outage; they are peers to compare with, not advice.
"""

from dataclasses import dataclass
from typing import NamedTuple

from surgetank.core.errors import InvalidInputError

_DOUBLINGS_MAX = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class BackoffPolicy:
    """Bounds of the wait between tries; raises `InvalidInputError` if out of range."""

    base_s: float = 1.0
    """Most seconds before the first retry; above 0. One second is past most resets and far below
    what a person notices in a machine's creation."""
    cap_s: float = 60.0
    """Most seconds before any retry; at least `base_s`."""

    def __post_init__(self) -> None:
        if not 0 < self.base_s <= self.cap_s:
            raise InvalidInputError(f"out of range: {self}")


def delay_s(policy: BackoffPolicy, *, attempt: int, chance: float) -> float:
    """Seconds to wait before retry number `attempt`.

    Args:
        policy: Its bounds.
        attempt: Tries that failed so far; at least 1.
        chance: From 0 (included) to 1 (excluded).

    Returns:
        Evenly spread from 0 to `min(cap_s, base_s * 2**(attempt - 1))`.

    Raises:
        InvalidInputError: `attempt` is below 1.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full
    jitter", the one with the least work for clients and server).
    """
    if attempt < 1:
        raise InvalidInputError(f"attempt must be at least 1, not {attempt}")
    ceiling_s = policy.base_s * 2.0 ** min(attempt - 1, _DOUBLINGS_MAX)
    return chance * min(policy.cap_s, ceiling_s)


class Schedule(NamedTuple):
    """A client's fixed waits."""

    name: str
    delays_s: tuple[float, ...]
    """Seconds before each retry, in order; after the last the call fails. May be empty."""

    def delay_s(self, attempt: int) -> float | None:
        """Seconds before retry number `attempt` (at least 1), or None to give up."""
        assert attempt >= 1, "retries are counted from 1"
        return self.delays_s[attempt - 1] if attempt <= len(self.delays_s) else None


NEVER = Schedule("never", ())
AZCORE_GO = Schedule("azcore for Go", (0.8, 1.6, 3.2))
"""Terraform, Karpenter: three retries, given up after 5.6 s.
Source: azcore `policy.RetryOptions` (RetryDelay 800 ms, MaxRetries 3), without its jitter."""
AZURE_CORE = Schedule("azure-core for Python", (0.0, 1.6, 3.2))
"""Resource Manager calls: three retries on a status, the first at once.
Source: azure-core `RetryPolicy.get_backoff_time` (factor 0.8, no wait before the first)."""
AZURE_STORAGE_BLOB = Schedule("azure-storage-blob", (18.0, 24.0, 42.0))
"""Source: azure-storage-blob 12.31, as run; its jitter of some seconds left out."""
IMDS = Schedule("azure-identity IMDS", (0.0, 1.6, 3.2, 6.4, 12.8))
"""Five retries, made 0, 1.6, 4.8, 11.2 and 24 s after the first failure.
Source: azure-identity 1.27, `ImdsCredential`, as run: a caller is blocked for 24 s."""
AGENT_THROTTLED = Schedule("VM agent, throttled", (1.0,) * 24)
"""25 tries, 1 s apart. Source: WALinuxAgent `restutil.py` (THROTTLE_RETRIES)."""
AGENT_FAULT = Schedule("VM agent, fault", (2.0, 3.0, 5.0, 8.0, 13.0))
"""6 tries, Fibonacci waits, 31 s in all. Source: WALinuxAgent `restutil.py` (`_compute_delay`)."""

_AGENT_THROTTLED = frozenset({403, 429, 503})
_AGENT_FAULTS = frozenset({205, 206, 500, 501, 502, 504, 507})


def agent_schedule(status: int | None) -> Schedule:
    """What the VM agent does after `status`; None is a broken or timed-out connection.

    409, 404 and 3xx are never retried. Source: WALinuxAgent `restutil.py` (RETRY_CODES).
    """
    if status in _AGENT_THROTTLED:
        return AGENT_THROTTLED
    return AGENT_FAULT if status is None or status in _AGENT_FAULTS else NEVER
