"""Whatever happens, in whatever order: nothing is lost, and nothing is done twice unasked."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from surgetank.core.operation import NewOperation, OperationState, StepState
from surgetank.core.value import Lane, Outcome, OutcomeKind
from surgetank.safeguards.operations.action import ActionResult, StepCall
from surgetank.safeguards.operations.record import OPEN_STATES

Play = Callable[..., None]
New = Callable[..., NewOperation]
SERVICES = ("vm", "disk", "agent")
HEALED_S = 6 * 3_600.0
"""Longer than every refusal and sleep of a story together."""

endings = st.tuples(st.sampled_from(list(OutcomeKind)), st.booleans(), st.booleans())
"""Kind, whether it may have acted, whether it saved a checkpoint first."""
step_flags = st.fixed_dictionaries(
    {
        "is_optional": st.booleans(),
        "is_security": st.booleans(),
        "is_repeatable": st.booleans(),
        "fallback": st.sampled_from([None, "elsewhere"]),
    }
)
submissions = st.tuples(
    st.just("submit"),
    st.sampled_from(list(Lane)),
    st.one_of(st.none(), st.sampled_from([1.0, 60.0, 4_000.0])),
    st.dictionaries(st.sampled_from(SERVICES), step_flags, min_size=1),
)
seconds = st.sampled_from([0.05, 0.5, 7.0, 61.0, 900.0])
reasons = st.sampled_from(["breaker_open", "release_held", "fresh_shed", "in_flight"])
events = st.one_of(
    submissions,
    st.tuples(st.just("end"), st.sampled_from(SERVICES), endings),
    st.tuples(st.just("pass"), seconds),
    st.tuples(st.just("refuse"), st.sampled_from(SERVICES), reasons, seconds),
    st.tuples(st.just("break"), seconds),
    st.tuples(st.just("kill")),
)


PLAIN = {
    "is_optional": False, "is_security": False, "is_repeatable": False, "fallback": None,
}  # fmt: skip
BLOCKED_BUT_MADE = [
    ("end", "agent", (OutcomeKind.BLOCKED, True, False)),
    ("submit", Lane.FRESH, None, {"agent": PLAIN}),
    ("pass", 0.05),
]
"""An answer that contradicts itself is taken by its kind: the call was not made."""


class Story:
    """Plays events, and asserts at each call and after each event what must hold."""

    def __init__(self, world: Any, new_operation: New) -> None:
        self.world = world
        self.new_operation = new_operation
        self.next_endings: dict[str, list[tuple[OutcomeKind, bool, bool]]] = {}
        self.ids: dict[str, Any] = {}
        self.doubtful: set[tuple[str, str]] = set()
        """Calls that may have had their effect and may not be made again."""
        self.finished: dict[tuple[str, str], StepState] = {}
        self.fences: dict[str, int] = {}
        self.wrong = list[AssertionError]()
        """What was found in calls: the engine takes what they raise for their end."""
        world.actions["do"] = self.act
        self.worker = world.worker("w0")

    async def act(self, call: StepCall) -> ActionResult:
        try:
            return await self.checked(call)
        except AssertionError as error:
            self.wrong.append(error)
            raise

    async def checked(self, call: StepCall) -> ActionResult:
        """Make a call, checking that it may be made."""
        record = await self.world.store.read(call.operation_id)
        names = [step.name for step in record.steps]
        position = names.index(call.step_name)
        step, wish = record.steps[position], (record.key, call.step_name)
        assert record.progress[position].state is StepState.STARTED, "said before it is done"
        assert wish not in self.finished, "a finished step never runs again"
        if not call.checkpoint:
            assert wish not in self.doubtful, "nothing is repeated unasked"
        if not step.is_repeatable:
            self.doubtful.add(wish)  # Should we be killed during the call.
        planned = self.next_endings.get(call.step_name)
        kind, acted, saves = planned.pop(0) if planned else (OutcomeKind.OK, False, False)
        acted = acted and kind not in (OutcomeKind.BLOCKED, OutcomeKind.PERMANENT)  # Not made.
        await self.world.pass_s(0.2)
        if saves:
            await call.save("begun")
        await self.world.pass_s(0.2)
        if not acted and kind is not OutcomeKind.OK:
            self.doubtful.discard(wish)
        return ActionResult(Outcome(kind), "", may_have_acted=acted)

    async def play(self, event: Any) -> None:
        match event:
            case ("submit", lane, patience_s, steps):
                await self._submit(lane, patience_s, steps)
            case ("end", service, ending):
                self.next_endings.setdefault(service, []).append(ending)
            case ("pass", passed_s):
                await self.world.pass_s(passed_s)
            case ("refuse", service, reason, for_s):
                self.world.permits.refuse(f"{service}@eastus", reason=reason, for_s=for_s)
            case ("break", for_s):
                self.world.store.fails_until = self.world.clock.now() + for_s
            case _:
                await self._kill()
        await self._check()

    async def _submit(self, lane: Lane, patience_s: float | None, steps: Any) -> None:
        key = f"k{len(self.ids)}"
        deadline_at = None if patience_s is None else self.world.clock.now() + patience_s
        new = self.new_operation(key, *steps, lane=lane, deadline_at=deadline_at, **steps)
        self.ids[key] = (await self.worker.submit(new)).id

    async def _kill(self) -> None:
        self.world.kill(self.worker)
        await self.world.pass_s(0)
        self.world.permits.out.clear()  # They died with it.
        self.worker = self.world.worker(f"w{self.world.clock.now()}")

    async def _check(self) -> None:
        for error in self.wrong:
            raise error
        for key, operation_id in self.ids.items():
            record = await self.world.store.read(operation_id)
            assert record is not None, "nothing acknowledged is lost"
            assert record.fence >= self.fences.get(key, 0), "fences only go up"
            self.fences[key] = record.fence
            for step, progress in zip(record.steps, record.progress, strict=True):
                wish = (key, step.name)
                if progress.state in (StepState.DONE, StepState.FALLEN_BACK):
                    self.finished[wish] = progress.state
                else:
                    assert wish not in self.finished, "a finished step stays finished"
                if progress.state is StepState.OWED:
                    assert step.is_optional, "only optional steps are owed"
                    assert not step.is_security, "security is never skipped"

    async def end(self) -> None:
        """Heal everything; then all must end."""
        self.next_endings.clear()
        self.world.permits.refusals.clear()
        self.world.store.fails_until = 0.0
        await self.world.pass_s(HEALED_S)
        await self._check()
        for operation_id in self.ids.values():
            record = await self.world.store.read(operation_id)
            assert record.state not in OPEN_STATES, "nothing waits for ever"
            assert record.owed == 0, "debts are paid, or given up"
            if record.state is OperationState.SUCCEEDED:
                states = {each.state for each in record.progress}
                assert StepState.PENDING not in states
        assert self.worker.in_flight == 0


@settings(
    max_examples=100,
    # The fixtures keep no state from one example to the next.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(story=st.lists(events, max_size=25))
@example(story=BLOCKED_BUT_MADE)
def test_nothing_is_lost_or_done_twice_unasked(
    play: Play, new_operation: New, story: list[Any]
) -> None:
    async def main(world: Any) -> None:
        told = Story(world, new_operation)
        for event in story:
            await told.play(event)
        await told.end()

    play(main, tries_max=3, in_flight_max=2, batch=2, scan_s=3_600, keep_s=1e9)
