"""The laws in a closed loop: a backlog drains through a station that collapses when overrun.

The station is a queue with one server. When more than `CROWD` calls wait it is short of memory and
works at a quarter of its speed until most of them are gone, and it does the work of callers who
have left: the ingredients of a metastable failure. Fresh calls come by chance at `fresh` of its
capacity; at a slowed station they alone are too much.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from surgetank.control import governor
from surgetank.control.backoff import BackoffPolicy, delay_s
from surgetank.control.breaker import BreakerPolicy, Phase
from surgetank.control.governor import GovernorPolicy
from surgetank.control.peer.sdk import Sdk
from surgetank.control.release import ReleasePolicy
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit, Refusal

ADAPTIVE = GovernorPolicy(breaker=BreakerPolicy(open_s_max=30.0), law=ReleasePolicy(timeout_s=60.0))
TODAY = GovernorPolicy(breaker=None, budget=None, law=Sdk())
BACKLOG = 500
CROWD = 40
SLOW_RATIO = 0.25
ANSWER_S = 0.05
OK = Outcome(OutcomeKind.OK)
ENDINGS = {kind: Outcome(kind) for kind in OutcomeKind}
Event = tuple[float, int, Callable[[], None]]


@dataclass(slots=True)
class Call:
    permit: Permit
    tries: int
    has_ended: bool = False


@dataclass(slots=True, kw_only=True)
class World:
    """One governor before one station; time is the heap's."""

    policy: GovernorPolicy
    capacity_per_s: float
    seed: int
    timeout_s: float = 60.0
    fresh: float = 0.3
    noise: float = 0.0
    fault: OutcomeKind | None = None
    now: float = 0.0
    done: int = 0
    tips: int = 0
    fresh_ok: int = 0
    fresh_asked: int = 0
    is_slow: bool = False
    waiting: list[int] = field(default_factory=list[int])
    queue: deque[Call | None] = field(default_factory=deque["Call | None"])
    is_serving: bool = False
    wake_at: float = -1.0
    events: list[Event] = field(default_factory=list["Event"])
    count: int = 0
    chance: random.Random = field(init=False)
    governed: governor.Governor = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.governed = governor.start(
            self.policy, dependency=Dependency("identity@eastus"), now=0.0
        )
        self.after(0.0, self.fresh_comes)

    def after(self, wait_s: float, what: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.events, (self.now + wait_s, self.count, what))

    def run(self, *, until: Callable[[], bool], end_at: float) -> float:
        """Play until the condition holds or `end_at`; the instant."""
        while not until() and self.events[0][0] <= end_at:
            self.now, _, what = heapq.heappop(self.events)
            what()
        return self.now

    def run_for(self, span_s: float) -> None:
        self.run(until=lambda: False, end_at=self.now + span_s)

    def ask(self, lane: Lane) -> Permit | Refusal:
        self.governed, answer = governor.admit(
            self.governed, lane=lane, retry=False, now=self.now, chance=self.chance.random()
        )
        return answer

    def fresh_comes(self) -> None:
        self.after(self.chance.expovariate(self.fresh * self.capacity_per_s), self.fresh_comes)
        self.fresh_asked += 1
        answer = self.ask(Lane.FRESH)
        if isinstance(answer, Permit):
            self.send(Call(answer, 1))

    def backlog_comes(self, count: int = BACKLOG) -> None:
        self.waiting += [0] * count
        self.release()

    def release(self) -> None:
        while self.waiting:
            answer = self.ask(Lane.BACKLOG)
            if isinstance(answer, Refusal):
                if not self.now < self.wake_at <= answer.retry_at:
                    self.wake_at = answer.retry_at
                    self.after(answer.retry_at - self.now, self.release)
                return
            self.send(Call(answer, self.waiting.pop() + 1))

    def send(self, call: Call) -> None:
        kind = self.fault
        if kind is None and self.chance.random() < self.noise:
            kind = OutcomeKind.TRANSIENT
        if kind is not None:
            self.after(ANSWER_S, lambda: self.end(call, ENDINGS[kind]))
            return
        self.after(self.timeout_s, lambda: self.end(call, ENDINGS[OutcomeKind.TIMEOUT]))
        self.enter(call)

    def enter(self, call: Call | None) -> None:
        self.queue.append(call)
        if len(self.queue) > CROWD and not self.is_slow:
            self.is_slow = True
            self.tips += 1
        self.serve()

    def serve(self) -> None:
        if self.is_serving or not self.queue:
            return
        self.is_serving = True
        self.is_slow = self.is_slow and len(self.queue) >= CROWD / 4
        speed = self.capacity_per_s * (SLOW_RATIO if self.is_slow else 1.0)
        call = self.queue.popleft()
        self.after((0.5 + self.chance.random()) / speed, lambda: self.served(call))

    def served(self, call: Call | None) -> None:
        self.is_serving = False
        if call is not None:
            self.after(ANSWER_S, lambda: self.end(call, OK))
        self.serve()

    def end(self, call: Call, outcome: Outcome) -> None:
        if call.has_ended:
            return
        call.has_ended = True
        self.governed = governor.record(self.governed, call.permit, outcome, now=self.now)
        if call.permit.lane is Lane.FRESH:
            self.fresh_ok += outcome.kind is OutcomeKind.OK
        elif outcome.kind is OutcomeKind.OK:
            self.done += 1
        else:
            self.later(call)
        self.release()

    def later(self, call: Call) -> None:
        """A failed call of the backlog waits its client's backoff before it asks again."""

        def again() -> None:
            self.waiting.append(call.tries)
            self.release()

        wait_s = delay_s(BackoffPolicy(), attempt=call.tries, chance=self.chance.random())
        self.after(wait_s, again)

    def learn(self) -> None:
        """Live in health for 300 fresh calls."""
        self.run_for(300 / (self.fresh * self.capacity_per_s))

    def drain(self, *, horizon: float = 6.0) -> float:
        """Time until the backlog is done, over the least possible; infinite beyond `horizon`."""
        start_at, least_s = self.now, BACKLOG / (self.capacity_per_s * (1 - self.fresh))
        self.run(until=self.is_done, end_at=start_at + horizon * least_s)
        return (self.now - start_at) / least_s if self.is_done() else float("inf")

    def is_done(self) -> bool:
        return self.done >= BACKLOG

    def is_closed(self) -> bool:
        return self.governed.breaker.phase == Phase.CLOSED


