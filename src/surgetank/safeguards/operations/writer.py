"""What every store writes in groups: one write of the `Store` each, handed to the next commit."""

from collections.abc import Sequence

from surgetank.core.operation import OperationId, OperationState
from surgetank.safeguards.operations.commit import GroupCommit
from surgetank.safeguards.operations.hold import Hold
from surgetank.safeguards.operations.record import Change, Record, Saved
from surgetank.safeguards.operations.write import (
    Forget,
    Release,
    Renew,
    Save,
    SetHold,
    Stop,
    Submit,
    Write,
)


class GroupedWriter:
    """The writing half of a `Store`."""

    def __init__(self, writes: GroupCommit[Write]) -> None:
        self.writes = writes
        """What waits for a commit, and what is in one."""

    async def submit(self, record: Record) -> bool:
        """Store a new operation; see `Store.submit`."""
        answer: bool = await self.writes.run(Submit(record))
        return answer

    async def save(self, changes: Sequence[Change]) -> tuple[Saved, ...]:
        """Make each change that still holds; see `Store.save`."""
        answer: tuple[Saved, ...] = await self.writes.run(Save(changes))
        return answer

    async def stop(self, operation_id: OperationId, state: OperationState) -> bool:
        """Tell one that is under way to stop; see `Store.stop`."""
        answer: bool = await self.writes.run(Stop(operation_id, state))
        return answer

    async def renew(
        self, leases: Sequence[tuple[OperationId, int]], *, until: float
    ) -> tuple[bool, ...]:
        """Move the end of leases; see `Store.renew`."""
        answer: tuple[bool, ...] = await self.writes.run(Renew(leases, until))
        return answer

    async def forget(self, *, before: float, limit: int) -> int:
        """Delete operations that ended long ago; see `Store.forget`."""
        answer: int = await self.writes.run(Forget(float(before), limit))
        return answer

    async def hold(self, hold: Hold) -> Hold:
        """Store a hold; see `Store.hold`."""
        answer: Hold = await self.writes.run(SetHold(hold))
        return answer

    async def release(self, number: int) -> bool:
        """Delete a hold; see `Store.release`."""
        answer: bool = await self.writes.run(Release(number))
        return answer
