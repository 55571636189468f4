"""A remediation job: applies a policy's change to every account on its list, one after another.

The job trusts its list. When the list is stale it changes accounts that it was never meant for:
that is how 2-3 February 2026 began ("a data-sync defect in its targeting").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from surgetank.cloud.blob import Account
from surgetank.core.ports import Clock


@dataclass(frozen=True, slots=True)
class RemediationJob:
    """Sets `allowBlobPublicAccess` to false on `targets`, one each `pace_s` seconds."""

    inventory: Mapping[str, Account]
    """Accounts by name, as they are."""
    targets: Sequence[str]
    """Names on the job's list; those that no longer exist are passed over."""
    pace_s: float
    """Seconds from one name on the list to the next, whether it still exists or not; 0 or more."""
    clock: Clock

    async def run(self) -> tuple[str, ...]:
        """Change all targets and return the names of those changed, in order; safe to repeat."""
        changed: list[str] = []
        due_at = self.clock.now()
        for name in self.targets:
            account = self.inventory.get(name)
            if account is not None:
                account.access = account.access._replace(allow_blob_public_access=False)
                changed.append(name)
            due_at += self.pace_s
            await self.clock.sleep_until(due_at)
        return tuple(changed)


def restore(account: Account) -> None:
    """Let the public read `account` again: the operators' repair."""
    account.access = account.access._replace(allow_blob_public_access=True)