SCALES = pytest.mark.parametrize("capacity_per_s", [0.4, 4.0, 40.0])
SEEDS = pytest.mark.parametrize("seed", [1, 2, 3])


@SCALES
@SEEDS
def test_a_sudden_backlog_takes_a_quarter_more_than_the_optimum_at_most_and_tips_nothing(
    capacity_per_s: float, seed: int
) -> None:
    world = World(policy=ADAPTIVE, capacity_per_s=capacity_per_s, seed=seed)
    world.learn()
    world.backlog_comes()
    assert world.drain() < 1.25
    assert world.tips == 0


@SCALES
@SEEDS
@pytest.mark.parametrize("fault", [OutcomeKind.BLOCKED, OutcomeKind.TRANSIENT])
def test_a_backlog_of_an_outage_drains_soon_once_probes_succeed(
    capacity_per_s: float, seed: int, fault: OutcomeKind
) -> None:
    world = World(policy=ADAPTIVE, capacity_per_s=capacity_per_s, seed=seed)
    world.learn()
    world.fault = fault
    world.backlog_comes()
    world.run_for(600.0)
    assert not world.is_closed()
    world.fault = None
    world.run(until=world.is_closed, end_at=world.now + 120.0)
    assert world.drain() < 1.7
    assert world.tips == 0


@SCALES
@SEEDS
def test_what_sdks_do_today_tips_the_same_station(capacity_per_s: float, seed: int) -> None:
    world = World(policy=TODAY, capacity_per_s=capacity_per_s, seed=seed)
    world.learn()
    world.backlog_comes()
    assert world.drain(horizon=2.0) == float("inf")
    assert world.tips >= 1
    assert world.is_slow


@SCALES
def test_fresh_hardly_suffers_while_the_backlog_drains(capacity_per_s: float) -> None:
    world = World(policy=ADAPTIVE, capacity_per_s=capacity_per_s, seed=4)
    world.learn()
    world.fresh_ok = world.fresh_asked = 0
    world.backlog_comes()
    world.drain()
    world.run_for(60.0)
    assert world.fresh_ok >= 0.99 * world.fresh_asked - CROWD


@SCALES
def test_a_dependency_that_always_fails_one_call_in_ten_still_drains(capacity_per_s: float) -> None:
    world = World(policy=ADAPTIVE, capacity_per_s=capacity_per_s, seed=5, noise=0.1)
    world.learn()
    world.backlog_comes()
    assert world.drain() < 1.25
    assert world.tips == 0


def tipped_by_others(policy: GovernorPolicy) -> World:
    """A storm of others leaves the station slow, and our fresh calls alone keep it so."""
    world = World(policy=policy, capacity_per_s=4.0, seed=6, timeout_s=10.0)
    world.learn()
    for _ in range(200):
        world.enter(None)
    return world


def test_a_station_tipped_by_others_is_left_alone_until_it_heals_and_then_drained() -> None:
    law = ReleasePolicy(timeout_s=10.0)
    world = tipped_by_others(replace(ADAPTIVE, law=law))
    world.backlog_comes()
    assert world.drain() < 3.25
    assert not world.is_slow


def test_a_station_tipped_by_others_stays_down_with_what_sdks_do_today() -> None:
    world = tipped_by_others(TODAY)
    world.run_for(3_600.0)
    assert world.is_slow


def test_the_same_seed_plays_the_same() -> None:
    first, second = (World(policy=ADAPTIVE, capacity_per_s=4.0, seed=7) for _ in range(2))
    for world in (first, second):
        world.learn()
        world.backlog_comes()
        world.drain()
    assert first.governed == second.governed
