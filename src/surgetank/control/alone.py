"""A worker whose ledger is away governs itself, with its last share, which fades.

It has a breaker and a retry budget of its own, and lets fresh calls through as the last lease did.
What it learns meanwhile is its own: when the ledger is back, the shared state counts again.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from surgetank.control import governor as governors
from surgetank.control.breaker import CLOSED, Breaker, Phase
from surgetank.control.evidence import Interval
from surgetank.control.governor import Governor
from surgetank.control.lease import Lease, SharePolicy
from surgetank.control.signal import Decision, Mode


class AloneDecision(NamedTuple):
    """What a governor without a ledger obeys; the fields of `signal.Decision`."""

    mode: int
    rate_per_s: float
    in_flight_max: float
    fresh_in_flight_max: float
    late_s: float = math.inf


@dataclass(frozen=True, slots=True)
class AloneLaw:
    """The law of a worker without a ledger: nothing is learnt, and `fade` lowers the pace."""

    decision: AloneDecision

    def start(self, *, now: float) -> Decision:
        """See `signal.Law`."""
        del now
        return self.decision

    def step(self, state: AloneDecision, interval: Interval) -> Decision:
        """See `signal.Law`."""
        del interval
        return state

    def opened(self, state: AloneDecision, *, now: float) -> Decision:
        """See `signal.Law`."""
        del now
        return state

    def closed(self, state: AloneDecision, *, probes: int, now: float) -> Decision:
        """See `signal.Law`."""
        del probes, now
        return state


def alone(lease: Lease, *, epoch: int, now: float) -> Governor:
    """Give a worker whose ledger is away a governor of its own, with its last share.

    A breaker that was not closed is open in it, so that this worker's own probes may close it.

    Args:
        lease: The last, on the worker's clock.
        epoch: Of the first permits; no ledger's.
        now: On the worker's clock.
    """
    decision = AloneDecision(
        Mode.CRUISE.value,
        lease.share_per_s,
        max(1.0, lease.share_in_flight),
        lease.fresh_max,
    )
    policy = replace(lease.governor.policy, law=AloneLaw(decision))
    state = governors.start(policy, dependency=lease.governor.dependency, now=now)
    was = lease.governor.breaker
    breaker = Breaker(epoch=epoch)
    if was.phase != CLOSED:
        breaker = Breaker(Phase.OPEN.value, epoch, max(now, was.retry_at), openings=1)
    return state._replace(breaker=breaker, hold_until_at=lease.governor.hold_until_at)


def fade(state: Governor, lease: Lease, share: SharePolicy, *, now: float) -> Governor:
    """Lower the pace of a governor that `alone` gave: by half each `half_life_s`, then to none."""
    passed_s = max(0.0, now - lease.until)
    rate_per_s = lease.share_per_s * 0.5 ** (passed_s / share.half_life_s)
    if rate_per_s < share.floor_per_s or rate_per_s == 0.0:
        return state._replace(due_at=math.inf)
    return state._replace(release=state.release._replace(rate_per_s=rate_per_s))  # type: ignore[attr-defined]  # it is an AloneDecision
