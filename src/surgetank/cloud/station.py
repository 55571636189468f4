"""Station: the capacity of one service in one region, and how it collapses.

A balancer spreads calls over nodes. Each node works through its own queue, first come first
served, and does the work of callers who have gone, because it cannot know. A queue that stays
long is memory that stays full: the node crashes, loses its queue, comes back cold and slow, and
meets the same storm. The others meanwhile carry its load. To the balancer a crashed node looks
idle, and draws calls to their loss until the next health check. Nothing here is scripted: a
scenario sets sizes and times, and an outage is what comes of them.

Simplified: a call that is lost in a crash is answered when its own answer would have come, checks
happen as calls arrive, and a call keeps the speed that its node had when it came.

A replica of 1:1000 keeps real answer times and serves a thousandth of the rate: a worker answers
after `service_s` and is free for the next call after `occupied_s`, which is that much longer.

Source: S. Huang et al., "Metastable Failures in the Wild", OSDI 2022, for the shape; the figures
are a scenario's.
"""

from dataclasses import dataclass, field, replace
from math import inf
from typing import NamedTuple

from surgetank.control.admission import Admission, Bucket, RateLimit
from surgetank.core.errors import InvalidInputError
from surgetank.core.ports import Chance, Clock
from surgetank.core.value import Lane

NODES_MAX = 1_000
"""Nodes of one station: each call looks at all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StationPolicy:
    """Size and physics of a station; raises `InvalidInputError` if out of range."""

    nodes: int
    """Nodes at the start; from 1 to `NODES_MAX`."""
    rate_per_s: float
    """Calls that all starting nodes together serve when warm; above 0."""
    service_s: float = 0.2
    """Seconds from the start of a call's work to its answer, on a warm node; 0 or more."""
    spread_ratio: float = 0.5
    """Work of one call varies evenly by this share around its mean; from 0 to below 1."""
    queue_s_max: float = 60.0
    """When a node's queue takes longer than these seconds to empty, the next call is refused: 503."""
    reject_cost_ratio: float = 0.1
    """Work of refusing a call as a share of serving it: parsing and TLS are not free, by admission
    (429) or for want of room (503), and need no warm caches; what the limit at the door turns away
    costs the nodes nothing. 0 or more."""
    pressure_s: float = 30.0
    """A queue that takes longer than these seconds to empty is memory pressure."""
    crash_after_s: float = 60.0
    """Mean seconds under pressure until a node crashes, each time from half to one and a half of
    it; infinite for never."""
    restart_s: float = 120.0
    """Seconds from a crash until the node serves again; 0 or more."""
    warm_s: float = 300.0
    """Seconds that a started node takes to full speed; 0 or more."""
    cold_ratio: float = 0.3
    """Speed of a node that has just started, as a share of full speed; above 0, at most 1."""
    health_period_s: float = 15.0
    """Least seconds between the balancer's checks, each of all nodes; 0 or more."""
    unhealthy_s: float = 45.0
    """A queue that takes longer than these seconds to empty fails a check: the balancer then sends
    the node nothing, whatever becomes of the others."""

    def __post_init__(self) -> None:
        spans_s = (self.service_s, self.restart_s, self.warm_s, self.health_period_s)
        bounds = (self.reject_cost_ratio, self.pressure_s, self.crash_after_s, self.unhealthy_s)
        is_sound = (
            1 <= self.nodes <= NODES_MAX
            and self.rate_per_s > 0
            and 0 <= self.spread_ratio < 1
            and 0 < self.cold_ratio <= 1
            and self.queue_s_max > 0
            and all(0 <= span_s < inf for span_s in spans_s)
            and all(bound >= 0 for bound in bounds)
        )
        if not is_sound:
            raise InvalidInputError(f"out of range: {self}")

    @property
    def occupied_s(self) -> float:
        """Mean seconds that one call occupies a warm node."""
        return self.nodes / self.rate_per_s


class Served(NamedTuple):
    """The work was done; whether anybody still waits for it is not the station's to know."""

    work_s: float
    """Seconds of a warm node's time that it took."""


