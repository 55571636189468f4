"""Where workers share governors: each brings a report and leaves with a lease.

A ledger keeps one state for each dependency and makes one exchange at a time, over all workers. Its
clock is its own: workers translate (`control.lease.Offset`), so theirs may differ by any amount.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from surgetank.control import share as shares
from surgetank.control.governor import GovernorPolicy
from surgetank.control.lease import Lease, Report, SharePolicy
from surgetank.core.ports import Clock
from surgetank.core.value import Dependency
from surgetank.safeguards.operations import ledger_text


class Answer(NamedTuple):
    """What an exchange gives."""

    lease: Lease
    """On the ledger's clock."""
    at: float
    """What that clock said."""


class Ledger(Protocol):
    """The state of governors, shared by workers."""

    async def exchange(
        self, dependency: Dependency, report: Report, policy: GovernorPolicy
    ) -> Answer:
        """Fold a report into the state and cut a lease, as one change.

        Args:
            dependency: Whose governor.
            report: Counted once each time that it is brought.
            policy: The governor's, to begin with and to go on by: of each exchange, the one that
                its worker brings. A law of another kind than the last begins anew.

        Raises:
            QueueFullError: too many workers share the dependency; nothing was counted.
            DependencyError: the ledger cannot be reached; `may_have_acted` says whether the report
                may have been counted.
            IntegrityError: what is kept is damaged, or a newer release's.
        """
        ...

    async def close(self) -> None:
        """Let go of it; safe to repeat."""
        ...


Exchange = Callable[[str | None, float], tuple[str, Answer]]
"""What an adapter does with the text of a state, or none, at an instant: the text to keep."""


def exchanging(
    dependency: Dependency, report: Report, policy: GovernorPolicy, share: SharePolicy
) -> Exchange:
    """Make the pure part of an exchange, the same for every adapter."""

    def exchange(kept: str | None, now: float) -> tuple[str, Answer]:
        if kept is None:
            shared = shares.begin(policy, dependency=dependency, now=now)
        else:
            shared = ledger_text.read(kept, policy, dependency=dependency)
        shared, lease = shares.exchange(shared, report, share, now=now)
        return ledger_text.write(shared), Answer(lease, shared.at)

    return exchange


class MemoryLedger:
    """A ledger of one process: it ends with it. It keeps what the others keep, text."""

    def __init__(self, *, clock: Clock, share: SharePolicy = SharePolicy()) -> None:  # noqa: B008 - a value
        self._clock = clock
        self._share = share
        self._texts: dict[Dependency, str] = {}

    async def exchange(
        self, dependency: Dependency, report: Report, policy: GovernorPolicy
    ) -> Answer:
        """See `Ledger.exchange`."""
        work = exchanging(dependency, report, policy, self._share)
        kept = self._texts.get(dependency)
        self._texts[dependency], answer = work(kept, self._clock.now())
        return answer

    async def close(self) -> None:
        """See `Ledger.close`."""
