"""How operations are run: every limit of this safeguard, with its unit and its reason."""

from dataclasses import dataclass, field

from surgetank.control.backoff import BackoffPolicy
from surgetank.core.errors import InvalidInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationsPolicy:
    """Limits and waits; raises `InvalidInputError` if out of range."""

    batch: int = 64
    """Operations begun, moved or expired in one transaction of a step; at least 1."""
    in_flight_max: int = 256
    """Operations of this worker whose calls are under way; at least 1."""
    lease_s: float = 60.0
    """Seconds after which another worker may take over from one that went silent; above 0.
    Renewed at half-time, so one lost renewal costs nothing."""
    step_s_max: float = 3600.0
    """Seconds that one call of a step may take, polling included; above 0.
    A machine takes minutes; an hour ends a lease that would be renewed for ever."""
    tries_max: int = 8
    """Calls of a step that end transient, throttled or timed out; at least 1."""
    retry: BackoffPolicy = field(default_factory=lambda: BackoffPolicy(base_s=2.0, cap_s=300.0))
    """Wait before another try: eight tries then span about ten minutes, past most restarts."""
    blocked: BackoffPolicy = field(default_factory=lambda: BackoffPolicy(base_s=30.0, cap_s=1800.0))
    """Sleep of a blocked operation, drawn from half to whole: policies take minutes to change."""
    owed_s: float = 60.0
    """Seconds until a skipped optional step is first looked at again; above 0."""
    fresh_s: float = 60.0
    """Seconds that fresh work may be refused before it counts as backlog; above 0.
    Azure's own clients give up within a minute: after that nobody waits for the answer."""
    scan_s: float = 30.0
    """Seconds between looks for what other workers left in the store; above 0."""
    keep_s: float = 7 * 86400.0
    """Seconds for which a finished operation, and so its key, is remembered; above 0."""
    close_s: float = 10.0
    """Seconds to wait for calls under way when closing; at least 0."""
    save_retry_s: float = 1.0
    """Seconds between tries to write down an outcome when the store fails; above 0."""

    def __post_init__(self) -> None:
        counts = (self.batch, self.in_flight_max, self.tries_max)
        spans_s = (
            self.lease_s,
            self.step_s_max,
            self.owed_s,
            self.fresh_s,
            self.scan_s,
            self.keep_s,
            self.save_retry_s,
        )
        if min(counts) < 1 or not all(span_s > 0 for span_s in spans_s) or not self.close_s >= 0:
            raise InvalidInputError(f"out of range: {self}")
