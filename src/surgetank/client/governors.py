"""Permits of governors in this process, for code on asyncio."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import wraps
from random import SystemRandom
from typing import ParamSpec, Self, TypeVar

from surgetank.client.held import HeldPermit, check_wait_s, holding
from surgetank.client.outcome import Classify, outcome_of
from surgetank.control.governor import GovernorPolicy
from surgetank.core.ports import Clock, Permits
from surgetank.core.refusal import ask_again_at, refusal_error
from surgetank.core.value import Dependency, Lane, Outcome, Permit, Refusal
from surgetank.runtime.live.clock import SystemClock
from surgetank.safeguards.operations.permits import GovernedPermits

P = ParamSpec("P")
T = TypeVar("T")


class Governors:
    """One governor for each dependency, asked by `async with` or by a decorator.

    For one event loop: not safe to share among threads.
    """

    def __init__(self, permits: Permits, *, clock: Clock, classify: Classify = outcome_of) -> None:
        """Ask `permits`.

        Args:
            permits: Who decides.
            clock: The same that `permits` has.
            classify: Tells from a result or an exception what became of the call.
        """
        self._permits = permits
        self._clock = clock
        self._classify = classify

    @classmethod
    def of_this_process(
        cls,
        default: GovernorPolicy | None = None,
        policies: Mapping[str, GovernorPolicy] | None = None,
        *,
        classify: Classify = outcome_of,
    ) -> Self:
        """Make governors that live in memory, on the system's clock.

        Args:
            default: For dependencies without a policy of their own.
            policies: By dependency.
            classify: Tells from a result or an exception what became of the call.
        """
        clock = SystemClock()
        permits = GovernedPermits(
            default=default or GovernorPolicy(),
            policies={Dependency(name): policy for name, policy in (policies or {}).items()},
            clock=clock,
            chance=SystemRandom(),
        )
        return cls(permits, clock=clock, classify=classify)

    @asynccontextmanager
    async def permit(
        self, dependency: str, *, lane: Lane = Lane.FRESH, retry: bool = False, wait_s: float = 0.0
    ) -> AsyncGenerator[HeldPermit]:
        """Take leave to make one call, and end it by how the body ends.

        Args:
            dependency: Whom the body calls, as `identity@eastus`.
            lane: Who waits; fresh goes first.
            retry: Whether this call was made before and failed: it takes of the retry budget.
            wait_s: Seconds to wait for leave, up to a day; 0 asks once. What cannot come in time
                is not waited for.

        Raises:
            RefusedError: No leave; `BreakerOpenError` and `ReleaseHeldError` say why, `retry_at`
                when to ask again. The body does not run.
            QueueFullError: Too many dependencies were named.
            InvalidInputError: `wait_s` is out of range.
        """
        check_wait_s(wait_s)
        given = await self._ask(Dependency(dependency), lane=lane, retry=retry, wait_s=wait_s)

        def end(outcome: Outcome | None) -> None:
            if outcome is None:
                self._permits.give_back(given)
            else:
                self._permits.report(given, outcome)

        held = HeldPermit(given.dependency, lane, end)
        with holding(held, classify=self._classify, now=self._clock.now):
            yield held

    def governed(
        self, dependency: str, *, lane: Lane = Lane.FRESH, wait_s: float = 0.0
    ) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
        """Let each call of an async function take a permit; arguments as in `permit`.

        What the function returns is classified too: an answer of status 429 is `throttled`.
        """

        def decorate(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
            @wraps(function)
            async def call(*args: P.args, **kwargs: P.kwargs) -> T:
                async with self.permit(dependency, lane=lane, wait_s=wait_s) as held:
                    result = await function(*args, **kwargs)
                    held.settle(self.classify(result))
                    return result

            return call

        return decorate

    def classify(self, end: object) -> Outcome | None:
        """Tell what became of a call by what it gave or raised."""
        return self._classify(end, self._clock.now())

    async def _ask(
        self, dependency: Dependency, *, lane: Lane, retry: bool, wait_s: float
    ) -> Permit:
        until = self._clock.now() + wait_s
        while True:
            answer = self._permits.ask([dependency], lane=lane, retry=retry)
            if not isinstance(answer, Refusal):
                return answer[0]
            if answer.retry_at > until:
                raise refusal_error(answer)
            await self._clock.sleep_until(ask_again_at(answer, now=self._clock.now()))
