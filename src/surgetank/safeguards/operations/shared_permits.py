"""Leave to call, from governors that many workers share: the `Permits` port over a `Ledger`.

Who asks is answered at once, from the lease that this worker holds. A task of its own goes to the
ledger when a lease is about to end, one dependency at a time. A report whose answer was lost is not
brought again: what it said may have been counted. While the ledger is away longer than a lease
lasts, the worker goes on by itself with its last share, which fades (`control.alone`).

A law that measures should know of that (`with_lag`).
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from surgetank.control.breaker import Phase
from surgetank.control.governor import WEIGHT_MAX, GovernorPolicy
from surgetank.control.lease import Offset, SharePolicy, shifted
from surgetank.control.release import ReleasePolicy
from surgetank.control.view import View, view
from surgetank.core.errors import (
    DependencyError,
    DependencyTimeoutError,
    IntegrityError,
    InvalidInputError,
    QueueFullError,
)
from surgetank.core.ports import Chance, Clock
from surgetank.core.value import Dependency, Lane, Outcome, Permit, Refusal
from surgetank.safeguards.operations.leaseholder import Leaseholder
from surgetank.safeguards.operations.ledger import Ledger
from surgetank.safeguards.operations.permits import DEPENDENCIES_MAX

LAG_S = 0.2
"""Least `lag_s` of the law of governors that are shared: a worker with a backlog is at the ledger
each 0.05 s for each such worker, one without each 0.5 s."""
EXCHANGE_S_MAX = 1.0
"""Seconds to wait for the ledger's answer: half of what a lease outlasts its end by."""
WORKER_CHARACTERS_MAX = 100
"""Of a worker's name."""


def with_lag(policy: GovernorPolicy) -> GovernorPolicy:
    """Let the law know how late what it decides is obeyed where workers share its governor."""
    if not isinstance(policy.law, ReleasePolicy):
        return policy
    return replace(policy, law=replace(policy.law, lag_s=max(policy.law.lag_s, LAG_S)))


