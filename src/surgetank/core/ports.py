"""What services need from outside, as protocols. Adapters live in `runtime`."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from surgetank.core.http import Request, Response, Timeouts
from surgetank.core.process import Command, Ended, ProcessLimits
from surgetank.core.value import Dependency, Lane, Outcome, Permit, Refusal

T = TypeVar("T")


class Clock(Protocol):
    """Time, in seconds since 1970 UTC; never runs backwards within a process."""

    def now(self) -> float:
        """The present instant."""
        ...

    async def sleep_until(self, at: float) -> None:
        """Return at `at` or as soon after as can be; at once (after a yield) if it is past."""
        ...


class Chance(Protocol):
    """Where randomness comes from; `random.Random` is one."""

    def random(self) -> float:
        """A number from 0 (included) to 1 (excluded)."""
        ...


class Blocking(Protocol):
    """Where blocking work runs: a worker thread live, inline in virtual time."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` and return or raise what it does; calls run one at a time, in order."""
        ...


class HttpClient(Protocol):
    """Makes requests. Never retries, never follows redirects, never decompresses.

    Both methods raise `DependencyTimeoutError` when a time-out of `timeouts` runs out, and
    `DependencyError` when the connection is refused or cut, or the body ends early or exceeds
    its limit; `may_have_acted` is False when nothing was sent. Statuses are answers, not errors.
    """

    async def send(
        self, request: Request, *, timeouts: Timeouts, body_bytes_max: int = 1 << 20
    ) -> Response:
        """Make one request and read its whole body."""
        ...

    def stream(
        self, request: Request, *, timeouts: Timeouts
    ) -> AbstractAsyncContextManager[Response]:
        """Make one request and give its body as `chunks`, valid inside the context."""
        ...


class Processes(Protocol):
    """Runs programs."""

    async def run(
        self,
        command: Command,
        *,
        limits: ProcessLimits,
        noted: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> Ended:
        """Run a program to its end, and leave nothing of it behind, also when cancelled.

        Args:
            command: What to run.
            limits: What it may take.
            noted: Awaited with the notes while the program goes on, `note_s` apart: with the last
                one when it writes faster. When it raises, the program is ended and the error goes
                through.

        Raises:
            DependencyRejectedError: It cannot be started and never will: there is no such program
                or directory, it is not ours to run, or its arguments are too long.
            DependencyError: It cannot be started now. In both cases nothing was done.
        """
        ...


class Permits(Protocol):
    """Leave to call: how mirror, broker and gateway meet the governor without knowing it."""

    def ask(
        self, dependencies: Sequence[Dependency], *, lane: Lane, retry: bool = False
    ) -> tuple[Permit, ...] | Refusal:
        """Ask to call all of `dependencies`: one permit each, in order, or none and why not.

        Args:
            dependencies: One that stands k times weighs k: the caller is to make k calls there.
                Its one permit is for the first of them, and the pace of the backlog advances by
                all; the others are asked for in the fresh lane as their turn comes. A weight never
                decides whether leave is given, and in the fresh lane means nothing.
            lane: Who waits.
            retry: Whether this call was made before and failed.
        """
        ...

    def report(self, permit: Permit, outcome: Outcome) -> None:
        """Say how the call of `permit` ended; exactly once each, or its slot frees by time-out."""
        ...

    def give_back(self, permit: Permit) -> None:
        """Return a permit whose call was never made, instead of `report`: nothing is learnt.

        The pace of its whole weight is returned.
        """
        ...
