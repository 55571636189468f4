"""What the exit status says, for scripts and CI: one table from error codes to numbers."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

__all__ = ["STATUS_OF_CODE", "ExitStatus"]


class ExitStatus(IntEnum):
    """How a command ended; the same five for every command."""

    DONE = 0
    """Done, or met."""
    NOT_MET = 1
    """The command ran and the answer is no: an expectation missed, a refusal, a failed outside."""
    BAD_INPUT = 2
    """An argument or a file cannot be used; running it again the same way cannot help."""
    OUR_FAULT = 3
    """A defect of Surgetank."""
    INTERRUPTED = 130
    """Stopped by the keyboard (SIGINT)."""


STATUS_OF_CODE: Mapping[str, ExitStatus] = MappingProxyType(
    {
        "invalid_input": ExitStatus.BAD_INPUT,
        "config": ExitStatus.BAD_INPUT,
        "refused": ExitStatus.NOT_MET,
        "breaker_open": ExitStatus.NOT_MET,
        "release_held": ExitStatus.NOT_MET,
        "queue_full": ExitStatus.NOT_MET,
        "dependency": ExitStatus.NOT_MET,
        "dependency_timeout": ExitStatus.NOT_MET,
        "dependency_throttled": ExitStatus.NOT_MET,
        "dependency_rejected": ExitStatus.NOT_MET,
        "integrity": ExitStatus.NOT_MET,
        "conflict": ExitStatus.NOT_MET,
        "surgetank": ExitStatus.OUR_FAULT,
        "simulation": ExitStatus.OUR_FAULT,
        "deadlock": ExitStatus.OUR_FAULT,
        "fence": ExitStatus.OUR_FAULT,
    }
)
"""Exit status by `SurgetankError.code`; a test holds it complete."""
