"""Stage: a virtual clock, a network and services on it, for one test.

Build it up (services, links, faults at a time), then let it be played once. Everything a test
does between is in virtual time: hours take milliseconds, and equal seeds give equal runs.
"""

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from math import inf
from typing import Any, TypeVar, TypeVarTuple

from surgetank.cloud.station import StationPolicy
from surgetank.control.admission import Admission
from surgetank.core.errors import FenceError, InvalidInputError, SimulationError
from surgetank.core.http import Handler
from surgetank.core.ports import Chance, Clock, HttpClient
from surgetank.runtime.simulation.chance import stream
from surgetank.runtime.simulation.clock import VirtualClock
from surgetank.runtime.simulation.fence import fence
from surgetank.runtime.simulation.link import Link
from surgetank.runtime.simulation.loop import VirtualLoop, run_on
from surgetank.runtime.simulation.network import CONNECTIONS_MAX, Network
from surgetank.testing.load import Load, Work, offer
from surgetank.testing.others import seeded_chance, virtual_time
from surgetank.testing.service import Answer, CollapsingService, ScriptedService

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START_AT = 1_767_225_600.0
"""What `time.time()` says when a test begins: 2026-01-01, so that runs repeat on any day."""
STEPS_LIMIT = 50_000_000
"""Some minutes of a processor; a test with 100,000 calls takes a few million."""
_ADVICE = (
    "The test runs on a virtual clock: wait with asyncio.sleep, not time.sleep; reach services by "
    "Service.call or Stage.client, not by sockets; use no threads, processes or signals."
)


