"""Pools that make machines by themselves: Kubernetes-like node pools, and pools of CI runners.

What they want arrives one by one (pods, jobs), waits for a machine, and gives up after a time. A
pool asks for machines as its waiting work needs them, and takes no ask back by itself: what was
asked for an hour ago still comes when nobody waits for it any more. That is the stale demand that
follows an outage; a machine that comes for nobody is a zombie.

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
    is_over: bool = False
    """Started, or given up."""


@dataclass(slots=True, kw_only=True)
class _Pool:
    clock: Clock
    asker: Asker
    patience_s: float
    """Seconds that work waits for a machine before it gives up; above 0."""
    counts: PoolCounts = field(default_factory=PoolCounts)
    works: list[Work] = field(default_factory=list[Work])
    """All that was ever submitted, in order."""
    _waiting: deque[Work] = field(default_factory=deque[Work])
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

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
        self.counts.submitted += 1
        self.works.append(work)
        if self.waiting >= WAITING_MAX:
            self._give_up(work)
            return None
        self._waiting.append(work)
        self.counts.waiting_peak = max(self.counts.waiting_peak, len(self._waiting))
        return work

    def _start_next(self) -> bool:
        """Start the work that has waited longest; False when none waits."""
        self._drop_late()
        if not self._waiting:
            return False
        work = self._waiting.popleft()
        work.started_at = self.clock.now()
        work.is_over = True
        self.counts.started += 1
        return True

    def _drop_late(self) -> int:
        """Forget whoever has given up; how many."""
        dropped = 0
        now = self.clock.now()
        while self._waiting and self._waiting[0].gives_up_at <= now:
            self._give_up(self._waiting.popleft())
            dropped += 1
        return dropped

    def _give_up(self, work: Work) -> None:
        work.is_over = True
        self.counts.given_up += 1


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
            nodes = ceil(waiting / self.pods_per_node)
            ask = await self.asker.ask(nodes)
            watch = self._spawn(self._withdraw_when_stale(ask))
            is_served = await ask.done()
            watch.cancel()
            if is_served:
                self._fill(nodes)
        self._is_scaling = False

    def _fill(self, nodes: int) -> None:
        """Give the pods that wait their room on new nodes."""
        self.counts.zombies += max(0, nodes - ceil(self.waiting / self.pods_per_node))
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
    _coming: deque[Ask] = field(default_factory=deque[Ask])
    """Asks under way, the oldest first."""
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

    async def _ask_for_who_waits(self) -> None:
        if self.waiting > len(self._coming):
            ask = await self.asker.ask(1)
            self._coming.append(ask)
            self._spawn(self._bring_up(ask))

    async def _bring_up(self, ask: Ask) -> None:
        is_served = await ask.done()
        if ask in self._coming:
            self._coming.remove(ask)
        if not is_served:
            await self._ask_for_who_waits()
        elif not self._start_next():
            self.counts.zombies += 1
            self._idle_until.append(self.clock.now() + self.idle_s)

    async def _withdraw_one_too_many(self, work: Work) -> None:
        """When a job has given up, take back the ask that it leaves over."""
        await self.clock.sleep_until(work.gives_up_at)
        if len(self._coming) > self.waiting and await self._coming[0].withdraw():
            self._coming.popleft()
