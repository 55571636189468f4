"""What is written to a store, as values: many share one transaction."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeVar

from surgetank.core.operation import OperationId, OperationState
from surgetank.safeguards.operations.hold import Hold
from surgetank.safeguards.operations.record import Change, Record

T = TypeVar("T")


class Submit(NamedTuple):
    """See `Store.submit`."""

    record: Record


class Save(NamedTuple):
    """See `Store.save`."""

    changes: Sequence[Change]


class Renew(NamedTuple):
    """See `Store.renew`."""

    leases: Sequence[tuple[OperationId, int]]
    until: float


class Stop(NamedTuple):
    """See `Store.stop`."""

    operation_id: OperationId
    state: OperationState


class Forget(NamedTuple):
    """See `Store.forget`."""

    before: float
    limit: int


class SetHold(NamedTuple):
    """See `Store.hold`."""

    hold: Hold


class Release(NamedTuple):
    """See `Store.release`."""

    number: int


Write = Submit | Save | Renew | Stop | Forget | SetHold | Release


def rounds(items: Sequence[T], *, key: Callable[[T], Hashable]) -> list[dict[int, T]]:
    """Share out items so that no share has two of one key; by their place, in order."""
    seen = Counter[Hashable]()
    shares = list[dict[int, T]]()
    for place, item in enumerate(items):
        turn = seen[key(item)]
        seen[key(item)] += 1
        if turn == len(shares):
            shares.append({})
        shares[turn][place] = item
    return shares
