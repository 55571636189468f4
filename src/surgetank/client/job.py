"""One call of a job under governors that the jobs of one machine share in a file, without a server.

The job is a worker of one call (`SharedPermits`): it goes to the file before it calls, now and then
while it calls, and at the end, to say how the call ended. So a job that is killed is forgotten some
seconds later, and its permit is free. All that runs in a thread of its own: whoever calls may block.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Coroutine
from dataclasses import replace
from random import SystemRandom
from types import TracebackType
from typing import Any, Self, TypeVar

from surgetank.client.held import WAIT_S_LIMIT, HeldPermit, check_wait_s
from surgetank.control.governor import GovernorPolicy
from surgetank.control.lease import SharePolicy
from surgetank.core.errors import DependencyError, IntegrityError
from surgetank.core.refusal import ask_again_at, refusal_error
from surgetank.core.value import Dependency, Lane, Outcome, Permit, Refusal
from surgetank.runtime.live.blocking import WorkerThread
from surgetank.runtime.live.clock import SystemClock, host_now
from surgetank.safeguards.operations.ledger_sqlite import SQLiteLedger
from surgetank.safeguards.operations.shared_permits import SharedPermits, with_lag

T = TypeVar("T")


class Job:
    """Asks for one permit. For one thread; to be closed."""

    def __init__(
        self, file: str, policy: GovernorPolicy | None = None, *, is_fail_open: bool = True
    ) -> None:
        """Open nothing yet.

        Args:
            file: Where governors are shared: of SQLite, for this alone, on this machine. It is made
                where it is missing.
            policy: The governors'; jobs should agree. Its `lost_s` does not count: a permit is
                lost when its job is.
            is_fail_open: Whether the call is made without a permit when the file cannot be used;
                else `DependencyError` or `IntegrityError` is raised.
        """
        self._file = file
        policy = with_lag(policy or GovernorPolicy())
        self._policy = replace(policy, lost_s=max(policy.lost_s, WAIT_S_LIMIT))
        self._share = SharePolicy()
        self._is_fail_open = is_fail_open
        self._clock = SystemClock()
        self._blocking = WorkerThread(name="surgetank-ledger")
        self._ledger: SQLiteLedger | None = None
        self._permits: SharedPermits | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="surgetank-job", daemon=True
        )
        self._log = logging.getLogger("surgetank.client")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._do(self._close())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def ask(
        self, dependency: str, *, lane: Lane = Lane.FRESH, retry: bool = False, wait_s: float = 0.0
    ) -> HeldPermit:
        """Take leave to make the one call; end it by `HeldPermit.settle`.

        Args:
            dependency: Whom it calls, as `compute@eastus`.
            lane: Who waits; fresh goes first.
            retry: Whether it was made before and failed: it takes of the retry budget.
            wait_s: Seconds to wait for leave, up to a day. What cannot come in time is not waited
                for.

        Raises:
            RefusedError: no leave; `BreakerOpenError` and `ReleaseHeldError` say why.
            QueueFullError: too many jobs share the dependency.
            InvalidInputError: `wait_s` is out of range, or SQLite is too old.
            DependencyError: the file cannot be used, and the job fails closed.
            IntegrityError: likewise, as it is damaged, or not ours.
        """
        assert self._permits is None, "a job makes one call"
        check_wait_s(wait_s)
        name = Dependency(dependency)
        try:
            permit = self._do(self._ask(name, lane=lane, retry=retry, wait_s=wait_s))
        except (DependencyError, IntegrityError) as error:
            if not self._is_fail_open:
                error.add_note(f"the file of governors: {self._file}")
                raise
            why = f"{self._file}: {error}"
            self._log.warning("%s is called without a permit: %s", dependency, why)
            return HeldPermit(name, lane, lambda _: None, is_governed=False)
        return HeldPermit(name, lane, lambda outcome: self._do(self._end(permit, outcome)))

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the thread, and wait for it; who is interrupted meanwhile ends it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def _ask(
        self, dependency: Dependency, *, lane: Lane, retry: bool, wait_s: float
    ) -> Permit:
        chance = SystemRandom()
        self._ledger = await SQLiteLedger.open(
            self._file, self._blocking, now=host_now, share=self._share
        )
        permits = SharedPermits(
            self._ledger,
            worker=f"job-{os.getpid()}-{chance.getrandbits(64):016x}",
            default=self._policy,
            share=self._share,
            clock=self._clock,
            chance=chance,
            calls_max=1,
        )
        await permits.announce(dependency, lane=lane, retry=retry)
        permits.start()
        self._permits = permits
        # What the first lease holds may lie ahead by so much.
        until = self._clock.now() + max(wait_s, self._share.ahead_s)
        while True:
            answer = permits.ask([dependency], lane=lane, retry=retry)
            if not isinstance(answer, Refusal):
                return answer[0]
            if answer.retry_at > until:
                raise refusal_error(answer)
            await self._clock.sleep_until(ask_again_at(answer, now=self._clock.now()))

    async def _end(self, permit: Permit, outcome: Outcome | None) -> None:
        assert self._permits is not None, "it gave the permit"
        if outcome is None:
            self._permits.give_back(permit)
        else:
            self._permits.report(permit, outcome)

    async def _close(self) -> None:
        """Tell what has become of the call, and leave."""
        if self._permits is not None:
            await self._permits.close()
        if self._ledger is not None:
            await self._ledger.close()
        await self._blocking.close()