class Stage:
    """What a test plays on; the fixture `stage` is one.

    It is built and played in one thread, and played once.
    """

    def __init__(
        self, *, seed: int = 0, start_at: float = START_AT, steps_limit: int = STEPS_LIMIT
    ) -> None:
        """Set up an empty stage at second 0.

        Args:
            seed: Of all that is left to chance: arrivals, work, losses, crashes, and the module
                `random` while it is played.
            start_at: What `clock.now()` and `time.time()` say at second 0, in seconds since 1970
                UTC.
            steps_limit: Steps of tasks and timers before the play is given up; at least 1.
        """
        self.seed = seed
        self.calls_made: Counter[str] = Counter()
        """Requests that clients sent, by host, whether they arrived or not."""
        self._loop = VirtualLoop(seed=seed, start_at=start_at, steps_limit=steps_limit)
        self._network = Network(self._loop, seed=seed)
        self._network.on_sent = self._count
        self.clock: Clock = VirtualClock(self._loop)
        """For code on the `Clock` port."""
        self._loads = 0

    @property
    def now_s(self) -> float:
        """Seconds since the test began."""
        return self._loop.time()

    # Building

    def collapsing_service(
        self,
        policy: StationPolicy,
        *,
        host: str = "service",
        admission: Admission | None = None,
    ) -> CollapsingService:
        """Put up a service that collapses under more load than it can bear.

        Args:
            policy: Its sizes: nodes, calls a second, seconds of work, when it crashes and how it
                comes back.
            host: Its name on the network.
            admission: Refuses early, with 429, what would wait too long; None lets all in.

        Raises:
            InvalidInputError: `host` is served already.
        """
        return CollapsingService(
            policy,
            chance=self.chance(f"station {host}"),
            admission=admission,
            host=host,
            network=self._network,
            clock=self.clock,
        )

    def scripted_service(
        self, answers: Sequence[Answer], *, host: str = "service"
    ) -> ScriptedService:
        """Put up a service that answers from a list, the last answer for ever.

        Args:
            answers: At least one: statuses, whole responses, or faults.
            host: Its name on the network.

        Raises:
            InvalidInputError: There is no answer, a status is none, or `host` is served already.
        """
        return ScriptedService(answers, host=host, network=self._network, clock=self.clock)

    def serve(self, host: str, handler: Handler) -> None:
        """Serve `host` with a handler of your own; one that raises fails the test.

        Raises:
            InvalidInputError: `host` is served already.
        """
        self._network.serve(host, handler)

    def link(self, target: str, link: Link, *, source: str = "*") -> None:
        """Lay what lies between clients and a host, from now on: latency, loss, a cut.

        Args:
            target: A host, or the beginning of its name and `*`; `*` alone for all.
            link: Of several that match, the last laid holds; without any, nothing is in between.
            source: Where clients are, likewise; those of `Service.call` are at `caller`.

        Raises:
            InvalidInputError: Figures out of range, or too many rules.
        """
        self._network.link(source, target, link)

    def client(self, host: str = "caller", *, connections_max: int = CONNECTIONS_MAX) -> HttpClient:
        """Make a client for code on the `HttpClient` port.

        Args:
            host: Where it is; need not be served.
            connections_max: To one host at once; more calls wait for a place. At least 1.
        """
        return self._network.client(host, connections_max=connections_max)

    def chance(self, name: str) -> Chance:
        """Seeded chance for code on the `Chance` port; equal seeds and names draw alike."""
        return stream(self.seed, name)

    def at(self, second: float, act: Callable[[*Ts], object], *arguments: *Ts) -> None:
        """Let something happen `second` seconds after the test began, as a fault does.

        Raises:
            InvalidInputError: That second is past, or never comes.
        """
        if not self.now_s <= second < inf:
            raise InvalidInputError(f"second {second} does not lie ahead of {self.now_s}")
        self._loop.call_at(second, act, *arguments)

    # Playing

    async def load(
        self, work: Work, *, rate_per_s: float, lasts_s: float, settle_s: float = 60.0
    ) -> Load:
        """Run the code under test again and again, as independent callers do.

        Callers come at an even rate, each at a random point of its share of the time, and do not
        wait for one another. What a call raises counts against it; AssertionError and
        SimulationError fail the test.

        Args:
            work: One call wanted: an async function without arguments.
            rate_per_s: Calls wanted each second; above 0.
            lasts_s: Seconds for which they are wanted; above 0.
            settle_s: Seconds that the last of them may take; who is not done then is cancelled
                and counts as unfinished. 0 or more.

        Raises:
            InvalidInputError: A figure is out of range, more than 1,000,000 calls are wanted, or
                every one failed without a single request on this stage.
        """
        self._loads += 1
        return await offer(
            work,
            rate_per_s=rate_per_s,
            lasts_s=lasts_s,
            settle_s=settle_s,
            loop=self._loop,
            chance=self.chance(f"load {self._loads}"),
            calls_made=self.calls_made,
        )

    def play(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Play `main` to its end and return what it returns; once.

        While it runs, `time.time`, `time.monotonic` and `time.perf_counter` read the virtual
        clock, the module `random` is seeded, and sockets, threads, processes, signals and
        `time.sleep` are refused.

        Raises:
            DeadlockError: Nothing can go on; the message names every task that waits, and where.
            FenceError: Something reached for the real world, even if its error was swallowed.
            SimulationError: A limit of steps was reached (as by retrying at once for ever), or a
                handler, a callback or a task that nobody awaited failed.
            InvalidInputError: This stage was played before.
        """
        if self._loop.is_closed():
            raise InvalidInputError("a stage is played once; make another")
        with virtual_time(self._loop), seeded_chance(self.seed), fence() as refused:
            try:
                result = run_on(self._loop, lambda _: main())
            except BaseException as error:
                for note in self._notes(refused):
                    error.add_note(note)
                raise
        for note in self._notes(refused):
            raise FenceError(note) if refused else SimulationError(note)
        return result

    def close(self) -> None:
        """Let go of a stage that may not have been played; safe to repeat."""
        self._loop.close()

    def _count(self, host: str) -> None:
        self.calls_made[host] += 1

    def _notes(self, refused: list[str]) -> list[str]:
        """What went wrong out of the test's sight."""
        notes: list[str] = []
        if refused:
            notes.append(f"the code under test reached for {refused[0]}. {_ADVICE}")
        if self._network.defects:
            notes.append("a handler failed:\n  " + "\n  ".join(self._network.defects))
        return notes


def play(
    main: Callable[[Stage], Coroutine[Any, Any, T]],
    *,
    seed: int = 0,
    start_at: float = START_AT,
    steps_limit: int = STEPS_LIMIT,
) -> T:
    """Play `main` on a stage of its own and return what it returns; needs no pytest.

    Arguments are those of `Stage`, and errors those of `Stage.play`.
    """
    stage = Stage(seed=seed, start_at=start_at, steps_limit=steps_limit)
    return stage.play(lambda: main(stage))
