"""Pools that make machines by themselves: Kubernetes-like node pools, and pools of CI runners.

What they want arrives one by one (pods, jobs), waits for a machine, and gives up after a time. A
pool asks for machines as its waiting work needs them, and says so when it needs fewer; whoever
carries out an ask may not be able to stop, and today's orchestrators are not: what was asked for an
hour ago still comes when nobody waits for it. That is the stale demand that follows an outage; a
machine that comes for nobody is a zombie.

How an ask is carried out, retried and perhaps withdrawn is not a pool's business: `Asker` is a
port, and a safeguard may stand behind it.
Source: Kubernetes cluster-autoscaler (one scale-up of a node group at a time, pods that found no
room decide its size); actions-runner-controller, issues 4396 and 4397 (one ephemeral runner a job,
stale demand after an incident).
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from math import ceil
from typing import Protocol

from surgetank.core.ports import Clock

WAITING_MAX = 100_000
"""Jobs or pods that wait in one pool; more are turned away and count as given up."""
NODES_PER_ASK_MAX = 1_000
"""Most nodes of one scale-up; who still waits is asked for next. Source: cluster-autoscaler,
`--max-nodes-per-scaleup`; also Azure's limit for one scale set."""
ASK_AGAIN_S = 10.0
"""Least seconds from an ask that came to nothing to the next: one that is refused at once is not
made without end. Source: cluster-autoscaler, `--scan-interval`."""


class Ask(Protocol):
    """Machines that were asked for."""

    async def done(self) -> bool:
        """Wait until they serve, or nobody works on it any more; whether they serve."""
        ...

    async def withdraw(self) -> bool:
        """Say that nobody wants them now; False when they come all the same."""
        ...


class Asker(Protocol):
    """Carries out asks for machines."""

    async def ask(self, machines: int) -> Ask:
        """Ask for machines; the ask is taken in when this returns."""
        ...


@dataclass(slots=True)
class PoolCounts:
    """What became of the work of a pool, and of its machines."""

    submitted: int = 0
    started: int = 0
    given_up: int = 0
    """Not started within its time."""
    waiting_peak: int = 0
    zombies: int = 0
    """Machines that came when nobody waited for them."""


@dataclass(slots=True, eq=False)
class Work:
    """One job or pod."""

    wanted_at: float
    gives_up_at: float
    started_at: float | None = None


@dataclass(slots=True, kw_only=True)
class _Pool:
    clock: Clock
    asker: Asker
    patience_s: float
    """Seconds that work waits for a machine before it gives up; above 0."""
    waiting_max: int = WAITING_MAX
    works: list[Work] = field(default_factory=list[Work])
    """All that was ever submitted, in order."""
    _counts: PoolCounts = field(default_factory=PoolCounts)
    _waiting: deque[Work] = field(default_factory=deque[Work])
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    @property
    def counts(self) -> PoolCounts:
        """What became of its work until now."""
        self._drop_late()
        return self._counts

    @property
    def waiting(self) -> int:
        """Work that waits now."""
        self._drop_late()
        return len(self._waiting)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _enter(self) -> Work | None:
        """Take in one piece of work; None when the pool is full."""
        now = self.clock.now()
        work = Work(now, now + self.patience_s)
        self._counts.submitted += 1
        self.works.append(work)
        if self.waiting >= self.waiting_max:
            self._counts.given_up += 1
            return None
        self._waiting.append(work)
        self._counts.waiting_peak = max(self._counts.waiting_peak, len(self._waiting))
        return work

    def _start_next(self) -> bool:
        """Start the work that has waited longest; False when none waits."""
        self._drop_late()
        if not self._waiting:
            return False
        work = self._waiting.popleft()
        work.started_at = self.clock.now()
        self._counts.started += 1
        return True

    def _drop_late(self) -> None:
        """Forget whoever has given up."""
        now = self.clock.now()
        while self._waiting and self._waiting[0].gives_up_at <= now:
            self._waiting.popleft()
            self._counts.given_up += 1


