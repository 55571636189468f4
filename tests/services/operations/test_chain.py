"""A chain of calls: what waits is let in by all that it calls, each weighed by how often."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from surgetank.cloud.station import Served, Station, StationPolicy
from surgetank.control.governor import GovernorPolicy
from surgetank.control.peer.sdk import Sdk, State
from surgetank.core.operation import NewOperation, OperationState, StepState
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind, Permit, Refusal
from surgetank.safeguards.operations.action import ActionResult, StepCall
from surgetank.safeguards.operations.permits import GovernedPermits
from surgetank.safeguards.operations.progress import go_round, new_record
from surgetank.safeguards.operations.queue import Gate, queue_of, read_queue
from surgetank.safeguards.operations.record import STEPS_MAX, Record

Play = Callable[..., None]
New = Callable[..., NewOperation]
COMPUTE, IDENTITY = Dependency("compute@eastus"), Dependency("identity@eastus")
ON_IDENTITY: dict[str, Any] = {"dependency": IDENTITY}
TOKENS: dict[str, Any] = {f"token{number}": ON_IDENTITY for number in (1, 2, 3)}
CHAIN = ("compute", *TOKENS)
"""One call on compute and three on identity."""


def chain(new_operation: New, **changes: dict[str, Any]) -> Record:
    steps = {name: {**TOKENS.get(name, {}), **changes.get(name, {})} for name in CHAIN}
    return new_record(new_operation("k", *CHAIN, lane=Lane.BACKLOG, **steps), now=0.0)


def with_states(record: Record, *states: StepState) -> Record:
    pairs = zip(record.progress, states, strict=True)
    return record._replace(progress=tuple(each._replace(state=state) for each, state in pairs))


def asked(record: Record) -> tuple[Dependency, ...]:
    """What the backlog asks for at once, as its queue's text has it."""
    return read_queue(queue_of(record) or "").dependencies


DONE, OWED, PENDING = StepState.DONE, StepState.OWED, StepState.PENDING


def test_a_queue_says_how_often_each_dependency_is_called(new_operation: New) -> None:
    record = chain(new_operation)
    assert record.queue == "1 compute@eastus identity@eastus identity@eastus identity@eastus"
    assert read_queue(record.queue) == Gate(
        Lane.BACKLOG, (COMPUTE, *(IDENTITY,) * 3), has_way_round=False
    )


def test_operations_that_call_as_often_share_a_queue_in_whatever_order(new_operation: New) -> None:
    apart = chain(new_operation, token1={"dependency": COMPUTE}, token2={"dependency": IDENTITY})
    mixed = chain(new_operation, token2={"dependency": COMPUTE}, token1={"dependency": IDENTITY})
    assert apart.queue == mixed.queue


def test_what_is_done_no_longer_weighs(new_operation: New) -> None:
    record = with_states(chain(new_operation), DONE, DONE, PENDING, PENDING)
    assert asked(record) == (IDENTITY, IDENTITY)


def test_an_optional_step_weighs_where_another_asks(new_operation: New) -> None:
    record = chain(new_operation, token2={"is_optional": True}, token3={"fallback": "elsewhere"})
    assert asked(record) == (COMPUTE, *(IDENTITY,) * 3)


def test_ways_round_alone_are_not_asked_for(new_operation: New) -> None:
    ways = {name: {"fallback": "elsewhere"} for name in TOKENS}
    assert asked(chain(new_operation, **ways)) == (COMPUTE,)


def test_a_fallback_weighs_nothing(new_operation: New) -> None:
    record = go_round(chain(new_operation, token3={"fallback": "elsewhere"}), 3)
    assert asked(record) == (COMPUTE, IDENTITY, IDENTITY)


def test_debts_weigh_as_the_steps_they_are(new_operation: New) -> None:
    optional = {name: {"is_optional": True} for name in TOKENS}
    record = with_states(chain(new_operation, **optional), DONE, OWED, DONE, OWED)
    assert asked(record._replace(state=OperationState.SUCCEEDED)) == (IDENTITY, IDENTITY)


