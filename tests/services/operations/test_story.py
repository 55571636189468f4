"""Whatever happens among two workers and the people who hold, cancel, redrive and supersede."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from surgetank.core.errors import ConflictError, DependencyError, InvalidInputError
from surgetank.core.operation import NewOperation, OperationState, Step, StepState
from surgetank.core.value import Dependency, Lane, Outcome, OutcomeKind
from surgetank.safeguards.operations.action import ActionResult, StepCall
from surgetank.safeguards.operations.hold import Hold, HoldScope
from surgetank.safeguards.operations.record import OPEN_STATES, Record
from surgetank.safeguards.operations.store import Filter

Play = Callable[..., None]
New = Callable[..., NewOperation]
Wish = tuple[str, str, str]
"""Key, step and arguments of a call."""
SERVICES = ("vm", "disk")
SCAN_S = 5.0
LEARNT_S = SCAN_S + 1.5
"""A worker whose store answers has heard of a hold by then."""
HEALED_S = 12 * 3_600.0
"""Longer than every refusal, sleep and wait of a story together."""
HALF_CALL_S = 5.0
PROBE = "was it?"
_REFUSED = (OutcomeKind.BLOCKED, OutcomeKind.PERMANENT)
"""Answers that say that nothing was done."""

services = st.sampled_from(SERVICES)
seconds = st.sampled_from([0.5, 7.0, 61.0, 300.0])
pauses = st.sampled_from([0.05, 0.5, 3.0, 7.0, 20.0, 61.0])
which = st.integers(min_value=0, max_value=7)
step_flags = st.fixed_dictionaries(
    {
        "is_optional": st.booleans(),
        "is_repeatable": st.booleans(),
        "fallback": st.sampled_from([None, "elsewhere"]),
        "probe": st.sampled_from([None, PROBE]),
    }
)
PLAIN = {"is_optional": False, "is_repeatable": False, "fallback": None, "probe": None}
submissions = st.tuples(
    st.just("submit"),
    st.dictionaries(services, step_flags, min_size=1),
    st.fixed_dictionaries(
        {
            "lane": st.sampled_from(list(Lane)),
            "patience_s": st.sampled_from([None, None, 1.0, 60.0, 4_000.0]),
            "later_s": st.sampled_from([None, None, 5.0, 100.0]),
            "priority": st.sampled_from([0, 5, -9]),
            "subject": st.sampled_from(["", "blue", "blue", "green"]),
            "generation": st.integers(min_value=1, max_value=6),
        }
    ),
)
scopes = st.sampled_from(
    [
        (HoldScope.ALL, ""),
        (HoldScope.DEPENDENCY, "vm@eastus"),
        (HoldScope.DEPENDENCY, "disk@westus"),
        (HoldScope.REGION, "eastus"),
        (HoldScope.KIND, "create_vm"),
    ]
)
events = st.one_of(
    submissions,
    submissions,
    submissions,
    st.tuples(
        st.just("end"), services, st.sampled_from(list(OutcomeKind)), st.booleans(), st.booleans()
    ),
    st.tuples(
        st.just("refuse"), services, st.sampled_from(["breaker_open", "release_held"]), seconds
    ),
    st.tuples(st.just("break"), seconds, st.booleans()),
    st.tuples(st.just("kill"), st.integers(min_value=0, max_value=1)),
    st.tuples(st.just("cancel"), which, st.booleans()),
    st.tuples(st.just("redrive"), which),
    st.tuples(st.just("hold"), scopes),
    st.tuples(st.just("release"), scopes, st.sampled_from([None, 1, 3])),
)


class Story:
    """Plays events, and asserts at each call and after each event what must hold."""

    def __init__(self, world: Any, new_operation: New) -> None:
        self.world = world
        self.new_operation = new_operation
        self.plans: dict[str, list[tuple[OutcomeKind, bool, bool]]] = {}
        self.ids = dict[str, Any]()
        self.made = set[Wish]()
        """Calls that had their effect."""
        self.doubtful = set[Wish]()
        """Calls that may have had it, and may not be made again before that is known."""
        self.finished = set[tuple[str, str]]()
        self.cancelled_at = dict[str, float]()
        self.newest = dict[str, list[tuple[float, int]]]()
        """When which generation of a subject was acknowledged, rising."""
        self.calling = Counter[str]()
        """Calls under way, by subject."""
        self.held = dict[int, tuple[float, Hold]]()
        self.healthy_at = 0.0
        self.stores = list[Any]()
        self.wrong = list[AssertionError]()
        """What was found in calls: the engine takes what they raise for their end."""
        world.actions["do"] = self.act
        self.workers = [self.worker(f"w{number}") for number in range(2)]

    def worker(self, name: str) -> Any:
        worker = self.world.worker(name)
        self.stores.append(self.world.store)
        return worker

    async def act(self, call: StepCall) -> ActionResult:
        try:
            return await self.checked(call)
        except AssertionError as error:
            self.wrong.append(error)
            raise

    async def checked(self, call: StepCall) -> ActionResult:
        """Make a call, checking that it may be made."""
        record = await self.world.store.inner.read(call.operation_id)
        position = [step.name for step in record.steps].index(call.step_name)
        step, wish = record.steps[position], (record.key, call.step_name, call.arguments)
        assert record.progress[position].state is StepState.STARTED, "said before it is done"
        assert wish[:2] not in self.finished, "a finished step never runs again"
        self.may_begin(record, call)
        self.calling[record.subject] += 1
        assert not record.subject or self.calling[record.subject] == 1, "one at a time"
        try:
            if call.arguments == PROBE:
                return await self.probe(record, step, call)
            return await self.make(step, wish, call)
        finally:
            self.calling[record.subject] -= 1

    def may_begin(self, record: Record, call: StepCall) -> None:
        """Check that nobody has said no to this call before now."""
        now = self.world.clock.now()
        assert now <= self.cancelled_at.get(record.key, now), "cancelled"
        for at, generation in self.newest.get(record.subject, ()) if record.subject else ():
            assert generation <= record.generation or now <= at, "superseded"
        for at, hold in self.held.values():
            is_learnt = now > max(at, self.healthy_at) + LEARNT_S
            is_meant = hold.scope is not HoldScope.DEPENDENCY or hold.name == call.dependency
            is_let_go = hold.number <= record.let_go
            assert is_let_go or not (is_learnt and is_meant), f"held: {hold}"

    async def make(self, step: Step, wish: Wish, call: StepCall) -> ActionResult:
        if not call.checkpoint:
            assert wish not in self.doubtful, "nothing is repeated unasked"
        if not step.is_repeatable:
            self.doubtful.add(wish)  # Should its worker be killed during the call.
        planned = self.plans.get(call.step_name)
        kind, acted, saves = planned.pop(0) if planned else (OutcomeKind.OK, False, False)
        acted = acted and kind not in _REFUSED
        await self.world.pass_s(HALF_CALL_S)
        if acted or kind is OutcomeKind.OK:
            self.made.add(wish)
        if saves:
            await call.save("begun")
        await self.world.pass_s(HALF_CALL_S)
        if not acted and kind is not OutcomeKind.OK:
            self.doubtful.discard(wish)
        return ActionResult(Outcome(kind), "", may_have_acted=acted)

    async def probe(self, record: Record, step: Step, call: StepCall) -> ActionResult:
        """Say what became of a call; the truth, unless no answer comes."""
        planned = self.plans.get(call.step_name)
        kind = planned.pop(0)[0] if planned else OutcomeKind.OK
        await self.world.pass_s(0.3)
        if kind in (OutcomeKind.OK, OutcomeKind.PERMANENT):
            wish = self.wish(record, step)
            kind = OutcomeKind.OK if wish in self.made else OutcomeKind.PERMANENT
            if kind is OutcomeKind.PERMANENT:
                self.doubtful.discard(wish)
        return ActionResult(Outcome(kind))

    def wish(self, record: Record, step: Step) -> Wish:
        """The call of a step as it is called now."""
        progress = record.progress[record.steps.index(step)]
        arguments = (step.fallback or "") if progress.is_fallback else step.arguments
        return (record.key, step.name, arguments)

    async def play(self, event: Any) -> None:
        with suppress(DependencyError, ConflictError):
            await self.happen(event)
        await self.check()

    async def happen(self, event: Any) -> None:
        match event:
            case ("submit", steps, wanted):
                await self.submit(steps, dict(wanted))
            case ("end", service, *plan):
                self.plans.setdefault(service, []).append(tuple(plan))
            case ("refuse", service, reason, for_s):
                self.world.permits.refuse(f"{service}@eastus", reason=reason, for_s=for_s)
            case ("break", for_s, is_away):
                self.break_stores(for_s, is_away=is_away)
            case ("kill", place):
                await self.kill(place)
            case _:
                await self.ask(event)

    async def ask(self, event: Any) -> None:
        """People want something."""
        match event:
            case ("cancel", place, also_under_way):
                await self.cancel(place, also_under_way=also_under_way)
            case ("redrive", place):
                await self.redrive(place)
            case ("hold", (scope, name)):
                await self.hold(Hold(scope, name, self.world.clock.now()))
            case _:
                await self.release(*event[1], limit=event[2])

    async def submit(self, flags: Any, wanted: dict[str, Any]) -> None:
        key, now = f"k{len(self.ids)}", self.world.clock.now()
        patience_s, later_s = wanted.pop("patience_s"), wanted.pop("later_s")
        steps = {
            name: {**each, "fallback_dependency": each["fallback"] and Dependency(f"{name}@westus")}
            for name, each in flags.items()
        }
        if not wanted["subject"]:
            wanted["generation"] = 0
        new = self.new_operation(
            key,
            *steps,
            deadline_at=None if patience_s is None else now + patience_s,
            run_at=None if later_s is None else now + later_s,
            **wanted,
            **steps,
        )
        self.ids[key] = (await self.workers[len(self.ids) % 2].submit(new)).id
        known = self.newest.setdefault(new.subject, [])
        if not known or known[-1][1] < new.generation:
            known.append((self.world.clock.now(), new.generation))

    def break_stores(self, for_s: float, *, is_away: bool) -> None:
        until = self.world.clock.now() + for_s
        self.healthy_at = max(self.healthy_at, until)
        for store in self.stores:
            store.away_until = max(store.away_until, until if is_away else 0.0)
            store.fails_until = max(store.fails_until, until)

    async def kill(self, place: int) -> None:
        self.world.kill(self.workers[place])
        await self.world.pass_s(0)
        self.workers[place] = self.worker(f"w{self.world.clock.now()}")
        self.stores[-1].away_until = self.stores[0].away_until
        self.stores[-1].fails_until = self.stores[0].fails_until

    def named(self, place: int) -> Any:
        keys = list(self.ids)
        return self.ids[keys[place % len(keys)]] if keys else None

    async def cancel(self, place: int, *, also_under_way: bool) -> None:
        operation_id = self.named(place)
        if operation_id is None:
            return
        worker = self.workers[place % 2]
        record = await worker.cancel(operation_id, also_under_way=also_under_way)
        if OperationState.CANCELLED in (record.state, record.stop):
            self.cancelled_at.setdefault(record.key, self.world.clock.now())

    async def redrive(self, place: int) -> None:
        operation_id = self.named(place)
        if operation_id is None:
            return
        record = await self.world.store.inner.read(operation_id)
        pairs = zip(record.steps, record.progress, strict=True)
        started = [step for step, each in pairs if each.state is StepState.STARTED]
        wishes = [self.wish(record, step) for step in started]
        is_done = all(wish in self.made for wish in wishes) if wishes else None
        if wishes and not is_done and any(wish in self.made for wish in wishes):
            return  # One answer for two calls would be a lie.
        if await self.workers[place % 2].redrive(operation_id, is_done=is_done):
            self.doubtful.difference_update(() if is_done else wishes)
            self.cancelled_at.pop(record.key, None)  # Somebody wants its debts paid after all.

    async def hold(self, hold: Hold) -> None:
        held = await self.workers[0].hold(hold)
        for number in self.find_held(hold.scope, hold.name):
            del self.held[number]
        self.held[held.number] = (self.world.clock.now(), held)

    async def release(self, scope: HoldScope, name: str, *, limit: int | None) -> None:
        with suppress(InvalidInputError):
            await self.workers[1].release(scope, name, limit=limit)
        left = {hold.number for hold in (await self.world.store.inner.survey()).holds}
        for number in self.held.keys() - left:
            del self.held[number]

    def find_held(self, scope: HoldScope, name: str) -> list[int]:
        return [number for number, (_, hold) in self.held.items() if hold[:2] == (scope, name)]

    async def check(self) -> None:
        for error in self.wrong:
            raise error
        records, tallies = await self.all_records(), await self.world.store.inner.tally()
        while records != (read_again := await self.all_records()):  # They moved meanwhile.
            records, tallies = read_again, await self.world.store.inner.tally()
        assert {each.key for each in records} >= self.ids.keys(), "nothing acknowledged is lost"
        counted = Counter((each.lane, each.state) for each in records)
        owed = sum(each.owed for each in records)
        assert {each[:2]: each.operations for each in tallies} == counted
        assert sum(each.owed for each in tallies) == owed
        for record in records:
            for step, progress in zip(record.steps, record.progress, strict=True):
                if progress.state in (StepState.DONE, StepState.FALLEN_BACK):
                    self.finished.add((record.key, step.name))
                else:
                    assert (record.key, step.name) not in self.finished, "it stays finished"

    async def all_records(self) -> list[Record]:
        records, after = list[Record](), 0
        while True:
            page = await self.world.store.inner.find(Filter(), after=after, limit=3)
            records += page.records
            if page.next_after is None:
                return records
            after = page.next_after

    async def end(self) -> None:
        """Heal and release everything; then all must end."""
        self.plans.clear()
        self.world.permits.refusals.clear()
        for store in self.stores:
            store.away_until = store.fails_until = 0.0
        for _, hold in list(self.held.values()):
            await self.release(hold.scope, hold.name, limit=None)
        healed_at = self.world.clock.now()
        while self.world.clock.now() < healed_at + HEALED_S:
            await self.world.pass_s(300.0)
            if not (await self.world.store.inner.survey()).queues:
                break
        await self.check()
        for record in await self.all_records():
            assert record.state not in OPEN_STATES, "nothing waits for ever"
            assert record.queue is None, "nothing is left to do"
        assert [worker.in_flight for worker in self.workers] == [0, 0]
        assert not any(self.calling.values())


CANCELLED_THEN_WANTED = [
    (
        (
            "submit",
            {"disk": {**PLAIN, "is_repeatable": True}, "vm": {**PLAIN, "is_optional": True}},
            {
                "lane": Lane.BACKLOG,
                "patience_s": None,
                "later_s": None,
                "priority": 0,
                "subject": "",
                "generation": 1,
            },
        ),
        0.05,
    ),
    (("cancel", 0, True), 0.05),
    (("refuse", "vm", "breaker_open", 61.0), 20.0),
    (("redrive", 0), 61.0),
]
"""It ends well but for a debt, which is given up, and which somebody then wants paid after all."""


def play_all(play: Play, new_operation: New, story: Iterable[Any]) -> None:
    async def main(world: Any) -> None:
        told = Story(world, new_operation)
        for event, passed_s in story:
            await told.play(event)
            await world.pass_s(passed_s)
        await told.end()

    play(main, tries_max=3, in_flight_max=2, batch=2, scan_s=SCAN_S, keep_s=1e9)


@settings(
    max_examples=100,
    # The fixtures keep no state from one example to the next.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(story=st.lists(st.tuples(events, pauses), max_size=20))
@example(story=CANCELLED_THEN_WANTED)
def test_what_people_ask_for_is_kept_whatever_happens(
    play: Play, new_operation: New, story: list[Any]
) -> None:
    play_all(play, new_operation, story)
