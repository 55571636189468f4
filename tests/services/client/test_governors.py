"""Permits by `async with` and by a decorator, in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from surgetank.client import (
    BreakerOpenError,
    ConflictError,
    Governors,
    InvalidInputError,
    Lane,
    Outcome,
    OutcomeKind,
    RefusedError,
    ReleaseHeldError,
)
from surgetank.control.breaker import BreakerPolicy
from surgetank.control.governor import GovernorPolicy
from surgetank.control.view import View
from surgetank.core.value import Dependency
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.loop import VirtualLoop, run
from surgetank.safeguards.operations.permits import GovernedPermits

VM = "vm@eastus"
POLICY = GovernorPolicy(breaker=BreakerPolicy(failure_limit=3, probe_limit=1, open_s=10.0))


class Place:
    """Governors, and what they learnt."""

    def __init__(self, clock: VirtualClock, **more: Any) -> None:
        self.clock = clock
        self.permits = GovernedPermits(default=POLICY, clock=clock, chance=Random(1))
        self.governors = Governors(self.permits, clock=clock, **more)

    def view(self) -> View:
        return self.permits.views()[Dependency(VM)]

    async def fail(self, error: BaseException, *, times: int = 3) -> None:
        for _ in range(times):
            with pytest.raises(type(error)):
                async with self.governors.permit(VM):
                    raise error


Play = Callable[..., None]


@pytest.fixture
def play() -> Play:
    """Play a coroutine in virtual time: it is handed a place."""

    def play(main: Callable[[Place], Coroutine[Any, Any, None]], **more: Any) -> None:
        async def whole(loop: VirtualLoop) -> None:
            await main(Place(VirtualClock(loop), **more))

        run(whole, start_at=1_000.0)

    return play


def test_a_call_counts_while_its_body_runs(play: Play) -> None:
    async def main(place: Place) -> None:
        async with place.governors.permit(VM) as permit:
            assert (permit.dependency, place.view().in_flight) == (VM, 1)
        assert place.view().in_flight == 0

    play(main)


@pytest.mark.parametrize("error", [OSError(), TimeoutError(), ValueError()])
def test_bodies_that_raise_open_the_breaker(play: Play, error: Exception) -> None:
    async def main(place: Place) -> None:
        await place.fail(error)
        with pytest.raises(BreakerOpenError) as refusal:
            async with place.governors.permit(VM):
                raise AssertionError
        assert refusal.value.retry_at == place.clock.now() + 10.0

    play(main)


def test_a_cancelled_body_says_nothing_of_the_dependency(play: Play) -> None:
    async def main(place: Place) -> None:
        async def body() -> None:
            async with place.governors.permit(VM):
                await place.clock.sleep_until(place.clock.now() + 60.0)

        tasks = [asyncio.create_task(body()) for _ in range(5)]
        await place.clock.sleep_until(place.clock.now() + 1.0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (place.view().in_flight, place.view().state) == (0, "trickle")

    play(main)


def test_a_time_out_inside_the_body_counts(play: Play) -> None:
    async def main(place: Place) -> None:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with place.governors.permit(VM), asyncio.timeout(1.0):
                    await place.clock.sleep_until(place.clock.now() + 60.0)
        assert place.view().state == "open"

    play(main)


def test_leave_that_comes_in_time_is_waited_for(play: Play) -> None:
    async def main(place: Place) -> None:
        await place.fail(OSError())
        before = place.clock.now()
        async with place.governors.permit(VM, wait_s=10.0):
            assert place.clock.now() == pytest.approx(before + 10.0)

    play(main)


def test_leave_that_cannot_come_in_time_is_not_waited_for(play: Play) -> None:
    async def main(place: Place) -> None:
        await place.fail(OSError())
        before = place.clock.now()
        with pytest.raises(BreakerOpenError):
            async with place.governors.permit(VM, wait_s=9.9):
                raise AssertionError
        assert place.clock.now() == before

    play(main)


def test_an_outcome_that_is_reported_counts_and_the_end_of_the_body_does_not(play: Play) -> None:
    async def main(place: Place) -> None:
        patience = Outcome(OutcomeKind.THROTTLED, "", place.clock.now() + 5.0)
        async with place.governors.permit(VM) as permit:
            permit.report(patience)
        with pytest.raises(ReleaseHeldError):
            async with place.governors.permit(VM, lane=Lane.BACKLOG):
                raise AssertionError

    play(main)


def test_a_permit_is_reported_once(play: Play) -> None:
    async def main(place: Place) -> None:
        async with place.governors.permit(VM) as permit:
            permit.report(Outcome(OutcomeKind.OK))
            with pytest.raises(ConflictError):
                permit.report(Outcome(OutcomeKind.OK))
            permit.give_back()
        assert permit.is_ended

    play(main)


def test_a_permit_that_is_given_back_leaves_no_trace(play: Play) -> None:
    async def main(place: Place) -> None:
        for _ in range(3):
            with suppress(OSError):
                async with place.governors.permit(VM) as permit:
                    permit.give_back()
                    raise OSError
        assert (place.view().in_flight, place.view().state) == (0, "trickle")

    play(main)


def test_a_retry_takes_of_the_retry_budget(play: Play) -> None:
    async def main(place: Place) -> None:
        async with place.governors.permit(VM):
            before = place.view().retries_left
            async with place.governors.permit(VM, retry=True):
                assert place.view().retries_left == before - 1

    play(main)


def test_a_function_is_governed_by_what_it_returns(play: Play) -> None:
    class Answer:
        status = 503

    async def main(place: Place) -> None:
        @place.governors.governed(VM)
        async def fetch(one: int, *, two: int) -> Answer:
            """Fetch it."""
            assert (one, two) == (1, 2)
            return Answer()

        for _ in range(3):
            await fetch(1, two=2)
        assert (fetch.__name__, fetch.__doc__) == ("fetch", "Fetch it.")
        with pytest.raises(BreakerOpenError):
            await fetch(1, two=2)

    play(main)


def test_how_ends_are_classified_is_the_callers_choice(play: Play) -> None:
    def classify(end: object, now: float) -> Outcome | None:
        del now
        return None if isinstance(end, ValueError) else Outcome(OutcomeKind.TRANSIENT)

    async def main(place: Place) -> None:
        await place.fail(ValueError(), times=9)
        assert place.view().state == "trickle"
        await place.fail(OSError())
        assert place.view().state == "open"

    play(main, classify=classify)


@pytest.mark.parametrize("wait_s", [-1.0, 86_401.0, float("nan")])
def test_a_wait_is_at_most_a_day(play: Play, wait_s: float) -> None:
    async def main(place: Place) -> None:
        with pytest.raises(InvalidInputError):
            async with place.governors.permit(VM, wait_s=wait_s):
                raise AssertionError

    play(main)


def test_a_process_has_governors_of_its_own_with_policies_by_name() -> None:
    async def main() -> None:
        governors = Governors.of_this_process(policies={VM: POLICY})
        for _ in range(3):
            with pytest.raises(OSError):  # noqa: PT011 - any
                async with governors.permit(VM):
                    raise OSError
        with pytest.raises(RefusedError):
            async with governors.permit(VM):
                raise AssertionError
        async with governors.permit("disk@eastus"):
            pass

    asyncio.run(main())
