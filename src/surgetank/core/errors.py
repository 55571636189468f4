"""Every error that crosses a boundary of Surgetank.

SurgetankError
├── InvalidInputError
│   └── ConfigError
├── RefusedError
│   ├── BreakerOpenError
│   ├── ReleaseHeldError
│   └── QueueFullError
├── DependencyError
│   ├── DependencyTimeoutError
│   ├── DependencyThrottledError
│   └── DependencyRejectedError
├── IntegrityError
├── ConflictError
└── SimulationError
    ├── DeadlockError
    └── FenceError

`code` is stable and may be matched on; the message is for people and may change.
"""

from typing import ClassVar


class SurgetankError(Exception):
    """Root of all of them. `retry_at` is an instant on the caller's clock, or None."""

    code: ClassVar[str] = "surgetank"

    def __init__(self, message: str, *, retry_at: float | None = None) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class InvalidInputError(SurgetankError, ValueError):
    """The caller's mistake; asking again the same way cannot help."""

    code = "invalid_input"


class ConfigError(InvalidInputError):
    """A file says something that cannot be used: names the file, the key, the value, what would do."""

    code = "config"

    def __init__(self, *, file: str, key: str, value: object, wanted: str) -> None:
        super().__init__(f"{file}: {key} = {value!r}: {wanted}")
        self.file = file
        self.key = key
        self.value = value
        self.wanted = wanted


class RefusedError(SurgetankError):
    """We said no on purpose; asking again at `retry_at` may help."""

    code = "refused"


class BreakerOpenError(RefusedError):
    """The dependency keeps failing, so it is not called."""

    code = "breaker_open"


class ReleaseHeldError(RefusedError):
    """The backlog is let through more slowly than this call wanted."""

    code = "release_held"


class QueueFullError(RefusedError):
    """A limit was reached; nothing was taken in."""

    code = "queue_full"


class DependencyError(SurgetankError):
    """The outside failed. `may_have_acted` says whether the call may have had its effect."""

    code = "dependency"

    def __init__(
        self, message: str, *, may_have_acted: bool, retry_at: float | None = None
    ) -> None:
        super().__init__(message, retry_at=retry_at)
        self.may_have_acted = may_have_acted


class DependencyTimeoutError(DependencyError):
    """No answer in time."""

    code = "dependency_timeout"


class DependencyThrottledError(DependencyError):
    """The dependency asked us to slow down."""

    code = "dependency_throttled"


class DependencyRejectedError(DependencyError):
    """The dependency understood and said no; retrying cannot help."""

    code = "dependency_rejected"


class IntegrityError(SurgetankError):
    """Bytes, signatures or versions are wrong; never retried."""

    code = "integrity"


class ConflictError(SurgetankError):
    """A lost lease, a stale version, or one key for two bodies: read again, then decide."""

    code = "conflict"


class SimulationError(SurgetankError):
    """Virtual time cannot go on; only raised inside a drill."""

    code = "simulation"


class DeadlockError(SimulationError):
    """Nothing is ready, no timer is armed, and tasks still wait; the message names each."""

    code = "deadlock"


class FenceError(SimulationError):
    """Code under virtual time reached for the real world."""

    code = "fence"