def test_a_debt_that_is_given_up_weighs_nothing(new_operation: New) -> None:
    optional = {name: {"is_optional": True} for name in TOKENS}
    record = with_states(chain(new_operation, **optional), DONE, OWED, OWED, OWED)
    given_up = record.progress[1]._replace(is_given_up=True)
    record = record._replace(progress=(record.progress[0], given_up, *record.progress[2:]))
    assert asked(record._replace(state=OperationState.SUCCEEDED)) == (IDENTITY, IDENTITY)


def backlog_asked(world: Any) -> list[tuple[str, ...]]:
    return [names for names, lane, _ in world.permits.asked if lane is Lane.BACKLOG]


def submission(new_operation: New, key: str = "k", **changes: Any) -> NewOperation:
    steps = {name: {**ON_IDENTITY, **changes} for name in TOKENS}
    return new_operation(key, *CHAIN, lane=Lane.BACKLOG, **steps)


def test_a_call_to_be_made_again_weighs_one_beside_those_to_come(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.script("token2", OutcomeKind.TRANSIENT)
        await world.ended((await world.worker().submit(submission(new_operation))).id)
        assert backlog_asked(world) == [(COMPUTE, *(IDENTITY,) * 3), (IDENTITY, IDENTITY)]

    play(main)


def test_what_a_crash_left_half_done_weighs_what_is_left_of_it(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.call_s = 10.0
        first = world.worker("w1")
        receipt = await first.submit(submission(new_operation, is_repeatable=True))
        await world.pass_s(25.0)
        world.kill(first)
        await world.pass_s(0)
        world.permits.out.clear()  # They died with it.
        world.worker("w2")
        await world.ended(receipt.id)
        assert backlog_asked(world) == [(COMPUTE, *(IDENTITY,) * 3), (IDENTITY, IDENTITY)]

    play(main)


def test_a_way_round_that_asks_on_its_way_weighs_its_like_to_come(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        new = submission(new_operation, fallback="elsewhere")
        await world.ended((await world.worker().submit(new)).id)
        assert backlog_asked(world) == [(COMPUTE,), (IDENTITY,) * 3]

    play(main)


def test_fresh_work_asks_for_one_call_at_a_time(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        new = submission(new_operation)._replace(lane=Lane.FRESH)
        await world.ended((await world.worker().submit(new)).id)
        assert [names for names, _, _ in world.permits.asked] == [(COMPUTE,), *[(IDENTITY,)] * 3]

    play(main)


def test_a_queue_as_the_release_before_wrote_it_is_let_in(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        old = new_record(submission(new_operation), now=world.clock.now())
        await world.store.submit(old._replace(queue="1 compute@eastus identity@eastus"))
        world.permits.refuse(IDENTITY, reason="release_held", for_s=10)
        world.worker()
        assert (await world.ended(old.id, within_s=60.0)).state is OperationState.SUCCEEDED

    play(main)


PACE_PER_S = 4.0
"""What identity bears, and its pace."""
WINDOW_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Paced(Sdk):
    """A law of one pace."""

    rate_per_s: float

    def start(self, *, now: float) -> State:
        return Sdk.start(self, now=now)._replace(rate_per_s=self.rate_per_s)


class Weightless:
    """Permits that take every caller for one of a single call: what weight is to prevent."""

    def __init__(self, inner: GovernedPermits) -> None:
        self.inner = inner

    def ask(
        self, dependencies: Sequence[Dependency], *, lane: Lane, retry: bool = False
    ) -> tuple[Permit, ...] | Refusal:
        return self.inner.ask(tuple(dict.fromkeys(dependencies)), lane=lane, retry=retry)

    def report(self, permit: Permit, outcome: Outcome) -> None:
        self.inner.report(permit, outcome)

    def give_back(self, permit: Permit) -> None:
        self.inner.give_back(permit)


def governed(world: Any, rate_per_s: float = PACE_PER_S) -> GovernedPermits:
    return GovernedPermits(
        default=GovernorPolicy(law=Sdk()),
        policies={IDENTITY: GovernorPolicy(law=Paced(rate_per_s=rate_per_s))},
        clock=world.clock,
        chance=Random(1),
    )


async def offered(world: Any, permits: Any, new_operation: New) -> tuple[list[float], float]:
    """When identity was called by a backlog that was let in for a minute, and its longest queue."""
    policy = StationPolicy(nodes=1, rate_per_s=PACE_PER_S, queue_s_max=1e6, crash_after_s=1e9)
    station = Station(policy, world.clock, Random(1))
    called, queues_s = list[float](), [0.0]

    async def act(call: StepCall) -> ActionResult:
        if call.dependency != IDENTITY:
            await world.pass_s(1.0)
            return ActionResult(Outcome(OutcomeKind.OK))
        called.append(world.clock.now())
        served = await station.serve(lane=Lane.BACKLOG)
        queues_s.append(station.queue_s())
        assert isinstance(served, Served), "it has room for all"
        return ActionResult(Outcome(OutcomeKind.OK))

    world.actions["do"] = act
    worker = world.worker(permits=permits)
    for number in range(200):
        await worker.submit(submission(new_operation, f"k{number}"))
    await world.pass_s(60.0)
    return called, max(queues_s)


def most_per_s(called: Sequence[float]) -> float:
    """Calls a second in the fullest window."""
    return max(sum(0 <= at - began < WINDOW_S for at in called) for began in called) / WINDOW_S


def test_a_chain_is_let_in_no_faster_than_its_most_called_link_bears(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        called, queue_s = await offered(world, governed(world), new_operation)
        assert most_per_s(called) <= 1.15 * PACE_PER_S
        assert queue_s < 2.0
        assert len(called) >= 0.9 * 60.0 * PACE_PER_S

    play(main)


def test_without_weight_its_most_called_link_is_overrun(play: Play, new_operation: New) -> None:
    async def main(world: Any) -> None:
        called, queue_s = await offered(world, Weightless(governed(world)), new_operation)
        assert most_per_s(called) > 1.5 * PACE_PER_S
        assert queue_s > 20.0

    play(main)


def test_an_operation_that_never_called_gives_back_the_pace_of_all_its_calls(
    play: Play, new_operation: New
) -> None:
    async def main(world: Any) -> None:
        world.script("compute", OutcomeKind.PERMANENT)
        worker = world.worker(permits=governed(world, 0.01))
        failed = await worker.submit(submission(new_operation, "failed"))
        assert (await world.ended(failed.id)).state is OperationState.FAILED
        follower = await world.ended((await worker.submit(submission(new_operation))).id)
        assert follower.finished_at - follower.created_at < 1.0

    play(main)


@pytest.mark.parametrize("rate_per_s", [1.0, 0.1])
def test_the_heaviest_operation_starves_nobody_and_is_not_starved(
    play: Play, new_operation: New, rate_per_s: float
) -> None:
    async def main(world: Any) -> None:
        worker = world.worker(permits=governed(world, rate_per_s))
        names = [f"s{number}" for number in range(STEPS_MAX)]
        heavy = new_operation(
            "heavy", *names, lane=Lane.BACKLOG, **dict.fromkeys(names, ON_IDENTITY)
        )
        light = new_operation("light", "token", lane=Lane.BACKLOG, token=ON_IDENTITY)
        before = await worker.submit(light)
        await world.pass_s(0.1)
        middle = await worker.submit(heavy)
        await world.pass_s(0.1)
        after = await worker.submit(light._replace(key="later"))
        records = [await world.ended(each.id, within_s=1e4) for each in (before, middle, after)]
        began_at = records[0].created_at
        assert [record.finished_at - began_at for record in records] == pytest.approx(
            [0.1, 1 / rate_per_s + 3.2, (1 + STEPS_MAX) / rate_per_s + 0.1], abs=0.5
        )

    play(main)