class Turned(NamedTuple):
    """The call was not served."""

    status: int
    """502 lost in a crash, 503 no room, no node or turned away, 429 refused by admission."""
    retry_after_s: float | None = None
    """Seconds after which admission lets the caller ask again; None when nothing was said."""


@dataclass(slots=True)
class _Node:
    """One node: a queue kept as the instant when it will be empty."""

    started_at: float
    free_at: float
    life: int = 0
    down_until: float = 0.0
    pressed_since: float | None = None
    crash_due_s: float = 0.0
    is_in_rotation: bool = True


@dataclass(slots=True)
class StationCounts:
    """What a station did since it was built."""

    offered: int = 0
    """Calls that arrived, whatever became of them."""
    served: int = 0
    """Calls whose work was done."""
    lost: int = 0
    """Calls that were in a node when it crashed, or were sent to it before anybody knew."""
    refused: int = 0
    """Calls without room or without a node, and those that admission refused."""
    turned_away: int = 0
    """Calls that operators kept from the nodes."""
    crashes: int = 0
    work_s: float = 0.0
    """Seconds of a warm node's time in the calls that were served."""


@dataclass(slots=True)
class Station:
    """Nodes behind a health-checked balancer, with an optional limit and admission at the door."""

    policy: StationPolicy
    clock: Clock
    chance: Chance
    admission: Admission | None = None
    limit: RateLimit | None = None
    """Turns calls away before any node sees them: at no cost to the nodes."""
    open_ratio: float = 1.0
    """Share of traffic that operators let reach the nodes; 1 is all."""
    slowdown: float = 1.0
    """A fault's factor on work; 1 is none."""
    counts: StationCounts = field(default_factory=StationCounts)
    _bucket: Bucket = field(default=Bucket(inf, 0.0))  # A value, never changed.
    _nodes: list[_Node] = field(default_factory=list[_Node])
    _check_at: float = 0.0

    def __post_init__(self) -> None:
        now = self.clock.now()
        long_ago = now - self.policy.warm_s
        self._nodes = [_Node(started_at=long_ago, free_at=now) for _ in range(self.policy.nodes)]

    async def serve(self, *, lane: Lane = Lane.FRESH) -> Served | Turned:
        """Wait in line, do the work of one call and say how it went."""
        now = self.clock.now()
        self.counts.offered += 1
        self._check_health(now)
        at_the_door = self._turn_away(now)
        if at_the_door is not None:
            return at_the_door
        node = self._choose(now)
        if node is None:
            self.counts.refused += 1
            return Turned(503)
        if now < node.down_until:
            self.counts.lost += 1
            return Turned(502)
        refusal = self._refusal(node, lane=lane, now=now)
        if refusal is not None:
            return refusal
        work_s = self._work_s()
        speed = self._speed(node, now)
        start_at = max(now, node.free_at)
        node.free_at = start_at + work_s / speed
        life = node.life
        self._feel_pressure(node, now)
        answer_s = self.policy.service_s * self.slowdown / speed
        await self.clock.sleep_until(start_at + answer_s)
        if node.life != life:
            self.counts.lost += 1
            return Turned(502)
        self.counts.served += 1
        self.counts.work_s += work_s
        return Served(work_s)

    def scale_out(self, nodes: int) -> None:
        """Add `nodes` cold nodes, in rotation at once; a limit at the door rises with them.

        Raises:
            InvalidInputError: `nodes` is below 1, or there would be more than `NODES_MAX`.
        """
        if not 1 <= nodes <= NODES_MAX - len(self._nodes):
            raise InvalidInputError(f"cannot add {nodes} nodes to {len(self._nodes)}")
        now = self.clock.now()
        if self.limit is not None:
            growth = (len(self._nodes) + nodes) / len(self._nodes)
            self.limit = replace(self.limit, rate_per_s=self.limit.rate_per_s * growth)
        self._nodes += [_Node(started_at=now, free_at=now) for _ in range(nodes)]

    @property
    def nodes(self) -> int:
        """Nodes, living or not."""
        return len(self._nodes)

    def is_warm(self) -> bool:
        """Whether every node is up, at full speed and without a queue."""
        now = self.clock.now()
        return all(self._speed(node, now) >= 1.0 and node.free_at <= now for node in self._nodes)

    def queue_s(self) -> float:
        """Mean seconds until a call that arrives now would start, over living nodes.

        Where none lives, seconds until the first is back.
        """
        now = self.clock.now()
        waits = [max(0.0, node.free_at - now) for node in self._nodes if now >= node.down_until]
        if not waits:
            return min(node.down_until for node in self._nodes) - now
        return sum(waits) / len(waits)

    def live_ratio(self) -> float:
        """Speed of all nodes now, over that of the starting nodes when warm."""
        now = self.clock.now()
        return sum(self._speed(node, now) for node in self._nodes) / self.policy.nodes

    def _work_s(self) -> float:
        spread = self.policy.spread_ratio
        factor = 1.0 - spread + 2.0 * spread * self.chance.random()
        return self.policy.occupied_s * factor * self.slowdown

    def _speed(self, node: _Node, now: float) -> float:
        if now < node.down_until:
            return 0.0
        if self.policy.warm_s <= 0:
            return 1.0
        warmth = min(1.0, (now - node.started_at) / self.policy.warm_s)
        return self.policy.cold_ratio + (1.0 - self.policy.cold_ratio) * warmth

    def _choose(self, now: float) -> _Node | None:
        """The node in rotation that looks least busy; None when all are out.

        A crashed node has nothing in flight: until a check it looks idle, and it is chosen.
        """
        nodes = [node for node in self._nodes if node.is_in_rotation]
        if not nodes:
            return None
        return min(nodes, key=lambda node: now if now < node.down_until else node.free_at)

    def _turn_away(self, now: float) -> Turned | None:
        """Keep a call from the nodes: by the operators' choice, or by the limit at the door."""
        if self.open_ratio < 1.0 and self.chance.random() >= self.open_ratio:
            self.counts.turned_away += 1
            return Turned(503)
        if self.limit is None:
            return None
        chance = self.chance.random()
        self._bucket, retry_at = self.limit.decide(self._bucket, now=now, chance=chance)
        if retry_at is None:
            return None
        self.counts.refused += 1
        return Turned(429, retry_at - now)

    def _refusal(self, node: _Node, *, lane: Lane, now: float) -> Turned | None:
        queue_s = max(0.0, node.free_at - now)
        if self.admission is not None:
            chance = self.chance.random()
            retry_at = self.admission.decide(wait_s=queue_s, lane=lane, now=now, chance=chance)
            if retry_at is not None:
                return self._refuse(node, Turned(429, retry_at - now), now)
        if queue_s > self.policy.queue_s_max:
            return self._refuse(node, Turned(503), now)
        return None

    def _refuse(self, node: _Node, turned: Turned, now: float) -> Turned:
        """Spend what refusing costs."""
        self.counts.refused += 1
        cost_s = self.policy.occupied_s * self.policy.reject_cost_ratio
        node.free_at = max(now, node.free_at) + cost_s
        self._feel_pressure(node, now)
        return turned

    def _feel_pressure(self, node: _Node, now: float) -> None:
        if node.free_at - now <= self.policy.pressure_s:
            node.pressed_since = None
            return
        if node.pressed_since is None:
            node.pressed_since = now
            node.crash_due_s = self.policy.crash_after_s * (0.5 + self.chance.random())
        if now - node.pressed_since >= node.crash_due_s:
            self._crash(node, now)

    def _crash(self, node: _Node, now: float) -> None:
        self.counts.crashes += 1
        node.life += 1
        node.down_until = now + self.policy.restart_s
        node.started_at = node.free_at = node.down_until
        node.pressed_since = None

    def _check_health(self, now: float) -> None:
        if now < self._check_at:
            return
        self._check_at = now + self.policy.health_period_s
        for node in self._nodes:
            is_up = now >= node.down_until
            node.is_in_rotation = is_up and node.free_at - now <= self.policy.unhealthy_s