@dataclass(slots=True, kw_only=True)
class NodePool(_Pool):
    """One node group: pods that found no room decide how many nodes are asked for."""

    pods_per_node: int
    """Pods that a node takes; at least 1."""
    _room: int = 0
    """Pods that running nodes could still take."""
    _is_scaling: bool = False

    async def submit(self) -> None:
        """A pod finds no room on the nodes that run."""
        if self._enter() is None:
            return
        if self._room > 0:
            self._room -= 1
            self._start_next()
        elif not self._is_scaling:
            self._is_scaling = True
            self._spawn(self._scale())

    async def _scale(self) -> None:
        """Ask for what waits, one ask at a time, until nobody waits."""
        while (waiting := self.waiting) > 0:
            nodes = min(NODES_PER_ASK_MAX, ceil(waiting / self.pods_per_node))
            asked_at = self.clock.now()
            ask = await self.asker.ask(nodes)
            watch = self._spawn(self._withdraw_when_stale(ask))
            is_served = await ask.done()
            watch.cancel()
            if is_served:
                self._fill(nodes)
            else:
                await self.clock.sleep_until(asked_at + ASK_AGAIN_S)
        self._is_scaling = False

    def _fill(self, nodes: int) -> None:
        """Give the pods that wait their room on new nodes."""
        self._counts.zombies += max(0, nodes - ceil(self.waiting / self.pods_per_node))
        self._room += nodes * self.pods_per_node
        while self._room > 0 and self._start_next():
            self._room -= 1

    async def _withdraw_when_stale(self, ask: Ask) -> None:
        """Tell the asker once every pod that the ask was for has given up."""
        while self._waiting:
            await self.clock.sleep_until(self._waiting[-1].gives_up_at)
            self._drop_late()
        await ask.withdraw()


@dataclass(slots=True, kw_only=True)
class RunnerPool(_Pool):
    """Ephemeral CI runners, one for each job that waits; a runner ends with its job."""

    idle_s: float
    """Seconds that a runner without a job waits for one before it goes; 0 or more."""
    _asking: int = 0
    """Asks that are not taken in yet."""
    _coming: deque[Ask] = field(default_factory=deque[Ask])
    """Asks under way; the one to withdraw next is the first."""
    _idle_until: deque[float] = field(default_factory=deque[float])

    async def submit(self) -> None:
        """A job is queued."""
        work = self._enter()
        if work is None:
            return
        now = self.clock.now()
        while self._idle_until and self._idle_until[0] <= now:
            self._idle_until.popleft()
        if self._idle_until:
            self._idle_until.popleft()
            self._start_next()
            return
        await self._ask_for_who_waits()
        self._spawn(self._withdraw_one_too_many(work))

    @property
    def _supply(self) -> int:
        """Runners that were asked for and may still come."""
        return self._asking + len(self._coming)

    async def _ask_for_who_waits(self) -> None:
        if self.waiting > self._supply:
            asked_at = self.clock.now()
            self._asking += 1
            ask = await self.asker.ask(1)
            self._asking -= 1
            self._coming.append(ask)
            self._spawn(self._bring_up(ask, asked_at))

    async def _bring_up(self, ask: Ask, asked_at: float) -> None:
        is_served = await ask.done()
        self._coming.remove(ask)
        if not is_served:
            await self.clock.sleep_until(asked_at + ASK_AGAIN_S)
            await self._ask_for_who_waits()
        elif not self._start_next():
            self._counts.zombies += 1
            self._idle_until.append(self.clock.now() + self.idle_s)

    async def _withdraw_one_too_many(self, work: Work) -> None:
        """When a job has given up, take back the ask that it leaves over."""
        await self.clock.sleep_until(work.gives_up_at)
        if self._coming and self._supply > self.waiting:
            ask = self._coming[0]
            self._coming.rotate(-1)  # Who gives up next takes back another.
            await ask.withdraw()