class SharedPermits:
    """The `Permits` port of one worker of many; `start` it, and `close` it at the end."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        worker: str,
        default: GovernorPolicy,
        policies: Mapping[Dependency, GovernorPolicy] | None = None,
        share: SharePolicy = SharePolicy(),  # noqa: B008 - a value
        clock: Clock,
        chance: Chance,
        dependencies_max: int = DEPENDENCIES_MAX,
        calls_max: float = math.inf,
    ) -> None:
        """Know nothing yet.

        Args:
            ledger: Where governors are shared; who made it closes it.
            worker: A name that no other worker has, nor this one after a restart; 1 to
                `WORKER_CHARACTERS_MAX` characters.
            default: For dependencies without a policy of their own; workers should agree.
            policies: By dependency.
            share: As the ledger's.
            clock: The time of this worker; the ledger's may be any other.
            chance: For when a shed call may come back, and when to try a ledger again.
            dependencies_max: Governors shared at the most.
            calls_max: Calls that this worker will make of each dependency: what a lease holds
                beyond them is lost to the others.

        Raises:
            InvalidInputError: the worker's name is empty or too long.
        """
        if not 1 <= len(worker) <= WORKER_CHARACTERS_MAX:
            raise InvalidInputError(f"worker: 1 to {WORKER_CHARACTERS_MAX} characters: {worker!r}")
        self._ledger = ledger
        self._worker = worker
        self._default = default
        self._policies = dict(policies or {})
        self._share = share
        self._clock = clock
        self._chance = chance
        self._dependencies_max = dependencies_max
        self._calls_max = calls_max
        self._holders: dict[Dependency, Leaseholder] = {}
        self._offset = Offset()
        self._is_away = False
        self._wake = asyncio.Event()
        self._next_at = math.inf
        self._task: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("surgetank.operations").bind(worker=worker)

    def start(self) -> asyncio.Task[None]:
        """Go to the ledger from now on, in a task that ends by `close`, or by a defect of ours."""
        assert self._task is None, "started once"
        self._task = asyncio.create_task(self._run(), name=f"shared permits of {self._worker}")
        return self._task

    async def announce(self, dependency: Dependency, *, lane: Lane, retry: bool) -> None:
        """Go to the ledger before the first question, so that a lease answers even that.

        Args:
            dependency: Whom the call is for.
            lane: As it will be asked.
            retry: Likewise.

        Raises:
            DependencyError: the ledger is away; ask, and see what this worker may do alone.
            IntegrityError: what it keeps is damaged, or a newer release's.
            QueueFullError: too many workers share the dependency.
        """
        assert self._task is None, "before it is started"
        now = self._clock.now()
        holder = self._holder(dependency, now=now)
        holder.expect(lane=lane, retry=retry, now=now)
        try:
            await self._visit(holder, is_leaving=False)
        except TimeoutError as error:
            raise DependencyTimeoutError(
                f"the ledger has not answered for {EXCHANGE_S_MAX:g} s", may_have_acted=True
            ) from error

    async def close(self) -> None:
        """Leave: others get this worker's share at once. Safe to repeat."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        (end,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(end, Exception):
            raise end  # A defect of ours ended it long ago.
        for holder in self._holders.values():
            if holder.due_at < math.inf and not self._is_away:
                await self._exchange(holder, is_leaving=True)

    def ask(
        self, dependencies: Sequence[Dependency], *, lane: Lane, retry: bool = False
    ) -> tuple[Permit, ...] | Refusal:
        """Ask to call all of `dependencies`, in order; see `core.ports.Permits`.

        Raises:
            InvalidInputError: one stands more than `WEIGHT_MAX` times.
            QueueFullError: more than `dependencies_max` dependencies were named.
        """
        now = self._clock.now()
        asked = list[tuple[Leaseholder, int]]()
        for dependency in dict.fromkeys(dependencies):
            weight = dependencies.count(dependency)
            if weight > WEIGHT_MAX:
                raise InvalidInputError(f"{dependency}: {WEIGHT_MAX} calls at once, not {weight}")
            holder = self._holder(dependency, now=now)
            chance = self._chance.random()
            refusal = holder.refusal(lane=lane, retry=retry, now=now, chance=chance)
            self._hurry(holder)
            if refusal is not None:
                return refusal
            asked.append((holder, weight))
        return tuple(
            holder.take(lane=lane, retry=retry, now=now, weight=weight) for holder, weight in asked
        )

    def report(self, permit: Permit, outcome: Outcome) -> None:
        """Say how a call ended; see `core.ports.Permits`."""
        now = self._clock.now()
        holder = self._holder(permit.dependency, now=now)
        holder.report(permit, outcome, now=now)
        self._hurry(holder)

    def give_back(self, permit: Permit) -> None:
        """Return a permit whose call was never made; see `core.ports.Permits`."""
        now = self._clock.now()
        self._holder(permit.dependency, now=now).give_back(permit, now=now)

    def views(self) -> dict[Dependency, View]:
        """Say for operators where each dependency stands, by name: for all workers together."""
        now = self._clock.now()
        return {
            dependency: view(holder.state(now=now), now=now)
            for dependency, holder in sorted(self._holders.items())
        }

    def _holder(self, dependency: Dependency, *, now: float) -> Leaseholder:
        holder = self._holders.get(dependency)
        if holder is None:
            if len(self._holders) >= self._dependencies_max:
                raise QueueFullError(f"{self._dependencies_max} dependencies are governed already")
            policy = self._policies.get(dependency, self._default)
            holder = Leaseholder(
                self._worker, dependency, policy, self._share, now=now, calls_max=self._calls_max
            )
            self._holders[dependency] = holder
        return holder

    def _hurry(self, holder: Leaseholder) -> None:
        """Wake the task where a dependency is due before all that it waits for."""
        if holder.due_at < self._next_at:
            self._wake.set()

    async def _run(self) -> None:
        """Exchange what is due, and wait for what is due next."""
        while True:
            self._next_at = -math.inf
            now = self._clock.now()
            for holder in list(self._holders.values()):
                if holder.due_at <= now:
                    await self._exchange(holder)
            self._wake.clear()
            holders = self._holders.values()
            self._next_at = min((holder.due_at for holder in holders), default=math.inf)
            await self._sleep()

    async def _sleep(self) -> None:
        """Wait for the next exchange, or for somebody in a hurry."""
        try:
            async with asyncio.timeout(
                None if self._next_at == math.inf else self._next_at - self._clock.now()
            ):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _exchange(self, holder: Leaseholder, *, is_leaving: bool = False) -> None:
        """Bring a report and take a lease, or try again later."""
        try:
            await self._visit(holder, is_leaving=is_leaving)
        except (DependencyError, IntegrityError, QueueFullError, TimeoutError) as error:
            # Not all workers at the same instant.
            wait_s = self._share.report_s * (0.5 + self._chance.random())
            holder.go_without(until=self._clock.now() + wait_s)
            self._tell_away(holder, error)

    async def _visit(self, holder: Leaseholder, *, is_leaving: bool) -> None:
        """Bring a report and take a lease; what is lost on the way is not brought again."""
        sent_at = self._clock.now()
        report = holder.collect(now=sent_at)._replace(is_leaving=is_leaving)
        async with asyncio.timeout(EXCHANGE_S_MAX):
            answer = await self._ledger.exchange(holder.dependency, report, holder.policy)
        now = self._clock.now()
        self._offset = self._offset.seen(ledger_at=answer.at, sent_at=sent_at, got_at=now)
        was = holder.lease.governor.breaker.phase
        holder.renew(shifted(answer.lease, by_s=-self._offset.middle_s), report, now=now)
        self._tell(holder, was=was)

    def _tell_away(self, holder: Leaseholder, error: Exception) -> None:
        if not self._is_away:
            self._is_away = True
            self._log.warning(
                "ledger.lost", dependency=holder.dependency, error=str(error) or repr(error)
            )

    def _tell(self, holder: Leaseholder, *, was: int) -> None:
        if self._is_away:
            self._is_away = False
            self._log.info("ledger.returned", dependency=holder.dependency)
        breaker = holder.lease.governor.breaker
        if breaker.phase != was:
            self._log.info(
                "lease.turned",
                dependency=holder.dependency,
                phase=Phase(breaker.phase).name.lower(),
                was=Phase(was).name.lower(),
                retry_at=breaker.retry_at,
            )
